//! Chooses the upstream, for the tests of routing by a plugin: by the request's `x-upstream`, or
//! else, if the content is JSON, by the field `model` of the buffered body. `models = { "m" =
//! "upstream" }` maps models; a model that is not in it is answered 400. Configured further with
//! `body_limit` (bytes, default 65536). Without either the route's own upstream stays. An upstream
//! that does not exist is passed on as it is told, for the test of what the gateway says to that.

use std::collections::BTreeMap;

use gateway_plugin_sdk::prelude::*;

/// The plugin, configured.
pub struct Chooser(Config);

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Upstreams by model.
    #[serde(default)]
    models: BTreeMap<String, String>,
    /// The longest body, in bytes.
    #[serde(default = "default_body_limit")]
    body_limit: u64,
}

/// The part of a body that is checked.
#[derive(Deserialize)]
struct Question {
    model: Option<String>,
}

impl Plugin for Chooser {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        Ok(Self(config))
    }

    fn interest(&self) -> Interest {
        Interest::on_request().header("x-upstream").header("content-type")
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        if let Some(upstream) = request.header("x-upstream").map(str::to_owned) {
            request.set_upstream(upstream);
        } else if request.header("content-type").is_some_and(is_json) {
            request.want_request_body(BodyMode::Buffered(self.0.body_limit));
        }
        Outcome::Next
    }

    fn on_request_body(&self, request: &mut Request, body: &mut Body, (): &mut ()) -> Outcome {
        let model = match body.json::<Question>() {
            Ok(Question { model: Some(model) }) => model,
            Ok(Question { model: None }) => return Outcome::Next,
            Err(_) => return Outcome::respond(Response::bad_request("The body is not JSON.")),
        };
        match self.0.models.get(&model) {
            Some(upstream) => request.set_upstream(upstream.as_str()),
            None => return Outcome::respond(Response::bad_request("The model is unknown.")),
        };
        Outcome::Next
    }
}

fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|kind| kind.trim() == "application/json")
}

fn default_body_limit() -> u64 {
    64 << 10
}

register_plugin!(Chooser);
