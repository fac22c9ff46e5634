//! Addresses: of e-mail, and of hosts.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::cursor::{Cursor, Found, More};

/// What the local part of an address is made of (RFC 5322's atoms, without those that stand around addresses in texts).
pub(crate) fn is_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-')
}

/// A byte of a domain. Of other letters those of two bytes count: in their scripts (Latin, Greek, Cyrillic and
/// others up to Hebrew) a space stands between words, so that the domain ends where it does.
fn is_of_domain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | 0x80..=0xbf | 0xc3..=0xd6)
}

/// `local@domain`, where the domain has a dot and ends as names do.
pub(crate) fn email(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    if is_atom(text.before) {
        return Ok(None);
    }
    let at = text.run(0, 64, is_atom)?;
    if at == 0 || !text.is(at, |byte| byte == b'@')? {
        return Ok(None);
    }
    let start = at + 1;
    let mut end = text.run(start, 254, is_of_domain)?;
    // Not within a letter.
    if text.bytes.get(end).is_some_and(|byte| matches!(byte, 0x80..=0xbf)) {
        end -= 1;
    }
    while end > start && matches!(text.bytes[end - 1], b'.' | b'-') {
        end -= 1;
    }
    let labels: Vec<&[u8]> = text.bytes[start..end].split(|byte| *byte == b'.').collect();
    let is_label = |label: &&[u8]| (1..64).contains(&label.len()) && label[0] != b'-';
    let is_name = |last: &&[u8]| {
        last.len() > 1 && last.iter().any(|byte| !byte.is_ascii_digit() && *byte != b'-')
    };
    let is_domain =
        labels.len() > 1 && labels.iter().all(is_label) && labels.last().is_some_and(is_name);
    if is_domain { text.to(end) } else { Ok(None) }
}

/// An address that stands alone: not a part of a version, a time or a longer word.
pub(crate) fn ip_address(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    let is_part =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'_' | b'-');
    if is_part(text.before) {
        return Ok(None);
    }
    let mut end =
        text.run(0, 46, |byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'))?;
    if text.is(end, |byte| byte.is_ascii_alphanumeric() || byte == b'_')? {
        return Ok(None);
    }
    // A full stop or a colon behind it ends a sentence.
    while end > 2 && matches!(text.bytes[end - 1], b'.')
        || end > 2 && text.bytes[..end].ends_with(b":") && !text.bytes[..end].ends_with(b"::")
    {
        end -= 1;
    }
    let Ok(word) = std::str::from_utf8(&text.bytes[..end]) else { return Ok(None) };
    // Fewer than two colons are a time or an address with a port.
    let (host, is_v4) = match word.split_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, true),
        Some(_) => (word, false),
        None => (word, true),
    };
    let is_address = match is_v4 {
        true => host.parse::<Ipv4Addr>().is_ok(),
        false => host.len() > 2 && host.parse::<Ipv6Addr>().is_ok(),
    };
    if is_address { text.to(host.len()) } else { Ok(None) }
}
