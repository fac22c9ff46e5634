//! Sends requests again, for the tests of other attempts: where the status is 500 or more, or the body has the word
//! `sorry` in it, the next one of `upstreams` gets the request, with `x-attempt` and `authorization` of its own.
//! Configured further with `body`, the body of these attempts. It writes `x-seen` into the response when it sees the
//! request, and `x-sent` when it sees the response.

use gateway_plugin_sdk::attempts::{self, Attempt, AttemptsError};
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

/// The plugin, configured.
pub struct Again(Config);

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who is asked next, first to last.
    upstreams: Vec<String>,
    /// What they are sent.
    #[serde(default)]
    body: Option<String>,
}

impl Plugin for Again {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        Interest::on_request().and_on_response().response_body(BodyMode::Buffered(1 << 20))
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        request.set_response_header("x-seen", "yes");
        if attempts::again(&Attempt::new()) != Err(AttemptsError::NotHere) {
            return Outcome::respond(Response::bad_request("There is no response yet."));
        }
        Outcome::Next
    }

    fn on_response(&self, response: &mut ResponseHead, (): &mut ()) -> Outcome {
        response.set_header("x-sent", attempts::sent().to_string());
        if response.status() >= 500 {
            self.ask();
        }
        Outcome::Next
    }

    fn on_response_body(&self, _: &mut ResponseHead, body: &mut Body, (): &mut ()) -> Outcome {
        if body.bytes().windows(5).any(|part| part == b"sorry") {
            self.ask();
        }
        Outcome::Next
    }
}

impl Again {
    fn ask(&self) {
        let sent = attempts::sent();
        let index = (sent as usize).saturating_sub(1);
        let Some(upstream) = self.0.upstreams.get(index.min(self.0.upstreams.len() - 1)) else {
            return;
        };
        let mut attempt = Attempt::new()
            .upstream(upstream)
            .set_header("x-attempt", (sent + 1).to_string())
            .set_header("authorization", format!("Bearer {upstream}"))
            .remove_header("x-secret");
        if let Some(body) = &self.0.body {
            attempt = attempt.path("/v2/messages").query("beta=true").body(body.as_str());
        }
        if let Err(error) = attempts::again(&attempt) {
            log::info!("no other attempt: {error}");
        }
    }
}

register_plugin!(Again);
