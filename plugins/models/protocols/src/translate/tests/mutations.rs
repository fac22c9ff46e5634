//! Requests and answers with one value replaced by another: whatever comes, nothing panics, and
//! what is written is JSON in its framing. With `ALL_MUTATIONS` in the environment all of them.

use std::ops::Range;

use super::embeddings::ANSWERS;
use super::requests::{CHAT, CLAUDE, GEMINI, OLLAMA, RESPONSES};
use super::wholes::WHOLES;
use super::{CLIENTS, PROVIDERS, options, stream_of};
use crate::error;
use crate::framing::{Framing, Reader};
use crate::json::Raw;
use crate::protocol::{Call, Protocol};
use crate::request::{Edits, read};
use crate::translate::{Form, Target, Translator, embeddings, request, response};
use crate::usage;

const VALUES: [&str; 12] = [
    "null",
    "true",
    "-1",
    "18446744073709551615",
    "1e999",
    "\"\"",
    "\"x\\ud800\\\"\"",
    "[]",
    "{}",
    "[[{}]]",
    "{\"type\":\"text\"}",
    "[{\"text\":5,\"type\":\"tool_use\"}]",
];

/// Where the values of a document are, at any depth.
fn places(body: &[u8], value: Raw<'_>, found: &mut Vec<Range<usize>>) {
    found.push(value.range_in(body));
    value.elements().for_each(|it| places(body, it, found));
    value.members().for_each(|(_, it)| places(body, it, found));
}

/// The document with values replaced by others; all of them take minutes, and some are enough to
/// see a kind of fault.
fn mutated(body: &str, mut each: impl FnMut(&str)) {
    let step = if std::env::var_os("ALL_MUTATIONS").is_some() { 1 } else { 29 };
    let mut found = Vec::new();
    places(body.as_bytes(), Raw::parse(body.as_bytes()).expect("JSON"), &mut found);
    for (at, place) in found.into_iter().enumerate() {
        for value in VALUES.iter().skip(at % step).step_by(step) {
            each(&format!("{}{value}{}", &body[..place.start], &body[place.end..]));
        }
    }
}

#[test]
fn requests() {
    for (path, body) in [
        ("/v1/chat/completions", CHAT),
        ("/v1/messages", CLAUDE),
        ("/models/g:generateContent", GEMINI),
        ("/api/chat", OLLAMA),
        ("/v1/responses", RESPONSES),
    ] {
        let call = Call::of_path(path).expect("a path");
        mutated(body, |body| {
            for protocol in PROVIDERS {
                let target = Target { extensions: true, ..Target::new(protocol, "claude") };
                if let Ok(got) = request(&call, body.as_bytes(), &target) {
                    assert!(Raw::parse(got.body.as_bytes()).is_ok(), "{body}\n{}", got.body);
                }
            }
            let edited = |mut edits: Edits<'_>| {
                edits.model("m");
                edits.max_output(5, None);
                edits.include_usage();
                edits.mend_history();
                edits.apply()
            };
            let whole = Edits::new(call.protocol, body.as_bytes()).map(edited);
            if let Ok(whole) = &whole {
                assert!(Raw::parse(whole).is_ok(), "{body}");
            }
            // What was read is changed as what is looked through.
            if let Ok(read) = read(&call, body.as_bytes()) {
                let of_read = edited(Edits::of_read(call.protocol, body.as_bytes(), &read));
                assert!(whole.is_ok_and(|whole| whole == of_read), "{body}");
            }
        });
    }
}

