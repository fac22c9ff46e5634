//! Answers as OpenAI's chat completions.

use super::{Client, id};
use crate::framing::write_sse;
use crate::json::Writer;
use crate::protocol::Protocol;
use crate::translate::Options;
use crate::translate::answer::{Answer, Block, Kind};
use crate::translate::finish::{Finish, Reason, word};
use crate::usage::Usage;

impl Client {
    /// The part of a chunk before its delta.
    fn openai_head(&self) -> Writer {
        let mut w = Writer::new();
        w.open('{').key("id").str(self.id()).key("object").str("chat.completion.chunk");
        w.key("created").u64(self.options.created).key("model").str(&self.options.model);
        w
    }

    fn openai_chunk(&mut self, finish: Option<&str>, delta: impl FnOnce(&mut Writer)) -> Writer {
        let mut w = self.openai_head();
        w.key("choices").open('[').open('{').key("index").u64(0).key("delta").object(delta);
        w.key("finish_reason");
        match finish {
            Some(word) => w.str(word),
            None => w.null(),
        };
        w.close('}').close(']');
        w
    }

    fn openai_delta(&mut self, delta: impl FnOnce(&mut Writer)) {
        let mut w = self.openai_chunk(None, delta);
        w.close('}');
        write_sse(&mut self.out, &w.out);
    }

    pub(super) fn openai_start(&mut self) {
        self.openai_delta(|w| _ = w.key("role").str("assistant").key("content").str(""));
    }

    pub(super) fn openai_open(&mut self, kind: Kind) {
        if kind != Kind::Call {
            return;
        }
        let (index, block) = (self.calls - 1, self.answer.block(kind).clone());
        self.openai_delta(|w| {
            w.key("tool_calls").array(|w| {
                w.object(|w| {
                    w.key("index").u64(index).key("id").str(&block.id).key("type").str("function");
                    w.key("function").object(|w| {
                        w.key("name").inside(&block.name).key("arguments").str("");
                    });
                });
            });
        });
    }

    pub(super) fn openai_piece(&mut self, kind: Kind, text: &str) {
        let index = self.calls.saturating_sub(1);
        match kind {
            Kind::Text => self.openai_delta(|w| _ = w.key("content").inside(text)),
            Kind::Thinking => self.openai_delta(|w| _ = w.key("reasoning_content").inside(text)),
            Kind::Refusal => self.openai_delta(|w| _ = w.key("refusal").inside(text)),
            Kind::Call => self.openai_delta(|w| {
                w.key("tool_calls").array(|w| {
                    w.object(|w| {
                        w.key("index").u64(index);
                        w.key("function").object(|w| _ = w.key("arguments").inside(text));
                    });
                });
            }),
            Kind::Redacted | Kind::None => {}
        }
    }

    /// Thinking that must come back unchanged is given as a whole, too. Clients that put deltas
    /// together want an index in each element of a list.
    pub(super) fn openai_close(&mut self, kind: Kind) {
        let index = self.blocks - 1;
        let Some(block) = self.answer.blocks.pop() else { return };
        if matches!(kind, Kind::Thinking | Kind::Redacted) && is_signed(&block) {
            self.openai_delta(|w| {
                w.key("thinking_blocks").array(|w| thinking(w, &block, Some(index)));
            });
        }
    }

    pub(super) fn openai_end(&mut self, usage: Option<Usage>) {
        let (reason, finish) = self.reason();
        let (word, is_less) = word(Protocol::OpenAiChat, reason);
        let mut w = self.openai_chunk(Some(word), |_| {});
        // The provider's own word is beside that of the protocol.
        native(&mut w, finish.as_ref(), is_less);
        w.close('}');
        write_sse(&mut self.out, &w.out);
        if let Some(usage) = usage.filter(|_| self.options.include_usage) {
            let mut w = self.openai_head();
            w.key("choices").array(|_| {});
            write_usage(&mut w, &usage);
            w.close('}');
            write_sse(&mut self.out, &w.out);
        }
        write_sse(&mut self.out, "[DONE]");
    }
}

fn native(w: &mut Writer, finish: Option<&Finish>, is_less: bool) {
    if let Some(finish) = finish.filter(|_| is_less) {
        w.key("native_finish_reason").str(&finish.word);
    }
}

fn is_signed(block: &Block) -> bool {
    block.kind == Kind::Redacted || !block.signature.is_empty()
}

fn thinking(w: &mut Writer, block: &Block, index: Option<u64>) {
    w.object(|w| {
        if let Some(index) = index {
            w.key("index").u64(index);
        }
        if block.kind == Kind::Redacted {
            w.key("type").str("redacted_thinking").key("data").inside(&block.text);
        } else {
            w.key("type").str("thinking").key("thinking").inside(&block.text);
            w.key("signature").inside(&block.signature);
        }
    });
}

/// The usage, caches inside of the prompt and reasoning inside of the completion.
fn write_usage(w: &mut Writer, usage: &Usage) {
    w.key("usage").object(|w| {
        w.key("prompt_tokens").u64(usage.input).key("completion_tokens").u64(usage.output);
        w.key("total_tokens").u64(usage.total());
        w.key("prompt_tokens_details").object(|w| {
            w.key("cached_tokens").u64(usage.cached_input);
            let written = usage.cache_write + usage.cache_write_1h;
            if written > 0 {
                w.key("cache_write_tokens").u64(written);
            }
            if usage.audio_input > 0 {
                w.key("audio_tokens").u64(usage.audio_input);
            }
        });
        w.key("completion_tokens_details").object(|w| {
            w.key("reasoning_tokens").u64(usage.reasoning);
        });
    });
}

pub(super) fn whole(
    answer: &Answer,
    options: &Options,
    usage: Option<Usage>,
    reason: Reason,
) -> String {
    let mut w = Writer::new();
    w.open('{').key("id").str(id(answer, options)).key("object").str("chat.completion");
    w.key("created").u64(options.created).key("model").str(&options.model);
    w.key("choices").open('[').open('{').key("index").u64(0).key("message").open('{');
    w.key("role").str("assistant").key("content");
    let (text, refusal) = (answer.text(Kind::Text), answer.text(Kind::Refusal));
    let has_calls = answer.of(Kind::Call).next().is_some();
    match text.is_empty() && (has_calls || !refusal.is_empty()) {
        true => w.null(),
        false => w.inside(&text),
    };
    if !refusal.is_empty() {
        w.key("refusal").inside(&refusal);
    }
    let reasoning = answer.text(Kind::Thinking);
    if !reasoning.is_empty() {
        w.key("reasoning_content").inside(&reasoning);
    }
    if answer.blocks.iter().any(is_signed) {
        w.key("thinking_blocks").array(|w| {
            answer.blocks.iter().filter(|it| is_signed(it)).for_each(|it| thinking(w, it, None));
        });
    }
    if has_calls {
        w.key("tool_calls").array(|w| {
            for call in answer.of(Kind::Call) {
                w.object(|w| {
                    w.key("id").str(&call.id).key("type").str("function");
                    w.key("function").object(|w| {
                        let arguments = if call.text.is_empty() { "{}" } else { &call.text };
                        w.key("name").inside(&call.name).key("arguments").inside(arguments);
                    });
                });
            }
        });
    }
    let (word, is_less) = word(Protocol::OpenAiChat, reason);
    w.close('}').key("finish_reason").str(word).close('}').close(']');
    native(&mut w, answer.finish.as_ref(), is_less);
    if let Some(usage) = &usage {
        write_usage(&mut w, usage);
    }
    w.close('}');
    w.out
}
