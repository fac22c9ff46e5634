//! What a request needs of the connection that it is sent over.
//!
//! Owns what of a request decides that. Knows no connections.

use http::{Method, Request, header};
use http_body::Body;

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wants {
    /// Only one that speaks HTTP/1.1 will do.
    pub(super) http1: bool,
    /// Or one over HTTP/2 whose target takes extended CONNECT (RFC 8441).
    pub(super) tunnel: bool,
    /// It cannot be sent again once a byte of it has arrived: it wants a connection that is not about to close.
    pub(super) care: bool,
    /// Its method forbids that: it wants a target that shows signs of life.
    pub(super) once: bool,
}

impl Wants {
    pub(super) fn of<B: Body>(request: &Request<B>) -> Self {
        let once = !request.method().is_idempotent();
        Self {
            http1: request.headers().contains_key(header::UPGRADE),
            tunnel: is_for_websocket(request),
            care: once || !request.body().is_end_stream(),
            once,
        }
    }
}

/// Whether it asks for a WebSocket as RFC 6455 section 4.1 says.
fn is_for_websocket<B>(request: &Request<B>) -> bool {
    let Some(protocol) = request.headers().get(header::UPGRADE) else { return false };
    protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
        && *request.method() == Method::GET
        && request.headers().contains_key(header::SEC_WEBSOCKET_KEY)
}
