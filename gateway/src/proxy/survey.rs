//! One look over the fields of a request head.
//!
//! Owns what is refused because of its fields, and the notes that spare the later steps a look-up
//! for each field that is not there. Must not change the head.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version};

use crate::error::{Failure, Malformed};
use crate::server::connection::Connection;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) hosts: usize,
    pub(super) cookies: usize,
    pub(super) content_length: Option<u64>,
    pub(super) connection: bool,
    pub(super) te: bool,
    pub(super) transfer_encoding: bool,
    pub(super) upgrade: bool,
    pub(super) expect: bool,
    pub(super) forwarded: bool,
    /// Any `x-forwarded-*`, or `x-real-ip`.
    pub(super) x_forwarded: bool,
    /// `keep-alive` or `proxy-connection`.
    pub(super) old_hop_by_hop: bool,
}

/// Looks at each field once.
///
/// # Errors
/// [`Failure`], for what a careful server refuses.
pub(super) fn take(connection: &Connection, head: &Parts) -> Result<Survey, Failure> {
    if head.headers.len() > connection.listener.config.limits.header_count {
        return Err(Failure::HeadTooLarge);
    }
    let mut survey = Survey::default();
    for (name, value) in &head.headers {
        match *name {
            HOST => survey.hosts += 1,
            COOKIE => survey.cookies += 1,
            CONTENT_LENGTH => survey.content_length = number(value),
            CONNECTION => survey.connection = true,
            TE => survey.te = true,
            TRANSFER_ENCODING => survey.transfer_encoding = true,
            UPGRADE => survey.upgrade = true,
            EXPECT => survey.expect = true,
            FORWARDED => survey.forwarded = true,
            ref other => survey.note_unusual(other.as_str())?,
        }
    }
    if survey.transfer_encoding {
        check_transfer_encoding(connection, head)?;
    }
    Ok(survey)
}

impl Survey {
    /// Names that have no number of their own in the `http` crate, and those that nobody asks for.
    fn note_unusual(&mut self, name: &str) -> Result<(), Malformed> {
        if memchr::memchr(b'_', name.as_bytes()).is_some() {
            return Err(Malformed::Underscore);
        }
        match name.as_bytes() {
            [b'x', b'-', b'f', b'o', b'r', b'w', b'a', b'r', b'd', b'e', b'd', b'-', ..]
            | b"x-real-ip" => self.x_forwarded = true,
            b"keep-alive" | b"proxy-connection" => self.old_hop_by_hop = true,
            _ => {}
        }
        Ok(())
    }
}

fn number(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.parse().ok()
}

/// RFC 9112 section 6.1: only over HTTP/1.1, only `chunked`, and never beside a length.
fn check_transfer_encoding(connection: &Connection, head: &Parts) -> Result<(), Failure> {
    if head.version != Version::HTTP_11 {
        return Err(Malformed::Syntax.into());
    }
    if !is_just_chunked(&head.headers) {
        return Err(Failure::TransferCoding);
    }
    let two = head.headers.contains_key(CONTENT_LENGTH)
        || connection.with_window(|window| raw_head_has_length(window, head));
    if two { Err(Malformed::TwoLengths.into()) } else { Ok(()) }
}

fn is_just_chunked(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(TRANSFER_ENCODING).iter();
    let only = values.next().filter(|_| values.next().is_none());
    only.is_some_and(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Whether the raw head holds a `Content-Length`: the parser drops it where `Transfer-Encoding`
/// stands before it. Only the lines up to the first empty one count; behind it is the body.
///
/// A head that followed another one in the same packet is not at the front of the window, and is
/// left to the parser, which takes the transfer coding and closes after it: the other way that
/// RFC 9112 section 6.1 allows.
fn raw_head_has_length(window: &[u8], head: &Parts) -> bool {
    let start = window.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    let mut lines = window[start..].split(|byte| *byte == b'\n');
    let begins = |line: &[u8]| line.starts_with(head.method.as_str().as_bytes());
    if !lines.next().is_some_and(begins) {
        return false;
    }
    lines
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split(|byte| *byte == b':').next())
        .any(|name| name.trim_ascii().eq_ignore_ascii_case(b"content-length"))
}
