//! Answers as Anthropic's messages.

use super::{Client, id, no_object};
use crate::framing::write_named_sse;
use crate::ids;
use crate::json::Writer;
use crate::protocol::Protocol;
use crate::translate::Options;
use crate::translate::answer::{Answer, Kind};
use crate::translate::finish::{Finish, Reason, word};
use crate::usage::Usage;

impl Client {
    fn anthropic_event(&mut self, name: &str, members: impl FnOnce(&mut Writer)) {
        let mut w = Writer::new();
        w.open('{').key("type").str(name);
        members(&mut w);
        w.close('}');
        write_named_sse(&mut self.out, name, &w.out);
    }

    /// What was used is not known yet, and is said at the end.
    pub(super) fn anthropic_start(&mut self) {
        let (id, model) = (self.id().to_owned(), self.options.model.clone());
        let usage = Usage { input: self.options.input_estimate, ..Usage::default() };
        self.anthropic_event("message_start", |w| {
            w.key("message").object(|w| {
                w.key("id").str(&id).key("type").str("message").key("role").str("assistant");
                w.key("model").str(&model).key("content").array(|_| {});
                w.key("stop_reason").null().key("stop_sequence").null();
                write_usage(w, &usage);
            });
        });
    }

    pub(super) fn anthropic_open(&mut self, kind: Kind) {
        let index = self.blocks - 1;
        let block = match kind {
            Kind::Call => self.answer.block(kind).clone(),
            _ => Default::default(),
        };
        if kind == Kind::Redacted {
            return;
        }
        self.anthropic_event("content_block_start", |w| {
            w.key("index").u64(index).key("content_block").object(|w| match kind {
                Kind::Thinking => {
                    w.key("type").str("thinking").key("thinking").str("").key("signature").str("");
                }
                Kind::Call => {
                    w.key("type")
                        .str("tool_use")
                        .key("id")
                        .str(&ids::to_anthropic_client(&block.id));
                    w.key("name").inside(&block.name).key("input").object(|_| {});
                }
                _ => _ = w.key("type").str("text").key("text").str(""),
            });
        });
    }

    fn anthropic_delta(&mut self, kind: &str, name: &str, text: &str) {
        let index = self.blocks - 1;
        self.anthropic_event("content_block_delta", |w| {
            w.key("index").u64(index).key("delta").object(|w| {
                w.key("type").str(kind).key(name).inside(text);
            });
        });
    }

    pub(super) fn anthropic_piece(&mut self, kind: Kind, text: &str) {
        match kind {
            Kind::Thinking => self.anthropic_delta("thinking_delta", "thinking", text),
            Kind::Call => self.anthropic_delta("input_json_delta", "partial_json", text),
            // Redacted thinking has no deltas: all of it is in the start.
            Kind::Redacted => {
                let index = self.blocks - 1;
                self.anthropic_event("content_block_start", |w| {
                    w.key("index").u64(index).key("content_block").object(|w| {
                        w.key("type").str("redacted_thinking").key("data").inside(text);
                    });
                });
            }
            _ => self.anthropic_delta("text_delta", "text", text),
        }
    }

    pub(super) fn anthropic_signature(&mut self, text: &str) {
        self.anthropic_delta("signature_delta", "signature", text);
    }

    pub(super) fn anthropic_close(&mut self) {
        let index = self.blocks - 1;
        self.anthropic_event("content_block_stop", |w| _ = w.key("index").u64(index));
    }

    pub(super) fn anthropic_end(&mut self, usage: Option<Usage>) {
        let (reason, finish) = self.reason();
        if reason == Reason::Malformed {
            return self.broken("The model wrote a call of a tool that is not well-formed.");
        }
        self.anthropic_event("message_delta", |w| {
            w.key("delta").object(|w| stop(w, reason, finish.as_ref()));
            write_usage(w, &usage.unwrap_or_default());
        });
        self.anthropic_event("message_stop", |_| {});
    }
}

fn stop(w: &mut Writer, reason: Reason, finish: Option<&Finish>) {
    let (word, is_less) = word(Protocol::Anthropic, reason);
    w.key("stop_reason").str(word).key("stop_sequence");
    match finish.and_then(|finish| finish.sequence.as_deref()) {
        Some(text) => w.inside(text),
        None => w.null(),
    };
    if let Some(finish) = finish.filter(|_| is_less) {
        w.key("native_finish_reason").str(&finish.word);
    }
}

/// The usage, caches apart from the input.
fn write_usage(w: &mut Writer, usage: &Usage) {
    w.key("usage").object(|w| {
        w.key("input_tokens").u64(usage.uncached_input());
        w.key("cache_creation_input_tokens").u64(usage.cache_write + usage.cache_write_1h);
        w.key("cache_read_input_tokens").u64(usage.cached_input);
        w.key("output_tokens").u64(usage.output);
    });
}

pub(super) fn whole(
    answer: &Answer,
    options: &Options,
    usage: Option<Usage>,
    reason: Reason,
) -> Result<String, String> {
    if reason == Reason::Malformed {
        return Err("The model wrote a call of a tool that is not well-formed.".to_owned());
    }
    let mut w = Writer::new();
    w.open('{').key("id").str(id(answer, options)).key("type").str("message");
    w.key("role").str("assistant").key("model").str(&options.model).key("content").open('[');
    for block in &answer.blocks {
        w.open('{').key("type");
        match block.kind {
            Kind::Thinking => {
                w.str("thinking").key("thinking").inside(&block.text);
                w.key("signature").inside(&block.signature);
            }
            Kind::Redacted => _ = w.str("redacted_thinking").key("data").inside(&block.text),
            Kind::Call => {
                let input = block.arguments().ok_or_else(|| no_object(&block.name))?;
                w.str("tool_use").key("id").str(&ids::to_anthropic_client(&block.id));
                w.key("name").inside(&block.name).key("input").raw(&input);
            }
            Kind::Text | Kind::Refusal | Kind::None => {
                w.str("text").key("text").inside(&block.text);
            }
        }
        w.close('}');
    }
    w.close(']');
    stop(&mut w, reason, answer.finish.as_ref());
    write_usage(&mut w, &usage.unwrap_or_default());
    w.close('}');
    Ok(w.out)
}
