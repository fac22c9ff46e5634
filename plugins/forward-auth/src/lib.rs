//! Asks a service of yours whether a request may pass.
//!
//! `config` is what is written in the file, `question` is what the service is sent. Here is what its answer
//! means: the request passes with fields and attributes of the answer, or the client is given the answer.

mod config;
mod question;

use std::time::Duration;

use gateway_plugin_sdk::http_client::{self, HttpError};
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::{attributes, duration, log};

pub use config::{Config, Convention, OnUnavailable};
use question::Question;

/// Fields of an answer that are about its connection and its framing, which the gateway makes anew.
const OF_THE_CONNECTION: [&str; 12] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// The plugin, configured.
#[derive(Debug)]
pub struct ForwardAuth {
    question: Question,
    upstream_headers: Vec<HeaderName>,
    client_headers: Vec<HeaderName>,
    attributes: Vec<(String, HeaderName)>,
    on_unavailable: OnUnavailable,
}

impl Plugin for ForwardAuth {
    type Config = Config;
    type Context = ();

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        if config.upstream.is_empty() {
            errors.push(ConfigError::at("/upstream", "it names an upstream"));
        }
        if !config.path.starts_with('/') {
            errors.push(ConfigError::at("/path", "a path begins with `/`"));
        }
        let timeout = seconds(&config.timeout).unwrap_or_else(|why| {
            errors.push(ConfigError::at("/timeout", why));
            Duration::ZERO
        });
        if config.path.contains('#')
            || (config.convention == Convention::Original && config.path.contains('?'))
        {
            let message = "a path has no fragment, and before the path of a request no query";
            errors.push(ConfigError::at("/path", message));
        }
        if !config.upstream.is_empty() && !http_client::is_granted(&config.upstream) {
            let name = &config.upstream;
            let message = format!(
                "the upstream `{name}` is not granted: write `upstreams = [\"{name}\"]` beside `component`"
            );
            errors.push(ConfigError::at("/upstream", message));
        }
        for (index, name) in config.request_headers.iter().enumerate() {
            if question::is_ours(name) || is_not_passed_on(name) {
                let message =
                    format!("the gateway itself writes `{}`: leave it out", name.as_str());
                errors.push(ConfigError::at(format!("/request_headers/{index}"), message));
            }
        }
        for (list, names) in [
            ("upstream_headers", &config.upstream_headers),
            ("client_headers", &config.client_headers),
        ] {
            for (index, name) in names.iter().enumerate().filter(|(_, it)| is_not_passed_on(it)) {
                let message = format!("`{}` is not passed on", name.as_str());
                errors.push(ConfigError::at(format!("/{list}/{index}"), message));
            }
        }
        for name in config.attributes.keys() {
            if attributes::is_reserved(name) || name.is_empty() {
                // The name as a part of a JSON Pointer (RFC 6901 section 3).
                let place = name.replace('~', "~0").replace('/', "~1");
                let message = format!("the gateway itself sets `{name}`");
                errors.push(ConfigError::at(format!("/attributes/{place}"), message));
            }
        }
        ConfigError::collect(errors)?;
        Ok(Self {
            question: Question {
                upstream: config.upstream,
                convention: config.convention,
                path: config.path,
                headers: config.request_headers,
                timeout,
            },
            upstream_headers: config.upstream_headers,
            client_headers: config.client_headers,
            attributes: config.attributes.into_iter().collect(),
            on_unavailable: config.on_unavailable,
        })
    }

    fn interest(&self) -> Interest {
        let interest = self.question.declare(Interest::on_request());
        // Whatever comes of the question: what a client sends under these names would pass for an answer.
        self.upstream_headers
            .iter()
            .fold(interest, |it, name| it.always_remove_header(name.as_str()))
    }

    fn on_request(&self, request: &mut Request, (): &mut ()) -> Outcome {
        match self.question.about(request).send() {
            Ok(answer) if answer.status() >= 500 => {
                self.go_without(&format!("it answered {}", answer.status()))
            }
            Ok(answer) if self.passes(&answer) => self.pass(request, &answer),
            Ok(answer) => {
                let why = format!("{} answered {}", self.question.upstream, answer.status());
                Outcome::respond(refusal(answer).because(why))
            }
            // That is a fault of the configuration, which lets nobody pass.
            Err(error @ (HttpError::NotGranted | HttpError::Invalid(_))) => {
                log::error!(
                    "{} cannot be asked: {error}; it is granted by `upstreams` beside `component`",
                    self.question.upstream
                );
                let why = format!("{} cannot be asked: {error}", self.question.upstream);
                Outcome::respond(unavailable().because(why))
            }
            Err(error) => self.go_without(&error.to_string()),
        }
    }
}

impl ForwardAuth {
    fn passes(&self, answer: &http_client::Response) -> bool {
        match self.question.convention {
            Convention::Forwarded => answer.is_success(),
            Convention::Original => answer.status() == 200,
        }
    }

    fn pass(&self, request: &mut Request, answer: &http_client::Response) -> Outcome {
        for field in answer.headers() {
            let is_named = |names: &[HeaderName]| {
                names.iter().any(|name| field.name.eq_ignore_ascii_case(name.as_str()))
            };
            if is_named(&self.upstream_headers) {
                request.add_header(&*field.name, &*field.value);
            }
            if is_named(&self.client_headers) {
                request.add_response_header(&*field.name, &*field.value);
            }
        }
        for (attribute, field) in &self.attributes {
            let Some(value) = answer.header(field.as_str()).filter(|value| !value.is_empty())
            else {
                continue;
            };
            if let Err(error) = request.set_attribute(attribute, value) {
                log::warn!("the attribute {attribute} cannot be set: {error}");
                let why = format!("the attribute {attribute} cannot be set: {error}");
                return Outcome::respond(unavailable().because(why));
            }
        }
        Outcome::Next
    }

    fn go_without(&self, why: &str) -> Outcome {
        let upstream = &self.question.upstream;
        // The gateway says once that it cannot be asked, and once that it can again.
        match self.on_unavailable {
            OnUnavailable::Open => {
                log::debug!("a request passes, since {upstream} cannot be asked: {why}");
                Outcome::Next
            }
            OnUnavailable::Closed => {
                log::debug!("a request is refused, since {upstream} cannot be asked: {why}");
                let why = format!("{upstream} cannot be asked: {why}");
                Outcome::respond(unavailable().because(why))
            }
        }
    }
}

fn is_not_passed_on(name: &HeaderName) -> bool {
    OF_THE_CONNECTION.contains(&name.as_str()) || name.as_str() == "host"
}

/// What the service answers the client.
fn refusal(answer: http_client::Response) -> Response {
    let fields = answer.headers().iter();
    let fields = fields.filter(|field| !OF_THE_CONNECTION.contains(&&*field.name));
    let refusal = fields.fold(Response::new(answer.status()), |refusal, field| {
        refusal.add_header(&*field.name, &*field.value)
    });
    refusal.body(answer.into_body())
}

fn unavailable() -> Response {
    Response::service_unavailable("Who may ask cannot be checked at the moment.")
}

/// Reads `5s`, `500ms` or `1m`.
fn seconds(text: &str) -> Result<Duration, String> {
    match duration::parse(text) {
        Err(why) => Err(format!("`{text}` is not a duration such as \"500ms\" or \"5s\": {why}")),
        Ok(time) if time.is_zero() || time > Duration::from_mins(1) => {
            Err("the service has from 1 ms to 60 s".to_owned())
        }
        Ok(time) => Ok(time),
    }
}

register_plugin!(ForwardAuth);
