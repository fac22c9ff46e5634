//! Secrets without an owner's prefix: private keys, JSON Web Tokens, and what looks as if drawn by lot.

use crate::cursor::{Cursor, Found, More};

/// The longest private key: RSA with 16,384 bits has 13 KiB.
pub(crate) const LONGEST_KEY: usize = 16 << 10;
/// The longest token.
pub(crate) const LONGEST_JWT: usize = 4 << 10;

/// From `-----BEGIN ... PRIVATE KEY-----` to its end: lines of base64, and fields before them. Their ends may be
/// written as escapes, as in the source of a program. A key that has no end is one as well, as far as it goes.
pub(crate) fn private_key(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    if text.before == b'-' || !text.has(0, b"-----BEGIN ")? {
        return Ok(None);
    }
    let name = text
        .run(11, 40, |byte| byte.is_ascii_uppercase() || byte == b' ' || byte.is_ascii_digit())?;
    let label = &text.bytes[11..name];
    let is_private = label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK");
    if !is_private || !text.has(name, b"-----")? {
        return Ok(None);
    }
    let (mut at, mut end) = (name + 5, name + 5);
    while at < LONGEST_KEY {
        let (line, is_new) = between_lines(text, at)?;
        if text.has(line, b"-----END ")? {
            let label = text.run(line + 9, 40, |byte| {
                byte.is_ascii_uppercase() || byte == b' ' || byte.is_ascii_digit()
            })?;
            return text.to(text.run(label, 5, |byte| byte == b'-')?);
        }
        at = text.run(line, 4096, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
        })?;
        if at == line || !is_new {
            break;
        }
        if text.is(at, |byte| matches!(byte, b'-' | b':'))? {
            // A field, such as `Proc-Type: 4,ENCRYPTED`.
            at = text.run(at, 100, |byte| !matches!(byte, b'\r' | b'\n' | b'\\'))?;
        }
        end = at;
    }
    // Without an end it is as long as its lines are.
    text.to(end)
}

/// The offset behind white space and escapes of it, and whether a line ends in it.
fn between_lines(text: &Cursor<'_>, from: usize) -> Result<(usize, bool), More> {
    let (mut at, mut is_new) = (from, false);
    while at < from + 64 {
        match text.get(at)? {
            Some(b'\r' | b'\n') => is_new = true,
            Some(b' ' | b'\t') => {}
            Some(b'\\') if text.is(at + 1, |byte| matches!(byte, b'n' | b'r'))? => {
                is_new = true;
                at += 1;
            }
            _ => break,
        }
        at += 1;
    }
    Ok((at, is_new))
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Three parts in base64url, of which the first two are JSON objects; without a signature as well.
pub(crate) fn jwt(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    if !text.is_start() || is_base64url(text.before) || !text.has(0, b"eyJ")? {
        return Ok(None);
    }
    let head = text.run(3, 1024, is_base64url)?;
    if head < 12 || !text.has(head, b".eyJ")? {
        return Ok(None);
    }
    let claims = text.run(head + 4, LONGEST_JWT, is_base64url)?;
    if claims < head + 8 || !text.is(claims, |byte| byte == b'.')? {
        return Ok(None);
    }
    let end = text.run(claims + 1, LONGEST_JWT, is_base64url)?;
    text.to(end)
}

/// 20 to 128 letters and digits, of both cases and with digits, whose letters are spread as by lot.
pub(crate) fn high_entropy(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    let is_word =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'_' | b'-' | b'=');
    if is_word(text.before) {
        return Ok(None);
    }
    let end = text.run(0, 129, is_word)?;
    let word = &text.bytes[..end];
    let has = |of: fn(&u8) -> bool| word.iter().any(of);
    let is_mixed =
        has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    let is_one = (20..=128).contains(&word.len()) && is_mixed && entropy(word) >= 3.9;
    if is_one { text.to(end) } else { Ok(None) }
}

/// Shannon's entropy of the letters, in bits for each.
fn entropy(word: &[u8]) -> f32 {
    let mut counts = [0_u8; 256];
    for byte in word {
        counts[usize::from(*byte)] += 1;
    }
    let length = word.len() as f32;
    let share = |count: &u8| f32::from(*count) / length;
    counts.iter().filter(|count| **count > 0).map(share).map(|share| -share * share.log2()).sum()
}
