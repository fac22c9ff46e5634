//! The fields of a request as the upstream gets them.
//!
//! Owns what ends at this hop (RFC 9110 section 7.6.1), `Via`, and the joining of cookies. Edits
//! in place; a field that the checks did not see is not looked for.

use std::cell::Cell;

use bytes::Bytes;
use http::header::{
    COOKIE, EXPECT, FORWARDED, HeaderMap, HeaderName, SEC_WEBSOCKET_KEY, TE, TRANSFER_ENCODING,
    UPGRADE, VIA,
};
use http::request::Parts;
use http::{HeaderValue, Version};

use crate::config::AddedFields;
use crate::conn::forwarded::{
    X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO,
};
use crate::exchange::Exchange;
use crate::heads::strip_nominated;
use crate::proxy::action::Matched;
use crate::proxy::action::forwarded;
use crate::proxy::request::checks::Checked;
use crate::proxy::request::id::X_REQUEST_ID;
use crate::proxy::request::target::Target;
use crate::proxy::response::upgrade;
use crate::trailers;
use crate::upstream::{Added, write_line};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What of the fields that end at this hop starts again at the next one.
#[derive(Default, Clone)]
pub(in crate::proxy) struct Hop {
    /// The upgrade that the client asks for.
    pub(in crate::proxy) upgrade: Option<HeaderValue>,
    /// What the server is to answer a request for a WebSocket with is made of it.
    pub(in crate::proxy) websocket_key: Option<HeaderValue>,
    pub(in crate::proxy) takes_trailers: bool,
    /// The client waits for a word before it sends its body.
    pub(in crate::proxy) expects: bool,
    /// There is an `X-Request-Id`.
    pub(in crate::proxy) has_request_id: bool,
}

/// Takes away what ends at this hop, so that plugins see the rest alone.
pub(in crate::proxy) fn strip(
    exchange: &Exchange,
    head: &mut Parts,
    checked: &Checked,
    has_body: bool,
) -> Hop {
    let takes_trailers = checked.te && accepts_trailers(&head.headers);
    let upgrade = upgrade::asked(head, checked, has_body);
    let has_request_id = checked.request_id;
    let websocket_key = upgrade.as_ref().and_then(|_| head.headers.get(SEC_WEBSOCKET_KEY).cloned());
    let hop =
        Hop { upgrade, websocket_key, takes_trailers, expects: checked.expect, has_request_id };
    let headers = &mut head.headers;
    strip_hop_by_hop(headers, checked);
    if checked.forwarded || checked.x_forwarded {
        forwarded::withdraw(headers, exchange, checked);
    }
    // There is nothing to expect without a body, and HTTP/1.0 has no 100 (RFC 9110 section 10.1.1).
    if checked.expect && (!has_body || head.version < Version::HTTP_11) {
        headers.remove(EXPECT);
    }
    if checked.trailer {
        trailers::filter_announced(headers);
    }
    if checked.cookies > 1 {
        join_cookies(headers);
    }
    hop
}

/// Adds what the gateway says to the upstream: to the fields what is not in each request, and the rest
/// as what is returned, with which no other field has its name any more.
pub(in crate::proxy) fn announce<'a>(
    exchange: &'a Exchange,
    headers: &mut HeaderMap,
    matched: &Matched<'a>,
    hop: &Hop,
    fields: AddedFields,
) -> Announcement<'a> {
    if hop.takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = &hop.upgrade {
        upgrade::ask(headers, protocol);
        // Plugins saw it, and the client knows the answer to this one alone.
        if let Some(key) = &hop.websocket_key {
            headers.insert(SEC_WEBSOCKET_KEY, key.clone());
        }
    }
    if let Some(span) = &exchange.span {
        span.announce(headers);
    }
    let may_have_own = hop.has_request_id
        || exchange.forwarded_client().is_some()
        || !exchange.snapshot.chain(matched.found.index).is_empty();
    if may_have_own && headers.keys().any(is_own) {
        for name in OWN_NAMES {
            headers.remove(name);
        }
    }
    Announcement { exchange, target: matched.target, fields, is_in_map: Cell::new(false) }
}

/// The fields that the gateway adds to each request.
pub(in crate::proxy) struct Announcement<'a> {
    exchange: &'a Exchange,
    target: &'a Target,
    fields: AddedFields,
    is_in_map: Cell<bool>,
}

impl Added for Announcement<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        if self.is_in_map.get() {
            return;
        }
        forwarded::write(out, self.exchange, self.target, self.fields);
        if self.fields.via {
            write_line(out, &VIA, self.exchange.snapshot.via(self.exchange.version).as_bytes());
        }
        if self.fields.request_id {
            write_line(out, &X_REQUEST_ID, self.exchange.id.as_bytes());
        }
    }

    fn insert(&self, headers: &mut HeaderMap) {
        if self.is_in_map.replace(true) {
            return;
        }
        // Once, instead of growing in the middle of what follows.
        headers.reserve(OWN_NAMES.len() + 1);
        forwarded::insert(headers, self.exchange, self.target, self.fields);
        if self.fields.via {
            headers.append(VIA, self.exchange.snapshot.via(self.exchange.version).clone());
        }
        if self.fields.request_id {
            headers.insert(X_REQUEST_ID, self.exchange.id.clone());
        }
    }
}

/// What no other field of a request is called. `Via` is not one of them: it grows.
const OWN_NAMES: [HeaderName; 6] = [
    X_REQUEST_ID,
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    X_FORWARDED_HOST,
    X_FORWARDED_PORT,
];

fn is_own(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    matches!(name, b"forwarded" | b"x-request-id")
        || name
            .strip_prefix(b"x-forwarded-")
            .is_some_and(|last| matches!(last, b"for" | b"proto" | b"host" | b"port"))
}

fn strip_hop_by_hop(headers: &mut HeaderMap, checked: &Checked) {
    if checked.connection {
        strip_nominated(headers);
    }
    if checked.old_hop_by_hop {
        headers.remove(KEEP_ALIVE);
        headers.remove(PROXY_CONNECTION);
    }
    if checked.te {
        headers.remove(TE);
    }
    if checked.transfer_encoding {
        headers.remove(TRANSFER_ENCODING);
    }
    if checked.upgrade {
        headers.remove(UPGRADE);
    }
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    let members = headers.get_all(TE).iter().flat_map(|te| te.as_bytes().split(|b| *b == b','));
    members.map(<[u8]>::trim_ascii).any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// HTTP/2 may cut the cookie into several fields; elsewhere it is one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_maybe_shared(Bytes::from(crumbs.join(&b"; "[..]))) {
        headers.insert(COOKIE, joined);
    }
}

/// Whether the version has upgrades at all. Over HTTP/2 the fields are there only where its server has put
/// them, for an extended CONNECT; a client cannot send them (RFC 9113 section 8.2.2).
pub(in crate::proxy) fn has_upgrades(version: Version) -> bool {
    version >= Version::HTTP_11
}
