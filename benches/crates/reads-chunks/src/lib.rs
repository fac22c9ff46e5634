//! Reads each piece of a response body and remembers how much there was, as a plugin that counts
//! the tokens of an event stream would. The benchmarks hold many streams open through it.

use gateway_plugin_sdk::prelude::*;

/// There is nothing to configure.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// See the crate.
#[derive(Debug)]
pub struct ReadsChunks;

/// What was seen of one body so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    events: u64,
    bytes: u64,
}

impl Plugin for ReadsChunks {
    type Config = Config;
    type Context = Seen;

    fn configure(_: Config) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn interest(&self) -> Interest {
        Interest::new().response_body(BodyMode::Chunks)
    }

    fn on_response_chunk(&self, chunk: &mut Chunk, seen: &mut Seen) -> ChunkOutcome {
        seen.bytes += chunk.data().len() as u64;
        seen.events += chunk.data().windows(2).filter(|pair| pair == b"\n\n").count() as u64;
        ChunkOutcome::Next
    }
}

register_plugin!(ReadsChunks);
