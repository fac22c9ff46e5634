//! Answers of Ollama: a line of a stream has the form of a whole answer.

use super::{Fault, Provider, object, text};
use crate::json::Raw;
use crate::translate::answer::{Item, Sink};
use crate::translate::finish::Finish;

impl Provider {
    pub(super) fn ollama(&mut self, json: Raw<'_>, sink: &mut dyn Sink) -> Result<(), Fault> {
        self.start(None, "", sink);
        if let Some(message) = json.some("message") {
            let thinking = text(message, "thinking");
            thinking.into_iter().for_each(|it| sink.item(Item::Thinking(it)));
            text(message, "content").into_iter().for_each(|it| sink.item(Item::Text(it)));
            for call in message.some("tool_calls").into_iter().flat_map(Raw::elements) {
                let Some(function) = call.some("function") else { continue };
                let id = call.text_of("id").unwrap_or_default();
                self.call(&id, text(function, "name").unwrap_or(""), None, sink);
                object(function.some("arguments"), sink);
            }
        }
        if json.get("done").and_then(Raw::bool) == Some(true) {
            let word = json.text_of("done_reason").unwrap_or("stop".into());
            sink.item(Item::Finish(Finish::of(&word)));
        }
        Ok(())
    }
}
