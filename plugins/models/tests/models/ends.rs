//! Streams that pass as they are, and end without the end that their API has: they must not look whole.

use gateway_model_protocols::Call;
use gateway_model_protocols::framing::{Framing, Reader, event_stream};
use gateway_model_protocols::usage::Stream;
use gateway_plugin_sdk::testing::{self, Harness, Outcome, RequestBuilder, ResponseBuilder};
use models::Models;
use serde_json::{Value, json};

use super::support::{configured, post};

/// A stream of an API: how it is asked for, and its events.
struct Api {
    provider: &'static str,
    path: &'static str,
    body: Value,
    kind: &'static str,
    /// Events before there is content.
    head: Vec<Vec<u8>>,
    text: Vec<u8>,
    /// Each of these alone says that the answer is over.
    ends: Vec<Vec<u8>>,
}

impl Api {
    fn plugin(&self) -> Harness<Models> {
        let deployment = |upstream: &str| {
            let mut it = json!({ "upstream": upstream, "provider": self.provider, "model": "own" });
            if self.provider == "bedrock" {
                it["region"] = json!("eu-central-1");
            }
            it
        };
        configured(json!({
            "deployments": { "first": deployment("one"), "next": deployment("two") },
            "models": { "m": { "deployments": [{ "name": "first" }, { "name": "next", "priority": 1 }] } },
        }))
    }

    fn ask(&self) -> RequestBuilder {
        post(self.path, self.body.clone()).query("alt=sse")
    }

    fn answer(&self, pieces: &[&[u8]]) -> ResponseBuilder {
        let pieces = pieces.iter().map(|piece| piece.to_vec());
        testing::response().header("content-type", self.kind).chunks(pieces)
    }
}

const EVENTS: &str = "text/event-stream";

fn data(json: Value) -> Vec<u8> {
    format!("data: {json}\n\n").into_bytes()
}

fn event(json: Value) -> Vec<u8> {
    format!("event: {}\ndata: {json}\n\n", json["type"].as_str().unwrap()).into_bytes()
}

fn line(json: Value) -> Vec<u8> {
    format!("{json}\n").into_bytes()
}

fn frame(name: &str, json: Value) -> Vec<u8> {
    let mut out = Vec::new();
    event_stream::write_event(&mut out, name, &json.to_string());
    out
}

fn openai() -> [Api; 2] {
    let messages = json!([{ "role": "user", "content": "hello" }]);
    let delta = |delta: Value, end: Value| json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": end }] });
    let response = |kind: &str| {
        let status = kind.strip_prefix("response.");
        json!({ "type": kind, "response": { "status": status, "error": null } })
    };
    // Such as a server writes that sorts members.
    let sorted = "data: {\"response\":{\"output\":[{\"type\":\"message\"}],\"status\":\"completed\"},\
        \"type\":\"response.completed\"}\n\n";
    [
        Api {
            provider: "openai",
            path: "/v1/chat/completions",
            body: json!({ "model": "m", "stream": true, "messages": messages,
                "stream_options": { "include_usage": true } }),
            kind: EVENTS,
            head: vec![data(delta(json!({ "role": "assistant", "content": "" }), Value::Null))],
            text: data(delta(json!({ "content": "hi" }), Value::Null)),
            ends: vec![
                data(delta(json!({}), json!("stop"))),
                b"data: [DONE]\n\n".to_vec(),
                data(json!({ "error": { "message": "It is full." } })),
            ],
        },
        Api {
            provider: "openai",
            path: "/v1/responses",
            body: json!({ "model": "m", "stream": true, "input": "hello" }),
            kind: EVENTS,
            head: vec![event(response("response.created"))],
            text: event(json!({ "type": "response.output_text.delta", "delta": "hi" })),
            ends: vec![
                event(response("response.completed")),
                event(response("response.incomplete")),
                event(response("response.failed")),
                event(response("response.cancelled")),
                sorted.as_bytes().to_vec(),
            ],
        },
    ]
}

