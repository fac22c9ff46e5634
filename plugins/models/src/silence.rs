//! What clients are sent while a stream is silent, so that nothing on the way takes it for dead.
//!
//! Owns what each API's official clients read over. Must not know when: the gateway writes it between two events.

use std::time::Duration;

use gateway_model_protocols::Protocol;
use gateway_plugin_sdk::prelude::ConfigError;
use gateway_plugin_sdk::{duration, keep_alive, log};

/// What ends an event: an empty line.
const ENDS: [&[u8]; 3] = [b"\n\n", b"\n\r\n", b"\r\r"];

/// How long a stream may be silent; for `"0s"` as long as it likes.
pub(crate) fn parse(text: &str, at: String, errors: &mut Vec<ConfigError>) -> Option<Duration> {
    let every = match duration::parse(text) {
        Ok(every) => Some(every).filter(|every| !every.is_zero()),
        Err(why) => {
            errors.push(ConfigError::at(at, why.to_string()));
            return None;
        }
    };
    if every.is_some_and(|it| !(Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&it)) {
        let error = ConfigError::at(at, "must be `1s` to `1h`");
        errors.push(error.help("write `\"15s\"`, or `\"0s\"` for never"));
    }
    every
}

/// Has the client of a stream of events sent something while it is silent, if its API has anything for that.
pub(crate) fn keep_alive(protocol: Protocol, every: Duration) {
    let Some(text) = text(protocol) else { return };
    if let Err(error) = keep_alive::send(text, every, &ENDS) {
        log::warn!("a silent stream is not kept alive: {error}");
    }
}

fn text(protocol: Protocol) -> Option<&'static [u8]> {
    match protocol {
        Protocol::OpenAiChat
        | Protocol::OpenAiCompletions
        | Protocol::OpenAiResponses
        | Protocol::OpenAiEmbeddings
        | Protocol::OpenAiOther
        | Protocol::Cohere => Some(b": keep-alive\n\n"),
        // As Anthropic's own.
        Protocol::Anthropic => Some(b"event: ping\ndata: {\"type\": \"ping\"}\n\n"),
        // Google's client for Python raises an error at a comment, lines and frames have none.
        Protocol::Gemini
        | Protocol::Ollama
        | Protocol::BedrockConverse
        | Protocol::VertexEmbeddings
        | Protocol::BedrockInvoke => None,
    }
}
