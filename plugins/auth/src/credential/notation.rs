//! The notations in which credentials stand: schemes, bearer tokens, parameters, cookies.
//!
//! Owns their syntax. It does not know which places are configured.

use std::borrow::Cow;

use gateway_plugin_sdk::prelude::*;

use crate::refusal::Refusal;

/// The field of RFC 6265 section 4.2.
pub(super) static COOKIE: HeaderName = HeaderName::from_static("cookie");

/// What follows a scheme (RFC 9110 section 11.4); `None` if the scheme is another.
pub(super) fn split_scheme<'v>(value: &'v [u8], scheme: &[u8]) -> Option<&'v [u8]> {
    let (name, rest) = value.split_at_checked(scheme.len())?;
    let matches = name.eq_ignore_ascii_case(scheme) && rest.first().is_none_or(|b| *b == b' ');
    matches.then(|| rest.trim_ascii())
}

/// Whether a text is a `b64token` (RFC 6750 section 2.1).
pub(super) fn is_bearer_token(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let token = &text[..text.len() - padding];
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    !token.is_empty() && token.iter().all(allowed)
}

/// The value of the one query parameter of a name.
pub(super) fn parameter<'r>(
    request: &'r Request,
    name: &str,
) -> Result<Option<Cow<'r, [u8]>>, Refusal> {
    // Nearly no query has it, which shows before anything is decoded.
    if !request.query().is_some_and(|query| may_have(query.as_bytes(), name.as_bytes())) {
        return Ok(None);
    }
    let mut values = request.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(into_bytes)),
        (_, Some(_)) => Err(Refusal::Several),
    }
}

/// Whether a query has a parameter of this name, or one whose name is escaped.
fn may_have(query: &[u8], name: &[u8]) -> bool {
    query.split(|byte| *byte == b'&').any(|pair| {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let key = &pair[..end];
        key == name || key.iter().any(|byte| matches!(byte, b'%' | b'+'))
    })
}

fn into_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// The value of the one cookie of a name (RFC 6265 section 4.2).
pub(super) fn cookie<'r>(request: &'r Request, name: &str) -> Result<Option<&'r [u8]>, Refusal> {
    let mut found = None;
    for line in request.header_lines(&COOKIE) {
        for (key, value) in cookies(line) {
            if key == name.as_bytes() && found.replace(value).is_some() {
                return Err(Refusal::Several);
            }
        }
    }
    Ok(found)
}

/// All cookies but those of a name, as one line (RFC 9113 section 8.2.3).
pub(super) fn without_cookie(request: &Request, name: &str) -> Option<Vec<u8>> {
    let mut rest = Vec::new();
    for line in request.header_lines(&COOKIE) {
        for (key, value) in cookies(line).filter(|(key, _)| *key != name.as_bytes()) {
            if !rest.is_empty() {
                rest.extend_from_slice(b"; ");
            }
            rest.extend_from_slice(key);
            rest.push(b'=');
            rest.extend_from_slice(value);
        }
    }
    (!rest.is_empty()).then_some(rest)
}

fn cookies(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    line.split(|byte| *byte == b';').filter_map(|part| {
        let at = part.iter().position(|byte| *byte == b'=')?;
        Some((part[..at].trim_ascii(), part[at + 1..].trim_ascii()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_bearer_tokens_by_their_syntax() {
        for text in ["a", "abc.def-_~+/9", "abc=="] {
            assert!(is_bearer_token(text.as_bytes()), "{text}");
        }
        for text in ["", "=", "a b", "a,b", "a=b", "é", "\"a\""] {
            assert!(!is_bearer_token(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn splits_a_scheme_from_what_follows() {
        assert_eq!(split_scheme(b"bEaReR  x ", b"bearer"), Some(&b"x"[..]));
        assert_eq!(split_scheme(b"Bearer", b"bearer"), Some(&b""[..]));
        assert_eq!(split_scheme(b"Bearerx", b"bearer"), None);
        assert_eq!(split_scheme(b"Be", b"bearer"), None);
    }
}
