//! Refusals in the form of the API that the client speaks, which is what its official client shows to people.
//!
//! Owns status, class and words of each. Must not decide whether to refuse.

use std::time::Duration;

use gateway_model_protocols::Protocol;
use gateway_model_protocols::error::{self, Class, Failure, Refusal};
use gateway_plugin_sdk::attributes;
use gateway_plugin_sdk::prelude::Response;

use crate::catalog::MOST_NAME;

/// A refusal of the plugin's own.
pub(crate) struct Refused<'a> {
    pub(crate) status: u16,
    pub(crate) class: Class,
    /// A word for programs; empty for the usual one of the class.
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    pub(crate) param: Option<&'a str>,
}

impl Refused<'_> {
    /// As a response of this API.
    pub(crate) fn response(&self, protocol: Protocol) -> Response {
        let id = attributes::value("request.id");
        let refusal = Refusal {
            status: self.status,
            class: self.class,
            code: self.code,
            message: self.message,
            param: self.param,
            request_id: id.as_deref(),
        };
        let response = Response::new(self.status).header("content-type", "application/json");
        let response = response.because(self.message);
        typed(response, protocol, self.class).body(error::body(protocol, &refusal))
    }
}

/// 400: the request is wrong.
pub(crate) fn invalid(protocol: Protocol, message: &str, param: Option<&str>) -> Response {
    Refused { status: 400, class: Class::Invalid, code: "", message, param }.response(protocol)
}

/// 502: the gateway has no credentials for the provider.
pub(crate) fn no_token(protocol: Protocol) -> Response {
    provider_failed(protocol, "The provider did not give the gateway access.")
}

/// 404: there is no such model.
pub(crate) fn no_model(protocol: Protocol, name: &str, nearest: Option<&str>) -> Response {
    let hint = nearest.map(|it| format!(" Did you mean `{it}`?")).unwrap_or_default();
    let message = match name.len() <= MOST_NAME {
        true => format!("There is no model `{name}` here.{hint}"),
        false => "There is no model with such a long name here.".to_owned(),
    };
    let (class, message) = (Class::NotFound, message.as_str());
    Refused { status: 404, class, code: "", message, param: Some("model") }.response(protocol)
}

/// 404: there is no such endpoint.
pub(crate) fn no_endpoint(method: &str, path: &str) -> Response {
    let message = format!("There is no endpoint {method} {path} here.");
    let (class, message) = (Class::NotFound, message.as_str());
    let refused = Refused { status: 404, class, code: "unknown_url", message, param: None };
    refused.response(Protocol::OpenAiOther)
}

/// 400: the input is longer than the model may be given.
pub(crate) fn too_long(protocol: Protocol, input: u64, most: u64) -> Response {
    let message =
        format!("The input has about {input} tokens, and at most {most} are allowed here.");
    let (class, message) = (Class::ContextTooLong, message.as_str());
    Refused { status: 400, class, code: "", message, param: None }.response(protocol)
}

/// 403: it may not be served where the model is.
pub(crate) fn elsewhere(protocol: Protocol, model: &str) -> Response {
    let message = format!("The model `{model}` is not served in the regions that you may use.");
    let (class, message) = (Class::Auth, message.as_str());
    Refused { status: 403, class, code: "region_not_allowed", message, param: None }
        .response(protocol)
}

/// 429: the limits of all deployments are used up.
pub(crate) fn limited(protocol: Protocol, model: &str, wait: Option<Duration>) -> Response {
    let message = format!("The model `{model}` has no room within its limits at the moment.");
    let (class, message) = (Class::RateLimited, message.as_str());
    let response =
        Refused { status: 429, class, code: "", message, param: None }.response(protocol);
    // Nobody knows when a limit of 0 has room.
    if wait.is_some() { after(response, wait) } else { response }
}

/// When to ask again: after a second, where nobody knows it. Where it is long the gateway adds that clients had better not.
fn after(response: Response, wait: Option<Duration>) -> Response {
    let seconds = wait.map_or(1, |wait| wait.as_millis().div_ceil(1000).max(1));
    response.header("retry-after", seconds.to_string())
}

/// 503: as many requests as may be are under way, and wait. A place is expected after this time.
pub(crate) fn busy(protocol: Protocol, model: &str, wait: Option<Duration>) -> Response {
    let message = format!("All places for requests to the model `{model}` are taken.");
    let (class, message) = (Class::Overloaded, message.as_str());
    let response =
        Refused { status: 503, class, code: "", message, param: None }.response(protocol);
    after(response, wait)
}

/// 502: what came of the provider is the gateway's affair, not the client's.
pub(crate) fn provider_failed(protocol: Protocol, message: &str) -> Response {
    Refused { status: 502, class: Class::Server, code: "", message, param: None }.response(protocol)
}

/// An error of a provider's that came without a status.
pub(crate) fn of_failure(
    protocol: Protocol,
    failure: &Failure,
    wait: Option<Duration>,
) -> Response {
    let response = Response::new(status(protocol, failure));
    let response = response.because(failure.message.as_str());
    let mut response = response.header("content-type", "application/json");
    if let Some(wait) = wait {
        response = response.header("retry-after", wait.as_millis().div_ceil(1000).to_string());
        if is_no_use(protocol, wait) {
            response = response.header("x-should-retry", "false");
        }
    }
    typed(response, protocol, failure.class).body(body(protocol, failure))
}

/// Whether a client had better not ask again by itself: some wait as long as they are told.
pub(crate) fn is_no_use(protocol: Protocol, wait: Duration) -> bool {
    let obeys = protocol.is_openai() || protocol == Protocol::Anthropic;
    obeys && wait > Duration::from_secs(60)
}

/// The status of a provider's error for a client of this API: 529 is Anthropic's alone, and 498 Cohere's.
pub(crate) fn status(protocol: Protocol, failure: &Failure) -> u16 {
    match failure.status {
        529 if protocol != Protocol::Anthropic => 503,
        498 if protocol != Protocol::Cohere => 400,
        status => status,
    }
}

/// Bedrock's clients tell errors apart by a field.
fn typed(response: Response, protocol: Protocol, class: Class) -> Response {
    match protocol {
        Protocol::BedrockConverse => response.header("x-amzn-errortype", error::aws_type(class)),
        _ => response,
    }
}

/// The body of an error of the gateway's or a provider's, in the client's form.
pub(crate) fn body(protocol: Protocol, failure: &Failure) -> String {
    error::body(protocol, &Refusal::of(failure))
}
