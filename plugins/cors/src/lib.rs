//! Cross-origin resource sharing, as the Fetch standard has it (section 3.3, "CORS protocol").
//!
//! `config` is what is written in the file, `origins` says which origins may read responses, and
//! `preflight` answers the question that a browser asks before a request. What upstreams say about it
//! themselves is removed: there is one policy, that of the gateway.

mod config;
mod names;
mod origins;
mod preflight;

use std::time::Duration;

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

pub use config::Config;
use names::Names;
use origins::Origins;
use preflight::Preflight;

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";
const EXPOSE: &str = "access-control-expose-headers";

/// What an upstream may send of its own, and no client gets.
const OF_UPSTREAMS: [&str; 7] = [
    ALLOW_ORIGIN,
    ALLOW_CREDENTIALS,
    EXPOSE,
    preflight::ALLOW_METHODS,
    preflight::ALLOW_HEADERS,
    preflight::MAX_AGE,
    "access-control-allow-private-network",
];

/// For how long the gateway may make the same changes without a call.
const REUSE: Duration = Duration::from_secs(600);

/// The plugin, configured.
#[derive(Debug)]
pub struct Cors {
    origins: Origins,
    credentials: bool,
    expose: Option<String>,
    preflight: Preflight,
    enforce: bool,
}

impl Plugin for Cors {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let origins = Origins::new(&config.origins, &mut errors);
        if config.credentials && origins.are_all() {
            let message = "with `credentials` each origin is named: `*` would let every site act in \
                           the name of who is logged in";
            errors.push(ConfigError::at("/origins", message));
        }
        let methods = Names::methods(&config.methods, &mut errors);
        let headers = Names::headers("/headers", &config.headers, &mut errors);
        let expose = Names::headers("/expose", &config.expose, &mut errors);
        if config.credentials && expose.are_all() {
            let message = "with `credentials` each field is named: browsers take `*` for a name";
            errors.push(ConfigError::at("/expose", message));
        }
        ConfigError::collect(errors)?;
        Ok(Self {
            origins,
            credentials: config.credentials,
            expose: expose.text(),
            preflight: Preflight { methods, headers, max_age: config.max_age },
            enforce: config.enforce,
        })
    }

    fn interest(&self) -> Interest {
        let interest = Interest::on_request().method().header("origin");
        preflight::REQUESTED.into_iter().fold(interest, Interest::header).never_waits()
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        let Some(origin) = request.header_bytes("origin") else {
            self.hide(request);
            request.reuse_for(REUSE);
            return Outcome::Next;
        };
        // What is no text is no origin that anybody allowed.
        let origin = String::from_utf8_lossy(origin).into_owned();
        let is_allowed = self.origins.allow(&origin);
        if let Some(question) = preflight::Question::of(request) {
            if !is_allowed {
                log::info!("refuses a preflight of the origin {origin}");
                return Outcome::respond(self.vary(refusal(&origin)));
            }
            let answer = self.preflight.answer(&question, self.credentials);
            let answer = answer.header(ALLOW_ORIGIN, self.allow_origin(&origin));
            return Outcome::respond(self.allow_credentials(answer));
        }
        if !is_allowed && self.enforce {
            log::info!("refuses a request of the origin {origin}");
            return Outcome::respond(self.vary(refusal(&origin)));
        }
        self.hide(request);
        if is_allowed {
            request.set_response_header(ALLOW_ORIGIN, self.allow_origin(&origin));
            if self.credentials {
                request.set_response_header(ALLOW_CREDENTIALS, "true");
            }
            if let Some(expose) = &self.expose {
                request.set_response_header(EXPOSE, expose.as_str());
            }
        }
        request.reuse_for(REUSE);
        Outcome::Next
    }
}

impl Cors {
    /// Takes out of the response what its upstream says, and has caches tell origins apart.
    fn hide(&self, request: &mut Request) {
        for name in OF_UPSTREAMS {
            request.remove_response_header(name);
        }
        if !self.origins.are_all() {
            request.add_response_header("vary", "origin");
        }
    }

    fn vary(&self, answer: Response) -> Response {
        if self.origins.are_all() { answer } else { answer.header("vary", "origin") }
    }

    fn allow_origin(&self, origin: &str) -> String {
        if self.origins.are_all() { "*".to_owned() } else { origin.to_owned() }
    }

    fn allow_credentials(&self, answer: Response) -> Response {
        if self.credentials { answer.header(ALLOW_CREDENTIALS, "true") } else { answer }
    }
}

/// The page that asks cannot read it; who looks at the network tab can.
fn refusal(origin: &str) -> Response {
    let shown: String = origin.chars().take(200).collect();
    Response::forbidden(format!("The origin {shown} is not allowed here."))
}

register_plugin!(Cors);