fn anthropic() -> Api {
    let delta = json!({ "type": "text_delta", "text": "hi" });
    let message = json!({ "id": "m", "usage": { "input_tokens": 3, "output_tokens": 1 } });
    Api {
        provider: "anthropic",
        path: "/v1/messages",
        body: json!({ "model": "m", "stream": true, "max_tokens": 9,
            "messages": [{ "role": "user", "content": "hello" }] }),
        kind: EVENTS,
        head: vec![event(json!({ "type": "message_start", "message": message }))],
        text: event(json!({ "type": "content_block_delta", "index": 0, "delta": delta })),
        ends: vec![
            event(json!({ "type": "message_stop" })),
            event(json!({ "type": "error", "error": { "type": "api_error", "message": "no" } })),
        ],
    }
}

fn gemini() -> Api {
    let part = |end: Value| json!({ "candidates": [{ "content": { "parts": [{ "text": "hi" }] }, "finishReason": end }] });
    Api {
        provider: "gemini",
        path: "/v1beta/models/m:streamGenerateContent",
        body: json!({ "contents": [{ "role": "user", "parts": [{ "text": "hello" }] }] }),
        kind: EVENTS,
        head: vec![data(json!({ "usageMetadata": { "promptTokenCount": 3 } }))],
        text: data(part(Value::Null)),
        ends: vec![
            data(part(json!("STOP"))),
            data(json!({ "promptFeedback": { "blockReason": "SAFETY" } })),
        ],
    }
}

fn ollama() -> Api {
    let piece = |text: &str| json!({ "message": { "content": text }, "done": false });
    Api {
        provider: "ollama",
        path: "/api/chat",
        body: json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }] }),
        kind: "application/x-ndjson",
        head: vec![line(piece(""))],
        text: line(piece("hi")),
        ends: vec![
            line(json!({ "message": { "content": "" }, "done": true })),
            line(json!({ "done": true, "done_reason": "stop", "eval_count": 1 })),
            line(json!({ "error": "out of memory" })),
        ],
    }
}

fn cohere() -> Api {
    let text = json!({ "message": { "content": { "text": "hi" } } });
    Api {
        provider: "cohere",
        path: "/v2/chat",
        body: json!({ "model": "m", "stream": true, "messages": [{ "role": "user", "content": "hello" }] }),
        kind: EVENTS,
        head: vec![event(json!({ "type": "message-start", "id": "m" }))],
        text: event(json!({ "type": "content-delta", "index": 0, "delta": text })),
        ends: vec![
            event(json!({ "type": "message-end", "delta": { "finish_reason": "COMPLETE" } })),
            event(json!({ "type": "message-end" })),
        ],
    }
}

fn converse() -> Api {
    let delta = json!({ "contentBlockIndex": 0, "delta": { "text": "hi" } });
    let mut error = Vec::new();
    event_stream::write_exception(&mut error, "throttlingException", "{\"message\":\"no\"}");
    Api {
        provider: "bedrock",
        path: "/model/m/converse-stream",
        body: json!({ "messages": [{ "role": "user", "content": [{ "text": "hello" }] }] }),
        kind: "application/vnd.amazon.eventstream",
        head: vec![frame("messageStart", json!({ "role": "assistant" }))],
        text: frame("contentBlockDelta", delta),
        ends: vec![frame("messageStop", json!({ "stopReason": "end_turn" })), error],
    }
}

fn apis() -> Vec<Api> {
    let others = [anthropic(), gemini(), ollama(), cohere(), converse()];
    openai().into_iter().chain(others).collect()
}

#[test]
fn what_ends_without_its_end_has_an_error_of_its_api_or_is_cut_off() {
    for api in apis() {
        let harness = api.plugin();
        let head = api.head.concat();
        for (pieces, passed, is_between) in [
            (vec![&*head, &*api.text, &*api.text], [&*head, &*api.text, &*api.text].concat(), true),
            // A piece of an event is no end either, and nothing can be said behind it.
            (vec![&*api.text, &api.ends[0][..api.ends[0].len() / 2]], api.text.clone(), false),
        ] {
            let mut exchange = harness.request(api.ask());
            let outcome = exchange.try_response(api.answer(&pieces));
            let is_cut = matches!(outcome, Outcome::Abort(_));
            assert_eq!(is_cut, !is_between, "{}: {outcome:?}", api.path);
            let answer = exchange.answer().unwrap();
            assert_eq!(answer.status(), 200, "{}", api.path);
            let error = answer.body().strip_prefix(&*passed).unwrap();
            assert_eq!(says_error(&api, error), is_between, "{}", api.path);
            assert!(exchange.attempt().is_none(), "{}", api.path);
            // What has come is charged.
            let total = exchange.attribute("model.tokens.total").unwrap();
            assert_ne!(total, "0", "{}", api.path);
            assert_eq!(exchange.attribute("model.error").as_deref(), Some("cut"), "{}", api.path);
        }
    }
}

