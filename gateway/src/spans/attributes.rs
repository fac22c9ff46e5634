//! The attributes of spans, and what their values are.
//!
//! Owns the words of the conventions for methods, versions and addresses. Must not know an exchange.

use std::time::{Duration, SystemTime};

use http::uri::Authority;
use http::{Method, StatusCode, Version};
use opentelemetry::{KeyValue, Value};

/// The methods that the conventions know; any other is `_OTHER`.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// The attributes of a span. What is not known is left out.
#[derive(Default)]
pub(super) struct Attributes(pub(super) Vec<KeyValue>);

impl Attributes {
    pub(super) fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push(KeyValue::new(name, value));
    }

    pub(super) fn maybe(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// `server.address` and `server.port`.
    pub(super) fn authority(&mut self, authority: Option<&str>) {
        let Some(authority) = authority.and_then(|it| it.parse::<Authority>().ok()) else { return };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        self.add("server.address", host.to_owned());
        self.maybe("server.port", authority.port_u16().map(i64::from));
    }
}

/// As the conventions have it: the method, and what it was if they do not know it.
pub(super) fn method(method: &Method) -> (&'static str, Option<String>) {
    match METHODS.iter().find(|known| **known == method.as_str()) {
        Some(known) => (known, None),
        None => ("_OTHER", Some(method.as_str().to_owned())),
    }
}

/// The name of a span of this method.
pub(super) fn shown(method: &'static str) -> &'static str {
    if method == "_OTHER" { "HTTP" } else { method }
}

pub(super) fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_11 => "1.1",
        _ => "1.0",
    }
}

pub(super) fn number(status: StatusCode) -> i64 {
    i64::from(status.as_u16())
}

pub(super) fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn before(end: SystemTime, duration: Duration) -> SystemTime {
    end.checked_sub(duration).unwrap_or(end)
}
