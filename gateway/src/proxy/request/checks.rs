//! One look over the fields of a request head.
//!
//! Owns what is refused because of its fields, and the notes that spare the later steps a look-up
//! for each field that is not there. Must not change the head.

use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, FORWARDED, HOST, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version};

use crate::error::{Failure, Malformed};
use crate::exchange::Exchange;
use crate::respond::Caller;

/// What was seen.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Checked {
    pub(in crate::proxy) hosts: usize,
    pub(in crate::proxy) cookies: usize,
    pub(in crate::proxy) content_length: Option<u64>,
    pub(in crate::proxy) connection: bool,
    pub(in crate::proxy) te: bool,
    pub(in crate::proxy) trailer: bool,
    pub(in crate::proxy) transfer_encoding: bool,
    pub(in crate::proxy) upgrade: bool,
    pub(in crate::proxy) expect: bool,
    pub(in crate::proxy) forwarded: bool,
    /// Any `x-forwarded-*`, or `x-real-ip`.
    pub(in crate::proxy) x_forwarded: bool,
    pub(in crate::proxy) request_id: bool,
    /// `gateway-debug`
    pub(in crate::proxy) debug: bool,
    /// `keep-alive` or `proxy-connection`.
    pub(in crate::proxy) old_hop_by_hop: bool,
    /// For the form of a refusal.
    pub(in crate::proxy) caller: Caller,
}

/// Looks at each field once.
///
/// # Errors
/// [`Failure`], for what a careful server refuses.
pub(in crate::proxy) fn take(exchange: &Exchange, head: &Parts) -> Result<Checked, Failure> {
    let mut checked = Checked::default();
    let is_http2 = head.version == Version::HTTP_2;
    for (name, value) in &head.headers {
        if is_http2 && has_outer_space(value) {
            return Err(Malformed::FieldSpace.into());
        }
        match *name {
            HOST => checked.hosts += 1,
            COOKIE => checked.cookies += 1,
            CONTENT_LENGTH => checked.content_length = number(value),
            CONNECTION => checked.connection = true,
            TE => checked.te = true,
            TRAILER => checked.trailer = true,
            TRANSFER_ENCODING => checked.transfer_encoding = true,
            UPGRADE => checked.upgrade = true,
            EXPECT => checked.expect = true,
            FORWARDED => checked.forwarded = true,
            CONTENT_TYPE => checked.caller = checked.caller.max(Caller::of_media_type(value)),
            ref other => checked.note_unusual(other.as_str())?,
        }
    }
    if checked.fields(head) > exchange.facts().listener.config.limits.header_count {
        return Err(Failure::HeadTooLarge);
    }
    if checked.transfer_encoding {
        check_transfer_encoding(exchange, head)?;
    }
    Ok(checked)
}

impl Checked {
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
            b"gateway-debug" => self.debug = true,
            [b'm', b'c', b'p', b'-', ..] => {
                self.caller = self.caller.max(Caller::of_field(name.as_bytes()));
            }
            _ => {}
        }
        Ok(())
    }
}

/// What the fields say of the client where the look over them ended early.
pub(in crate::proxy) fn caller(headers: &HeaderMap) -> Caller {
    let by_type = headers.get(CONTENT_TYPE).map(Caller::of_media_type).unwrap_or_default();
    let by_name = headers.keys().map(|name| Caller::of_field(name.as_str().as_bytes())).max();
    by_type.max(by_name.unwrap_or_default())
}

/// White space at an end, with which an HTTP/2 message is malformed (RFC 9113 section 8.2.1).
pub(in crate::proxy) fn has_outer_space(value: &HeaderValue) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_space(value.as_bytes().first()) || is_space(value.as_bytes().last())
}

fn number(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.parse().ok()
}

/// RFC 9112 section 6.1: only over HTTP/1.1, only `chunked`, and never beside a length.
fn check_transfer_encoding(exchange: &Exchange, head: &Parts) -> Result<(), Failure> {
    if head.version != Version::HTTP_11 {
        return Err(Malformed::Syntax.into());
    }
    if !is_just_chunked(&head.headers) {
        return Err(Failure::TransferCoding);
    }
    let two = head.headers.contains_key(CONTENT_LENGTH)
        || exchange.connection.raw_head_has(raw_head_has_length);
    if two { Err(Malformed::TwoLengths.into()) } else { Ok(()) }
}

fn is_just_chunked(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(TRANSFER_ENCODING).iter();
    let only = values.next().filter(|_| values.next().is_none());
    only.is_some_and(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Whether the raw head holds a `Content-Length`: the parser drops it where `Transfer-Encoding`
/// is before it.
fn raw_head_has_length(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n')
        .skip(1)
        .filter_map(|line| line.split(|byte| *byte == b':').next())
        .any(|name| name.trim_ascii().eq_ignore_ascii_case(b"content-length"))
}
