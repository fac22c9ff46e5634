//! The question that a browser asks before it sends a request of another origin.
//!
//! Owns what is one (Fetch, "CORS-preflight request"), and the answer. A method or a field that is not allowed is
//! left out of the answer and the browser refuses it: its message names what is missing.

use gateway_plugin_sdk::HeaderName;
use gateway_plugin_sdk::prelude::*;

use crate::names::Names;

pub(crate) const ALLOW_METHODS: &str = "access-control-allow-methods";
pub(crate) const ALLOW_HEADERS: &str = "access-control-allow-headers";
pub(crate) const MAX_AGE: &str = "access-control-max-age";

/// The fields of a preflight.
pub(crate) const REQUESTED: [&str; 2] =
    ["access-control-request-method", "access-control-request-headers"];

/// What a browser wants to send.
#[derive(Debug)]
pub(crate) struct Question {
    method: String,
    headers: Option<String>,
}

/// What it may.
#[derive(Debug)]
pub(crate) struct Preflight {
    pub(crate) methods: Names,
    pub(crate) headers: Names,
    pub(crate) max_age: u32,
}

impl Question {
    /// Of a request that has an `Origin`, if it is a preflight.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        if request.method() != "OPTIONS" {
            return None;
        }
        let [method, headers] = REQUESTED;
        let method = request.header(method)?.to_owned();
        Some(Self { method, headers: request.header(headers).map(str::to_owned) })
    }
}

impl Preflight {
    /// The answer to an origin that is allowed. What every answer has, the caller adds.
    pub(crate) fn answer(&self, question: &Question, credentials: bool) -> Response {
        let mut answer = Response::new(204).header("vary", vary());
        let methods = match &self.methods {
            // With credentials browsers take `*` for a name.
            Names::All if credentials => is_list(&question.method).then(|| question.method.clone()),
            methods => methods.text(),
        };
        if let Some(methods) = methods {
            answer = answer.header(ALLOW_METHODS, methods);
        }
        let headers = match &self.headers {
            // `*` never stands for `Authorization`.
            Names::All => question.headers.clone().filter(|names| is_list(names)),
            Names::These(_) => self.headers.text(),
        };
        if let Some(headers) = headers {
            answer = answer.header(ALLOW_HEADERS, headers);
        }
        answer.header(MAX_AGE, self.max_age.to_string())
    }
}

fn vary() -> String {
    format!("origin, {}", REQUESTED.join(", "))
}

/// Whether it is a list of tokens, and short enough to be sent back.
fn is_list(names: &str) -> bool {
    names.len() <= 4096 && names.split(',').all(|name| HeaderName::parse(name.trim()).is_ok())
}
