//! A value on a terminal.
//!
//! Owns what is left out of it: the most of a secret, the end of what is long, and whatever would
//! steer the terminal.

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE};
use http::{HeaderName, HeaderValue};

/// Characters that are shown of a value.
const MAX_SHOWN: usize = 200;
/// Characters that are shown of a secret, if it is a good deal longer.
const SECRET_SHOWN: usize = 4;

/// The value of a field.
pub(super) fn field(name: &HeaderName, value: &HeaderValue, shows_secrets: bool) -> String {
    let is_secret = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SET_COOKIE].contains(name)
        || sounds_secret(name.as_str());
    shown(value.as_bytes(), is_secret && !shows_secrets)
}

/// The value of an attribute.
pub(super) fn attribute(name: &str, value: &str, shows_secrets: bool) -> String {
    shown(value.as_bytes(), sounds_secret(name) && !shows_secrets)
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    ["apikey", "authtoken", "accesstoken", "credential", "csrf", "password", "secret", "session"]
        .iter()
        .any(|word| name.contains(word))
        || name.ends_with("token")
}

fn shown(value: &[u8], is_secret: bool) -> String {
    let text = printable(value);
    if is_secret {
        return shortened(&text);
    }
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], value.len()),
        None => text,
    }
}

/// A secret by its beginning, so that two can be distinguished. The scheme in front of a credential is
/// none.
fn shortened(text: &str) -> String {
    let (scheme, secret) = match text.split_once(' ') {
        Some((scheme, secret)) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            (format!("{scheme} "), secret)
        }
        _ => (String::new(), text),
    };
    let end = secret.char_indices().nth(SECRET_SHOWN).map_or(0, |(end, _)| end);
    let end = if secret.len() >= 4 * SECRET_SHOWN { end } else { 0 };
    format!("{scheme}{}… ({} bytes)", &secret[..end], secret.len())
}

/// The text with control characters escaped.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &'static str, value: &'static str) -> String {
        field(&HeaderName::from_static(name), &HeaderValue::from_static(value), false)
    }

    #[test]
    fn secrets_are_shown_by_their_beginning() {
        assert_eq!(
            value("authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"),
            "Bearer eyJh… (26 bytes)"
        );
        assert_eq!(value("x-api-key", "quickstart-key-0001"), "quic… (19 bytes)");
        assert_eq!(value("cookie", "a=b"), "… (3 bytes)");
        assert_eq!(value("x-csrf-token", "short"), "… (5 bytes)");
        let whole = field(&COOKIE, &HeaderValue::from_static("a=b"), true);
        assert_eq!(whole, "a=b");
        assert_eq!(attribute("session.id", "0123456789abcdef", false), "0123… (16 bytes)");
    }

    #[test]
    fn other_values_are_shown_without_what_steers_a_terminal() {
        assert_eq!(value("x-greeting", "hello Ada"), "hello Ada");
        let name = HeaderName::from_static("x");
        let odd = HeaderValue::from_bytes(b"a\xc2\x9b31mb\tc").expect("valid");
        assert_eq!(field(&name, &odd, false), "a\\u{9b}31mb\\tc");
        let long = HeaderValue::try_from("ä".repeat(201)).expect("valid");
        assert_eq!(field(&name, &long, false), format!("{}… (402 bytes)", "ä".repeat(200)));
    }
}
