//! Changes JSON bodies of requests and responses by an expression in the jq language.
//!
//! This file is the glue between the gateway's hooks and the expressions. `config` is what is in the
//! file, `expression` compiles and runs one, `rules` says which bodies it is for. What bodies have in
//! common with `transform` is shared with it as source: a plugin of its own keeps the interpreter, which
//! is larger than all of `transform`, away from those who do not use it.

#[path = "../../transform/src/coding.rs"]
#[allow(dead_code, reason = "`transform` also asks upstreams for codings")]
mod coding;
mod config;
mod encode;
mod expression;
#[path = "../../transform/src/media_type.rs"]
mod media_type;
#[path = "../../transform/src/memory.rs"]
#[allow(dead_code, reason = "`transform` also counts parts of bodies")]
mod memory;
mod rules;
#[path = "../../transform/src/size.rs"]
mod size;

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

use crate::coding::{Coding, DecodeError};
pub use crate::config::Config;
use crate::expression::Variables;
use crate::rules::{Refusal, Rules, Start};

/// The plugin, configured.
#[derive(Debug)]
pub struct JsonExpression {
    request: Option<Rules>,
    response: Option<Rules>,
}

/// What the hooks of one exchange pass to one another: the codings that bodies come with.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Context {
    request: Vec<Coding>,
    response: Vec<Coding>,
}

impl Plugin for JsonExpression {
    type Config = Config;
    type Context = Context;

    fn configure(config: Config) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut check = |at, spec: &Option<config::SideSpec>| {
            spec.as_ref().and_then(|spec| Rules::check(at, spec, &mut problems))
        };
        let request = check("/request", &config.request);
        let response = check("/response", &config.response);
        if config.request.is_none() && config.response.is_none() {
            problems.push(ConfigError::new("there is no expression: set `request` or `response`"));
        }
        ConfigError::collect(problems)?;
        Ok(Self { request, response })
    }

    fn interest(&self) -> Interest {
        let mut interest = Interest::new();
        if let Some(rules) = &self.request {
            interest = interest.and_on_request().header("content-type").header("content-encoding");
            interest = interest.request_body(BodyMode::Buffered(rules.limit));
        }
        if let Some(rules) = &self.response {
            interest = interest
                // A part of a body cannot be changed, and one with a coding only at a price.
                .always_set_header("accept-encoding", "identity")
                .always_remove_header("range")
                .always_remove_header("if-range")
                .and_on_response()
                .response_header("content-type")
                .response_header("content-encoding")
                .response_body(BodyMode::Buffered(rules.limit));
        }
        interest
    }

    fn on_request(&self, request: &mut Request, context: &mut Context) -> Outcome {
        let Some(rules) = &self.request else {
            return Outcome::Next;
        };
        match rules.start(request.header("content-type"), request.header("content-encoding")) {
            Start::Pass => request.want_request_body(BodyMode::None),
            Start::Refuse(accepted) => {
                return Outcome::respond(
                    Response::problem(
                        415,
                        "Unsupported Media Type",
                        "a body with this content-encoding is not taken here",
                    )
                    .header("accept-encoding", accepted),
                );
            }
            Start::Read(codings) => {
                if rules.loses(&codings) {
                    request.remove_header("content-encoding");
                }
                context.request = codings;
            }
        }
        Outcome::Next
    }

    fn on_request_body(
        &self,
        request: &mut Request,
        body: &mut Body,
        context: &mut Context,
    ) -> Outcome {
        let Some(rules) = &self.request else {
            return Outcome::Next;
        };
        let head = Variables {
            method: &|| Some(request.method().to_owned()),
            path: &|| Some(request.path().to_owned()),
            query: &|| request.query().map(str::to_owned),
            status: None,
            header: &|name| request.header(name).map(str::to_owned),
            attribute: &|name| request.attribute(name).map(str::to_owned),
        };
        match rules.change(&context.request, body, &head) {
            Ok(()) => Outcome::Next,
            Err(refusal) => Outcome::respond(match refusal {
                Refusal::InvalidJson(reason) => {
                    Response::bad_request(format!("the body is not JSON: {reason}"))
                }
                Refusal::Expression(reason) => {
                    log::info!(
                        "a request is refused, its body does not fit the expression: {reason}"
                    );
                    Response::bad_request("the body does not have the form that is needed here")
                        .because(reason)
                }
                Refusal::Encoded(DecodeError::Broken(reason)) => Response::bad_request(format!(
                    "the body is not what its content-encoding says: {reason}"
                )),
                Refusal::Encoded(DecodeError::TooLarge(limit)) => Response::problem(
                    413,
                    "Content Too Large",
                    format!("the decoded body is larger than {limit} bytes"),
                ),
                Refusal::Encoded(DecodeError::NoRoom(window)) => {
                    log::warn!("a request is refused: {}", coding::no_room(window));
                    let detail =
                        "the content-encoding takes more memory than there is to decode it";
                    Response::problem(413, "Content Too Large", detail)
                }
            }),
        }
    }

    fn on_response(&self, response: &mut ResponseHead, context: &mut Context) -> Outcome {
        let Some(rules) = &self.response else {
            return Outcome::Next;
        };
        if matches!(response.status(), 204 | 304) {
            return Outcome::Next;
        }
        let (kind, coding) = (response.header("content-type"), response.header("content-encoding"));
        match rules.start(kind, coding) {
            Start::Pass => response.want_body(BodyMode::None),
            Start::Refuse(_) => {
                return Outcome::respond(bad_gateway(
                    "the upstream's answer has a content-encoding",
                ));
            }
            Start::Read(codings) => {
                if rules.loses(&codings) {
                    response.remove_header("content-encoding");
                }
                context.response = codings;
            }
        }
        Outcome::Next
    }

    fn on_response_body(
        &self,
        response: &mut ResponseHead,
        body: &mut Body,
        context: &mut Context,
    ) -> Outcome {
        let Some(rules) = &self.response else {
            return Outcome::Next;
        };
        let head = Variables {
            method: &|| Some(response.request().method()),
            path: &|| Some(response.request().path()),
            query: &|| response.request().query(),
            status: Some(response.status()),
            header: &|name| response.header(name).map(str::to_owned),
            attribute: &|name| response.attribute(name).map(str::to_owned),
        };
        match rules.change(&context.response, body, &head) {
            Ok(()) => Outcome::Next,
            Err(refusal) => {
                let (detail, reason) = match refusal {
                    Refusal::InvalidJson(reason) => ("is not JSON", reason),
                    Refusal::Expression(reason) => {
                        ("does not have the form that is needed", reason)
                    }
                    Refusal::Encoded(DecodeError::Broken(reason)) => {
                        ("is not what its content-encoding says", reason)
                    }
                    Refusal::Encoded(DecodeError::TooLarge(limit)) => {
                        ("is too large", format!("decoded, it is larger than {limit} bytes"))
                    }
                    Refusal::Encoded(DecodeError::NoRoom(window)) => {
                        ("takes more memory than there is to decode it", coding::no_room(window))
                    }
                };
                log::warn!("the upstream's answer {detail}: {reason}");
                let why = format!("the upstream's answer {detail}: {reason}");
                let answer = bad_gateway(&format!("the upstream's answer {detail}"));
                Outcome::respond(answer.because(why))
            }
        }
    }
}

fn bad_gateway(detail: &str) -> Response {
    Response::problem(502, "Bad Gateway", detail)
}

register_plugin!(JsonExpression);
