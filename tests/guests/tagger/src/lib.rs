//! Shows in which order plugins see an exchange. Configured with `name`; each request appends the
//! name to the request field `x-trace-request`, each response to the response field
//! `x-trace-response` (one line, names joined by `, `). It sets the attribute `tag.NAME` to `set`,
//! and with `reads = "A"` shows the value of the attribute A to the upstream as `x-attribute-NAME`.
//! If the request's `x-answer` is its name, it answers 200 with the body `answered by NAME`. It
//! logs `NAME saw the request` at `info`, and on completion `NAME saw the end: ENDING STATUS
//! REQUEST_BYTES RESPONSE_BYTES UPSTREAM`, where UPSTREAM is `-` if there was none.

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

/// The plugin, configured.
pub struct Tagger {
    name: String,
    reads: Option<String>,
    attribute: String,
}

/// What it is configured with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What it adds to the traces.
    name: String,
    /// An attribute to show to the upstream.
    #[serde(default)]
    reads: Option<String>,
}

impl Plugin for Tagger {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let attribute = format!("tag.{}", config.name);
        Ok(Self { name: config.name, reads: config.reads, attribute })
    }

    fn interest(&self) -> Interest {
        Interest::on_request()
            .header("x-trace-request")
            .header("x-answer")
            .and_on_response()
            .response_header("x-trace-response")
            .and_on_complete()
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        log::info!("{} saw the request", self.name);
        let trace = self.append(request.header("x-trace-request"));
        request.set_header("x-trace-request", trace);
        if request.set_attribute(&self.attribute, "set").is_err() {
            log::error!("{} could not be set", self.attribute);
        }
        if let Some(name) = &self.reads {
            let value = request.attribute(name).map(str::to_owned);
            if let Some(value) = value {
                request.set_header(format!("x-attribute-{}", self.name), value);
            }
        }
        if request.header("x-answer") == Some(self.name.as_str()) {
            let body = format!("answered by {}", self.name);
            return Outcome::respond(Response::new(200).body(body));
        }
        Outcome::Next
    }

    fn on_response(&self, response: &mut ResponseHead, (): &mut ()) -> Outcome {
        let trace = self.append(response.header("x-trace-response"));
        response.set_header("x-trace-response", trace);
        Outcome::Next
    }

    fn on_complete(&self, summary: &Summary, (): &()) {
        log::info!(
            "{} saw the end: {:?} {} {} {} {}",
            self.name,
            summary.ending,
            summary.status,
            summary.request_bytes,
            summary.response_bytes,
            summary.upstream.as_deref().unwrap_or("-"),
        );
    }
}

impl Tagger {
    fn append(&self, trace: Option<&str>) -> String {
        trace.map_or_else(|| self.name.clone(), |trace| format!("{trace}, {}", self.name))
    }
}

register_plugin!(Tagger);
