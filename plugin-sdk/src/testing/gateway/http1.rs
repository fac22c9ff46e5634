//! As much of HTTP/1.1 (RFC 9112) as a test needs before and behind a gateway: whole messages over
//! blocking sockets. The gateway judges what it gets; this only has to be right.

use std::io::{self, BufRead, Read as _, Write};

use crate::wire::Field;

/// Fields of a message, at most.
const MAX_FIELDS: usize = 512;
/// How long the head of a message may be, in bytes.
const MAX_HEAD: u64 = 1 << 20;

/// A message that was read to its end.
pub(super) struct Message {
    /// Method and target of a request.
    pub(super) request: Option<(String, String)>,
    /// Of a response; 0 for a request.
    pub(super) status: u16,
    pub(super) fields: Vec<Field>,
    pub(super) body: Vec<u8>,
}

/// Reads a request; `None` where the connection ends before one.
pub(super) fn read_request(stream: &mut impl BufRead) -> io::Result<Option<Message>> {
    let Some(head) = read_head(stream)? else { return Ok(None) };
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(&head).map_err(invalid)?;
    let target = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let line = (target(request.method), target(request.path));
    let fields = owned(request.headers);
    let body = read_body(stream, &fields, false)?;
    Ok(Some(Message { request: Some(line), status: 0, fields, body }))
}

/// Reads the final response to a request.
pub(super) fn read_response(stream: &mut impl BufRead, is_head: bool) -> io::Result<Message> {
    loop {
        let head = read_head(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        response.parse(&head).map_err(invalid)?;
        let status = response.code.unwrap_or_default();
        if (100..200).contains(&status) {
            continue;
        }
        let fields = owned(response.headers);
        let has_body = !is_head && status != 204 && status != 304;
        let body = if has_body { read_body(stream, &fields, true)? } else { Vec::new() };
        return Ok(Message { request: None, status, fields, body });
    }
}

/// Writes a message: its first line, these fields, and the body in chunks if it has one.
pub(super) fn write(
    stream: &mut impl Write,
    line: &str,
    fields: &[Field],
    chunks: &[Vec<u8>],
    framing: Framing,
) -> io::Result<()> {
    let mut head = format!("{line}\r\n").into_bytes();
    for Field { name, value } in fields {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    let length: usize = chunks.iter().map(Vec::len).sum();
    match framing {
        Framing::None => {}
        Framing::Length => write!(head, "content-length: {length}\r\n")?,
        Framing::Chunks => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    head.extend_from_slice(b"\r\n");
    stream.write_all(&head)?;
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
        match framing {
            Framing::None => {}
            Framing::Length => stream.write_all(chunk)?,
            Framing::Chunks => {
                write!(stream, "{:x}\r\n", chunk.len())?;
                stream.write_all(chunk)?;
                stream.write_all(b"\r\n")?;
                stream.flush()?;
            }
        }
    }
    if framing == Framing::Chunks {
        stream.write_all(b"0\r\n\r\n")?;
    }
    stream.flush()
}

/// How the end of a body is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// By `content-length`.
    Length,
    /// By chunked coding.
    Chunks,
}

impl Framing {
    /// For a body in these chunks: several are sent as they are.
    pub(super) fn of(chunks: &[Vec<u8>]) -> Self {
        if chunks.len() > 1 { Self::Chunks } else { Self::Length }
    }
}

/// Up to the empty line, which is part of it.
fn read_head(stream: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut stream = stream.take(MAX_HEAD);
    loop {
        let length = stream.read_until(b'\n', &mut head)?;
        match length {
            0 if head.is_empty() => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if head.ends_with(b"\r\n\r\n") => return Ok(Some(head)),
            _ => {}
        }
    }
}

fn read_body(
    stream: &mut impl BufRead,
    fields: &[Field],
    until_close: bool,
) -> io::Result<Vec<u8>> {
    let text = |name| fields.iter().find(|field| field.name == name).and_then(Field::text);
    let mut body = Vec::new();
    if text("transfer-encoding").is_some() {
        while read_chunk(stream, &mut body)? {}
    } else if let Some(length) = text("content-length") {
        body.resize(length.parse().map_err(invalid)?, 0);
        stream.read_exact(&mut body)?;
    } else if until_close {
        stream.read_to_end(&mut body)?;
    }
    Ok(body)
}

/// Adds a chunk to the body. Returns whether more follow; trailers are read and dropped.
fn read_chunk(stream: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<bool> {
    let line = read_line(stream)?;
    let size = line.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(size, 16).map_err(invalid)?;
    if size == 0 {
        while !read_line(stream)?.is_empty() {}
        return Ok(false);
    }
    let start = body.len();
    body.resize(start + size, 0);
    stream.read_exact(&mut body[start..])?;
    read_line(stream)?;
    Ok(true)
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.take(MAX_HEAD).read_until(b'\n', &mut line)?;
    if !line.ends_with(b"\n") {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    String::from_utf8(line).map(|line| line.trim_end().to_owned()).map_err(invalid)
}

fn owned(fields: &[httparse::Header<'_>]) -> Vec<Field> {
    let owned = |field: &httparse::Header<'_>| Field {
        name: field.name.to_ascii_lowercase(),
        value: field.value.to_vec(),
    };
    fields.iter().map(owned).collect()
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let field = Field { name: "x-name".to_owned(), value: b"Ada".to_vec() };
        for chunks in [vec![], vec![b"one".to_vec()], vec![b"one".to_vec(), b"two".to_vec()]] {
            let mut bytes = Vec::new();
            let framing = Framing::of(&chunks);
            write(&mut bytes, "PUT /a?b HTTP/1.1", std::slice::from_ref(&field), &chunks, framing)
                .unwrap();
            bytes.extend_from_slice(b"GET");
            let mut stream = bytes.as_slice();
            let message = read_request(&mut stream).unwrap().unwrap();
            assert_eq!(message.request, Some(("PUT".to_owned(), "/a?b".to_owned())));
            assert_eq!((&message.fields[0], message.body), (&field, chunks.concat()));
            assert_eq!(stream, b"GET");
        }
    }

    #[test]
    fn a_response_ends_where_its_head_says_or_is_an_error() {
        let read = |text: &str, is_head| read_response(&mut text.as_bytes(), is_head);
        let interim = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall of it";
        let message = read(interim, false).unwrap();
        assert_eq!((message.status, message.body.as_slice()), (200, b"all of it".as_slice()));
        let long = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
        assert!(read(long, false).is_err());
        assert!(read(long, true).unwrap().body.is_empty());
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
        assert!(read(chunked, false).is_err());
        assert!(read("HTTP/1.1 200", false).is_err());
        assert!(read_request(&mut "".as_bytes()).unwrap().is_none());
    }
}
