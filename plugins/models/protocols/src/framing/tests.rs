//! How a stream is cut makes no difference, and its raw bytes are the stream.

use super::{Event, Fault, Framing, Reader, event_stream};
use crate::saved::Saved;

type Read = (String, String, bool);

/// The events when the stream comes in these chunks, the state saved and loaded between them.
fn events(framing: Framing, chunks: &[&[u8]]) -> (Vec<Read>, Vec<u8>) {
    let mut reader = Reader::new(framing, 10_000);
    let (mut seen, mut raw) = (Vec::new(), Vec::new());
    let mut take = |event: Event<'_>| {
        raw.extend_from_slice(event.raw);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if let Some(data) = event.data {
            seen.push((text(event.name), text(&data), event.is_whole));
        }
    };
    for chunk in chunks {
        reader.read(chunk, &mut take).expect("a stream in its framing");
        reader = Reader::from_bytes(&reader.to_bytes()).expect("what was saved");
    }
    reader.finish(&mut take);
    (seen, raw)
}

fn at_every_split(framing: Framing, stream: &[u8], expected: &[(&str, &str, bool)]) {
    let expected: Vec<Read> = expected
        .iter()
        .map(|(name, data, whole)| ((*name).into(), (*data).into(), *whole))
        .collect();
    let same = |chunks: &[&[u8]]| {
        assert_eq!(events(framing, chunks), (expected.clone(), stream.to_vec()), "{chunks:?}");
    };
    same(&[stream]);
    for cut in 0..=stream.len() {
        same(&[&stream[..cut], &stream[cut..]]);
    }
    let bytes: Vec<_> = stream.chunks(1).collect();
    same(&bytes);
}

#[test]
fn server_sent_events_with_every_end_of_a_line() {
    let text = "\u{feff}event: a\ndata: 1\n\n: ping\n\ndata:2\ndata: 3\ndata\nid: 7\n\nevent: b\n\n\n\ndata: x";
    let expected = [("a", "1", true), ("", "2\n3\n", true), ("", "x", false)];
    for end in ["\n", "\r\n", "\r"] {
        at_every_split(Framing::Sse, text.replace('\n', end).as_bytes(), &expected);
    }
}

#[test]
fn an_event_that_ends_with_cr_is_not_held_back() {
    let mut reader = Reader::new(Framing::Sse, 100);
    let mut count = 0;
    reader.read(b"data: 1\r\n\r", |_| count += 1).expect("events");
    assert_eq!(count, 1);
    reader
        .read(b"\ndata: 2\r\n\r\n", |event| {
            assert_eq!(event.data.as_deref(), Some(b"2".as_slice()));
            assert_eq!(event.raw, b"\ndata: 2\r\n\r\n");
        })
        .expect("events");
}

#[test]
fn lines_of_json() {
    let stream = b"{\"a\":1}\n\n {\"b\":2}\r\n{\"c\"";
    let expected = [("", "{\"a\":1}", true), ("", "{\"b\":2}", true), ("", "{\"c\"", false)];
    at_every_split(Framing::Ndjson, stream, &expected);
}

#[test]
fn elements_of_an_array() {
    let stream = b"[{\"a\":\"]}\\\"\"}\n,\r\n {\"b\":[{}]}\n]\n";
    let expected = [("", "{\"a\":\"]}\\\"\"}", true), ("", "{\"b\":[{}]}", true)];
    at_every_split(Framing::JsonArray, stream, &expected);
    let error = Reader::new(Framing::JsonArray, 99).read(b"]", |_| {});
    assert_eq!(error, Err(Fault::Malformed));
}

#[test]
fn frames_of_an_event_stream() {
    let mut stream = Vec::new();
    event_stream::write_event(&mut stream, "messageStart", "{\"role\":\"assistant\"}");
    event_stream::write_exception(&mut stream, "throttlingException", "{\"message\":\"slow\"}");
    event_stream::write(&mut stream, &[(":message-type", "error"), (":error-code", "E")], b"");
    let expected = [
        ("messageStart", "{\"role\":\"assistant\"}", true),
        ("throttlingException", "{\"message\":\"slow\"}", true),
        ("E", "", true),
    ];
    at_every_split(Framing::EventStream, &stream, &expected);
    let mut exceptions = Vec::new();
    let mut reader = Reader::new(Framing::EventStream, 1000);
    reader.read(&stream, |event| exceptions.push(event.is_exception)).expect("frames");
    assert_eq!(exceptions, [false, true, true]);
}

