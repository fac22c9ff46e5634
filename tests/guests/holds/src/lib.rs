//! Holds responses back, for the tests of that: each `text/event-stream` for `bytes` and `time_ms`, until a chunk has
//! a word in it that decides: `error` (the request goes to the next one of `upstreams`, and to the client 529 if there
//! is none), `refuse` (the head becomes that of a 503), `message` (let go), `cut` (the body is cut off), `fall` (it
//! panics), `loud` (the chunk in capitals, and held on). A response of 500 or more goes to the next upstream too. It
//! with `late` a body that breaks off ends with an event, unless there is `first_byte_ms`, and when nothing has decided in that time, the next upstream is asked too, or the client is answered 504. It
//! writes `x-sent` into each response, `x-seen` when it sees the request, and logs what it may not do any more.

use std::time::Duration;

use gateway_plugin_sdk::attempts::{self, Attempt};
use gateway_plugin_sdk::held_response::{self, HeadChange};
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

/// The plugin, configured.
pub struct Holds(Config);

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who is asked next, first to last.
    #[serde(default)]
    upstreams: Vec<String>,
    /// For how much of a body.
    bytes: u32,
    /// For how long.
    time_ms: u64,
    /// Whether it decides when that is over.
    #[serde(default)]
    late: bool,
    /// How long the head of a response is waited for.
    #[serde(default)]
    first_byte_ms: u64,
}

/// The chunks of all responses so far.
#[derive(Default, Serialize, Deserialize)]
pub struct Seen(u32);

impl Plugin for Holds {
    type Config = Config;
    type Context = Seen;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        Interest::on_request().and_on_response().header("content-type").and_on_complete()
    }

    fn on_request(&self, request: &mut Request, _: &mut Seen) -> Outcome {
        request.set_response_header("x-seen", "yes");
        if self.0.first_byte_ms > 0 {
            let bounded = attempts::first_byte(Duration::from_millis(self.0.first_byte_ms));
            bounded.expect("the bound is one");
        }
        if held_response::hold(1, Duration::from_secs(1)).is_ok() {
            return Outcome::respond(Response::bad_request("There is no response yet."));
        }
        Outcome::Next
    }

    fn on_response(&self, response: &mut ResponseHead, _: &mut Seen) -> Outcome {
        response.set_header("x-sent", attempts::sent().to_string());
        if response.status() >= 500 {
            self.ask_next();
        } else if response.header("content-type") == Some("text/event-stream") {
            let Config { bytes, time_ms, .. } = self.0;
            if let Err(error) = held_response::hold(bytes, Duration::from_millis(time_ms)) {
                log::info!("not held: {error}");
            }
            if self.0.late {
                held_response::call_when_late().expect("it is held back");
                held_response::call_when_broken().expect("it is held back");
            }
        }
        Outcome::Next
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, seen: &mut Seen) -> ChunkOutcome {
        seen.0 += 1;
        let text = String::from_utf8_lossy(chunk.data()).into_owned();
        if !held_response::is_held() {
            if text.is_empty() && !chunk.is_last() && self.0.first_byte_ms == 0 {
                chunk.replace("event: broken\n\n");
            }
            if text.contains("late") {
                let answered = held_response::respond(Response::new(500)).is_ok();
                log::info!("late: {} {}", answered, attempts::again(&Attempt::new()).is_ok());
            }
            return ChunkOutcome::Next;
        }
        if text.is_empty() && !chunk.is_last() {
            log::info!("silent");
            if !self.ask_next() {
                let answer = Response::problem(504, "Gateway Timeout", "It says nothing.");
                let _held = held_response::respond(answer);
            }
        } else if text.contains("error") {
            if !self.ask_next() {
                let answer = Response::problem(529, "Overloaded", "All are overloaded.");
                let _held = held_response::respond(answer.header("retry-after", "7"));
            }
        } else if text.contains("refuse") {
            let change = HeadChange::new().status(503).set_header("x-refused", "yes");
            let _held = held_response::change_head(&change.remove_header("x-upstream"));
            held_response::release();
        } else if text.contains("message") {
            held_response::release();
        } else if text.contains("cut") {
            return ChunkOutcome::Abort("it says so".to_owned());
        } else if text.contains("fall") {
            panic!("it says so");
        } else if text.contains("loud") {
            chunk.replace(text.to_uppercase());
        }
        ChunkOutcome::Next
    }

    fn on_complete(&self, summary: &Summary, seen: &Seen) {
        log::info!("ended: {} {}", summary.status, seen.0);
    }
}

impl Holds {
    fn ask_next(&self) -> bool {
        let index = (attempts::sent() as usize).saturating_sub(1);
        let Some(upstream) = self.0.upstreams.get(index) else { return false };
        attempts::again(&Attempt::new().upstream(upstream)).is_ok()
    }
}

register_plugin!(Holds);
