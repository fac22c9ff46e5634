//! Answers that the gateway makes itself.
//!
//! Owns RFC 9457 problem documents, as a [`Response`] and as the raw bytes of an HTTP/1.1
//! response, and the one place where a refusal, the gateway's or a plugin's, takes the form that
//! its client reads. Must not decide what an answer is; [`crate::error`] does.

mod caller;
mod finish;
mod grpc;
mod json_rpc;
mod provider;

use std::io::Write as _;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode, Version};
use serde::Serialize;

pub(crate) use self::caller::{Caller, id_of_call};
pub(crate) use self::finish::{Form, finish, is_refusal};
use crate::body::Body;
use crate::error::Failure;

/// The registry of problem types (RFC 9457 section 4.2).
const REGISTRY: &str = "https://iana.org/assignments/http-problem-types#";

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A problem document (RFC 9457 section 3).
#[derive(Debug, Serialize)]
pub struct Problem<'a> {
    /// A registered type, or `about:blank` where the status says it all.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: &'a str,
    /// The status code.
    pub status: u16,
    /// What happened here.
    pub detail: &'a str,
    /// The same once more: clients of AI APIs show this member alone.
    pub message: &'a str,
    /// The id of the request.
    pub instance: &'a str,
}

impl Problem<'_> {
    /// The JSON text.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).expect("strings and a number are valid JSON"))
    }
}

/// Marks a response as a refusal that was made here, by the gateway or by a plugin, and not by
/// what is behind it.
#[derive(Debug, Clone, Copy)]
struct Refusal;

/// Marks an answer as a refusal, if its status makes it one.
pub(crate) fn mark(response: &mut Response<Body>) {
    if response.status().as_u16() >= 400 {
        response.extensions_mut().insert(Refusal);
    }
}

/// The answer to a request that failed, before it is in its client's form.
#[must_use]
pub fn failure(failure: &Failure, version: Version, id: &str) -> Response<Body> {
    let mut response = problem(failure.status(), &failure.detail(), id);
    let headers = response.headers_mut();
    if let Failure::MethodNotAllowed { allow } = failure {
        let names: Vec<_> = allow.iter().map(Method::as_str).collect();
        if let Ok(value) = HeaderValue::try_from(names.join(", ")) {
            headers.insert(ALLOW, value);
        }
    }
    if failure.is_overload() {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if failure.closes() && version < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A problem document as a response.
fn problem(status: StatusCode, detail: &str, id: &str) -> Response<Body> {
    let json = document(status, detail, id).to_json();
    let length = HeaderValue::from(json.len());
    let mut response = Response::new(Body::full(json));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
    response.headers_mut().insert(CONTENT_LENGTH, length);
    mark(&mut response);
    response
}

/// The same as the bytes of a whole HTTP/1.1 response that ends its connection: for requests of
/// which there is not even a head.
#[must_use]
pub fn raw_problem(failure: &Failure, id: &str) -> Vec<u8> {
    let status = failure.status();
    let json = document(status, &failure.detail(), id).to_json();
    let mut raw = Vec::with_capacity(256 + json.len());
    write!(
        raw,
        "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         connection: close\r\nx-request-id: {id}\r\n\r\n",
        status.as_str(),
        title(status),
        json.len(),
    )
    .expect("a vector takes every byte");
    raw.extend_from_slice(&json);
    raw
}

fn document<'a>(status: StatusCode, detail: &'a str, id: &'a str) -> Problem<'a> {
    Problem {
        kind: kind(status),
        title: title(status),
        status: status.as_u16(),
        detail,
        message: detail,
        instance: id,
    }
}

fn kind(status: StatusCode) -> String {
    match status {
        StatusCode::TOO_MANY_REQUESTS => format!("{REGISTRY}quota-exceeded"),
        StatusCode::SERVICE_UNAVAILABLE => format!("{REGISTRY}temporary-reduced-capacity"),
        _ => "about:blank".to_owned(),
    }
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "Content Too Large",
        status => status.canonical_reason().unwrap_or("Error"),
    }
}
