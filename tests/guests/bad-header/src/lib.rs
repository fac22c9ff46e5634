//! Breaks the contract as the request's `x-bad` tells it to, for the tests that each breach costs
//! one request, is named in the log, and never reaches a client or an upstream. Written on the bare
//! interface, since the SDK would not let it.
//!
//! In a change of the request: `name` (a field name with spaces), `value` (a field value with CR LF
//! and a smuggled field), `framing` (sets `content-length`), `transfer` (sets `transfer-encoding`),
//! `path` (a path without slash), `path-space` (a path with a space and CR LF), `query` (a query
//! with CR LF), `method` (a method with a space), `many` (20,000 fields), `huge` (a value of 2
//! MiB), `huge-name` (a name of 30 MiB), `upstream` (an upstream that does not exist), `attribute` (one that is the gateway's),
//! `attributes` (200 of them), `early-name`, `early-framing`, `early-many` (as above, for the
//! response to come), `context` (a context of 8 MiB). In an
//! answer: `status` (99), `status-high` (600), `informational` (101), `answer-name`,
//! `answer-value`, `answer-framing` (as above), `answer-huge` (a body of 12 MiB). In a change of
//! the response: `response-name`, `response-value`, `response-framing`, `response-status`. And
//! `random` asks for 1 MiB of random bytes at once. Any other value lets the request through with
//! `x-bad-header: survived` added.

wit_bindgen::generate!({
    path: "../../../wit",
    world: "plugin",
    generate_all,
});

use exports::gateway::plugin::hooks::{
    BodyChunk, BodyMode, ChunkOutcome, ConfigError, Description, Guest, HookSet, Interest,
    RequestBodyOutcome, RequestChange, RequestHead, RequestOutcome, RequestParts,
    ResponseBodyOutcome, ResponseChange, ResponseHead, ResponseOutcome, Summary,
};
use gateway::plugin::types::{Attribute, Field, FieldEdit, Response};
use gateway::plugin::{exchange, random};

const BAD_NAME: &str = "not a name";
const BAD_VALUE: &str = "a\r\nx-smuggled: yes";

struct BadHeader;

impl Guest for BadHeader {
    fn describe() -> Description {
        Description {
            name: "bad-header".to_owned(),
            version: "0.1.0".to_owned(),
            sdk: String::new(),
            config_schema: String::new(),
        }
    }

    fn configure(_: String) -> Result<Interest, Vec<ConfigError>> {
        Ok(Interest {
            hooks: HookSet::REQUEST | HookSet::RESPONSE,
            request_parts: RequestParts::empty(),
            request_fields: vec!["x-bad".to_owned()],
            response_fields: Vec::new(),
            attributes: Vec::new(),
            request_body: BodyMode::None,
            response_body: BodyMode::None,
            every_request: Vec::new(),
            every_response: Vec::new(),
            never_waits: true,
        })
    }

    fn on_request(request: RequestHead) -> RequestOutcome {
        let Some(Some(bad)) = request.fields.into_iter().next() else {
            return RequestOutcome::Next;
        };
        let bad = String::from_utf8_lossy(&bad).into_owned();
        if bad == "random" {
            random::bytes(1 << 20);
        }
        match answer(&bad) {
            Some(answer) => RequestOutcome::Respond(answer),
            None => RequestOutcome::Change(change(&bad)),
        }
    }

    fn on_request_body(_: Vec<u8>, _: Vec<u8>) -> RequestBodyOutcome {
        RequestBodyOutcome::Next
    }

    fn on_request_chunk(_: BodyChunk, _: Vec<u8>) -> ChunkOutcome {
        ChunkOutcome::Next
    }

