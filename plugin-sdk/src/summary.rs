//! A finished exchange.

use std::time::Duration;

use crate::response_head::RequestView;

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The last byte of the answer was sent.
    Complete,
    /// The client left before that.
    ClientLeft,
    /// The upstream failed after the head of its answer.
    UpstreamFailed,
    /// A plugin failed or cut the body off.
    PluginFailed,
    /// The gateway gave up: a timeout or a limit.
    GatewayFailed,
}

/// A finished exchange, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How it ended.
    pub ending: Ending,
    /// The status code that the client was sent; 0 if it left before it was sent one.
    pub status: u16,
    /// The upstream that answered, if one did.
    pub upstream: Option<String>,
    /// From the request's head to the end.
    pub duration: Duration,
    /// From the request's head to the response's head.
    pub time_to_head: Duration,
    /// Bytes of request body that the client sent.
    pub request_bytes: u64,
    /// Bytes of response body that the client was sent.
    pub response_bytes: u64,
}

impl Summary {
    /// The request of the exchange, read-only.
    pub fn request(&self) -> RequestView {
        RequestView(())
    }

    /// The value of an attribute of the exchange.
    pub fn attribute(&self, name: impl AsRef<str>) -> Option<String> {
        crate::attributes::value(name.as_ref())
    }

    /// The value of a field of the response, if it is there and UTF-8; several lines are joined
    /// by `, `.
    pub fn response_header(&self, name: impl AsRef<str>) -> Option<String> {
        crate::exchange::response_header(name)
    }
}
