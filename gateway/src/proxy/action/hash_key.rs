//! What a request is hashed by, where the upstream chooses its target so.
//!
//! Owns where that text is in a request. What becomes of its hash is the upstream's affair.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::COOKIE;

use crate::access_log::Attributes as _;
use crate::config::HashBy;
use crate::exchange::Exchange;
use crate::upstream::{self, Upstream};

/// The key of a request; `None` if the upstream needs none, or the request has no value there.
pub(super) fn of(exchange: &Exchange, upstream: &Upstream, headers: &HeaderMap) -> Option<u64> {
    match upstream.hash_by()? {
        HashBy::ClientAddress => Some(match exchange.client() {
            IpAddr::V4(address) => upstream::key(&address.octets()),
            IpAddr::V6(address) => upstream::key(&address.octets()),
        }),
        HashBy::Header(name) => headers.get(name).map(|value| upstream::key(value.as_bytes())),
        HashBy::Cookie(name) => cookie(headers, name).map(upstream::key),
        HashBy::Attribute(name) => {
            let mut key = None;
            exchange.run()?.look(name, &mut |value| key = Some(upstream::key(value.as_bytes())));
            key
        }
    }
}

/// The first cookie of a name (RFC 6265 section 4.2), over all lines (RFC 9113 section 8.2.3).
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let lines = headers.get_all(COOKIE).into_iter();
    let mut cookies = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    cookies.find_map(|cookie| {
        let at = cookie.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (cookie[..at].trim_ascii(), cookie[at + 1..].trim_ascii());
        (key == name.as_bytes() && !value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn finds_the_first_cookie_of_a_name() {
        let mut headers = HeaderMap::new();
        for line in ["a=1; sid=", "x; sid = s=1 ;sid=2", "sid=3"] {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        assert_eq!(cookie(&headers, "sid"), Some(&b"s=1"[..]));
        assert_eq!(cookie(&headers, "a"), Some(&b"1"[..]));
        assert_eq!(cookie(&headers, "SID"), None);
    }
}
