//! Streams of events: as a whole, and cut at each byte.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::json::edit::Operation;
use crate::json::pointer::Pointer;
use crate::json::value::ValueTemplate;
use crate::template::{Direction, References};

const LIMIT: usize = 200;

fn edit(operation: Operation) -> Edit {
    Edit { each: None, operation }
}

fn at(pointer: &str) -> Pointer {
    Pointer::parse(pointer).unwrap()
}

fn template(text: &str) -> Template {
    Template::parse(text, Direction::Response, &mut References::default()).unwrap()
}

fn rule(kinds: &[&str]) -> EventRule {
    EventRule {
        kinds: kinds.iter().map(|&kind| kind.to_owned()).collect(),
        drops: false,
        rename: None,
        json: Vec::new(),
        text: None,
    }
}

/// Pings go; a `secret` goes everywhere, `a` becomes `b`, `old` events become `new`, and `break` in
/// the data becomes two lines.
fn rules() -> EventRules {
    let json = vec![
        edit(Operation::Remove { pointer: at("/secret") }),
        edit(Operation::Set {
            pointer: at("/seen"),
            value: ValueTemplate::Constant("1".to_owned()),
            only_missing: false,
        }),
    ];
    let text = vec![(b"break".to_vec(), template("x\nevent: y\rz"))];
    EventRules {
        rules: vec![
            EventRule { drops: true, ..rule(&["ping"]) },
            EventRule { json, ..rule(&["message", "old"]) },
            EventRule { rename: Some(template("new")), ..rule(&["old"]) },
            EventRule { text: Some(Replacer::new(text).unwrap()), ..rule(&[]) },
        ],
        limit: LIMIT,
    }
}

fn in_pieces(rules: &EventRules, pieces: &[&[u8]]) -> Result<Vec<u8>, EventTooLarge> {
    let (mut splitter, mut out) = (Splitter::default(), Vec::new());
    for (index, piece) in pieces.iter().enumerate() {
        let is_last = index + 1 == pieces.len();
        out.extend(rules.push(&mut splitter, piece, is_last, &Values::default())?);
    }
    Ok(out)
}

fn changed(stream: &str) -> String {
    String::from_utf8(in_pieces(&rules(), &[stream.as_bytes()]).unwrap()).unwrap()
}

const STREAMS: [(&str, &str); 17] = [
    ("data: {\"secret\":1}\n\n", "data: {\"seen\":1}\n\n"),
    ("data:{}\r\n\r\ndata:{}\r\r", "data: {\"seen\":1}\r\n\r\ndata: {\"seen\":1}\r\r"),
    ("data: {\ndata: \"a\":1}\n\n", "data: {\"a\":1,\"seen\":1}\n\n"),
    ("data: {\"a\":\ndata: [1,\ndata: 2]}\n\n", "data: {\"a\":[1,\ndata: 2],\"seen\":1}\n\n"),
    (
        ": hello\r\nid: 7\r\nevent: old\r\ndata: {}\r\nretry: 5\r\n\r\n",
        ": hello\r\nid: 7\r\nevent: new\r\ndata: {\"seen\":1}\r\nretry: 5\r\n\r\n",
    ),
    ("event: ping\ndata: {}\n\ndata: 1\n\n", "data: 1\n\n"),
    ("id: 1\nevent: ping\ndata\nretry: 3\n\n", "id: 1\nretry: 3\n\n"),
    ("event: ping\rdata: x\r\r\ndata: [DONE]\r\r\n", "data: [DONE]\r\r\n"),
    (": a comment\n\nid: 4\n\nevent: ping\n\n\n\n", ": a comment\n\nid: 4\n\nevent: ping\n\n\n\n"),
    ("data: [DONE]\n\n", "data: [DONE]\n\n"),
    ("\u{feff}data: {}\n\n\u{feff}data: {}\n\n", "data: {\"seen\":1}\n\n\u{feff}data: {}\n\n"),
    ("\u{feff}data: 7\n\n", "\u{feff}data: 7\n\n"),
    ("\u{feff}\r\ndata: {}\n\n", "\u{feff}\r\ndata: {\"seen\":1}\n\n"),
    ("event: x\ndata: a break b\n\n", "event: x\ndata: a x\ndata: event: y\ndata: z b\n\n"),
    ("event: old\nevent: x\ndata: {}\n\n", "event: old\nevent: x\ndata: {}\n\n"),
    ("data: {\"secret\":1}", "data: {\"seen\":1}\n"),
    ("data: 1\n\ndata: {\"secret\":1}\n", "data: 1\n\ndata: {\"seen\":1}\n"),
];

#[test]
fn changes_events_and_leaves_what_else_is_in_a_stream() {
    for (stream, expected) in STREAMS {
        assert_eq!(changed(stream), expected, "{stream:?}");
    }
}

