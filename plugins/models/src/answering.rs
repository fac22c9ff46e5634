//! The head of a response, on its way to the client.
//!
//! Owns how the body of each response is asked for: event by event, at its end, or whole. Must not read one: `reading`
//! does.

use std::time::Duration;

use gateway_model_protocols::error::{self, Class};
use gateway_model_protocols::framing::Framing;
use gateway_model_protocols::saved::Held;
use gateway_model_protocols::translate::{self, Options, Translator};
use gateway_model_protocols::usage::{self, Usage};
use gateway_model_protocols::{Action, Protocol};
use gateway_plugin_sdk::prelude::{Body, BodyMode, Outcome, ResponseHead};
use gateway_plugin_sdk::{attributes, clock, held_response, log};

use crate::outcome::{ErrorType, Failed};
use crate::state::{Call, Reading, TAIL};
use crate::{Models, reading, refusal, silence};

/// How much of a stream is held back until it has content, and for how long: some say for a minute that they think.
const HELD_BYTES: u32 = 64 << 10;
const HELD_TIME: Duration = Duration::from_secs(10);

/// What is left at least of `first_token` behind the head.
const SHORTEST: Duration = Duration::from_millis(100);

/// The field in which Bedrock counts the tokens of a request.
pub(crate) const INPUT_TOKENS: &str = "x-amzn-bedrock-input-token-count";

/// Fields of responses that are about the gateway's account.
pub(crate) const KEPT_BACK: [&str; 3] = ["set-cookie", "openai-organization", "openai-project"];

impl Models {
    /// The head of a response that goes to the client.
    pub(crate) fn begin(&self, response: &mut ResponseHead, call: &mut Call) {
        for name in KEPT_BACK {
            if response.header_bytes(name).is_some() {
                response.remove_header(name);
            }
        }
        if self.response_headers {
            let name = &self.catalog.deployments[call.deployment].name;
            response.set_header("x-model-deployment", name.as_str());
        }
        let spoken = call.spoken();
        let kind = response.header("content-type").unwrap_or_default();
        let media = kind.split(';').next().unwrap_or_default().trim();
        let is_json =
            media.ends_with("json") || (media.is_empty() && call.action() != Action::Other);
        let framing = match Framing::of_content_type(kind) {
            Some(framing) => Some(framing),
            // Who does not say what it is has its bytes judged.
            None if kind.trim().is_empty() && call.streams && call.action() != Action::Other => {
                Some(spoken.framing())
            }
            // Without `alt=sse` it is one array that grows.
            None if is_json && call.streams && spoken == Protocol::Gemini => {
                Some(Framing::JsonArray)
            }
            None => None,
        };
        if call.is_translated() {
            return self.begin_translated(response, call, framing);
        }
        call.reading = match framing {
            Some(framing) => Reading::events(framing, spoken, self.max_answer),
            None if is_json && call.action() != Action::Other && is_short(response) => {
                call.reading = Reading::Short;
                return response.want_body(BodyMode::Buffered(TAIL as u64));
            }
            None if is_json => Reading::Tail(Held::default(), true),
            None => {
                // What cannot be read is charged as it was estimated.
                call.set_usage(call.estimated());
                return self.tell(call);
            }
        };
        response.want_body(BodyMode::Chunks);
        if framing == Some(Framing::Sse) {
            self.keep_alive(call);
        }
        // The beginning of a whole answer says whether it is an error.
        if framing.is_some() || call.action() != Action::Other {
            self.hold(call, framing.is_some());
        }
    }

    /// The head of a response that is translated.
    fn begin_translated(
        &self,
        response: &mut ResponseHead,
        call: &mut Call,
        framing: Option<Framing>,
    ) {
        let options = self.options(call);
        let translator = framing.and_then(|framing| {
            let translator = Translator::new(call.spoken(), call.protocol(), &options)?;
            Some(Reading::translated(framing, translator))
        });
        let Some(reading) = translator else {
            call.reading = Reading::Whole;
            call.told(of_fields(response));
            response.set_header("content-type", "application/json");
            response.want_body(BodyMode::Buffered(self.max_answer));
            return;
        };
        call.reading = reading;
        response.set_header(
            "content-type",
            match call.protocol().framing() {
                _ if call.array.is_some() => "application/json",
                Framing::Ndjson => "application/x-ndjson",
                _ => "text/event-stream",
            },
        );
        response.want_body(BodyMode::Chunks);
        if call.array.is_none() && call.protocol().framing() == Framing::Sse {
            self.keep_alive(call);
        }
        self.hold(call, true);
    }

    /// The stream is one of events for its client.
    fn keep_alive(&self, call: &Call) {
        if let Some(every) = self.catalog.models[call.model].keep_alive {
            silence::keep_alive(call.protocol(), every);
        }
    }

