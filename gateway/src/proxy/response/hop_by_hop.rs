//! The fields of a response as the client gets them.
//!
//! Owns what ends at this hop (RFC 9110 section 7.6.1), `Via`, and the request id.

use http::header::{HeaderMap, TRAILER, VIA};
use http::response::Parts;
use http::{Response, Version};
use hyper::ext::ReasonPhrase;

use crate::body::Body;
use crate::error::Failure;
use crate::exchange::Exchange;
use crate::heads::strip_hop_by_hop;
use crate::proxy::request::checks::has_outer_space;
use crate::proxy::request::id::X_REQUEST_ID;
use crate::trailers;

/// Nothing malformed is passed on (RFC 9113 section 8.1.1). The parser of HTTP/1.1 has left white
/// space out of values already.
pub(in crate::proxy) fn refuse_malformed(head: &Parts) -> Result<(), Failure> {
    if head.version == Version::HTTP_2 && head.headers.values().any(has_outer_space) {
        let cause = "a field value begins or ends with white space, which HTTP/2 forbids";
        return Err(Failure::UpstreamBroken(cause.into()));
    }
    Ok(())
}

/// Makes the upstream's fields the gateway's. `version` is the one that it answered in.
pub(in crate::proxy) fn prepare(exchange: &Exchange, headers: &mut HeaderMap, version: Version) {
    strip(exchange, headers);
    headers.append(VIA, exchange.snapshot.via(version).clone());
}

/// Takes away what ends at this hop.
pub(in crate::proxy) fn strip(exchange: &Exchange, headers: &mut HeaderMap) {
    if !strip_hop_by_hop(headers) {
        return;
    }
    // Trailers that end here are not announced.
    match exchange.passes_trailers() {
        true => trailers::filter_announced(headers),
        false => drop(headers.remove(TRAILER)),
    }
}

/// A status without a usual reason phrase is sent with an empty one, which HTTP/1.1 allows (RFC 9112
/// section 4), and not with one of hyper's.
pub(in crate::proxy) fn settle_reason(exchange: &Exchange, response: &mut Response<Body>) {
    if response.status().canonical_reason().is_none()
        && exchange.version < Version::HTTP_2
        && response.extensions().get::<ReasonPhrase>().is_none()
    {
        response.extensions_mut().insert(ReasonPhrase::from_static(b""));
    }
}

/// Every response has its request id.
pub(in crate::proxy) fn name(exchange: &Exchange, response: &mut Response<Body>) {
    response.headers_mut().insert(X_REQUEST_ID, exchange.id.clone());
}
