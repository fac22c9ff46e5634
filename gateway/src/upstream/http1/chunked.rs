//! Chunked bodies (RFC 9112 section 7.1), as they come in.
//!
//! Owns their grammar: sizes, data, trailers. Strict, since a chunk that two readers understand
//! differently is how a second response is smuggled in. Must not read.

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{BodyError, MAX_TRAILER_BYTES};

/// Bytes of a line with the size of a chunk and its extensions, at most.
const MAX_LINE: usize = 4 << 10;

/// Bytes of the extensions of all chunks of a body, at most (RFC 9112 section 7.1.1).
const MAX_EXTENSIONS: usize = 16 << 10;

/// Trailers, at most.
const MAX_TRAILERS: usize = 64;

/// What the rest of a body with a single chunk in front of it looks like, nearly always.
const USUAL_END: &[u8] = b"\r\n0\r\n\r\n";

/// A body, as far as it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunked {
    at: At,
    /// Bytes of its extensions so far.
    extensions: usize,
}

/// How far the body is.
#[derive(Debug, Clone, Copy)]
enum At {
    /// Before a size.
    Size,
    /// Within a chunk that has so many bytes left.
    Data(u64),
    /// Behind the data of a chunk.
    DataEnd,
    /// Behind the last chunk.
    Trailers,
}

/// What is at the front of the input.
#[derive(Debug)]
pub(super) enum Found {
    Data(Bytes),
    /// The end; the trailers are empty where there are none.
    End(HeaderMap),
    /// A part of something.
    Unfinished,
}

impl Chunked {
    /// Before its first byte.
    pub(super) fn new() -> Self {
        Self { at: At::Size, extensions: 0 }
    }

    /// Takes the next part from the input.
    pub(super) fn decode(&mut self, input: &mut Bytes) -> Result<Found, BodyError> {
        loop {
            match &mut self.at {
                At::Size => {
                    let Some((line, size)) = size(input)? else {
                        return Ok(Found::Unfinished);
                    };
                    self.extensions += extensions(&input[..line]);
                    if self.extensions > MAX_EXTENSIONS {
                        return Err(TOO_LONG);
                    }
                    input.advance(line);
                    self.at = if size == 0 { At::Trailers } else { At::Data(size) };
                }
                At::Data(left) => {
                    if input.is_empty() {
                        return Ok(Found::Unfinished);
                    }
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    *left -= length as u64;
                    if *left == 0 {
                        self.at = At::DataEnd;
                    }
                    return Ok(Found::Data(input.split_to(length)));
                }
                At::DataEnd => {
                    if input.len() < 2 {
                        return Ok(Found::Unfinished);
                    }
                    if !input.starts_with(b"\r\n") {
                        return Err(BodyError::Malformed("a chunk is longer than its size"));
                    }
                    input.advance(2);
                    self.at = At::Size;
                }
                At::Trailers => return trailers(input),
            }
        }
    }

    /// Takes the end from the input if it is all there and without trailers.
    pub(super) fn take_usual_end(&mut self, input: &mut Bytes) -> bool {
        let is_there = matches!(self.at, At::DataEnd) && input.starts_with(USUAL_END);
        if is_there {
            input.advance(USUAL_END.len());
        }
        is_there
    }

    /// Bytes of data that must still come.
    pub(super) fn expected(&self) -> u64 {
        match self.at {
            At::Data(left) => left,
            At::Size | At::DataEnd | At::Trailers => 0,
        }
    }
}

const TOO_LONG: BodyError = BodyError::Malformed("the extensions of its chunks are too long");

/// Bytes between the size and the end of its line.
fn extensions(line: &[u8]) -> usize {
    line.len() - 2 - line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count()
}

/// The length of the line with the size, and the size.
fn size(input: &[u8]) -> Result<Option<(usize, u64)>, BodyError> {
    const INVALID: BodyError = BodyError::Malformed("a chunk's size is invalid");
    let Some(first) = input.first() else {
        return Ok(None);
    };
    // The parser would take a line without digits for a zero.
    if !first.is_ascii_hexdigit() {
        return Err(INVALID);
    }
    match httparse::parse_chunk_size(input) {
        Ok(httparse::Status::Complete((line, _))) if has_control(&input[..line - 2]) => {
            Err(BodyError::Malformed("a chunk's extensions hold a control character"))
        }
        Ok(httparse::Status::Complete((line, size))) if line <= MAX_LINE => Ok(Some((line, size))),
        Ok(httparse::Status::Partial) if input.len() < MAX_LINE => Ok(None),
        Ok(_) => Err(TOO_LONG),
        Err(_) => Err(INVALID),
    }
}

