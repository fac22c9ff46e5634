//! Computes for as many turns as it is told, and then lets everything pass: within its deadline, a
//! plugin that nobody can call faulty. `x-spin` says how many turns a request takes, `response` how
//! many each response, `chunk` how many each chunk of a response, and `complete` how many each end of
//! an exchange. For the tests that such a plugin takes no more than its share of a worker.

use std::hint::black_box;

use gateway_plugin_sdk::prelude::*;

/// The plugin, configured.
pub struct Spins(Config);

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Turns for each response.
    #[serde(default)]
    response: u64,
    /// Turns for each chunk of a response.
    #[serde(default)]
    chunk: u64,
    /// Turns for each end of an exchange.
    #[serde(default)]
    complete: u64,
}

impl Plugin for Spins {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        let mut interest = Interest::on_request().header("x-spin");
        if self.0.response > 0 {
            interest = interest.and_on_response();
        }
        if self.0.chunk > 0 {
            interest = interest.response_body(BodyMode::Chunks);
        }
        if self.0.complete > 0 {
            interest = interest.and_on_complete();
        }
        interest
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        spin(request.header("x-spin").and_then(|turns| turns.parse().ok()).unwrap_or(0));
        Outcome::Next
    }

    fn on_response(&self, _: &mut ResponseHead, (): &mut ()) -> Outcome {
        spin(self.0.response);
        Outcome::Next
    }

    fn on_response_chunk(&self, _: &mut Chunk, (): &mut ()) -> ChunkOutcome {
        spin(self.0.chunk);
        ChunkOutcome::Next
    }

    fn on_complete(&self, _: &Summary, (): &()) {
        spin(self.0.complete);
    }
}

fn spin(turns: u64) {
    for turn in 0..turns {
        black_box(turn);
    }
}

register_plugin!(Spins);
