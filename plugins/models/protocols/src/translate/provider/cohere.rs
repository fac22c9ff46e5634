//! Answers of Cohere's chat.

use super::{Fault, Provider, text};
use crate::error;
use crate::json::Raw;
use crate::translate::answer::{Item, Sink};
use crate::translate::finish::Finish;

impl Provider {
    pub(super) fn cohere_event(&mut self, json: Raw<'_>, sink: &mut dyn Sink) -> Result<(), Fault> {
        let delta = json.some("delta");
        let message = delta.and_then(|delta| delta.some("message"));
        match json.get("type").and_then(Raw::escaped).unwrap_or("") {
            "message-start" => self.start(Some(json), "id", sink),
            "content-start" | "content-delta" => {
                if let Some(content) = message.and_then(|message| message.some("content")) {
                    part(content, sink)?;
                }
            }
            "tool-plan-delta" => {
                let plan = message.and_then(|message| text(message, "tool_plan"));
                plan.into_iter().for_each(|it| sink.item(Item::Text(it)));
            }
            "tool-call-start" => {
                if let Some(call) = message.and_then(|message| message.some("tool_calls")) {
                    self.cohere_call(call, sink);
                }
            }
            "tool-call-delta" => {
                let call = message.and_then(|message| message.some("tool_calls"));
                let function = call.and_then(|call| call.some("function"));
                let piece = function.and_then(|function| text(function, "arguments"));
                piece.into_iter().for_each(|it| sink.item(Item::Arguments(it)));
            }
            "message-end" => {
                if let Some(word) = delta.and_then(|delta| delta.text_of("finish_reason")) {
                    sink.item(Item::Finish(Finish::of(&word)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn cohere_whole(&mut self, json: Raw<'_>, sink: &mut dyn Sink) -> Result<(), Fault> {
        if let Some(failure) = error::of_end(json) {
            return Err(failure.message);
        }
        self.start(Some(json), "id", sink);
        let Some(message) = json.some("message") else { return Ok(()) };
        for content in message.some("content").into_iter().flat_map(Raw::elements) {
            part(content, sink)?;
        }
        text(message, "tool_plan").into_iter().for_each(|it| sink.item(Item::Text(it)));
        for call in message.some("tool_calls").into_iter().flat_map(Raw::elements) {
            self.cohere_call(call, sink);
        }
        if let Some(word) = json.text_of("finish_reason") {
            sink.item(Item::Finish(Finish::of(&word)));
        }
        Ok(())
    }

    fn cohere_call(&mut self, call: Raw<'_>, sink: &mut dyn Sink) {
        let id = call.text_of("id").unwrap_or_default();
        let function = call.some("function").unwrap_or(call);
        self.call(&id, text(function, "name").unwrap_or(""), None, sink);
        let arguments = text(function, "arguments");
        arguments.into_iter().for_each(|it| sink.item(Item::Arguments(it)));
    }
}

/// A part of the content. The first event of one says its type, the others do not.
fn part(content: Raw<'_>, sink: &mut dyn Sink) -> Result<(), Fault> {
    let kind = content.get("type").and_then(Raw::escaped).unwrap_or("text");
    if !matches!(kind, "text" | "thinking") {
        return Err(format!(
            "The provider's answer has a part `{kind}`, which cannot be translated."
        ));
    }
    text(content, "thinking").into_iter().for_each(|it| sink.item(Item::Thinking(it)));
    text(content, "text").into_iter().for_each(|it| sink.item(Item::Text(it)));
    Ok(())
}