fn trailers(input: &mut Bytes) -> Result<Found, BodyError> {
    if input.starts_with(b"\r\n") {
        input.advance(2);
        return Ok(Found::End(HeaderMap::new()));
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    match httparse::parse_headers(input, &mut fields) {
        Ok(httparse::Status::Complete((length, _))) if has_bare_line_feed(&input[..length]) => {
            Err(BodyError::Malformed("a line of its trailers ends without CR"))
        }
        Ok(httparse::Status::Complete((length, fields))) if length <= MAX_TRAILER_BYTES => {
            let mut trailers = HeaderMap::with_capacity(fields.len());
            for field in fields {
                let name = HeaderName::from_bytes(field.name.as_bytes());
                let value = HeaderValue::from_bytes(field.value);
                let (Ok(name), Ok(value)) = (name, value) else {
                    return Err(BodyError::Malformed("a trailer is invalid"));
                };
                trailers.append(name, value);
            }
            input.advance(length);
            Ok(Found::End(trailers))
        }
        Ok(httparse::Status::Partial) if input.len() < MAX_TRAILER_BYTES => Ok(Found::Unfinished),
        Ok(_) => Err(BodyError::Malformed("its trailers are larger than 64 KiB")),
        Err(_) => Err(BodyError::Malformed("a trailer is invalid")),
    }
}

/// The parser looks for the end of the line alone, which other readers see at a line feed.
fn has_control(line: &[u8]) -> bool {
    line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}

/// The parser takes a line feed alone for the end of a line, where other readers continue.
fn has_bare_line_feed(lines: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', lines).any(|at| at == 0 || lines[at - 1] != b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes what comes in pieces of so many bytes; what is left of the input is returned too.
    fn decoded(
        text: &[u8],
        piece: usize,
    ) -> Result<Option<(Vec<u8>, HeaderMap, Bytes)>, BodyError> {
        let mut chunked = Chunked::new();
        let mut input = Bytes::new();
        let mut body = Vec::new();
        for piece in text.chunks(piece) {
            super::super::append(&mut input, piece);
            loop {
                match chunked.decode(&mut input)? {
                    Found::Data(data) => body.extend_from_slice(&data),
                    Found::End(trailers) => return Ok(Some((body, trailers, input))),
                    Found::Unfinished => break,
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let text = b"3\r\nabc\r\n0A ; x=\"y\"\r\n0123456789\r\n000\r\na: 1\r\nb: 2\r\n\r\n";
        for piece in 1..=text.len() {
            let (body, trailers, _) = decoded(text, piece).unwrap().unwrap();
            assert_eq!(body, b"abc0123456789", "in pieces of {piece}");
            assert_eq!(trailers["a"], "1");
            assert_eq!(trailers["b"], "2");
        }
    }

    #[test]
    fn what_follows_the_body_is_left_alone() {
        let text = b"1\r\na\r\n0\r\n\r\nHTTP/1.1";
        let (body, trailers, rest) = decoded(text, text.len()).unwrap().unwrap();
        assert_eq!((&body[..], trailers.len(), &rest[..]), (&b"a"[..], 0, &b"HTTP/1.1"[..]));
    }

    #[test]
    fn a_body_that_is_cut_off_has_no_end() {
        let text = b"3\r\nabc\r\n0\r\na: 1\r\n\r\n";
        for length in 0..text.len() {
            assert!(decoded(&text[..length], 64).unwrap().is_none(), "{length}");
        }
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        let long = format!("1;{}\r\na\r\n", "x".repeat(MAX_LINE));
        for text in [
            "\r\n",
            " 3\r\nabc\r\n",
            "-1\r\n",
            "+1\r\na\r\n",
            "0x1\r\na\r\n",
            "g\r\n",
            ";x\r\n",
            "1\na\r\n0\r\n\r\n",
            "1\rxa\r\n",
            "11111111111111111\r\n",
            "1\r\nab\r\n",
            "1;a\nb\r\na\r\n0\r\n\r\n",
            "1;a=\"\nb\"\r\na\r\n0\r\n\r\n",
            "1\r\na\n0\r\n\r\n",
            "0\r\nna me: 1\r\n\r\n",
            "0\r\n\n\r\n",
            "0\r\na: 1\n\r\n",
            "0\r\na: 1\r\n\n",
            &long,
        ] {
            let result = decoded(text.as_bytes(), 4096);
            assert!(matches!(result, Err(BodyError::Malformed(_))), "{text:.20}: {result:?}");
        }
    }

    #[test]
    fn the_extensions_of_all_chunks_together_are_bounded() {
        let body =
            |count| format!("1;{}\r\na\r\n", "x".repeat(1 << 10)).repeat(count) + "0\r\n\r\n";
        assert!(decoded(body(15).as_bytes(), 4096).unwrap().is_some());
        let result = decoded(body(16).as_bytes(), 4096);
        assert!(matches!(result, Err(BodyError::Malformed(_))), "{result:?}");
        // Those without extensions are not counted, however many there are.
        let plain = "1\r\na\r\n".repeat(20_000) + "0\r\n\r\n";
        assert!(decoded(plain.as_bytes(), 4096).unwrap().is_some());
    }

    #[test]
    fn the_usual_end_is_seen_at_once() {
        let mut input = Bytes::from_static(b"2\r\nok\r\n0\r\n\r\n");
        let mut chunked = Chunked::new();
        assert!(matches!(chunked.decode(&mut input), Ok(Found::Data(data)) if data == "ok"));
        assert!(chunked.take_usual_end(&mut input));
        assert!(input.is_empty());
    }
}
