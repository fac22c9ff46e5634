//! Answers of Bedrock's Converse.

use super::{Fault, Provider, object, text};
use crate::json::Raw;
use crate::translate::answer::{Item, Sink};
use crate::translate::finish::Finish;

impl Provider {
    pub(super) fn bedrock_event(
        &mut self,
        name: &[u8],
        json: Raw<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        match name {
            b"messageStart" => self.start(None, "", sink),
            b"contentBlockStart" => {
                for (key, value) in json.some("start").into_iter().flat_map(Raw::members) {
                    match key.escaped().unwrap_or("") {
                        "toolUse" => {
                            let id = value.text_of("toolUseId").unwrap_or_default();
                            self.call(&id, text(value, "name").unwrap_or(""), None, sink);
                        }
                        kind => return Err(unknown(kind)),
                    }
                }
            }
            b"contentBlockDelta" => {
                for (key, value) in json.some("delta").into_iter().flat_map(Raw::members) {
                    match key.escaped().unwrap_or("") {
                        "text" => {
                            let inner = value.escaped().filter(|text| !text.is_empty());
                            inner.into_iter().for_each(|it| sink.item(Item::Text(it)));
                        }
                        "toolUse" => {
                            let piece = text(value, "input");
                            piece.into_iter().for_each(|it| sink.item(Item::Arguments(it)));
                        }
                        "reasoningContent" => reasoning(value, sink),
                        "citation" => {}
                        kind => return Err(unknown(kind)),
                    }
                }
            }
            b"messageStop" => finish(json, sink),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn bedrock_whole(
        &mut self,
        json: Raw<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        self.start(None, "", sink);
        let message = json.some("output").and_then(|output| output.some("message"));
        let content = message.and_then(|message| message.some("content"));
        for (key, value) in content.into_iter().flat_map(Raw::elements).flat_map(Raw::members) {
            match key.escaped().unwrap_or("") {
                "text" => {
                    let inner = value.escaped().filter(|text| !text.is_empty());
                    inner.into_iter().for_each(|it| sink.item(Item::Text(it)));
                }
                "toolUse" => {
                    let id = value.text_of("toolUseId").unwrap_or_default();
                    self.call(&id, text(value, "name").unwrap_or(""), None, sink);
                    object(value.some("input"), sink);
                }
                "reasoningContent" => match value.some("reasoningText") {
                    Some(inner) => reasoning(inner, sink),
                    None => reasoning(value, sink),
                },
                kind => return Err(unknown(kind)),
            }
        }
        finish(json, sink);
        Ok(())
    }
}

fn reasoning(value: Raw<'_>, sink: &mut dyn Sink) {
    text(value, "text").into_iter().for_each(|it| sink.item(Item::Thinking(it)));
    text(value, "signature").into_iter().for_each(|it| sink.item(Item::Signature(it)));
    text(value, "redactedContent").into_iter().for_each(|it| sink.item(Item::Redacted(it)));
}

fn finish(json: Raw<'_>, sink: &mut dyn Sink) {
    if let Some(word) = json.text_of("stopReason") {
        sink.item(Item::Finish(Finish::of(&word)));
    }
}

fn unknown(kind: &str) -> Fault {
    format!("The provider's answer has a part `{kind}`, which cannot be translated.")
}
