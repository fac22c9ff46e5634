//! Keys of services, which begin as the service has it.

use crate::cursor::{Cursor, Found, More};

/// How a key is written behind its prefix.
struct Key {
    prefix: &'static [u8],
    least: usize,
    most: usize,
    of: fn(u8) -> bool,
    /// Whether the last six letters are a checksum of those before.
    has_checksum: bool,
}

const fn key(prefix: &'static str, least: usize, most: usize, of: fn(u8) -> bool) -> Key {
    Key { prefix: prefix.as_bytes(), least, most, of, has_checksum: false }
}

const fn checked(prefix: &'static str) -> Key {
    Key { prefix: prefix.as_bytes(), least: 36, most: 36, of: plain, has_checksum: true }
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn dotted(byte: u8) -> bool {
    word(byte) || byte == b'.'
}

fn hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// Longer prefixes stand before those that they begin with.
const KEYS: [Key; 44] = [
    checked("ghp_"),
    checked("gho_"),
    checked("ghu_"),
    checked("ghs_"),
    checked("ghr_"),
    key("github_pat_", 82, 82, word),
    key("glpat-", 20, 120, dotted),
    key("gldt-", 20, 64, word),
    key("glrt-", 20, 64, word),
    key("xoxb-", 24, 200, word),
    key("xoxp-", 24, 200, word),
    key("xoxa-", 24, 200, word),
    key("xoxe-", 24, 240, word),
    key("xoxr-", 24, 200, word),
    key("xoxs-", 24, 200, word),
    key("xapp-", 24, 200, word),
    key("sk-ant-", 32, 200, word),
    key("sk-proj-", 32, 240, word),
    key("sk-svcacct-", 32, 240, word),
    key("sk-admin-", 32, 240, word),
    key("sk-or-v1-", 64, 64, hex),
    key("sk-", 48, 48, plain),
    key("sk_live_", 24, 200, plain),
    key("sk_test_", 24, 200, plain),
    key("rk_live_", 24, 200, plain),
    key("rk_test_", 24, 200, plain),
    key("whsec_", 32, 64, plain),
    key("AIza", 35, 35, word),
    key("hf_", 34, 40, plain),
    key("npm_", 36, 36, plain),
    key("pypi-AgEI", 50, 240, word),
    key("SG.", 60, 70, dotted),
    key("dop_v1_", 64, 64, hex),
    key("doo_v1_", 64, 64, hex),
    key("shpat_", 32, 32, hex),
    key("shpss_", 32, 32, hex),
    key("gsk_", 52, 52, plain),
    key("xai-", 80, 80, plain),
    key("r8_", 37, 40, plain),
    key("pplx-", 48, 56, plain),
    key("lin_api_", 40, 40, plain),
    key("ntn_", 46, 46, plain),
    key("dckr_pat_", 27, 27, word),
    key("AGE-SECRET-KEY-1", 58, 58, plain),
];

pub(crate) fn can_start(byte: u8) -> bool {
    KEYS.iter().any(|key| key.prefix[0] == byte)
}

pub(crate) fn api_key(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    if !text.is_start() || text.before == b'_' {
        return Ok(None);
    }
    for key in KEYS.iter().filter(|key| key.prefix[0] == text.bytes[0]) {
        let start = key.prefix.len();
        if !text.has(0, key.prefix)? {
            continue;
        }
        let mut end = text.run(start, key.most, key.of)?;
        // Behind it a longer word of the same letters would be another kind of thing.
        if end == start + key.most && text.is(end, key.of)? {
            continue;
        }
        while end - start > key.least && matches!(text.bytes[end - 1], b'.' | b'-') {
            end -= 1;
        }
        let body = &text.bytes[start..end];
        if body.len() >= key.least && (!key.has_checksum || is_checked(body)) {
            return text.to(end);
        }
    }
    Ok(None)
}

/// Whether the last six letters are the CRC32 of those before, to the base of 62: so GitHub writes its tokens.
fn is_checked(body: &[u8]) -> bool {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let Some((entropy, sum)) = body.split_last_chunk::<6>() else { return false };
    let mut rest = crc32fast::hash(entropy);
    let mut wanted = [b'0'; 6];
    for letter in wanted.iter_mut().rev() {
        *letter = LETTERS[(rest % 62) as usize];
        rest /= 62;
    }
    wanted == *sum
}

/// The id of an access key by its prefix, and a secret by the name that stands before it.
pub(crate) fn aws_key(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    if !text.is_start() {
        return Ok(None);
    }
    for prefix in [b"AKIA", b"ASIA", b"ABIA", b"ACCA"] {
        if text.has(0, prefix)? {
            let end =
                text.run(4, 16, |byte| byte.is_ascii_uppercase() || matches!(byte, b'2'..=b'7'))?;
            return if end == 20 && text.is_over(end)? { text.to(end) } else { Ok(None) };
        }
    }
    // `aws_secret_access_key = ...`, `SecretAccessKey: "..."`.
    let mut at = 0;
    for word in ["aws", "secret", "access", "key"] {
        let start = at;
        for letter in word.bytes() {
            if !text.is(at, |byte| byte.to_ascii_lowercase() == letter)? {
                break;
            }
            at += 1;
        }
        if at - start < word.len() {
            if word == "aws" && at == start {
                continue;
            }
            return Ok(None);
        }
        at += usize::from(text.is(at, |byte| matches!(byte, b'_' | b'-' | b'.'))?);
    }
    let start =
        text.run(at, 8, |byte| matches!(byte, b' ' | b':' | b'=' | b'"' | b'\'' | b'\\'))?;
    let is_secret = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+');
    let end = text.run(start, 40, is_secret)?;
    let is_one = start > at && end == start + 40 && !text.is(end, is_secret)?;
    Ok(is_one.then_some(start..end))
}
