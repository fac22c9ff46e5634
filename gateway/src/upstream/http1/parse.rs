//! Response heads (RFC 9112).
//!
//! Owns their grammar, through `httparse`, and how the body behind one is delimited. A response
//! whose end two readers could see in different places is refused.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, StatusCode, Version};

use super::super::error::Excess;
use super::super::head::check_framing;
use super::Error;
use crate::config::UpstreamLimits;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Fields for which there is room on the stack. Heads with more are rare, and their room is allocated.
const USUAL_FIELDS: usize = 100;

/// The head of a response, and what follows from it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    /// The reason phrase, where it is not the usual one.
    pub(super) reason: Option<Bytes>,
    pub(super) framing: Framing,
    pub(super) keeps_alive: bool,
    /// It has no body by its kind, no matter what its fields say (RFC 9112 section 6.3).
    pub(super) is_bodiless: bool,
    /// What is known of that body, should the target send it: the head gives it a length, or the request was `HEAD` and the
    /// head does not say that it is empty.
    pub(super) promises_body: bool,
    /// How long the target keeps a connection without a request, in seconds, if it says so.
    pub(super) idle: Option<u32>,
}

impl Head {
    /// Whether another one follows.
    pub(super) fn is_interim(&self) -> bool {
        self.status.is_informational() && self.framing != Framing::Switch
    }
}

/// How the end of a response is found (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    /// It ends with the connection.
    UntilClose,
    /// The connection changes its protocol.
    Switch,
}

/// Whether what came is no response from its first byte on. Empty lines in front of one are none of it.
pub(super) fn is_foreign(input: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"HTTP/";
    let length = input.len().min(BEGINNING.len());
    input[..length] != BEGINNING[..length] && !matches!(input, [b'\r' | b'\n', ..])
}

/// Whether a target says, before it closes a connection, that it has waited for a request for too long (RFC 9110 section
/// 15.5.9).
pub(super) fn is_timeout(input: &[u8]) -> bool {
    input.starts_with(b"HTTP/1.") && input.get(8..12) == Some(b" 408")
}

/// Takes a head from the front of the input, when all of it is there. Its fields go into `headers`,
/// which is empty before, and perhaps has room for some.
pub(super) fn head(
    input: &mut Bytes,
    is_for_head: bool,
    headers: &mut HeaderMap,
    limits: UpstreamLimits,
) -> Result<Option<Head>, Error> {
    let whole = input.clone();
    let mut fields = [MaybeUninit::uninit(); USUAL_FIELDS];
    let usual = limits.header_count.min(USUAL_FIELDS);
    match parse(input, &whole, is_for_head, headers, limits, &mut fields[..usual]) {
        Err(Unparsed::NoRoom) if limits.header_count > usual => {
            let mut fields = vec![MaybeUninit::uninit(); limits.header_count];
            parse(input, &whole, is_for_head, headers, limits, &mut fields)
        }
        parsed => parsed,
    }
    .map_err(|unparsed| match unparsed {
        Unparsed::NoRoom => Error::TooLarge(Excess::Count(limits.header_count)),
        Unparsed::Other(error) => error,
    })
}

/// Why there is no head.
enum Unparsed {
    /// It has more fields than there is room for. None of them was taken.
    NoRoom,
    Other(Error),
}

impl From<Error> for Unparsed {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// `whole` is the input as it was; `is_for_head` says that the request's method was `HEAD`.
#[inline(always)]
fn parse<'i>(
    input: &mut Bytes,
    whole: &'i Bytes,
    is_for_head: bool,
    headers: &mut HeaderMap,
    limits: UpstreamLimits,
    fields: &mut [MaybeUninit<httparse::Header<'i>>],
) -> Result<Option<Head>, Unparsed> {
    let size = limits.header_size;
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, whole, fields) {
        Ok(httparse::Status::Complete(length)) if length <= size => length,
        Ok(httparse::Status::Partial) if input.len() < size => return Ok(None),
        Ok(_) => return Err(Error::TooLarge(Excess::Size(size)).into()),
        Err(httparse::Error::TooManyHeaders) => return Err(Unparsed::NoRoom),
        Err(error) => return Err(Error::Malformed(described(error)).into()),
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Error::Malformed("its status is out of range"))?;
    let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let reason = parsed.reason.filter(|reason| Some(*reason) != status.canonical_reason());
    let reason = reason.map(|reason| whole.slice_ref(reason.as_bytes()));
    let mut found = Found::default();
    headers.reserve(parsed.headers.len());
    for field in &*parsed.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|_| Error::Malformed("invalid header name"))?;
        let value = value(whole, field.value);
        found.note(&name, &value);
        headers.append(name, value);
    }
    input.advance(length);
    let framing = found.framing(headers, version)?;
    let keeps_alive = match version {
        Version::HTTP_11 => !found.says_close,
        _ => found.says_keep_alive && !found.says_close,
    };
    let is_bodiless = match status {
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => true,
        _ => is_for_head && !status.is_informational(),
    };
    let framing = match status {
        StatusCode::SWITCHING_PROTOCOLS => Framing::Switch,
        _ if status.is_informational() || is_bodiless => Framing::Length(0),
        _ => framing,
    };
    let promises_body = is_bodiless && found.length.map_or(is_for_head, |length| length > 0);
    let idle = found.idle;
    Ok(Some(Head {
        status,
        version,
        reason,
        framing,
        keeps_alive,
        is_bodiless,
        promises_body,
        idle,
    }))
}

