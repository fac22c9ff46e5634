//! HTTP/2 as both of the gateway's sides speak it, on the framing of the `h2` crate (RFC 9113).
//!
//! Owns how a body comes off a stream and how one goes onto it, and a stream that is a tunnel. Knows of neither clients nor
//! upstreams: whose streams they are is the business of [`crate::server`] and [`crate::upstream`].

mod duplex;
mod pipe;
mod received;

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};

pub(crate) use self::duplex::Duplex;
pub(crate) use self::pipe::{Cut, Pipe};
pub(crate) use self::received::Received;

/// The length that a head states. Where it states two, `h2` has refused it.
pub(crate) fn stated_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// States the length of a body that is known, where the head does not.
pub(crate) fn state_length(headers: &mut HeaderMap, length: u64) {
    if !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}
