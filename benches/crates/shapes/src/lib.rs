//! A plugin whose hooks have the shapes that the micro-benchmarks measure, by its configuration.

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::{clock, random};

/// What the plugin does with an exchange.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The one shape that this instance has.
    pub shape: Shape,
}

/// A shape of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// `on_request` that reads one declared field and sets one.
    Head,
    /// The same, and asks the gateway for the time, a random number and an attribute.
    Calls,
    /// `on_request_chunk` that replaces the piece by a copy of it.
    Chunks,
    /// `on_request_body` that replaces the body by a copy of it.
    Body,
}

/// See the crate.
#[derive(Debug)]
pub struct Shapes(Shape);

impl Plugin for Shapes {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self(config.shape))
    }

    fn interest(&self) -> Interest {
        match self.0 {
            Shape::Head | Shape::Calls => Interest::on_request().header("x-api-key"),
            Shape::Chunks => Interest::new().request_body(BodyMode::Chunks),
            Shape::Body => Interest::new().request_body(BodyMode::Buffered(1 << 20)),
        }
    }

    fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
        let seen = if request.header("x-api-key").is_some() { "with a key" } else { "without" };
        request.set_header("x-hop", seen);
        if self.0 == Shape::Calls {
            let route = request.attribute("route.name").map_or(0, str::len);
            let sum = clock::monotonic().as_nanos() as u64 ^ random::number() ^ route as u64;
            request.set_header("x-sum", if sum == 0 { "nothing" } else { "something" });
        }
        Outcome::Next
    }

    fn on_request_body(&self, _: &mut Request, body: &mut Body, _: &mut ()) -> Outcome {
        let copy = body.bytes().to_vec();
        body.set(copy);
        Outcome::Next
    }

    fn on_request_chunk(&self, chunk: &mut Chunk, _: &mut ()) -> ChunkOutcome {
        let copy = chunk.data().to_vec();
        chunk.replace(copy);
        ChunkOutcome::Next
    }
}

register_plugin!(Shapes);