#[test]
fn a_broken_frame_ends_the_stream() {
    let mut stream = Vec::new();
    event_stream::write_event(&mut stream, "contentBlockDelta", "{}");
    for at in 0..stream.len() {
        let mut broken = stream.clone();
        broken[at] ^= 0x40;
        let read = Reader::new(Framing::EventStream, 1000).read(&broken, |_| panic!("at {at}"));
        assert_eq!(read, Err(Fault::Checksum), "at {at}");
    }
    let mut lies = 15_u32.to_be_bytes().to_vec();
    lies.extend_from_slice(&[0; 4]);
    lies.extend_from_slice(&crc32fast::hash(&lies).to_be_bytes());
    let read = Reader::new(Framing::EventStream, 1000).read(&lies, |_| {});
    assert_eq!(read, Err(Fault::Malformed));
}

#[test]
fn an_event_without_end_is_not_held_without_end() {
    for framing in [Framing::Sse, Framing::Ndjson, Framing::JsonArray] {
        let mut reader = Reader::new(framing, 100);
        let start: &[u8] = if framing == Framing::JsonArray { b"[{\"a\":\"" } else { b"data: " };
        assert_eq!(reader.read(start, |_| {}), Ok(()));
        let mut read = Ok(());
        for _ in 0..20 {
            read = read.and_then(|()| reader.read(b"0123456789", |_| {}));
        }
        assert_eq!(read, Err(Fault::TooLarge));
        assert!(reader.held().len() <= 100);
    }
    let mut frame = Vec::new();
    event_stream::write_event(&mut frame, "chunk", &"x".repeat(200));
    let read = Reader::new(Framing::EventStream, 100).read(&frame[..12], |_| {});
    assert_eq!(read, Err(Fault::TooLarge));
}

#[test]
fn an_event_that_is_too_large_passes_in_pieces_and_what_follows_is_read() {
    let large = "x".repeat(500);
    let streams = [
        (Framing::Sse, format!("data: 1\n\ndata: {large}\n\ndata: 2\n\n"), ["1", "2"]),
        (Framing::Ndjson, format!("1\n\"{large}\"\n2\n"), ["1", "2"]),
        (
            Framing::JsonArray,
            format!("[{{}},{{\"a\":\"{large}\"}},{{\"b\":1}}]"),
            ["{}", "{\"b\":1}"],
        ),
    ];
    for (framing, stream, expected) in streams {
        for size in [1, 7, 64, 1_000] {
            let mut reader = Reader::new(framing, 100).passing(1_000);
            let (mut seen, mut raw) = (Vec::new(), Vec::new());
            for chunk in stream.as_bytes().chunks(size) {
                let take = |event: Event<'_>| {
                    raw.extend_from_slice(event.raw);
                    seen.extend(event.data.map(|it| String::from_utf8_lossy(&it).into_owned()));
                };
                reader.read(chunk, take).expect("a stream in its framing");
                reader = Reader::from_bytes(&reader.to_bytes()).expect("what was saved");
            }
            assert!(reader.held().len() <= 100);
            reader.finish(|event| raw.extend_from_slice(event.raw));
            assert_eq!(
                (seen, raw),
                (expected.map(str::to_owned).to_vec(), stream.clone().into_bytes())
            );
        }
    }
}

#[test]
fn an_event_without_end_is_a_fault() {
    let mut reader = Reader::new(Framing::Sse, 100).passing(1_000);
    let mut passed = 0;
    let fault = loop {
        match reader.read(&[b'x'; 60], |event| passed += event.raw.len()) {
            Ok(()) => assert!(passed <= 1_000),
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault, Fault::Endless);
    // Those of an AWS event stream say how long they are.
    let mut reader = Reader::new(Framing::EventStream, 100).passing(1_000);
    let large = [0, 0, 1, 244, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(reader.read(&large, |_| {}).is_err());
}
