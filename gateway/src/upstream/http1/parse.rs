//! Response heads (RFC 9112).
//!
//! Owns their grammar, through `httparse`, and how the body behind one is delimited. A response
//! whose end two readers could see in different places is refused.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};

use super::super::head::check_framing;
use super::{Error, MAX_HEAD};

/// Fields of a head, at most.
const MAX_FIELDS: usize = 100;

/// The head of a response, and what follows from it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    pub(super) keeps_alive: bool,
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

/// Takes a head from the front of the input, when all of it is there. `headers` is an empty map,
/// perhaps with room for some.
pub(super) fn head(
    input: &mut Bytes,
    method: &Method,
    mut headers: HeaderMap,
) -> Result<Result<Head, HeaderMap>, Error> {
    let mut fields = [MaybeUninit::uninit(); MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, input, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Partial) if input.len() < MAX_HEAD => return Ok(Err(headers)),
        Ok(_) => return Err(Error::Malformed("its head is larger than 64 KiB")),
        Err(error) => return Err(Error::Malformed(described(error))),
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Error::Malformed("its status is out of range"))?;
    let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let whole = input.slice(..length);
    let mut found = Found::default();
    headers.reserve(parsed.headers.len());
    for field in &*parsed.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|_| Error::Malformed("invalid header name"))?;
        let value = value(&whole, field.value);
        found.note(&name, &value);
        headers.append(name, value);
    }
    input.advance(length);
    let framing = found.framing(&mut headers, version)?;
    let keeps_alive = match version {
        Version::HTTP_11 => !found.says_close,
        _ => found.says_keep_alive && !found.says_close,
    };
    let framing = match status {
        StatusCode::SWITCHING_PROTOCOLS => Framing::Switch,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Framing::Length(0),
        _ if status.is_informational() || method == Method::HEAD => Framing::Length(0),
        _ => framing,
    };
    Ok(Ok(Head { status, version, headers, framing, keeps_alive }))
}

/// A value as a part of the head that it stands in: nothing is copied.
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
            CONNECTION => {
                for member in value.as_bytes().split(|byte| *byte == b',') {
                    let member = member.trim_ascii();
                    self.says_close |= member.eq_ignore_ascii_case(b"close");
                    self.says_keep_alive |= member.eq_ignore_ascii_case(b"keep-alive");
                }
            }
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
        httparse::Error::TooManyHeaders => "it has more than 100 header fields",
        httparse::Error::Token => "invalid token",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &'static str, method: &Method) -> Result<Option<Head>, Error> {
        let mut input = Bytes::from_static(text.as_bytes());
        head(&mut input, method, HeaderMap::new()).map(Result::ok)
    }

    fn get(text: &'static str) -> Head {
        parsed(text, &Method::GET).unwrap().unwrap()
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
        assert_eq!(parsed(text, &Method::HEAD).unwrap().unwrap().framing, Framing::Length(0));
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
    fn a_part_of_a_head_is_no_head_yet() {
        let text = "HTTP/1.1 200 OK\r\nname: value\r\n\r\n";
        for length in 0..text.len() {
            assert!(parsed(&text[..length], &Method::GET).unwrap().is_none(), "{length}");
        }
        assert_eq!(get(text).headers["name"], "value");
    }

    #[test]
    fn lengths_that_are_no_numbers_are_refused() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n",
        ] {
            assert!(matches!(parsed(text, &Method::GET), Err(Error::Malformed(_))), "{text}");
        }
    }
}
