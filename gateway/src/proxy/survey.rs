//! One look over the fields of a request head.
//!
//! Owns what is refused because of its fields, and the notes that spare the later steps a look-up
//! for each field that is not there. Must not change the head.

use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, FORWARDED, HOST, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version};

use crate::error::{Failure, Malformed};
use crate::respond::Caller;
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
    pub(super) request_id: bool,
    /// `keep-alive` or `proxy-connection`.
    pub(super) old_hop_by_hop: bool,
    /// For the form of a refusal.
    pub(super) caller: Caller,
}

/// Looks at each field once.
///
/// # Errors
/// [`Failure`], for what a careful server refuses.
pub(super) fn take(connection: &Connection, head: &Parts) -> Result<Survey, Failure> {
    let mut survey = Survey::default();
    let is_http2 = head.version == Version::HTTP_2;
    for (name, value) in &head.headers {
        if is_http2 && has_outer_space(value) {
            return Err(Malformed::FieldSpace.into());
        }
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
            CONTENT_TYPE => survey.caller = survey.caller.max(Caller::of_media_type(value)),
            ref other => survey.note_unusual(other.as_str())?,
        }
    }
    if survey.fields(head) > connection.listener.config.limits.header_count {
        return Err(Failure::HeadTooLarge);
    }
    if survey.transfer_encoding {
        check_transfer_encoding(connection, head)?;
    }
    Ok(survey)
}

impl Survey {
    /// How many fields the head has, or would have over HTTP/1.1: there the authority is one, and so are
    /// the pieces of a cookie (RFC 9113 sections 8.2.3 and 8.3.1).
    fn fields(&self, head: &Parts) -> usize {
        let count = head.headers.len();
        if head.version < Version::HTTP_2 {
            return count;
        }
        count - self.cookies.saturating_sub(1) + usize::from(self.hosts == 0)
    }

    /// Names that have no number of their own in the `http` crate, and those that nobody asks for.
    fn note_unusual(&mut self, name: &str) -> Result<(), Malformed> {
        if memchr::memchr(b'_', name.as_bytes()).is_some() {
            return Err(Malformed::Underscore);
        }
        match name.as_bytes() {
            [b'x', b'-', b'f', b'o', b'r', b'w', b'a', b'r', b'd', b'e', b'd', b'-', ..]
            | b"x-real-ip" => self.x_forwarded = true,
            b"keep-alive" | b"proxy-connection" => self.old_hop_by_hop = true,
            b"x-request-id" => self.request_id = true,
            [b'm', b'c', b'p', b'-', ..] => {
                self.caller = self.caller.max(Caller::of_field(name.as_bytes()));
            }
            _ => {}
        }
        Ok(())
    }
}

/// What the fields say of the client where the look over them ended early.
pub(super) fn caller(headers: &HeaderMap) -> Caller {
    let by_type = headers.get(CONTENT_TYPE).map(Caller::of_media_type).unwrap_or_default();
    let by_name = headers.keys().map(|name| Caller::of_field(name.as_str().as_bytes())).max();
    by_type.max(by_name.unwrap_or_default())
}

/// White space at an end, with which an HTTP/2 message is malformed (RFC 9113 section 8.2.1).
pub(super) fn has_outer_space(value: &HeaderValue) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_space(value.as_bytes().first()) || is_space(value.as_bytes().last())
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
    let two =
        head.headers.contains_key(CONTENT_LENGTH) || connection.with_raw_head(raw_head_has_length);
    if two { Err(Malformed::TwoLengths.into()) } else { Ok(()) }
}

fn is_just_chunked(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(TRANSFER_ENCODING).iter();
    let only = values.next().filter(|_| values.next().is_none());
    only.is_some_and(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Whether the raw head holds a `Content-Length`: the parser drops it where `Transfer-Encoding`
/// stands before it.
fn raw_head_has_length(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n')
        .skip(1)
        .filter_map(|line| line.split(|byte| *byte == b':').next())
        .any(|name| name.trim_ascii().eq_ignore_ascii_case(b"content-length"))
}
