//! Which fields may be behind a body.
//!
//! Owns the one filter for trailers, of requests and responses and over both protocols. A trailer
//! comes after everything was decided by the head, plugins included: it must not bring what they
//! would have looked at, or what they write. Must not read bodies.

use http::header::TRAILER;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Fields that frame or route a message, belong to one connection, authenticate, ask for or control a
/// response, say where a request comes from or to which trace it belongs, or describe the body (RFC 9110
/// section 6.5.1). Also those that no standard has, but many services go by.
const NEVER: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "alt-svc",
    "api-key",
    "apikey",
    "authorization",
    "b3",
    "baggage",
    "cache-control",
    "cf-connecting-ip",
    "clear-site-data",
    "connection",
    "cookie",
    "date",
    "dpop",
    "expect",
    "expires",
    "fastly-client-ip",
    "forwarded",
    "from",
    "gateway-debug",
    "grpc-timeout",
    "host",
    "idempotency-key",
    "keep-alive",
    "last-modified",
    "location",
    "max-forwards",
    "ocp-apim-subscription-key",
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
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-access-token",
    "x-amz-security-token",
    "x-amzn-trace-id",
    "x-api-key",
    "x-client-ip",
    "x-cloud-trace-context",
    "x-cluster-client-ip",
    "x-correlation-id",
    "x-csrf-token",
    "x-goog-api-key",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
    "x-xsrf-token",
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
    "x-accel-",
    "x-auth-",
    "x-b3-",
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

/// Takes out of `Trailer` the names of what never comes behind a body, so that nobody waits for it.
pub(crate) fn filter_announced(headers: &mut HeaderMap) {
    let members = || {
        let values = headers.get_all(TRAILER).iter();
        values
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
    };
    let may = |name: &&[u8]| HeaderName::from_bytes(name).is_ok_and(|name| may_trail(&name));
    if members().all(|name| may(&name)) {
        return;
    }
    let left = members().filter(may).collect::<Vec<_>>().join(&b", "[..]);
    headers.remove(TRAILER);
    if !left.is_empty()
        && let Ok(left) = HeaderValue::from_bytes(&left)
    {
        headers.insert(TRAILER, left);
    }
}

#[cfg(test)]
mod tests {
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
            "x-api-key",
            "x-auth-token",
            "x-http-method-override",
            "traceparent",
            "true-client-ip",
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
            "x-amz-checksum-crc32c",
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

    #[test]
    fn what_never_comes_is_not_announced() {
        for (given, left) in [
            (&["x-sum"][..], Some("x-sum")),
            (&["X-Sum , grpc-status"], Some("X-Sum , grpc-status")),
            (&["x-sum, Cookie,x-end"], Some("x-sum, x-end")),
            (&["host", "x-sum"], Some("x-sum")),
            (&["x-api-key"], None),
            (&["a b"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(TRAILER, HeaderValue::from_static(value));
            }
            filter_announced(&mut headers);
            let found = headers.get_all(TRAILER).iter().next();
            assert_eq!(found.map(|it| it.to_str().unwrap_or_default()), left, "{given:?}");
        }
    }
}