    /// A whole short answer of the client's API.
    pub(crate) fn whole(&self, body: &Body, call: &mut Call) -> Outcome {
        let read = reading::whole(call, body.bytes());
        let Some((failure, error)) = read.failure else {
            self.tell(call);
            self.tell_end(call);
            return Outcome::Next;
        };
        self.note(call, &failure, error);
        match self.failed_unsaid(call, &failure, error) {
            Some(answer) => Outcome::respond(answer),
            None => Outcome::Next,
        }
    }

    /// A whole response of another API.
    pub(crate) fn translate(&self, body: &mut Body, call: &mut Call) -> Outcome {
        let (spoken, protocol) = (call.spoken(), call.protocol());
        if let Some(failure) = error::of_answer(body.bytes()) {
            self.note(call, &failure, failure.class.into());
            return match self.failed_unsaid(call, &failure, failure.class.into()) {
                Some(answer) => Outcome::respond(answer),
                None => Outcome::Next,
            };
        }
        let mut options = self.options(call);
        let translated = match call.action() {
            Action::Embed => {
                options.input_estimate = call.usage().map_or(call.input, |told| told.input);
                translate::embeddings(spoken, protocol, body.bytes(), &options, call.form)
            }
            _ => translate::response(spoken, protocol, body.bytes(), &options),
        };
        match translated {
            Ok(translated) => {
                call.is_complete = true;
                // Without a usage it is charged as it was estimated.
                let found = usage::of_body(spoken, body.bytes()).or_else(|| call.usage());
                call.set_usage(found.unwrap_or_else(|| call.estimated()));
                if call.action() == Action::Generate {
                    call.tool_calls = Some(usage::tool_calls_of_body(spoken, body.bytes()));
                }
                self.tell(call);
                self.tell_end(call);
                body.set(translated);
                Outcome::Next
            }
            Err(failure) if failure.class == Class::ContextTooLong => {
                match self.failed_unsaid(call, &failure, failure.class.into()) {
                    Some(answer) => Outcome::respond(answer),
                    None => Outcome::Next,
                }
            }
            Err(failure) => {
                let error = ErrorType::Garbled;
                if self.again(call, &Failed { class: failure.class, error, wait: None }) {
                    return Outcome::Next;
                }
                self.used_nothing(call);
                let name = &self.catalog.deployments[call.deployment].name;
                log::warn!(
                    "the answer of deployment {name} is not translated: {}",
                    failure.message
                );
                Outcome::respond(refusal::provider_failed(protocol, &failure.message))
            }
        }
    }

    /// Holds a response back until it has content: what fails before that can still be answered with a status, or by another
    /// deployment. A stream is held back for as long as its first content may take, where that is bounded.
    fn hold(&self, call: &mut Call, is_stream: bool) {
        let is_bounded =
            is_stream && !self.catalog.deployments[call.deployment].first_token.is_zero();
        let time = if is_bounded { self.left(call).max(SHORTEST) } else { HELD_TIME };
        let held = held_response::hold(HELD_BYTES, time).and_then(|()| match is_bounded {
            true => held_response::call_when_late(),
            false => Ok(()),
        });
        let held = held.and_then(|()| match is_stream {
            true => held_response::call_when_broken(),
            false => Ok(()),
        });
        match held {
            Ok(()) => call.is_held = true,
            Err(error) => log::warn!("a stream is not held back until it has content: {error}"),
        }
    }

    fn options(&self, call: &Call) -> Options {
        let id = attributes::value("request.id").unwrap_or_default();
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        Options {
            id: id.chars().filter(plain).collect(),
            model: self.catalog.models[call.model].name.clone(),
            created: clock::now().as_secs(),
            include_usage: !call.hides_usage,
            input_estimate: call.input,
        }
    }
}

/// Whether a response is not what the API answers, but a page of something in between, for example.
pub(crate) fn is_foreign(response: &ResponseHead, call: &Call) -> bool {
    let kind = response.header("content-type").unwrap_or_default();
    let media = kind.split(';').next().unwrap_or_default().trim();
    let is_known =
        media.is_empty() || media.ends_with("json") || Framing::of_content_type(kind).is_some();
    let is_empty = response.header("content-length") == Some("0");
    match call.action() {
        // Speech and subtitles have types of their own, and none of them is a page.
        Action::Other => media.eq_ignore_ascii_case("text/html"),
        _ => !is_known || is_empty,
    }
}

/// The usage that Bedrock says beside an answer: of some models it is nowhere else.
fn of_fields(response: &ResponseHead) -> Option<Usage> {
    let input = response.header(INPUT_TOKENS)?.trim().parse().ok()?;
    Some(Usage { input, ..Usage::default() })
}

/// Whether a body is known to be short: it is then read whole, which takes less than to read and to hold back its pieces.
fn is_short(response: &ResponseHead) -> bool {
    let length = response.header("content-length").and_then(|length| length.parse().ok());
    length.is_some_and(|length: usize| length <= TAIL)
}
