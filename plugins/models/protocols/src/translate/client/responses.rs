//! Answers as OpenAI's responses: typed events with a number, and the whole response at the end.

use super::{Client, id};
use crate::framing::write_named_sse;
use crate::json::Writer;
use crate::translate::Options;
use crate::translate::answer::{Answer, Block, Kind};
use crate::translate::finish::Reason;
use crate::usage::Usage;

/// Texts and refusals are parts of a message.
fn is_message(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Refusal | Kind::None)
}

impl Client {
    fn responses_event(&mut self, name: &str, members: impl FnOnce(&mut Writer)) {
        let mut w = Writer::new();
        w.open('{').key("type").str(name).key("sequence_number").u64(self.sequence);
        members(&mut w);
        w.close('}');
        self.sequence += 1;
        write_named_sse(&mut self.out, name, &w.out);
    }

    pub(super) fn responses_start(&mut self) {
        for name in ["response.created", "response.in_progress"] {
            let response = whole_of(&self.answer, &self.options, None, "in_progress", None);
            self.responses_event(name, |w| _ = w.key("response").raw(&response));
        }
    }

    /// The open block, which is the last of the answer.
    fn responses_block(&self) -> Block {
        self.answer.blocks.last().cloned().unwrap_or_default()
    }

    fn responses_item(&mut self, name: &str, is_done: bool) {
        let index = self.blocks - 1;
        let block = self.responses_block();
        let id = self.id().to_owned();
        self.responses_event(name, |w| {
            w.key("output_index").u64(index).key("item");
            item(w, &block, &id, index, is_done);
        });
    }

    /// Calls have their block already, other kinds begin it here.
    pub(super) fn responses_open(&mut self, kind: Kind) {
        if kind != Kind::Call {
            self.answer.blocks.push(Block { kind, ..Block::default() });
        }
        if kind == Kind::Redacted {
            return;
        }
        self.responses_item("response.output_item.added", false);
        if is_message(kind) {
            self.responses_part("response.content_part.added", false);
        } else if kind == Kind::Thinking {
            self.responses_part("response.reasoning_summary_part.added", false);
        }
    }

    fn responses_part(&mut self, name: &str, is_done: bool) {
        let block = self.responses_block();
        let member = if block.kind == Kind::Thinking { "summary_index" } else { "content_index" };
        self.responses_at(name, member, |w| {
            w.key("part");
            part(w, &block, is_done);
        });
    }

    /// An event about a part of the open item.
    fn responses_at(&mut self, name: &str, member: &str, rest: impl FnOnce(&mut Writer)) {
        let index = self.blocks - 1;
        let id = item_id(self.open, self.id(), index);
        self.responses_event(name, |w| {
            w.key("item_id").str(&id).key("output_index").u64(index);
            if !member.is_empty() {
                w.key(member).u64(0);
            }
            rest(w);
        });
    }

    pub(super) fn responses_piece(&mut self, kind: Kind, text: &str) {
        let (name, member) = match kind {
            Kind::Thinking => ("response.reasoning_summary_text.delta", "summary_index"),
            Kind::Call => ("response.function_call_arguments.delta", ""),
            Kind::Refusal => ("response.refusal.delta", "content_index"),
            Kind::Redacted => return,
            Kind::Text | Kind::None => ("response.output_text.delta", "content_index"),
        };
        self.responses_at(name, member, |w| _ = w.key("delta").inside(text));
    }

    pub(super) fn responses_close(&mut self, kind: Kind) {
        let Block { text, name: of, .. } = self.responses_block();
        self.open = kind;
        match kind {
            Kind::Redacted => self.responses_item("response.output_item.added", true),
            Kind::Thinking => {
                let name = "response.reasoning_summary_text.done";
                self.responses_at(name, "summary_index", |w| _ = w.key("text").inside(&text));
                self.responses_part("response.reasoning_summary_part.done", true);
            }
            Kind::Call => {
                let name = "response.function_call_arguments.done";
                self.responses_at(name, "", |w| {
                    w.key("name").inside(&of).key("arguments").inside(&text);
                });
            }
            Kind::Refusal => {
                let name = "response.refusal.done";
                self.responses_at(name, "content_index", |w| _ = w.key("refusal").inside(&text));
                self.responses_part("response.content_part.done", true);
            }
            Kind::Text | Kind::None => {
                let name = "response.output_text.done";
                self.responses_at(name, "content_index", |w| _ = w.key("text").inside(&text));
                self.responses_part("response.content_part.done", true);
            }
        }
        self.responses_item("response.output_item.done", true);
        self.open = Kind::None;
    }

