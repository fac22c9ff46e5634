//! Has the clients of all responses sent a comment each `every_ms` while they are silent, for the tests of that. With the
//! query `another` it answers in the place of a response, and with `late` it asks in the wrong hook besides. It logs what is
//! refused, and the bytes of the body that it saw.

use std::time::Duration;

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::{exchange, keep_alive, log};

/// The plugin, configured.
pub struct KeepsAlive(Config);

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// After how long a silence.
    every_ms: u64,
}

/// The bytes that it saw of the body.
#[derive(Default, Serialize, Deserialize)]
pub struct Seen(usize);

const ENDS: [&[u8]; 2] = [b"\n\n", b"\n\r\n"];

impl Plugin for KeepsAlive {
    type Config = Config;
    type Context = Seen;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        Interest::on_request().query().and_on_response().and_on_complete()
    }

    fn on_request(&self, request: &mut Request, _: &mut Seen) -> Outcome {
        if request.query() == Some("late")
            && let Err(error) = keep_alive::send(b":\n\n", Duration::from_secs(1), &ENDS)
        {
            log::info!("refused: {error}");
        }
        Outcome::Next
    }

    fn on_response(&self, response: &mut ResponseHead, _: &mut Seen) -> Outcome {
        let every = Duration::from_millis(self.0.every_ms);
        if let Err(error) = keep_alive::send(b": alive\n\n", every, &ENDS) {
            log::info!("refused: {error}");
        }
        if exchange::request().query().as_deref() == Some("another") {
            return Outcome::respond(Response::new(200).body("another"));
        }
        if response.header("content-length").is_none() {
            response.want_body(BodyMode::Chunks);
        }
        Outcome::Next
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, seen: &mut Seen) -> ChunkOutcome {
        seen.0 += chunk.data().len();
        ChunkOutcome::Next
    }

    fn on_complete(&self, _: &Summary, seen: &Seen) {
        log::info!("seen: {}", seen.0);
    }
}

register_plugin!(KeepsAlive);
