//! Streams of bytes, and the messages that they are cut into.

use super::*;

const MAX: usize = 1 << 10;

/// The messages that a stream is cut into when it comes in pieces of this size. A `POST` has
/// chunks, a `PUT` five bytes.
fn messages(stream: &str, size: usize) -> Vec<String> {
    let mut inbound = Inbound::default();
    let mut messages = Vec::new();
    let mut message = Vec::new();
    let mut pieces = stream.as_bytes().chunks(size);
    loop {
        if inbound.cut.is_over() {
            let has_body = message.len() > inbound.cut.raw_head().len();
            match inbound.cut.raw_head() {
                b if !has_body && b.starts_with(b"POST") => inbound.cut.expect_body(None),
                b if !has_body && b.starts_with(b"PUT") => inbound.cut.expect_body(Some(5)),
                _ => {
                    messages.push(String::from_utf8(std::mem::take(&mut message)).unwrap());
                    inbound.cut.begin_anew();
                }
            }
        }
        if inbound.ahead.is_empty() {
            let Some(piece) = pieces.next() else { break };
            inbound.ahead.push(piece);
        }
        let (range, _) = inbound.cut.next(inbound.ahead.as_slice(), MAX).unwrap();
        message.extend_from_slice(&inbound.ahead.as_slice()[range.clone()]);
        inbound.ahead.advance(range.end);
    }
    messages.push(String::from_utf8(message).unwrap());
    messages
}

#[test]
fn cuts_a_stream_into_requests_whatever_its_pieces() {
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let bare = "GET /bare HTTP/1.1\nhost: a\n\n";
    let chunked = "POST / HTTP/1.1\r\n\r\n3\r\n\r\n\r\r\n0\r\n\r\n";
    let sized = "PUT / HTTP/1.1\r\nx: y\n\r\n\n\n\r\n\n";
    let stream = format!("{get}{bare}{chunked}{get}{sized}{sized}{chunked}{get}GET /un");
    for size in 1..stream.len() {
        let messages = messages(&stream, size);
        let expected = [get, bare, chunked, get, sized, sized, chunked, get, "GET /un"];
        assert_eq!(messages, expected, "in pieces of {size}");
    }
}

#[test]
fn empty_lines_between_requests_are_no_head() {
    let get = "GET / HTTP/1.1\r\n\r\n";
    let mut cut = Cutter::default();
    assert_eq!(cut.next(b"\r\n\n\r\n", MAX).unwrap(), (5..5, News::Nothing));
    assert_eq!(cut.next(b"\r", MAX).unwrap(), (0..1, News::HeadBegan));
    assert_eq!(cut.next(b"\n\r\n", MAX).unwrap(), (0..1, News::NoHead));
    let stream = format!("\r\n{get}");
    assert_eq!(cut.next(stream.as_bytes(), MAX).unwrap(), (2..stream.len(), News::HeadBegan));
    assert!(cut.is_over());
    assert_eq!(cut.raw_head(), get.as_bytes());
    assert_eq!(cut.next(b"more", MAX).unwrap(), (0..0, News::Nothing));
}

#[test]
fn tells_whether_the_rest_of_a_body_is_there() {
    let mut cut = Cutter::default();
    cut.next(b"PUT / HTTP/1.1\r\n\r\n", MAX).unwrap();
    cut.expect_body(Some(5));
    assert_eq!(cut.next(b"12", MAX).unwrap(), (0..2, News::BodyMoved));
    assert!(!cut.would_end(b"34", MAX) && cut.would_end(b"345", MAX));
    assert_eq!(cut.next(b"3456", MAX).unwrap(), (0..3, News::BodyEnded));
    cut.begin_anew();
    cut.next(b"POST / HTTP/1.1\r\n\r\n", MAX).unwrap();
    cut.expect_body(None);
    assert!(!cut.would_end(b"0\r\n", MAX) && cut.would_end(b"0\r\n\r\n", MAX));
    assert!(!cut.would_end(b"0\r\na: b\r\n", MAX) && cut.would_end(b"0\r\na: b\r\n\r\n", MAX));
    assert_eq!(cut.next(b"0\r\n\r\nGET", MAX).unwrap(), (0..5, News::BodyEnded));
    assert!(!cut.take_trailers());
    cut.begin_anew();
    cut.next(b"POST / HTTP/1.1\r\n\r\n", MAX).unwrap();
    cut.expect_body(None);
    assert_eq!(cut.next(b"0\r\na: b\r\n\r\n", MAX).unwrap(), (0..11, News::BodyEnded));
    assert!(cut.take_trailers() && !cut.take_trailers());
}
