//! The fields of a response as the client gets them.
//!
//! Owns what ends at this hop (RFC 9110 section 7.6.1), `Via`, and the request id.

use http::header::{CONNECTION, HeaderMap, HeaderName, TE, TRANSFER_ENCODING, UPGRADE, VIA};
use http::{Response, Version};

use super::request_headers::strip_nominated;
use super::request_id::X_REQUEST_ID;
use crate::body::Body;
use crate::exchange::Exchange;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Makes the upstream's fields the gateway's. `version` is the one that it answered in.
pub(super) fn prepare(exchange: &Exchange, headers: &mut HeaderMap, version: Version) {
    strip_hop_by_hop(headers);
    headers.append(VIA, exchange.snapshot.via(version).clone());
}

/// One look over the fields, since most responses have none of them but `Connection`.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let mut nominates = false;
    let mut others = false;
    for name in headers.keys() {
        match *name {
            CONNECTION => nominates = true,
            TRANSFER_ENCODING | UPGRADE | TE => others = true,
            ref name => {
                others |= matches!(name.as_str(), "keep-alive" | "proxy-connection");
            }
        }
    }
    if nominates {
        strip_nominated(headers);
    }
    if others {
        for name in [TRANSFER_ENCODING, UPGRADE, TE, KEEP_ALIVE, PROXY_CONNECTION] {
            headers.remove(name);
        }
    }
}

/// Every response tells its request id.
pub(super) fn name(exchange: &Exchange, response: &mut Response<Body>) {
    response.headers_mut().insert(X_REQUEST_ID, exchange.id.clone());
}