    pub(super) fn responses_end(&mut self, usage: Option<Usage>) {
        let (reason, _) = self.reason();
        let (status, why) = status(reason);
        let response = whole_of(&self.answer, &self.options, usage, status, why);
        let name = if why.is_some() { "response.incomplete" } else { "response.completed" };
        self.responses_event(name, |w| _ = w.key("response").raw(&response));
    }
}

fn status(reason: Reason) -> (&'static str, Option<&'static str>) {
    match reason {
        Reason::Length | Reason::Pause | Reason::Context => {
            ("incomplete", Some("max_output_tokens"))
        }
        Reason::Filter => ("incomplete", Some("content_filter")),
        _ => ("completed", None),
    }
}

fn item_id(kind: Kind, id: &str, index: u64) -> String {
    let start = match kind {
        Kind::Call => "fc",
        Kind::Thinking | Kind::Redacted => "rs",
        _ => "msg",
    };
    format!("{start}_{id}_{index}")
}

/// The part of a message's content, or of a summary.
fn part(w: &mut Writer, block: &Block, is_done: bool) {
    let text = if is_done { &block.text } else { "" };
    w.object(|w| match block.kind {
        Kind::Thinking => _ = w.key("type").str("summary_text").key("text").inside(text),
        Kind::Refusal => _ = w.key("type").str("refusal").key("refusal").inside(text),
        _ => {
            w.key("type").str("output_text").key("text").inside(text);
            w.key("annotations").array(|_| {});
        }
    });
}

fn item(w: &mut Writer, block: &Block, id: &str, index: u64, is_done: bool) {
    let status = if is_done { "completed" } else { "in_progress" };
    w.object(|w| {
        w.key("id").str(&item_id(block.kind, id, index)).key("type");
        match block.kind {
            Kind::Call => {
                let arguments = if is_done { block.text.as_str() } else { "" };
                w.str("function_call").key("status").str(status).key("call_id").str(&block.id);
                w.key("name").inside(&block.name).key("arguments").inside(arguments);
            }
            Kind::Thinking | Kind::Redacted => {
                w.str("reasoning").key("summary").array(|w| {
                    if is_done && block.kind == Kind::Thinking && !block.text.is_empty() {
                        part(w, block, true);
                    }
                });
                // What must come back with the next request, where clients send it back.
                if is_done && block.kind == Kind::Redacted {
                    w.key("encrypted_content").inside(&format!("gw1:r:{}", block.text));
                } else if is_done && !block.signature.is_empty() {
                    w.key("encrypted_content").inside(&format!("gw1:t:{}", block.signature));
                }
            }
            Kind::Text | Kind::Refusal | Kind::None => {
                w.str("message").key("status").str(status).key("role").str("assistant");
                w.key("content").array(|w| {
                    if is_done {
                        part(w, block, true);
                    }
                });
            }
        }
    });
}

fn whole_of(
    answer: &Answer,
    options: &Options,
    usage: Option<Usage>,
    status: &str,
    why: Option<&str>,
) -> String {
    let id = id(answer, options);
    let mut w = Writer::new();
    w.open('{').key("id").str(id).key("object").str("response");
    w.key("created_at").u64(options.created).key("status").str(status);
    w.key("error").null().key("incomplete_details");
    match why {
        Some(why) => w.object(|w| _ = w.key("reason").str(why)),
        None => w.null(),
    };
    w.key("instructions").null().key("metadata").object(|_| {});
    w.key("model").str(&options.model).key("output").array(|w| {
        for (index, block) in answer.blocks.iter().enumerate() {
            item(w, block, id, index as u64, true);
        }
    });
    w.key("parallel_tool_calls").bool(true).key("tool_choice").str("auto");
    w.key("tools").array(|_| {}).key("temperature").null().key("top_p").null().key("usage");
    match usage {
        None => _ = w.null(),
        Some(usage) => {
            w.object(|w| {
                w.key("input_tokens").u64(usage.input).key("input_tokens_details").object(|w| {
                    w.key("cached_tokens").u64(usage.cached_input);
                });
                w.key("output_tokens").u64(usage.output).key("output_tokens_details").object(|w| {
                    w.key("reasoning_tokens").u64(usage.reasoning);
                });
                w.key("total_tokens").u64(usage.total());
            });
        }
    }
    w.close('}');
    w.out
}

pub(super) fn whole(
    answer: &Answer,
    options: &Options,
    usage: Option<Usage>,
    reason: Reason,
) -> String {
    let (status, why) = status(reason);
    whole_of(answer, options, usage, status, why)
}
