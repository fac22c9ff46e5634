//! Guard rails: secrets and personal data are masked, taken out, blocked or reported, in requests and in answers.
//!
//! A request is a call of a model (`gateway-model-text` knows where its texts are), or other JSON whose texts are at
//! pointers of the configuration. `guard` decides by what the detectors find; what it masks in a request is in the
//! `vault` until the answer is over. What a service says of the texts is `moderation`'s. `incoming` has the hooks of requests, `outgoing` those of answers, and `report`
//! says what happened. What is kept of an exchange is `Passage`; an instance remembers nothing.

mod config;
mod guard;
mod incoming;
mod moderation;
mod outgoing;
mod report;
mod vault;

use std::cell::Cell;

use gateway_model_protocols::Protocol;
use gateway_model_text::Stream;
use gateway_plugin_sdk::prelude::*;

use config::Rules;
pub use config::{Config, JsonSpec, Mode, OnFailure, RefusalSpec};
use moderation::Moderation;
pub use moderation::{Api, ModerationMode, ModerationSpec, StreamMode};
use vault::Vault;

/// The plugin, configured.
pub struct Guardrails {
    config: Config,
    input: Rules,
    output: Rules,
    moderation: Option<Moderation>,
    /// Whether it was said that the plugin stands in a wrong place.
    has_warned: Cell<bool>,
}

/// An exchange between its hooks.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Passage {
    scope: Scope,
    /// Whether a stream without a content type of its own is one array that grows.
    streams: bool,
    vault: Vault,
    stream: Option<Stream>,
    /// What moderation has seen of the answer: the end of it, or all where it is asked at the end.
    said: String,
    found: Vec<(u8, u32)>,
    found_in_answer: Vec<(u8, u32)>,
}

/// What a request is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Scope {
    /// Nothing that is looked at.
    #[default]
    Nothing,
    /// A call of a model, by an API.
    Call(u8),
    /// JSON whose texts are at pointers.
    Json,
}

impl Scope {
    fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Call(index) => Protocol::ALL.get(usize::from(index)).copied(),
            Self::Nothing | Self::Json => None,
        }
    }
}

impl Plugin for Guardrails {
    type Config = Config;
    type Context = Passage;

    fn configure(mut config: Config) -> Result<Self, ConfigError> {
        let moderation = config.moderation.take().map(Moderation::new).transpose();
        let (rules, moderation) = match (config.rules(), moderation) {
            (Ok(rules), Ok(moderation)) => (rules, moderation),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
            (Err(error), Err(other)) => return Err(error.join(other)),
        };
        let (input, output) = rules;
        if input.names.is_empty() && output.names.is_empty() && moderation.is_none() {
            let message = "nothing is checked: `input` or `output` has to name a detector, as in `input.secrets = \"block\"`, or `moderation` a service";
            return Err(ConfigError::new(message));
        }
        Ok(Self { config, input, output, moderation, has_warned: Cell::new(false) })
    }

    fn interest(&self) -> Interest {
        let interest = Interest::on_request()
            .method()
            .path()
            .header("content-type")
            .header("content-encoding")
            .header("content-length")
            .attribute(incoming::UPGRADE)
            .attribute("request.has-body")
            .attribute("model.name")
            .and_on_response()
            .response_header("content-type")
            .response_header("content-encoding")
            .response_header("content-length");
        if self.moderation.is_some() { interest } else { interest.never_waits() }
    }

    fn on_request(&self, request: &mut Request, passage: &mut Passage) -> Outcome {
        self.ask_for_body(request, passage)
    }

    fn on_request_body(
        &self,
        request: &mut Request,
        body: &mut Body,
        passage: &mut Passage,
    ) -> Outcome {
        let _ = request;
        self.check_request(body, passage)
    }

    fn on_response(&self, response: &mut ResponseHead, passage: &mut Passage) -> Outcome {
        self.ask_for_answer(response, passage)
    }

    fn on_response_body(
        &self,
        response: &mut ResponseHead,
        body: &mut Body,
        passage: &mut Passage,
    ) -> Outcome {
        let is_text = !outgoing::is_json(response.header("content-type").unwrap_or_default());
        self.check_answer(body, is_text, passage)
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, passage: &mut Passage) -> ChunkOutcome {
        self.check_chunk(chunk, passage);
        ChunkOutcome::Next
    }
}

register_plugin!(Guardrails);
