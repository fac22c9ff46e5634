//! Answers as Gemini's `generateContent`.

use super::{Client, id, no_object};
use crate::framing::write_sse;
use crate::ids;
use crate::json::Writer;
use crate::protocol::Protocol;
use crate::translate::Options;
use crate::translate::answer::{Answer, Block, Kind};
use crate::translate::finish::{Reason, word};
use crate::usage::Usage;

impl Client {
    fn gemini_chunk(&mut self, part: impl FnOnce(&mut Writer)) {
        let mut w = Writer::new();
        w.object(|w| {
            w.key("candidates").array(|w| {
                w.object(|w| {
                    w.key("content").object(|w| {
                        w.key("role").str("model").key("parts").array(|w| _ = w.object(part));
                    });
                    w.key("index").u64(0);
                });
            });
            w.key("modelVersion").str(&self.options.model).key("responseId").str(self.id());
        });
        write_sse(&mut self.out, &w.out);
    }

    pub(super) fn gemini_piece(&mut self, kind: Kind, text: &str) {
        match kind {
            Kind::Text | Kind::Refusal => self.gemini_chunk(|w| _ = w.key("text").inside(text)),
            Kind::Thinking => {
                self.gemini_chunk(|w| _ = w.key("text").inside(text).key("thought").bool(true));
            }
            Kind::Call | Kind::Redacted | Kind::None => {}
        }
    }

    /// Calls are whole; a signature of thinking follows it.
    pub(super) fn gemini_close(&mut self, kind: Kind) {
        let Some(block) = self.answer.blocks.pop() else { return };
        if kind == Kind::Call {
            match block.arguments() {
                Some(arguments) => self.gemini_chunk(|w| call(w, &block, &arguments)),
                None => self.fault = Some(no_object(&block.name)),
            }
        } else if let Some(signature) = signature(&block) {
            self.gemini_chunk(|w| {
                w.key("text").str("").key("thought").bool(true);
                w.key("thoughtSignature").str(&signature);
            });
        }
    }

    pub(super) fn gemini_end(&mut self, usage: Option<Usage>) {
        let (reason, _) = self.reason();
        let mut w = Writer::new();
        w.object(|w| {
            w.key("candidates").array(|w| {
                w.object(|w| {
                    w.key("content").object(|w| {
                        w.key("role").str("model").key("parts").array(|w| {
                            w.object(|w| _ = w.key("text").str(""));
                        });
                    });
                    w.key("finishReason").str(word(Protocol::Gemini, reason).0).key("index").u64(0);
                });
            });
            write_usage(w, usage);
            w.key("modelVersion").str(&self.options.model).key("responseId").str(self.id());
        });
        write_sse(&mut self.out, &w.out);
    }
}

/// The signature of thinking, for clients that decode it; OpenAI's is of no use to them.
fn signature(block: &Block) -> Option<String> {
    ids::to_gemini_client(&block.signature).filter(|_| !block.signature.is_empty())
}

fn call(w: &mut Writer, block: &Block, arguments: &str) {
    w.key("functionCall").object(|w| {
        w.key("id").str(&block.id).key("name").inside(&block.name).key("args").raw(arguments);
    });
    if let Some(signature) = &block.call_signature {
        w.key("thoughtSignature").str(signature);
    }
}

/// The usage, thoughts apart from the candidates.
fn write_usage(w: &mut Writer, usage: Option<Usage>) {
    let Some(usage) = usage else { return };
    w.key("usageMetadata").object(|w| {
        w.key("promptTokenCount").u64(usage.input.saturating_sub(usage.tool_input));
        w.key("candidatesTokenCount").u64(usage.output.saturating_sub(usage.reasoning));
        w.key("totalTokenCount").u64(usage.total());
        if usage.reasoning > 0 {
            w.key("thoughtsTokenCount").u64(usage.reasoning);
        }
        if usage.cached_input > 0 {
            w.key("cachedContentTokenCount").u64(usage.cached_input);
        }
    });
}

pub(super) fn whole(
    answer: &Answer,
    options: &Options,
    usage: Option<Usage>,
    reason: Reason,
) -> Result<String, String> {
    let mut w = Writer::new();
    w.open('{').key("candidates").open('[').open('{').key("content").open('{');
    w.key("role").str("model").key("parts").open('[');
    for block in &answer.blocks {
        match block.kind {
            Kind::Call => {
                let arguments = block.arguments().ok_or_else(|| no_object(&block.name))?;
                w.object(|w| call(w, block, &arguments));
            }
            Kind::Thinking => {
                w.object(|w| {
                    w.key("text").inside(&block.text).key("thought").bool(true);
                    if let Some(signature) = signature(block) {
                        w.key("thoughtSignature").str(&signature);
                    }
                });
            }
            Kind::Redacted => {}
            Kind::Text | Kind::Refusal | Kind::None => {
                w.object(|w| _ = w.key("text").inside(&block.text));
            }
        }
    }
    w.close(']').close('}');
    w.key("finishReason").str(word(Protocol::Gemini, reason).0).key("index").u64(0);
    w.close('}').close(']');
    write_usage(&mut w, usage);
    w.key("modelVersion").str(&options.model).key("responseId").str(id(answer, options));
    w.close('}');
    Ok(w.out)
}
