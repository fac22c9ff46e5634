//! Has responses read to their end, for the tests of that: for `bytes` and `time_ms`, with one slot of `places` under
//! `one`, and the next one of `upstreams` where a response is 500 or more, whose slot is `two`. It counts the bytes that
//! it sees, and logs at the end how the exchange ended, with how many.

use std::time::Duration;

use gateway_plugin_sdk::attempts::{self, Attempt};
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::slots::{self, Taken, Wait};
use gateway_plugin_sdk::{drain, log};

/// The plugin, configured.
pub struct Drains(Config);

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How much is read.
    bytes: u64,
    /// For how long.
    time_ms: u64,
    /// How many slots there are.
    places: u32,
    /// Who is asked next, first to last.
    #[serde(default)]
    upstreams: Vec<String>,
}

/// The bytes of all responses so far.
#[derive(Default, Serialize, Deserialize)]
pub struct Seen(usize);

impl Plugin for Drains {
    type Config = Config;
    type Context = Seen;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        Interest::on_request().and_on_response().and_on_complete()
    }

    fn on_request(&self, _: &mut Request, _: &mut Seen) -> Outcome {
        if let Err(error) = drain::response(self.0.bytes, Duration::from_millis(self.0.time_ms)) {
            log::info!("not drained: {error}");
        }
        match slots::take("one", self.0.places) {
            Ok(Taken::Yes(_)) => Outcome::Next,
            _ => Outcome::respond(Response::service_unavailable("All are in use.")),
        }
    }

    fn on_response(&self, response: &mut ResponseHead, _: &mut Seen) -> Outcome {
        let wait = Wait {
            key: "two",
            limit: 1,
            queue: 1,
            time: Duration::from_secs(1),
            priority: 0,
            share: "",
        };
        if slots::queue(&wait, Response::new(503)).is_ok() {
            return Outcome::respond(Response::bad_request("Nobody waits here."));
        }
        let index = (attempts::sent() as usize).saturating_sub(1);
        if response.status() >= 500
            && let Some(upstream) = self.0.upstreams.get(index)
        {
            if !matches!(slots::take("two", 1), Ok(Taken::Yes(_))) {
                return Outcome::respond(Response::service_unavailable("The second is in use."));
            }
            let given_back = slots::give_back("one");
            log::info!("given back: {}", given_back.is_ok());
            if let Err(error) = attempts::again(&Attempt::new().upstream(upstream)) {
                log::info!("not again: {error}");
            }
        }
        response.want_body(BodyMode::Chunks);
        Outcome::Next
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, seen: &mut Seen) -> ChunkOutcome {
        seen.0 += chunk.data().len();
        ChunkOutcome::Next
    }

    fn on_complete(&self, summary: &Summary, seen: &Seen) {
        let late = drain::response(1, Duration::from_secs(1)).is_err();
        log::info!("ended: {:?} {} {late}", summary.ending, seen.0);
    }
}

register_plugin!(Drains);
