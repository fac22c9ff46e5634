//! Answers of providers, read into items: events of streams, and whole bodies.

mod anthropic;
mod bedrock;
mod cohere;
mod gemini;
mod ollama;
mod openai;
mod responses;

use super::answer::{Item, Sink};
use crate::json::{Raw, Writer};
use crate::protocol::Protocol;
use crate::saved::saved;

/// What has to be known of the events before.
#[derive(Clone, Debug)]
pub(super) struct Provider {
    protocol: Protocol,
    /// What ids are made from where a provider gives none.
    seed: String,
    is_started: bool,
    /// How many calls were begun.
    calls: u64,
    /// The provider's index and id of the call that was begun last.
    index: Option<u64>,
    id: String,
}
saved!(struct Provider { protocol, seed, is_started, calls, index, id });

/// Why an answer cannot be read: a sentence about the provider.
pub(super) type Fault = String;

impl Provider {
    /// `None` for a protocol from which nothing is translated.
    pub(super) fn new(protocol: Protocol, seed: &str) -> Option<Self> {
        let known = [
            Protocol::OpenAiChat,
            Protocol::OpenAiResponses,
            Protocol::Anthropic,
            Protocol::Gemini,
            Protocol::Ollama,
            Protocol::BedrockConverse,
            Protocol::Cohere,
        ];
        let (seed, id) = (seed.to_owned(), String::new());
        let new = Self { protocol, seed, is_started: false, calls: 0, index: None, id };
        known.contains(&protocol).then_some(new)
    }

    /// Reads an event.
    pub(super) fn event(
        &mut self,
        name: &[u8],
        json: Raw<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Fault> {
        match self.protocol {
            Protocol::Anthropic => self.anthropic_event(json, sink),
            Protocol::Gemini => self.gemini(json, sink),
            Protocol::Ollama => self.ollama(json, sink),
            Protocol::BedrockConverse => self.bedrock_event(name, json, sink),
            Protocol::Cohere => self.cohere_event(json, sink),
            Protocol::OpenAiResponses => self.responses_event(json, sink),
            _ => self.openai(json, "delta", sink),
        }
    }

    /// Reads a whole body.
    pub(super) fn whole(&mut self, json: Raw<'_>, sink: &mut dyn Sink) -> Result<(), Fault> {
        match self.protocol {
            Protocol::Anthropic => self.anthropic_whole(json, sink),
            Protocol::Gemini => self.gemini(json, sink),
            Protocol::Ollama => self.ollama(json, sink),
            Protocol::BedrockConverse => self.bedrock_whole(json, sink),
            Protocol::Cohere => self.cohere_whole(json, sink),
            Protocol::OpenAiResponses => self.responses_whole(json, sink),
            _ => self.openai(json, "message", sink),
        }
    }

    /// Begins the answer, whose id is the member of that name.
    fn start(&mut self, json: Option<Raw<'_>>, name: &str, sink: &mut dyn Sink) {
        if !std::mem::replace(&mut self.is_started, true) {
            let id = json.and_then(|json| json.text_of(name)).unwrap_or_default();
            sink.item(Item::Start(&id));
        }
    }

    /// Begins a call. An id is made where the provider gave none.
    fn call(&mut self, id: &str, name: &str, signature: Option<&str>, sink: &mut dyn Sink) {
        self.calls += 1;
        let made = format!("call_{}_{}", self.seed, self.calls);
        let id = if id.is_empty() { &made } else { id };
        sink.item(Item::Call { id, name, signature });
        id.clone_into(&mut self.id);
    }
}

/// The inside of a string member, if there is something in it.
fn text<'a>(object: Raw<'a>, name: &str) -> Option<&'a str> {
    object.get(name)?.escaped().filter(|text| !text.is_empty())
}

/// The inside of a string that has this text.
fn escaped(text: &str) -> String {
    let mut writer = Writer::new();
    writer.str(text);
    writer.out[1..writer.out.len() - 1].to_owned()
}

/// An object as the arguments of a call.
fn object(value: Option<Raw<'_>>, sink: &mut dyn Sink) {
    sink.item(Item::Arguments(&escaped(value.map_or("{}", Raw::text))));
}
