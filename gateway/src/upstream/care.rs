//! What a request needs of the connection that it is sent over.
//!
//! Owns what of a request decides that. Knows no connections.

use http::{Request, header};
use http_body::Body;

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wants {
    /// Only one that speaks HTTP/1.1 will do.
    pub(super) http1: bool,
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
            care: once || !request.body().is_end_stream(),
            once,
        }
    }
}
