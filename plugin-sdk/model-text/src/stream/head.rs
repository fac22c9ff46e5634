//! What an ending has to repeat of a stream: who answers, and what is open.

use gateway_model_protocols::Protocol;
use gateway_model_protocols::json::Raw;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) created: u64,
    /// The number of the last event, of responses.
    pub(crate) number: u64,
    /// The block that is open, of Anthropic's messages; and the one before the last event.
    pub(crate) open: Option<u64>,
    was_open: Option<u64>,
    /// Tokens of the answer, as far as they were said.
    pub(crate) output_tokens: u64,
    /// How many answers there are.
    pub(crate) choices: u32,
    /// Whether an event was passed on, or will be.
    pub(crate) has_events: bool,
}

impl Head {
    /// Reads an event.
    pub(crate) fn see(&mut self, protocol: Protocol, root: Raw<'_>) {
        self.was_open = self.open;
        match protocol {
            Protocol::Anthropic => self.anthropic(root),
            Protocol::OpenAiResponses => {
                let [number, response] = root.fields(["sequence_number", "response"]);
                self.number = number.and_then(Raw::u64).unwrap_or(self.number);
                if self.id.is_empty()
                    && let Some(response) = response
                {
                    self.who(response, ["id", "model", "created_at"]);
                }
            }
            _ if !self.model.is_empty() => {}
            Protocol::Gemini => self.who(root, ["responseId", "modelVersion", "createTime"]),
            _ => self.who(root, ["id", "model", "created"]),
        }
    }

    /// The last event was not passed on.
    pub(crate) fn take_back(&mut self) {
        self.open = self.was_open;
    }

    fn who(&mut self, object: Raw<'_>, names: [&str; 3]) {
        let [id, model, created] = object.fields(names);
        let text =
            |value: Option<Raw<'_>>| value.and_then(Raw::str).unwrap_or_default().into_owned();
        (self.id, self.model) = (text(id), text(model));
        self.created = created.and_then(Raw::u64).unwrap_or(0);
    }

    fn anthropic(&mut self, root: Raw<'_>) {
        let [kind, index, message] = root.fields(["type", "index", "message"]);
        match kind.and_then(Raw::escaped) {
            Some("message_start") => {
                let Some(message) = message else { return };
                self.who(message, ["id", "model", "created"]);
                let usage = message.get("usage");
                self.output_tokens = usage.and_then(|it| it.u64_of("output_tokens")).unwrap_or(0);
            }
            Some("content_block_start") => self.open = index.and_then(Raw::u64),
            Some("content_block_stop") => self.open = None,
            _ => {}
        }
    }
}
