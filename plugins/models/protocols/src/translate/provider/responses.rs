//! Answers of OpenAI's responses.

use super::{Fault, Provider, escaped, text};
use crate::ids;
use crate::json::Raw;
use crate::translate::answer::{Item, Sink};
use crate::translate::finish::Finish;

impl Provider {
    pub(super) fn responses_event(
        &mut self,
        json: Raw<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        let delta = || text(json, "delta");
        match json.get("type").and_then(Raw::escaped).unwrap_or("") {
            "response.created" => self.start(json.some("response"), "id", sink),
            "response.output_item.added" => {
                if let Some(item) = json.some("item") {
                    self.responses_item(item, false, sink)?;
                }
            }
            "response.output_text.delta" => {
                delta().into_iter().for_each(|it| sink.item(Item::Text(it)));
            }
            "response.refusal.delta" => {
                delta().into_iter().for_each(|it| sink.item(Item::Refusal(it)));
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                delta().into_iter().for_each(|it| sink.item(Item::Thinking(it)));
            }
            "response.reasoning_summary_part.added" if json.u64_of("summary_index") > Some(0) => {
                sink.item(Item::Thinking("\\n\\n"));
            }
            "response.function_call_arguments.delta" => {
                // Told apart from a call whose arguments come only with their end.
                self.index = Some(0);
                delta().into_iter().for_each(|it| sink.item(Item::Arguments(it)));
            }
            "response.function_call_arguments.done" if self.index.is_none() => {
                text(json, "arguments").into_iter().for_each(|it| sink.item(Item::Arguments(it)));
            }
            "response.output_item.done" => {
                let item = json
                    .some("item")
                    .filter(|it| it.get("type").is_some_and(|it| it.is("reasoning")));
                item.into_iter().for_each(|item| encrypted(item, sink));
            }
            "response.completed" | "response.incomplete" => {
                if let Some(response) = json.some("response") {
                    finish(response, sink);
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn responses_whole(
        &mut self,
        json: Raw<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        self.start(Some(json), "id", sink);
        for item in json.some("output").into_iter().flat_map(Raw::elements) {
            self.responses_item(item, true, sink)?;
        }
        finish(json, sink);
        Ok(())
    }

    /// An item, of which that of a stream is empty at first.
    fn responses_item(
        &mut self,
        item: Raw<'_>,
        is_whole: bool,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        match item.get("type").and_then(Raw::escaped).unwrap_or("") {
            "message" if is_whole => {
                for part in item.some("content").into_iter().flat_map(Raw::elements) {
                    text(part, "text").into_iter().for_each(|it| sink.item(Item::Text(it)));
                    text(part, "refusal").into_iter().for_each(|it| sink.item(Item::Refusal(it)));
                }
            }
            "reasoning" if is_whole => {
                for part in item.some("summary").into_iter().flat_map(Raw::elements) {
                    text(part, "text").into_iter().for_each(|it| sink.item(Item::Thinking(it)));
                }
                encrypted(item, sink);
            }
            "message" | "reasoning" => {}
            "function_call" => {
                let id = item.text_of("call_id").unwrap_or_default();
                self.index = None;
                self.call(&id, text(item, "name").unwrap_or(""), None, sink);
                let arguments = text(item, "arguments").filter(|_| is_whole);
                arguments.into_iter().for_each(|it| sink.item(Item::Arguments(it)));
            }
            kind => {
                return Err(format!(
                    "The provider's answer has an item `{kind}`, which cannot be translated."
                ));
            }
        }
        Ok(())
    }
}

/// What must come back with the next request stands where others have their signature.
fn encrypted(item: Raw<'_>, sink: &mut dyn Sink) {
    if let (Some(id), Some(content)) = (item.text_of("id"), item.text_of("encrypted_content")) {
        sink.item(Item::Signature(&escaped(&ids::with_encrypted(&id, &content))));
    }
}

fn finish(response: Raw<'_>, sink: &mut dyn Sink) {
    let details = response.some("incomplete_details");
    let word = details.and_then(|why| why.text_of("reason")).or_else(|| response.text_of("status"));
    if let Some(word) = word {
        sink.item(Item::Finish(Finish::of(&word)));
    }
}
