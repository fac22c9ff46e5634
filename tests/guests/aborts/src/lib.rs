//! Cuts a body off at a marker, for the tests that the receiver can tell a body that was cut off
//! from one that ended, in HTTP/1.1 and HTTP/2. Configured with `marker` (default `ABORT`),
//! `request` and `response` (whether it looks there; default the response only). The chunk with the
//! marker is not passed on; what came before is. The reason in the log is `the marker was met`.

use gateway_plugin_sdk::prelude::*;

/// The plugin, configured.
pub struct Aborts(Config);

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What it looks for, within one chunk.
    #[serde(default = "default_marker")]
    marker: String,
    /// Whether it looks at requests.
    #[serde(default)]
    request: bool,
    /// Whether it looks at responses.
    #[serde(default = "yes")]
    response: bool,
}

impl Plugin for Aborts {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        if config.marker.is_empty() {
            return Err(ConfigError::at("/marker", "a marker is not empty"));
        }
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        let mode = |wanted| {
            if wanted { BodyMode::Chunks } else { BodyMode::None }
        };
        Interest::new().request_body(mode(self.0.request)).response_body(mode(self.0.response))
    }

    fn on_request_chunk(&self, chunk: &mut Chunk, (): &mut ()) -> ChunkOutcome {
        self.look(chunk)
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, (): &mut ()) -> ChunkOutcome {
        self.look(chunk)
    }
}

impl Aborts {
    fn look(&self, chunk: &Chunk) -> ChunkOutcome {
        let marker = self.0.marker.as_bytes();
        if chunk.data().windows(marker.len()).any(|window| window == marker) {
            return ChunkOutcome::Abort("the marker was met".to_owned());
        }
        ChunkOutcome::Next
    }
}

fn default_marker() -> String {
    "ABORT".to_owned()
}

fn yes() -> bool {
    true
}

register_plugin!(Aborts);