#[test]
fn how_a_stream_is_cut_makes_no_difference() {
    let mut streams: Vec<String> = STREAMS.iter().map(|(stream, _)| (*stream).to_owned()).collect();
    streams.push(STREAMS[1..8].iter().map(|(stream, _)| *stream).collect());
    let rules = rules();
    for stream in &streams {
        let bytes = stream.as_bytes();
        let whole = in_pieces(&rules, &[bytes]).unwrap();
        let each: Vec<&[u8]> = bytes.chunks(1).chain([&b""[..]]).collect();
        assert_eq!(in_pieces(&rules, &each).unwrap(), whole, "{stream:?}, byte by byte");
        for first in 0..=bytes.len() {
            for second in first..=bytes.len().min(first + 40) {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(
                    in_pieces(&rules, &pieces).unwrap(),
                    whole,
                    "{stream:?} {first} {second}"
                );
            }
        }
    }
}

#[test]
fn an_event_goes_on_with_its_blank_line_whatever_ends_it() {
    let rules = rules();
    for end in ["\n", "\r\n", "\r"] {
        let event = format!("data: {{}}{end}{end}");
        // The LF of the last CRLF is not waited for.
        let piece = event.strip_suffix("\r\n").map(|start| format!("{start}\r"));
        let piece = piece.unwrap_or(event);
        let mut splitter = Splitter::default();
        let passed = rules.push(&mut splitter, piece.as_bytes(), false, &Values::default());
        let expected = format!("data: {{\"seen\":1}}{end}{end}");
        assert_eq!(String::from_utf8(passed.unwrap()).unwrap(), expected, "{end:?}");
    }
}

#[test]
fn an_event_that_is_too_large_ends_the_stream_however_it_is_cut() {
    let rules = rules();
    for (length, fits) in [(LIMIT - 8, true), (LIMIT - 7, false)] {
        let stream = format!("data: {}\n\n", "x".repeat(length));
        let bytes = stream.as_bytes();
        let each: Vec<&[u8]> = bytes.chunks(1).collect();
        for pieces in [&[bytes][..], &each] {
            let passed = in_pieces(&rules, pieces);
            assert_eq!(passed.is_ok(), fits, "{length}");
        }
    }
    // One that has no end is not held for long.
    let mut splitter = Splitter::default();
    let piece = [b'x'; LIMIT + 1];
    let passed = rules.push(&mut splitter, &piece, false, &Values::default());
    assert_eq!(passed, Err(EventTooLarge));
}

/// A reader as the standard has it (WHATWG HTML section 9.2.6): type and data of each event.
fn read(stream: &str) -> Vec<(String, String)> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut kind, mut data) = (Vec::new(), String::new(), String::new());
    for line in stream.split_inclusive('\n') {
        let Some(line) = line.strip_suffix('\n') else {
            break;
        };
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" if line.is_empty() => {
                if let Some(data) = data.strip_suffix('\n') {
                    let kind = if kind.is_empty() { "message" } else { kind.as_str() };
                    events.push((kind.to_owned(), data.to_owned()));
                }
                (kind, data) = (String::new(), String::new());
            }
            "event" => kind = value.to_owned(),
            "data" => data += &format!("{value}\n"),
            _ => {}
        }
    }
    events
}

#[test]
fn a_reader_gets_the_same_events_changed_from_any_stream() {
    const PARTS: [&str; 14] = [
        "data: {}",
        "data:{\"secret\":2,\"k\":1.0}",
        "data",
        "data: break",
        "event: ping",
        "event: old",
        "event:",
        "id: 3",
        ": c",
        "\n",
        "\r",
        "\r\n",
        "\n",
        "\r\n",
    ];
    let rules = rules();
    for seed in 0..3_000_u64 {
        let mut state = seed;
        let mut next = |bound: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % bound
        };
        let stream: String = (0..20).map(|_| PARTS[next(PARTS.len())]).collect();
        let cut = next(stream.len() + 1);
        let (before, behind) = stream.as_bytes().split_at(cut);
        let Ok(passed) = in_pieces(&rules, &[before, behind]) else {
            continue;
        };
        let expected: Vec<_> = read(&stream)
            .into_iter()
            .filter(|(kind, _)| kind != "ping")
            .map(|(kind, data)| {
                let is_edited = kind == "message" || kind == "old";
                let object =
                    is_edited.then(|| serde_json::from_str::<serde_json::Value>(&data).ok());
                let data = match object.flatten() {
                    Some(value) if value.is_object() => match value.get("k") {
                        Some(_) => "{\"k\":1.0,\"seen\":1}".to_owned(),
                        None => "{\"seen\":1}".to_owned(),
                    },
                    _ => data.replace("break", "x\nevent: y\nz"),
                };
                (if kind == "old" { "new".to_owned() } else { kind }, data)
            })
            .collect();
        let passed = String::from_utf8(passed).unwrap();
        assert_eq!(read(&passed), expected, "{seed}: {stream:?} became {passed:?}");
    }
}
