//! The least that a plugin for heads can do: it reads one request field and sets one. The
//! benchmarks chain it to find what one more hop costs.

use gateway_plugin_sdk::prelude::*;

/// Which field this hop sets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The request field.
    pub header: HeaderName,
}

/// See the crate.
#[derive(Debug)]
pub struct Hop {
    header: HeaderName,
}

impl Plugin for Hop {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { header: config.header })
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-api-key")
    }

    fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
        let seen = if request.header("x-api-key").is_some() { "with a key" } else { "without" };
        request.set_header(&self.header, seen);
        Outcome::Next
    }
}

register_plugin!(Hop);
