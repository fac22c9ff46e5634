//! Answers as Ollama's chat.

use super::{Client, no_object};
use crate::date;
use crate::json::Writer;
use crate::protocol::Protocol;
use crate::translate::Options;
use crate::translate::answer::{Answer, Block, Kind};
use crate::translate::finish::{Reason, word};
use crate::usage::Usage;

fn head(options: &Options) -> Writer {
    let mut w = Writer::new();
    w.open('{').key("model").str(&options.model);
    w.key("created_at").str(&date::to_rfc3339(options.created));
    w
}

impl Client {
    fn ollama_line(&mut self, message: impl FnOnce(&mut Writer)) {
        let mut w = head(&self.options);
        w.key("message").open('{').key("role").str("assistant");
        message(&mut w);
        w.close('}').key("done").bool(false).close('}');
        self.out.extend_from_slice(w.out.as_bytes());
        self.out.push(b'\n');
    }

    pub(super) fn ollama_piece(&mut self, kind: Kind, text: &str) {
        match kind {
            Kind::Text | Kind::Refusal => self.ollama_line(|w| _ = w.key("content").inside(text)),
            Kind::Thinking => {
                self.ollama_line(|w| _ = w.key("content").str("").key("thinking").inside(text));
            }
            Kind::Call | Kind::Redacted | Kind::None => {}
        }
    }

    pub(super) fn ollama_close(&mut self, kind: Kind) {
        let Some(block) = self.answer.blocks.pop().filter(|_| kind == Kind::Call) else { return };
        let Some(arguments) = block.arguments() else {
            self.fault = Some(no_object(&block.name));
            return;
        };
        let index = self.calls - 1;
        self.ollama_line(|w| {
            w.key("content").str("").key("tool_calls").array(|w| {
                call(w, index, &block, &arguments);
            });
        });
    }

    pub(super) fn ollama_end(&mut self, usage: Option<Usage>) {
        let (reason, _) = self.reason();
        let mut w = head(&self.options);
        w.key("message").object(|w| _ = w.key("role").str("assistant").key("content").str(""));
        done(&mut w, usage, reason);
        self.out.extend_from_slice(w.out.as_bytes());
        self.out.push(b'\n');
    }
}

/// Clients that put a stream together tell calls apart by the index.
fn call(w: &mut Writer, index: u64, block: &Block, arguments: &str) {
    w.object(|w| {
        w.key("id").str(&block.id).key("function").object(|w| {
            w.key("index").u64(index).key("name").inside(&block.name);
            w.key("arguments").raw(arguments);
        });
    });
}

fn done(w: &mut Writer, usage: Option<Usage>, reason: Reason) {
    w.key("done").bool(true).key("done_reason").str(word(Protocol::Ollama, reason).0);
    if let Some(usage) = usage {
        w.key("prompt_eval_count").u64(usage.input).key("eval_count").u64(usage.output);
    }
    w.close('}');
}

pub(super) fn whole(
    answer: &Answer,
    options: &Options,
    usage: Option<Usage>,
    reason: Reason,
) -> Result<String, String> {
    let mut w = head(options);
    w.key("message").open('{').key("role").str("assistant");
    let text = answer.text(Kind::Text) + &answer.text(Kind::Refusal);
    w.key("content").inside(&text);
    let thinking = answer.text(Kind::Thinking);
    if !thinking.is_empty() {
        w.key("thinking").inside(&thinking);
    }
    if answer.of(Kind::Call).next().is_some() {
        w.key("tool_calls").open('[');
        for (index, block) in answer.of(Kind::Call).enumerate() {
            let arguments = block.arguments().ok_or_else(|| no_object(&block.name))?;
            call(&mut w, index as u64, block, &arguments);
        }
        w.close(']');
    }
    w.close('}');
    done(&mut w, usage, reason);
    Ok(w.out)
}
