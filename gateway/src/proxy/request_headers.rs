//! The fields of a request as the upstream gets them.
//!
//! Owns what ends at this hop (RFC 9110 section 7.6.1), `Via`, and the joining of cookies. Edits
//! in place; a field that the survey did not see is not looked for.

use bytes::Bytes;
use http::header::{
    CONNECTION, COOKIE, EXPECT, HeaderMap, HeaderName, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::request::Parts;
use http::{HeaderValue, Version};

use super::request_id::X_REQUEST_ID;
use super::survey::Survey;
use super::target::Target;
use super::{forwarded, upgrade};
use crate::exchange::Exchange;

/// Fields that the gateway adds to most requests.
const OWN_FIELDS: usize = 8;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What of the fields that end at this hop begins anew at the next one.
pub(super) struct Hop {
    /// The upgrade that the client asks for.
    pub(super) upgrade: Option<HeaderValue>,
    takes_trailers: bool,
}

/// Takes away what ends at this hop, so that plugins see the rest alone.
pub(super) fn strip(head: &mut Parts, survey: &Survey, has_body: bool) -> Hop {
    let takes_trailers = survey.te && accepts_trailers(&head.headers);
    let hop = Hop { upgrade: upgrade::asked(head, survey, has_body), takes_trailers };
    let headers = &mut head.headers;
    strip_hop_by_hop(headers, survey);
    if survey.expect {
        // hyper answers 100 itself when the upstream begins to take the body.
        headers.remove(EXPECT);
    }
    if survey.cookies > 1 {
        join_cookies(headers);
    }
    hop
}

/// Adds what the gateway says to the upstream.
pub(super) fn announce(
    exchange: &Exchange,
    headers: &mut HeaderMap,
    survey: &Survey,
    target: &Target,
    hop: &Hop,
) {
    // Once, instead of growing in the middle of what follows.
    headers.reserve(OWN_FIELDS);
    if hop.takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = &hop.upgrade {
        upgrade::ask(headers, protocol);
    }
    forwarded::apply(headers, &exchange.connection, survey, target);
    headers.append(VIA, exchange.snapshot.via(exchange.version).clone());
    headers.insert(X_REQUEST_ID, exchange.id.clone());
}

fn strip_hop_by_hop(headers: &mut HeaderMap, survey: &Survey) {
    if survey.connection {
        strip_nominated(headers);
    }
    if survey.old_hop_by_hop {
        headers.remove(KEEP_ALIVE);
        headers.remove(PROXY_CONNECTION);
    }
    if survey.te {
        headers.remove(TE);
    }
    if survey.transfer_encoding {
        headers.remove(TRANSFER_ENCODING);
    }
    if survey.upgrade {
        headers.remove(UPGRADE);
    }
}

/// Removes `Connection` and each field that it names.
pub(super) fn strip_nominated(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    headers.remove(CONNECTION);
    for name in nominated.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        let name = name.trim_ascii();
        // The everyday ones are no fields that a message has.
        if name.eq_ignore_ascii_case(b"keep-alive") || name.eq_ignore_ascii_case(b"close") {
            continue;
        }
        // Without these a message means something else; naming them is an attack.
        if let Ok(name) = HeaderName::from_bytes(name)
            && name != http::header::HOST
            && name != http::header::CONTENT_LENGTH
        {
            headers.remove(name);
        }
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

/// Whether the version has upgrades at all.
pub(super) fn has_upgrades(version: Version) -> bool {
    version == Version::HTTP_11
}