/// A value as a part of the head that it is in: nothing is copied.
fn value(head: &Bytes, value: &[u8]) -> HeaderValue {
    let bytes = head.slice_ref(value);
    #[expect(unsafe_code, reason = "the parser has looked at each byte already")]
    // SAFETY: httparse lets nothing into a value but tabs and the bytes from 32 on without 127,
    // which are what a `HeaderValue` may hold.
    unsafe {
        HeaderValue::from_maybe_shared_unchecked(bytes)
    }
}

/// What the fields say of the body's end and the connection's.
#[derive(Default)]
struct Found {
    length: Option<u64>,
    /// The length needs a second look, or there is a transfer coding.
    is_unusual: bool,
    says_close: bool,
    says_keep_alive: bool,
    idle: Option<u32>,
}

impl Found {
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) {
        match *name {
            CONTENT_LENGTH => {
                let length = number(value.as_bytes());
                self.is_unusual |= self.length.is_some() || length.is_none();
                self.length = length;
            }
            TRANSFER_ENCODING => self.is_unusual = true,
            // As most say it.
            CONNECTION if value.as_bytes() == b"keep-alive" => self.says_keep_alive = true,
            CONNECTION => {
                for member in value.as_bytes().split(|byte| *byte == b',') {
                    let member = member.trim_ascii();
                    self.says_close |= member.eq_ignore_ascii_case(b"close");
                    self.says_keep_alive |= member.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            ref other if *other == KEEP_ALIVE => self.idle = idle(value.as_bytes()),
            _ => {}
        }
    }

    fn framing(&self, headers: &mut HeaderMap, version: Version) -> Result<Framing, Error> {
        if !self.is_unusual {
            return Ok(self.length.map_or(Framing::UntilClose, Framing::Length));
        }
        check_framing(headers).map_err(Error::Malformed)?;
        if headers.contains_key(TRANSFER_ENCODING) {
            return match version {
                Version::HTTP_11 => Ok(Framing::Chunked),
                _ => Err(Error::Malformed("it has Transfer-Encoding in HTTP/1.0")),
            };
        }
        let length = headers.get(CONTENT_LENGTH).and_then(|value| number(value.as_bytes()));
        length.map(Framing::Length).ok_or(Error::Malformed("its Content-Length is invalid"))
    }
}

/// The `timeout` of a `Keep-Alive` (RFC 2068 section 19.7.1.1), which no RFC in force describes and
/// most servers send.
fn idle(value: &[u8]) -> Option<u32> {
    value.split(|byte| *byte == b',').find_map(|parameter| {
        let (name, value) = std::str::from_utf8(parameter).ok()?.split_once('=')?;
        let seconds = || value.trim().parse().ok();
        if name.trim().eq_ignore_ascii_case("timeout") { seconds() } else { None }
    })
}

/// Digits alone, without overflow.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

fn described(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "invalid header name",
        httparse::Error::HeaderValue => "invalid header value",
        httparse::Error::NewLine => "invalid new line",
        httparse::Error::Status => "invalid status line",
        httparse::Error::Version => "invalid HTTP version",
        httparse::Error::TooManyHeaders => "it has too many fields",
        httparse::Error::Token => "invalid token",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &'static str, is_for_head: bool) -> Result<Option<(Head, HeaderMap)>, Error> {
        let mut input = Bytes::from_static(text.as_bytes());
        let mut headers = HeaderMap::new();
        let head = head(&mut input, is_for_head, &mut headers, UpstreamLimits::default())?;
        Ok(head.map(|head| (head, headers)))
    }

    fn get(text: &'static str) -> Head {
        parsed(text, false).unwrap().unwrap().0
    }

    #[test]
    fn the_end_of_a_body_follows_from_the_head() {
        for (text, framing) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n", Framing::Length(12)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\n", Framing::Length(2)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n", Framing::Chunked),
            ("HTTP/1.1 200 OK\r\n\r\n", Framing::UntilClose),
            ("HTTP/1.0 200 OK\r\n\r\n", Framing::UntilClose),
            ("HTTP/1.1 204 No\r\ncontent-length: 9\r\n\r\n", Framing::Length(0)),
            ("HTTP/1.1 304 No\r\ncontent-length: 9\r\n\r\n", Framing::Length(0)),
            ("HTTP/1.1 101 Up\r\n\r\n", Framing::Switch),
        ] {
            assert_eq!(get(text).framing, framing, "{text}");
        }
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n";
        assert_eq!(parsed(text, true).unwrap().unwrap().0.framing, Framing::Length(0));
    }

    #[test]
    fn the_connection_stays_unless_one_side_says_otherwise() {
        for (text, keeps_alive) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nconnection: x, Close\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nconnection: close\r\nconnection: keep-alive\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n\r\n", true),
        ] {
            assert_eq!(get(text).keeps_alive, keeps_alive, "{text}");
        }
    }

    #[test]
    fn the_time_that_a_target_keeps_connections_is_read() {
        for (said, idle) in [
            ("timeout=5", Some(5)),
            ("max=100, Timeout = 15", Some(15)),
            ("timeout=5, max=100", Some(5)),
            ("max=100", None),
            ("timeout=-1", None),
            ("timeout", None),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\nkeep-alive: {said}\r\n\r\n");
            assert_eq!(get(text.leak()).idle, idle, "{said}");
        }
    }

    #[test]
    fn a_part_of_a_head_is_no_head_yet() {
        let text = "HTTP/1.1 200 OK\r\nname: value\r\n\r\n";
        for length in 0..text.len() {
            assert!(parsed(&text[..length], false).unwrap().is_none(), "{length}");
        }
        assert_eq!(parsed(text, false).unwrap().unwrap().1["name"], "value");
    }

    #[test]
    fn lengths_that_are_no_numbers_are_refused() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n",
        ] {
            assert!(matches!(parsed(text, false), Err(Error::Malformed(_))), "{text}");
        }
    }
}
