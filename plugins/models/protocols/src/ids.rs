//! Ids of calls of tools, which each protocol wants in its own form, and signatures that must
//! come back to the provider that gave them.
//!
//! Every mapping is injective: two calls never get one id. What comes back from a client is the
//! id that the provider gave.

use std::borrow::Cow;
use std::fmt::Write;

/// What stands before the signature that Gemini wants back with a call, in the id of the call:
/// no other place of a request survives every client.
const SIGNATURE: &str = "__thought__";

/// What Anthropic's ids begin with.
const ANTHROPIC: &str = "toolu_";

/// The id with the signature in it.
pub(crate) fn with_signature(id: &str, signature: Option<&str>) -> String {
    match signature {
        Some(signature) => format!("{id}{SIGNATURE}{signature}"),
        None => id.to_owned(),
    }
}

/// The id and the signature that was put into it.
pub(crate) fn split_signature(id: &str) -> (&str, Option<&str>) {
    match id.split_once(SIGNATURE) {
        Some((id, signature)) => (id, Some(signature)),
        None => (id, None),
    }
}

/// What marks reasoning that OpenAI encrypted, in the place of a signature.
const ENCRYPTED: &str = "openai:";

/// A signature that has the id and the encrypted text of reasoning.
pub(crate) fn with_encrypted(id: &str, content: &str) -> String {
    format!("{ENCRYPTED}{id}:{content}")
}

/// The id and the encrypted text, if it is such a signature.
pub(crate) fn split_encrypted(signature: &str) -> Option<(&str, &str)> {
    signature.strip_prefix(ENCRYPTED)?.split_once(':')
}

/// Whether a signature, as a literal, is one of Claude's and not OpenAI's.
pub(crate) fn is_claude(signature: &str) -> bool {
    !signature.trim_start_matches('"').starts_with(ENCRYPTED)
}

/// What Gemini takes in the place of a signature that was lost on the way.
pub(crate) const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// What stands before Claude's signatures that clients of Gemini get: base64 that says `gw1`.
const CLAUDES: &str = "Z3cx";

/// The signature for a client of Gemini's, unless it cannot be decoded as such clients do.
pub(crate) fn to_gemini_client(signature: &str) -> Option<String> {
    is_base64(signature).then(|| format!("{CLAUDES}{signature}"))
}

/// The signature of Claude's that it sent back. Gemini's own are of no use to Claude.
pub(crate) fn of_gemini_client(signature: &str) -> Option<&str> {
    signature.strip_prefix(CLAUDES)
}

/// Whether it is base64, which clients of Gemini's decode.
fn is_base64(signature: &str) -> bool {
    let body = signature.trim_end_matches('=');
    signature.len().is_multiple_of(4)
        && signature.len() - body.len() <= 2
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// Letters, digits, `_` and `-` only, as Anthropic and Bedrock want it: any other byte becomes
/// `_x` and two digits, and so does the `_` of an `_x` that was there.
pub(crate) fn escape(id: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if id.bytes().all(is_plain) && !id.contains("_x") {
        return Cow::Borrowed(id);
    }
    let mut out = String::with_capacity(id.len() + 8);
    for (at, byte) in id.bytes().enumerate() {
        let opens = byte == b'_' && id.as_bytes().get(at + 1) == Some(&b'x');
        match is_plain(byte) && !opens {
            true => out.push(char::from(byte)),
            // Writing to a text does not fail.
            false => _ = write!(out, "_x{byte:02x}"),
        }
    }
    Cow::Owned(out)
}

/// What [`escape`] was given.
pub(crate) fn unescape(id: &str) -> Cow<'_, str> {
    if !id.contains("_x") {
        return Cow::Borrowed(id);
    }
    let (mut out, mut rest) = (Vec::with_capacity(id.len()), id);
    while let Some(at) = rest.find("_x") {
        let code = rest.get(at + 2..at + 4).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let Some(code) = code else { return Cow::Borrowed(id) };
        out.extend_from_slice(&rest.as_bytes()[..at]);
        out.push(code);
        rest = &rest[at + 4..];
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8(out).map_or(Cow::Borrowed(id), Cow::Owned)
}

/// What a client of Anthropic gets.
pub(crate) fn to_anthropic_client(id: &str) -> String {
    format!("{ANTHROPIC}{}", escape(id))
}

/// What it sent back, as the provider gave it.
pub(crate) fn of_anthropic_client(id: &str) -> String {
    unescape(id.strip_prefix(ANTHROPIC).unwrap_or(id)).into_owned()
}

/// Nine letters and digits, as Mistral wants ids.
pub(crate) fn nine(id: &str) -> String {
    let is_nine = id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_nine {
        return id.to_owned();
    }
    let mut hash =
        hash(id, 0xcbf2_9ce4_8422_2325) ^ hash(id, 0x9e37_79b9_7f4a_7c15).rotate_left(32);
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digit = || {
        let digit = digits[(hash % 62) as usize];
        hash /= 62;
        char::from(digit)
    };
    (0..9).map(|_| digit()).collect()
}

fn hash(id: &str, seed: u64) -> u64 {
    id.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// No longer than `most`: a longer id becomes one made of its hash.
pub(crate) fn shorten(id: Cow<'_, str>, most: usize) -> Cow<'_, str> {
    if id.len() <= most {
        return id;
    }
    let (one, two) = (hash(&id, 0xcbf2_9ce4_8422_2325), hash(&id, 0x9e37_79b9_7f4a_7c15));
    Cow::Owned(format!("call_{one:016x}{two:016x}"))
}

#[cfg(test)]
mod tests {
    use super::{
        escape, nine, of_anthropic_client, shorten, split_signature, to_anthropic_client, unescape,
        with_signature,
    };

    #[test]
    fn ids_come_back_as_they_were() {
        let ids = [
            "call_1",
            "toolu_1",
            "a_x2b",
            "a+b",
            "a_x5fx2b",
            "_x",
            "_",
            "x",
            "\u{e9}",
            "",
            "__x",
            "a__thought__b+/=",
        ];
        let mut given: Vec<_> = ids.iter().map(|id| to_anthropic_client(id)).collect();
        for (id, given) in ids.iter().zip(&given) {
            assert_eq!(of_anthropic_client(given), *id);
            assert!(
                given
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
            );
            assert_eq!(unescape(&escape(id)), *id);
        }
        given.sort();
        given.dedup();
        assert_eq!(given.len(), ids.len());
    }

    #[test]
    fn signatures_travel_in_ids() {
        let id = with_signature("call_1", Some("AbC+/w=="));
        assert_eq!(split_signature(&id), ("call_1", Some("AbC+/w==")));
        assert_eq!(split_signature("call_1"), ("call_1", None));
        let (one, two) = (shorten("x".repeat(99).into(), 40), shorten("y".repeat(99).into(), 40));
        assert!(one != two && one.len() <= 40);
        assert_eq!(shorten("short".into(), 40), "short");
        assert_eq!(nine("AbCdEf123"), "AbCdEf123");
        assert!(nine("call_1") != nine("call_2") && nine("call_1").len() == 9);
    }
}