    fn on_response(_: ResponseHead, _: Vec<u8>) -> ResponseOutcome {
        let bad = exchange::request_field("x-bad").into_iter().next().unwrap_or_default();
        let (status, edit) = match bad.as_slice() {
            b"response-name" => (None, Some(set(BAD_NAME, "a"))),
            b"response-value" => (None, Some(set("x-bad-value", BAD_VALUE))),
            b"response-framing" => (None, Some(set("content-length", "3"))),
            b"response-status" => (Some(99), None),
            _ => return ResponseOutcome::Next,
        };
        ResponseOutcome::Change(ResponseChange {
            status,
            fields: edit.into_iter().collect(),
            response_body: None,
            context: None,
        })
    }

    fn on_response_body(_: Vec<u8>, _: Vec<u8>) -> ResponseBodyOutcome {
        ResponseBodyOutcome::Next
    }

    fn on_response_chunk(_: BodyChunk, _: Vec<u8>) -> ChunkOutcome {
        ChunkOutcome::Next
    }

    fn on_complete(_: Summary, _: Vec<u8>) {}
}

fn change(bad: &str) -> RequestChange {
    let mut change = unchanged();
    match bad {
        "name" => change.fields.push(set(BAD_NAME, "a")),
        "value" => change.fields.push(set("x-bad-value", BAD_VALUE)),
        "framing" => change.fields.push(set("content-length", "3")),
        "transfer" => change.fields.push(set("transfer-encoding", "chunked")),
        "path" => change.path = Some("no-slash".to_owned()),
        "path-space" => change.path = Some("/a b\r\nx-smuggled: yes".to_owned()),
        "query" => change.query = Some("a=b\r\nx-smuggled: yes".to_owned()),
        "method" => change.method = Some("GET /other".to_owned()),
        "many" => change.fields.extend((0..20_000).map(|n| set(&format!("x-many-{n}"), "a"))),
        "huge" => change.fields.push(set("x-huge", &"a".repeat(2 << 20))),
        "huge-name" => change.fields.push(set(&"a".repeat(30 << 20), "a")),
        "upstream" => change.upstream = Some("no-such-upstream".to_owned()),
        "attribute" => change.attributes.push(attribute("client.address".to_owned())),
        "attributes" => change.attributes.extend((0..200).map(|n| attribute(format!("a-{n}")))),
        "early-name" => change.response_fields.push(set(BAD_NAME, "a")),
        "early-framing" => change.response_fields.push(set("content-length", "3")),
        "early-many" => {
            change.response_fields.extend((0..20_000).map(|n| set(&format!("x-many-{n}"), "a")));
        }
        "context" => change.context = Some(vec![0xa5; 8 << 20]),
        _ => change.fields.push(set("x-bad-header", "survived")),
    }
    change
}

fn attribute(name: String) -> Attribute {
    Attribute { name, value: "a".to_owned() }
}

fn unchanged() -> RequestChange {
    RequestChange {
        method: None,
        path: None,
        query: None,
        fields: Vec::new(),
        attributes: Vec::new(),
        response_fields: Vec::new(),
        upstream: None,
        request_body: None,
        response_body: None,
        context: None,
        reuse_for: None,
    }
}

fn answer(bad: &str) -> Option<Response> {
    let (status, fields, body) = match bad {
        "status" => (99, Vec::new(), Vec::new()),
        "status-high" => (600, Vec::new(), Vec::new()),
        "informational" => (101, Vec::new(), Vec::new()),
        "answer-name" => (200, vec![field(BAD_NAME, "a")], Vec::new()),
        "answer-value" => (200, vec![field("x-bad-value", BAD_VALUE)], Vec::new()),
        "answer-framing" => (200, vec![field("content-length", "3")], b"longer".to_vec()),
        "answer-huge" => (200, Vec::new(), vec![b'a'; 12 << 20]),
        _ => return None,
    };
    Some(Response { status, fields, body })
}

fn set(name: &str, value: &str) -> FieldEdit {
    FieldEdit::Set(field(name, value))
}

fn field(name: &str, value: &str) -> Field {
    Field { name: name.to_owned(), value: value.as_bytes().to_vec() }
}

export!(BadHeader);