#[test]
fn requests_for_embeddings_and_their_answers() {
    const PART: &str = r#"{"content":{"parts":[{"text":"a"}]},"taskType":"CLUSTERING","title":"t","outputDimensionality":2,"embedContentConfig":{"autoTruncate":true}}"#;
    let several = format!("{{\"requests\":[{PART},{PART}]}}");
    for (path, body) in [
        (
            "/v1/embeddings",
            r#"{"model":"m","input":["a","b"],"dimensions":2,"input_type":"clustering","encoding_format":"base64","user":"u"}"#,
        ),
        ("/api/embed", r#"{"model":"m","input":"a","dimensions":2,"truncate":true,"options":{}}"#),
        ("/models/m:embedContent", PART),
        ("/models/m:batchEmbedContents", &several),
        (
            "/v2/embed",
            r#"{"texts":["a"],"input_type":"clustering","output_dimension":2,"embedding_types":["float"],"truncate":"END"}"#,
        ),
        ("/v2/embed", r#"{"inputs":[{"content":[{"type":"text","text":"a"}]}]}"#),
    ] {
        let call = Call::of_path(path).expect("a path");
        mutated(body, |body| {
            let models = ["gemini-embedding-2", "cohere.embed", "amazon.titan-embed-text-v2:0"];
            for (protocol, model) in
                ANSWERS.iter().flat_map(|(it, _)| models.iter().map(move |model| (*it, *model)))
            {
                if let Ok(got) = request(&call, body.as_bytes(), &Target::new(protocol, model)) {
                    assert!(Raw::parse(got.body.as_bytes()).is_ok(), "{body}\n{}", got.body);
                }
            }
            _ = read(&call, body.as_bytes());
        });
    }
    let clients =
        [Protocol::OpenAiEmbeddings, Protocol::Ollama, Protocol::Gemini, Protocol::Cohere];
    for (from, body) in ANSWERS {
        mutated(body, |body| {
            for (to, form) in clients.into_iter().flat_map(|to| {
                [Form::Numbers, Form::Bytes, Form::Both, Form::One].map(|form| (to, form))
            }) {
                if let Ok(got) = embeddings(from, to, body.as_bytes(), &options(), form) {
                    assert!(Raw::parse(got.as_bytes()).is_ok(), "{body}\n{got}");
                }
            }
            _ = usage::of_body(from, body.as_bytes());
        });
    }
}

#[test]
fn whole_answers_and_errors() {
    for (from, body) in WHOLES {
        mutated(body, |body| {
            for to in CLIENTS {
                if let Ok(got) = response(from, to, body.as_bytes(), &options()) {
                    assert!(Raw::parse(got.as_bytes()).is_ok(), "{body}\n{got}");
                }
            }
            _ = usage::of_body(from, body.as_bytes());
            _ = usage::finish_of_body(from, body.as_bytes());
            _ = error::of_response(from, 400, &|_| None, body.as_bytes(), 0);
        });
    }
}

/// The raw events of a stream with the data of each.
fn events(protocol: Protocol) -> Vec<(String, String)> {
    let mut events = Vec::new();
    let mut reader = Reader::new(protocol.framing(), 100_000);
    let read = reader.read(&stream_of(protocol), |event| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        events.push((text(event.name), text(event.data.as_deref().expect("data"))));
    });
    read.expect("a stream");
    events
}

#[test]
fn streams() {
    for from in PROVIDERS {
        let events = events(from);
        for (at, (_, data)) in events.iter().enumerate().filter(|(_, (_, data))| data != "[DONE]") {
            mutated(data, |data| {
                for to in CLIENTS {
                    let mut translator = Translator::new(from, to, &options()).expect("one");
                    let mut out = Vec::new();
                    for (index, (name, plain)) in events.iter().enumerate() {
                        let data = if index == at { data } else { plain };
                        translator.event(&event(name, data), &mut out);
                    }
                    translator.finish(&mut out);
                    assert!(translator.is_over());
                    check(to, &out);
                }
            });
        }
    }
}

fn event<'a>(name: &'a str, data: &'a str) -> crate::framing::Event<'a> {
    crate::framing::Event {
        raw: b"",
        name: name.as_bytes(),
        data: Some(data.as_bytes().into()),
        is_exception: false,
        is_whole: true,
    }
}

fn check(to: Protocol, written: &[u8]) {
    let framing = if to == Protocol::Ollama { Framing::Ndjson } else { Framing::Sse };
    let mut reader = Reader::new(framing, 1_000_000);
    let read = reader.read(written, |event| {
        let data = event.data.as_deref().expect("data");
        let about = String::from_utf8_lossy(written);
        assert!(data == b"[DONE]" || Raw::parse(data).is_ok(), "{about}");
    });
    assert!(read.is_ok() && reader.held().is_empty());
}
