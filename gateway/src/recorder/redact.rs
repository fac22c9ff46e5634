//! What of a query must not be kept.
//!
//! Owns the guess whether a value is a credential: by its name, or by what it looks like.

use std::borrow::Cow;

/// What the name of a parameter holds whose value is a credential, in lower case.
const NAMES: [&str; 12] = [
    "key", "token", "secret", "passw", "pwd", "auth", "sig", "cred", "session", "jwt", "code",
    "cookie",
];

/// So many characters without a space, with letters and digits, are taken for a key.
const LONG: usize = 20;

/// In the place of a value.
const HIDDEN: &str = "***";

/// The query with the values that look like keys taken out.
pub(crate) fn redacted(query: &str) -> Cow<'_, str> {
    if !query.split('&').any(is_secret) {
        return Cow::Borrowed(query);
    }
    let hide = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if is_secret(pair) => format!("{name}={HIDDEN}"),
        None if is_secret(pair) => HIDDEN.to_owned(),
        _ => pair.to_owned(),
    };
    Cow::Owned(query.split('&').map(hide).collect::<Vec<_>>().join("&"))
}

fn is_secret(pair: &str) -> bool {
    let Some((name, value)) = pair.split_once('=') else { return is_like_a_key(pair) };
    if value.is_empty() {
        return false;
    }
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
    NAMES.iter().any(|known| name.contains(known)) || is_like_a_key(value)
}

fn is_like_a_key(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.len() >= LONG
        && !bytes.iter().any(|byte| matches!(byte, b'+' | b' ' | b','))
        && bytes.iter().any(u8::is_ascii_digit)
        && bytes.iter().any(u8::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_what_is_named_or_looks_like_a_key_and_leaves_the_rest() {
        for (query, kept) in [
            ("page=2&q=red+shoes", "page=2&q=red+shoes"),
            ("api_key=1&page=2", "api_key=***&page=2"),
            ("X-Amz-Signature=ab&x=%20", "X-Amz-Signature=***&x=%20"),
            ("a%70i_k%65y=ab", "a%70i_k%65y=***"),
            ("v=0123456789abcdefghij", "v=***"),
            ("0123456789abcdefghij", "***"),
            ("v=0123456789abcdefghi", "v=0123456789abcdefghi"),
            ("token=", "token="),
            ("", ""),
        ] {
            assert_eq!(redacted(query), kept);
        }
    }
}