/// Whether these bytes are an error of the API, as a reader of its streams sees it.
fn says_error(api: &Api, bytes: &[u8]) -> bool {
    let mut reader = Reader::new(Framing::of_content_type(api.kind).unwrap(), 1 << 20);
    let protocol = Call::of_path(api.path).unwrap().protocol;
    let mut stream = Stream::new(protocol);
    reader.read(bytes, |event| _ = stream.event(&event)).unwrap();
    assert!(reader.held().is_empty(), "{}: {}", api.path, String::from_utf8_lossy(bytes));
    stream.failure().is_some_and(|failure| failure.message.contains("provider"))
}

#[test]
fn what_an_api_does_not_have_is_an_error_and_what_follows_is_not_passed_on() {
    for api in apis() {
        let garbage: Vec<u8> = match api.kind {
            "application/vnd.amazon.eventstream" => {
                let mut frame = frame("contentBlockDelta", json!({}));
                let last = frame.len() - 1;
                frame[last] ^= 1;
                frame
            }
            "application/x-ndjson" => b"<html>Bad Gateway</html>\n".to_vec(),
            _ => b"data: <html>Bad Gateway</html>\n\n".to_vec(),
        };
        let harness = api.plugin();
        // As long as nothing was passed on the next one is asked.
        for first in
            [api.head.concat(), [api.head.concat(), api.text.clone(), garbage.clone()].concat()]
        {
            let harness = api.plugin();
            let mut exchange = harness.request(api.ask());
            exchange.try_response(api.answer(&[&first, &garbage, &api.text]));
            assert_eq!(exchange.attempt().and_then(|it| it.to()), Some("two"), "{}", api.path);
        }
        // In a piece of its own, and behind an event in one.
        for pieces in [
            vec![&*api.text, &*garbage, &*api.text, &*api.ends[0]],
            vec![&*api.text, &*[&*api.text, &*garbage].concat(), &*api.ends[0]],
        ] {
            let mut exchange = harness.request(api.ask());
            let answer = exchange.response(api.answer(&pieces));
            let passed = if pieces.len() == 4 { api.text.clone() } else { api.text.repeat(2) };
            let error = answer.body().strip_prefix(&*passed).unwrap().to_vec();
            assert!(says_error(&api, &error), "{}", api.path);
            assert_eq!(
                exchange.attribute("model.error").as_deref(),
                Some("garbled"),
                "{}",
                api.path
            );
        }
        // One whose beginning was passed on cannot be taken back, and one that goes on is not read for ever.
        let mut exchange = harness.request(api.ask());
        let (one, two) = garbage.split_at(7);
        let outcome = exchange.try_response(api.answer(&[&api.text, one, two, &api.text]));
        assert!(matches!(outcome, Outcome::Abort(_)), "{}: {outcome:?}", api.path);
        let mut exchange = harness.request(api.ask());
        let long = api.text.repeat(2_000);
        let pieces = [&*api.text, &*garbage, &*long, &*long];
        let outcome = exchange.try_response(api.answer(&pieces));
        assert!(matches!(outcome, Outcome::Abort(_)), "{}: {outcome:?}", api.path);
    }
}

#[test]
fn an_event_without_end_is_cut_off() {
    let [chat, _] = openai();
    let harness = chat.plugin();
    let piece = vec![b'x'; 1 << 20];
    let mut pieces = vec![&*chat.text, b"data: "];
    pieces.extend(std::iter::repeat_n(&*piece, 18));
    let mut exchange = harness.request(chat.ask());
    let outcome = exchange.try_response(chat.answer(&pieces));
    assert!(matches!(outcome, Outcome::Abort(_)), "{outcome:?}");
    let length = exchange.answer().unwrap().body().len();
    assert!((15 << 20..17 << 20).contains(&length), "{length}");
    assert_eq!(exchange.attribute("model.error").as_deref(), Some("garbled"));
}

