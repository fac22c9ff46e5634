//! Puts whole bodies into upper case (ASCII), for the tests of buffered bodies: that a changed body
//! has the right length, that a request body over the limit is answered 413, and that a response
//! body over it fails the exchange. Configured with `limit` (bytes, default 65536), `request` and
//! `response` (whether it does so in that direction, default true). Adds `x-upper-request: BYTES`
//! to the request and `x-upper-response: BYTES` to the response.

use gateway_plugin_sdk::prelude::*;

/// The plugin, configured.
pub struct BodyUpper(Config);

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The longest body, in bytes.
    #[serde(default = "default_limit")]
    limit: u64,
    /// Whether it changes requests.
    #[serde(default = "yes")]
    request: bool,
    /// Whether it changes responses.
    #[serde(default = "yes")]
    response: bool,
}

impl Plugin for BodyUpper {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        let mode = |wanted| {
            if wanted { BodyMode::Buffered(self.0.limit) } else { BodyMode::None }
        };
        Interest::new().request_body(mode(self.0.request)).response_body(mode(self.0.response))
    }

    fn on_request_body(&self, request: &mut Request, body: &mut Body, (): &mut ()) -> Outcome {
        let upper = body.bytes().to_ascii_uppercase();
        request.set_header("x-upper-request", upper.len().to_string());
        body.set(upper);
        Outcome::Next
    }

    fn on_response_body(
        &self,
        response: &mut ResponseHead,
        body: &mut Body,
        (): &mut (),
    ) -> Outcome {
        let upper = body.bytes().to_ascii_uppercase();
        response.set_header("x-upper-response", upper.len().to_string());
        body.set(upper);
        Outcome::Next
    }
}

fn default_limit() -> u64 {
    64 << 10
}

fn yes() -> bool {
    true
}

register_plugin!(BodyUpper);
