//! Answers of Anthropic's messages.

use super::{Fault, Provider, object, text};
use crate::json::Raw;
use crate::translate::answer::{Item, Sink};
use crate::translate::finish::Finish;

impl Provider {
    pub(super) fn anthropic_event(
        &mut self,
        json: Raw<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        match json.get("type").and_then(Raw::escaped).unwrap_or("") {
            "message_start" => {
                self.start(json.some("message"), "id", sink);
            }
            "content_block_start" => {
                if let Some(block) = json.some("content_block") {
                    self.anthropic_block(block, false, sink)?;
                }
            }
            "content_block_delta" => {
                let Some(delta) = json.some("delta") else { return Ok(()) };
                match delta.get("type").and_then(Raw::escaped).unwrap_or("") {
                    "text_delta" => {
                        text(delta, "text").into_iter().for_each(|it| sink.item(Item::Text(it)));
                    }
                    "thinking_delta" => {
                        let thinking = text(delta, "thinking");
                        thinking.into_iter().for_each(|it| sink.item(Item::Thinking(it)));
                    }
                    "signature_delta" => {
                        let signature = text(delta, "signature");
                        signature.into_iter().for_each(|it| sink.item(Item::Signature(it)));
                    }
                    "input_json_delta" => {
                        let piece = text(delta, "partial_json");
                        piece.into_iter().for_each(|it| sink.item(Item::Arguments(it)));
                    }
                    // Where a text was found is no part of what it says.
                    "citations_delta" => {}
                    kind => return Err(unknown(kind)),
                }
            }
            "message_delta" => {
                if let Some(delta) = json.some("delta") {
                    finish(delta, sink);
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn anthropic_whole(
        &mut self,
        json: Raw<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        self.start(Some(json), "id", sink);
        for block in json.some("content").into_iter().flat_map(Raw::elements) {
            self.anthropic_block(block, true, sink)?;
        }
        finish(json, sink);
        Ok(())
    }

    /// A block, of which the start of a stream's block is the empty form.
    fn anthropic_block(
        &mut self,
        block: Raw<'_>,
        is_whole: bool,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        match block.get("type").and_then(Raw::escaped).unwrap_or("") {
            "text" => text(block, "text").into_iter().for_each(|it| sink.item(Item::Text(it))),
            "thinking" => {
                let thinking = text(block, "thinking");
                thinking.into_iter().for_each(|it| sink.item(Item::Thinking(it)));
                let signature = text(block, "signature");
                signature.into_iter().for_each(|it| sink.item(Item::Signature(it)));
            }
            "redacted_thinking" => {
                text(block, "data").into_iter().for_each(|it| sink.item(Item::Redacted(it)));
            }
            "tool_use" => {
                let id = block.text_of("id").unwrap_or_default();
                self.call(&id, text(block, "name").unwrap_or(""), None, sink);
                if is_whole {
                    object(block.some("input"), sink);
                }
            }
            kind => return Err(unknown(kind)),
        }
        Ok(())
    }
}

fn finish(object: Raw<'_>, sink: &mut dyn Sink) {
    if let Some(word) = object.text_of("stop_reason") {
        let sequence = text(object, "stop_sequence").map(str::to_owned);
        if let Some(why) = object.some("stop_details").and_then(|it| text(it, "explanation")) {
            sink.item(Item::Refusal(why));
        }
        sink.item(Item::Finish(Finish { sequence, ..Finish::of(&word) }));
    }
}

fn unknown(kind: &str) -> Fault {
    format!("The provider's answer has a part `{kind}`, which cannot be translated.")
}
