//! The id of a request.
//!
//! Owns the choice between a new id and the one that a trusted proxy sent.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::conn::{ConnectionFacts, RequestIds};

/// The field that carries the id, both ways.
pub(in crate::proxy) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken from a proxy.
const LONGEST: usize = 128;

/// The id of this request: a trusted proxy's, or a new one.
pub(in crate::proxy) fn choose(
    facts: &ConnectionFacts,
    ids: &RequestIds,
    headers: &HeaderMap,
) -> HeaderValue {
    let theirs = if facts.peer_is_trusted { headers.get(X_REQUEST_ID) } else { None };
    match theirs.filter(|id| is_sane(id.as_bytes())) {
        Some(id) => id.clone(),
        None => ids.next(),
    }
}

/// Fit for a header, a log line and a JSON string as it is.
fn is_sane(id: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=LONGEST).contains(&id.len()) && id.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_sane_ids_from_a_proxy() {
        assert!(is_sane(b"abc-DEF_1.2:3"));
        for bad in [&b""[..], b"a b", b"a\"b", &[b'a'; LONGEST + 1]] {
            assert!(!is_sane(bad));
        }
    }
}
