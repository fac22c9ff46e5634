//! Requests as bytes (RFC 9112).
//!
//! Owns the request line, the fields and how the body is delimited. Sends nothing.

use http::header::{CONTENT_LENGTH, EXPECT, HeaderMap, TE, TRANSFER_ENCODING};
use http::{Method, Request};
use http_body::Body;

use super::super::added::{Added, write_line as field};
use crate::trailers;

/// How the end of a request is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, and perhaps trailers.
    Chunked,
}

impl Framing {
    pub(super) fn of(body: &impl Body) -> Self {
        if body.is_end_stream() {
            return Self::None;
        }
        match body.size_hint().exact() {
            // Over HTTP/2 its end may come behind the head. There is nothing to wait for.
            Some(0) => Self::None,
            Some(length) => Self::Length(length),
            None => Self::Chunked,
        }
    }
}

/// Writes the head, and returns whether it asks for a 100 before the body is sent. The framing comes
/// from the body alone, no matter what the fields say of it, so that the two can never differ.
pub(super) fn head<B>(
    out: &mut Vec<u8>,
    request: &Request<B>,
    added: Option<&dyn Added>,
    framing: Framing,
) -> bool {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let (mut has_length, mut has_te, mut expects) = (false, false, false);
    for (name, value) in request.headers() {
        match *name {
            CONTENT_LENGTH => has_length = true,
            TRANSFER_ENCODING => {}
            TE => {
                has_te = true;
                field(out, name, value.as_bytes());
            }
            EXPECT => {
                expects = value.as_bytes().eq_ignore_ascii_case(b"100-continue");
                field(out, name, value.as_bytes());
            }
            _ => field(out, name, value.as_bytes()),
        }
    }
    if let Some(added) = added {
        added.write(out);
    }
    if has_te {
        // It is for the next hop alone (RFC 9110 section 10.1.4).
        out.extend_from_slice(b"connection: te\r\n");
    }
    match framing {
        // A request that says so explicitly keeps saying it, and where a body is usual its absence is
        // said (RFC 9110 section 8.6).
        Framing::None if has_length || has_usually_body(request.method()) => {
            out.extend_from_slice(b"content-length: 0\r\n")
        }
        Framing::None => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
    expects
}

fn has_usually_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// Writes what is before the data of a chunk.
pub(super) fn chunk_size(out: &mut Vec<u8>, size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|digit| DIGITS[(size >> (digit * 4)) & 15]));
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk, and the trailers behind it.
pub(super) fn last_chunk(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        if trailers::may_trail(name) {
            field(out, name, value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_chunks_are_hexadecimal_without_leading_zeros() {
        for size in [0, 1, 9, 10, 15, 16, 255, 256, 0x1000, 0xabc_def0, usize::MAX] {
            let mut out = Vec::new();
            chunk_size(&mut out, size);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{size:x}\r\n"));
        }
    }

    #[test]
    fn the_framing_is_the_bodys_whatever_the_fields_say() {
        let request = |length: &str| {
            let request = Request::builder().method("PUT").uri("http://h/a?b");
            let request = request.header("content-length", length).header("x-a", "1");
            request.header("transfer-encoding", "chunked").body(()).unwrap()
        };
        let written = |framing| {
            let mut out = Vec::new();
            head(&mut out, &request("7"), None, framing);
            String::from_utf8(out).unwrap()
        };
        let front = "PUT /a?b HTTP/1.1\r\nx-a: 1\r\n";
        assert_eq!(written(Framing::None), format!("{front}content-length: 0\r\n\r\n"));
        assert_eq!(written(Framing::Length(12)), format!("{front}content-length: 12\r\n\r\n"));
        assert_eq!(written(Framing::Chunked), format!("{front}transfer-encoding: chunked\r\n\r\n"));
    }

    #[test]
    fn what_the_next_hop_needs_to_know_is_said() {
        let written = |method: &str, te: bool| {
            let mut request = Request::builder().method(method).uri("/").body(()).unwrap();
            if te {
                request.headers_mut().insert(TE, "trailers".parse().unwrap());
            }
            let mut out = Vec::new();
            head(&mut out, &request, None, Framing::None);
            String::from_utf8(out).unwrap()
        };
        for method in ["POST", "PUT", "PATCH"] {
            let said = format!("{method} / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
            assert_eq!(written(method, false), said);
        }
        for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
            assert_eq!(written(method, false), format!("{method} / HTTP/1.1\r\n\r\n"));
        }
        let said = "GET / HTTP/1.1\r\nte: trailers\r\nconnection: te\r\n\r\n";
        assert_eq!(written("GET", true), said);
    }

    #[test]
    fn trailers_that_would_change_the_message_are_left_out() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        trailers.insert("content-length", "9".parse().unwrap());
        trailers.insert("authorization", "x".parse().unwrap());
        let mut out = Vec::new();
        last_chunk(&mut out, Some(&trailers));
        assert_eq!(out, b"0\r\ngrpc-status: 0\r\n\r\n");
    }
}