#[test]
fn what_says_in_any_way_that_it_is_over_passes() {
    for api in apis() {
        let harness = api.plugin();
        for end in &api.ends {
            let whole = [&*api.head.concat(), &*api.text, end].concat();
            let about = format!("{}: {}", api.path, String::from_utf8_lossy(end));
            for split in 1..=whole.len() {
                let mut exchange = harness.request(api.ask());
                let answer = exchange.response(api.answer(&[&whole[..split], &whole[split..]]));
                assert_eq!((answer.status(), answer.body()), (200, &*whole), "{about} {split}");
                assert!(exchange.attempt().is_none(), "{about} {split}");
            }
        }
    }
}

#[test]
fn as_long_as_nothing_of_it_was_passed_on_the_next_is_asked() {
    for api in apis() {
        let (head, whole) = (api.head.concat(), [api.head.concat(), api.text.clone()].concat());
        for pieces in [vec![&*head], vec![&*whole]] {
            let harness = api.plugin();
            let mut exchange = harness.request(api.ask());
            exchange.try_response(api.answer(&pieces));
            let attempt = exchange.attempt();
            assert_eq!(attempt.and_then(|it| it.to()), Some("two"), "{}", api.path);
        }
    }
}

#[test]
fn where_no_end_is_known_nothing_is_cut_off() {
    let [chat, _] = openai();
    let harness = chat.plugin();
    let text = data(json!({ "choices": [{ "index": 0, "text": "hi", "finish_reason": null }] }));
    let body = json!({ "model": "m", "stream": true, "prompt": "hello" });
    let mut exchange = harness.request(post("/v1/completions", body));
    assert_eq!(exchange.response(chat.answer(&[&text, &text])).body(), [&*text, &*text].concat());
    let piece = data(json!({ "type": "speech.audio.delta", "data": "AAAA" }));
    let body = json!({ "model": "m", "input": "hello", "stream_format": "sse" });
    let mut exchange = harness.request(post("/v1/audio/speech", body));
    let answer = exchange.response(chat.answer(&[&piece, &piece]));
    assert_eq!(answer.body(), [&*piece, &*piece].concat());
}

#[test]
fn a_stream_whose_connection_breaks_off_has_an_error_of_its_api() {
    for api in apis() {
        let harness = api.plugin();
        for (pieces, is_between) in [
            (vec![&*api.text, &*api.text], true),
            (vec![&*api.text, &api.text[..api.text.len() / 2]], false),
        ] {
            let mut exchange = harness.request(api.ask());
            let answer = exchange.response(api.answer(&pieces).breaks_off());
            let error = answer.body().strip_prefix(&*pieces.concat()).unwrap().to_vec();
            assert_eq!(says_error(&api, &error), is_between, "{}", api.path);
            assert_eq!(exchange.is_broken(), !is_between, "{}", api.path);
            assert_eq!(exchange.attribute("model.error").as_deref(), Some("cut"), "{}", api.path);
        }
        // Behind its end nothing is missing.
        let mut exchange = harness.request(api.ask());
        exchange.response(api.answer(&[&api.text, &api.ends[0]]).breaks_off());
        assert!(exchange.is_broken(), "{}", api.path);
        assert_eq!(exchange.attribute("model.error"), None, "{}", api.path);
    }
}

#[test]
fn what_is_held_back_for_its_usage_is_no_event_that_a_client_has_begun_to_read() {
    let [mut chat, _] = openai();
    chat.body.as_object_mut().unwrap().remove("stream_options");
    let harness = chat.plugin();
    let half = &chat.text[..chat.text.len() / 2];
    let mut exchange = harness.request(chat.ask());
    let answer = exchange.response(chat.answer(&[&chat.text, half]).breaks_off());
    let error = answer.body().strip_prefix(&*chat.text).unwrap().to_vec();
    assert!(says_error(&chat, &error));
}
