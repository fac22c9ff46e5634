//! Which fields may be behind a body.
//!
//! Owns the one filter for trailers, of requests and responses and over both protocols. A trailer
//! comes after everything was decided by the head, plugins included: it must not bring what they
//! would have looked at, or what they write. Must not read bodies.

use http::{HeaderMap, HeaderName};

/// Fields that frame or route a message, belong to one connection, authenticate, ask for or control a
/// response, say where a request comes from, or describe the body (RFC 9110 section 6.5.1).
const NEVER: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "alt-svc",
    "authorization",
    "cache-control",
    "clear-site-data",
    "connection",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "from",
    "host",
    "keep-alive",
    "last-modified",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "priority",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-real-ip",
    "x-request-id",
];

/// Families of such fields.
const NEVER_BEGINS: &[&str] = &[
    "access-control-",
    "cdn-",
    "content-",
    "cross-origin-",
    "if-",
    "proxy-",
    "sec-",
    "x-forwarded-",
    "x-original-",
];

/// Whether a field of this name may be behind a body. gRPC's status, digests of what was sent
/// (RFC 9530) and timings may.
pub(crate) fn may_trail(name: &HeaderName) -> bool {
    let name = name.as_str();
    if name == "content-digest" {
        return true;
    }
    // Underscores are refused in heads, since some servers take them for hyphens.
    !name.contains('_')
        && NEVER.binary_search(&name).is_err()
        && !NEVER_BEGINS.iter().any(|family| name.starts_with(family))
}

/// Takes away what must not be behind a body: what no trailer may be, and what is `written` by
/// plugins into the head.
pub(crate) fn filter(trailers: &mut HeaderMap, written: &[HeaderName]) {
    let refused = |name: &&HeaderName| !may_trail(name) || written.contains(name);
    let refused: Vec<HeaderName> = trailers.keys().filter(refused).cloned().collect();
    for name in refused {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(NEVER.is_sorted());
    }

    #[test]
    fn what_a_head_decides_does_not_come_behind_the_body() {
        for name in [
            "content-length",
            "transfer-encoding",
            "host",
            "authorization",
            "cookie",
            "set-cookie",
            "connection",
            "te",
            "trailer",
            "upgrade",
            "x-forwarded-for",
            "forwarded",
            "via",
            "range",
            "content-type",
            "content-encoding",
            "proxy-authorization",
            "if-match",
            "x-request-id",
            "sec-fetch-site",
            "x_consumer",
        ] {
            assert!(!may_trail(&HeaderName::from_static(name)), "{name}");
        }
        for name in [
            "grpc-status",
            "grpc-message",
            "grpc-status-details-bin",
            "server-timing",
            "content-digest",
            "repr-digest",
            "etag",
            "x-checksum",
            "authentication-info",
        ] {
            assert!(may_trail(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn what_plugins_write_does_not_come_behind_the_body() {
        let mut trailers = HeaderMap::new();
        for name in ["x-consumer", "x-sum", "cookie"] {
            trailers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
            trailers.append(HeaderName::from_static(name), HeaderValue::from_static("2"));
        }
        filter(&mut trailers, &[HeaderName::from_static("x-consumer")]);
        assert_eq!(trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
        assert_eq!(trailers.len(), 2);
    }
}
