//! Answers that the gateway makes itself.
//!
//! Owns RFC 9457 problem documents, as a [`Response`] and as the raw bytes of an HTTP/1.1
//! response. Must not decide what an answer is; [`crate::error`] does.

use std::io::Write as _;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode, Version};
use serde::Serialize;

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

/// The answer to a request that failed.
#[must_use]
pub fn failure(failure: &Failure, method: &Method, version: Version, id: &str) -> Response<Body> {
    let mut response = problem(failure.status(), &failure.detail(), method, id);
    let headers = response.headers_mut();
    if let Failure::MethodNotAllowed { allow } = failure {
        let names: Vec<_> = allow.iter().map(Method::as_str).collect();
        if let Ok(value) = HeaderValue::try_from(names.join(", ")) {
            headers.insert(ALLOW, value);
        }
    }
    if failure.closes() && version < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A problem document as a response. `HEAD` gets its head alone (RFC 9110 section 9.3.2).
#[must_use]
pub fn problem(status: StatusCode, detail: &str, method: &Method, id: &str) -> Response<Body> {
    let json = document(status, detail, id).to_json();
    let length = HeaderValue::from(json.len());
    let body = if *method == Method::HEAD { Body::empty() } else { Body::full(json) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
    response.headers_mut().insert(CONTENT_LENGTH, length);
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
