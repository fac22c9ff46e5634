//! How calls end, as plugins, logs and metrics are told it, and what has no content in time.

use std::time::Duration;

use gateway_plugin_sdk::Ending;
use gateway_plugin_sdk::testing::{self, Exchange, Harness, ResponseBuilder};
use models::Models;
use serde_json::{Value, json};

use super::support::{answer, chat, config, configured, hello, plugin, post, stream};

const CONTENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";
const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
const ERROR: &str = "data: {\"error\":{\"message\":\"busy\",\"type\":\"server_error\",\"code\":\"overloaded\"}}\n\n";

fn streamed(model: &str) -> testing::RequestBuilder {
    chat(json!({ "model": model, "stream": true, "messages": [] }))
}

/// How often a call of `mini` was counted with this outcome, and this error if there is one.
fn counted(harness: &Harness<Models>, outcome: &str, error: &str) -> u64 {
    let mut labels = vec![
        ("gen_ai_request_model", "mini"),
        ("deployment", "hosted"),
        ("gen_ai_provider_name", "openai"),
        ("gen_ai_operation_name", "chat"),
    ];
    if !error.is_empty() {
        labels.push(("error_type", error));
    }
    let timed = harness.observations("gen_ai_client_inference_duration_seconds", &labels).len();
    labels.push(("outcome", outcome));
    let count = harness.counter("gen_ai_requests", &labels);
    assert_eq!(timed as u64, count, "{outcome} {error}");
    count
}

fn error(exchange: &Exchange<'_, Models>) -> Option<String> {
    exchange.attribute("model.error")
}

#[test]
fn each_way_to_fail_has_its_word() {
    let problem = |status: u16| {
        let body = json!({ "type": "about:blank", "title": "No", "status": status, "detail": "It is away." });
        let response = testing::response().status(status);
        response.header("content-type", "application/problem+json").body(body.to_string())
    };
    let said = |status: u16, code: &str| {
        answer(json!({ "error": { "message": "no", "code": code } })).status(status)
    };
    let page = || testing::response().header("content-type", "text/html").body("<html>");
    let cases: [(bool, ResponseBuilder, &str, &str); 14] = [
        (false, said(429, "rate_limit_exceeded"), "refused", "rate_limited"),
        (false, said(503, ""), "refused", "overloaded"),
        (false, said(400, "context_length_exceeded"), "refused", "context_too_long"),
        (false, said(400, "content_filter"), "refused", "content_filtered"),
        (false, said(400, "bad"), "refused", "invalid"),
        (false, said(401, "invalid_api_key"), "refused", "auth"),
        (false, said(500, ""), "refused", "server"),
        // With the status of a success.
        (false, said(200, "overloaded"), "refused", "overloaded"),
        (false, problem(502), "refused", "unreachable"),
        (false, problem(504), "refused", "timeout"),
        (false, page(), "refused", "garbled"),
        (true, stream(&[ERROR]), "refused", "overloaded"),
        (true, stream(&[CONTENT, ERROR]), "upstream_failed", "overloaded"),
        (true, stream(&[CONTENT, CONTENT]), "upstream_failed", "cut"),
    ];
    for (is_stream, response, outcome, word) in cases {
        let harness = plugin();
        let request = if is_stream { streamed("mini") } else { hello("mini") };
        let mut exchange = harness.request(request);
        exchange.try_response(response);
        assert_eq!(error(&exchange).as_deref(), Some(word));
        exchange.complete();
        assert_eq!(counted(&harness, outcome, word), 1, "{word}");
        assert_eq!(counted(&harness, "ok", ""), 0, "{word}");
    }
}

#[test]
fn what_succeeds_has_no_word_also_behind_a_failure() {
    let harness = plugin();
    let mut exchange = harness.request(hello("fast"));
    exchange.try_response(testing::response().status(503));
    let body = json!({ "choices": [], "usage": { "prompt_tokens": 1, "completion_tokens": 1 } });
    assert_eq!(exchange.response(answer(body)).status(), 200);
    assert_eq!(error(&exchange), None);
}

#[test]
fn a_client_that_leaves_is_no_failure_of_its_provider() {
    let cools = |harness: &Harness<Models>| {
        let labels = [("deployment", "hosted")];
        harness.gauge("gen_ai_cool_down_end_timestamp_seconds", &labels).is_some()
    };
    let harness = plugin();
    harness.request(streamed("mini")).complete_as(Ending::ClientLeft);
    assert_eq!(counted(&harness, "client_left", "cancelled"), 1);
    assert!(!cools(&harness));
    // One that has read the answer, and not waited for the end of the bytes, has it.
    let mut exchange = harness.request(streamed("mini"));
    exchange.response(stream(&[CONTENT, END]));
    exchange.complete_as(Ending::ClientLeft);
    assert_eq!(counted(&harness, "client_left", ""), 1);
    // A provider that breaks off has failed.
    let harness = plugin();
    let mut exchange = harness.request(streamed("mini"));
    exchange.response(stream(&[CONTENT, END]));
    exchange.complete_as(Ending::UpstreamFailed);
    assert_eq!(counted(&harness, "upstream_failed", "cut"), 1);
    assert!(cools(&harness));
}

#[test]
fn what_a_call_used_is_said_in_attributes_when_it_is_over() {
    let harness = plugin();
    let has = |exchange: &Exchange<'_, Models>, expected: [&str; 6]| {
        let names = ["input", "output", "cached", "cache-write", "reasoning"];
        let names = names.map(|name| format!("model.tokens.{name}"));
        let names = names.into_iter().chain(["model.tool-calls".to_owned()]);
        let said: Vec<_> =
            names.map(|name| exchange.attribute(&name).unwrap_or_default()).collect();
        assert_eq!(said, expected);
    };
    let usage = json!({
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": { "cached_tokens": 60 },
        "completion_tokens_details": { "reasoning_tokens": 20 },
    });
    let call = |id: &str| json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{}" } });
    let message = json!({ "role": "assistant", "tool_calls": [call("a"), call("b")] });
    let mut exchange = harness.request(hello("mini"));
    exchange.response(answer(json!({ "choices": [{ "message": message }], "usage": usage })));
    has(&exchange, ["100", "50", "60", "0", "20", "2"]);
    // In a stream, where a call comes in pieces.
    let piece = |call: Value| {
        let delta = json!({ "choices": [{ "index": 0, "delta": { "tool_calls": [call] } }] });
        format!("data: {delta}\n\n")
    };
    let named = |index: u8| {
        piece(json!({ "index": index, "id": "x", "function": { "name": "f", "arguments": "" } }))
    };
    let more = |index: u8| piece(json!({ "index": index, "function": { "arguments": "{\"a\"" } }));
    let usage = format!("data: {}\n\n", json!({ "choices": [], "usage": usage }));
    let pieces = [&*named(0), &more(0), &more(0), &named(1), &more(1), END, &usage];
    let mut exchange = harness.request(streamed("mini"));
    exchange.response(stream(&pieces));
    has(&exchange, ["100", "50", "60", "0", "20", "2"]);
    // Of another API, translated.
    let body = json!({ "content": [
        { "type": "text", "text": "hi" }, { "type": "tool_use", "id": "t", "name": "f", "input": {} },
    ], "stop_reason": "tool_use", "usage": {
        "input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 3,
    } });
    let mut exchange = harness.request(hello("smart"));
    exchange.response(answer(body));
    has(&exchange, ["20", "5", "3", "7", "0", "1"]);
}

/// With 5 s for the first content.
fn bounded() -> Harness<Models> {
    let mut config = config();
    config["defaults"] = json!({ "first_token": "5s" });
    config["deployments"]["claude"]["first_token"] = json!("0s");
    configured(config)
}

#[test]
fn a_stream_without_content_in_time_is_left_for_the_next() {
    let silences = [
        stream(&[]).falls_silent(),
        // Neither comments nor what has no text are content.
        stream(&[
            ": wait\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n",
        ])
        .falls_silent(),
    ];
    for silent in silences {
        let harness = bounded();
        let mut exchange = harness.request(streamed("fast"));
        assert_eq!(exchange.first_byte(), Some(Duration::from_secs(5)));
        harness.advance(Duration::from_secs(2));
        exchange.try_response(silent);
        assert_eq!(exchange.attempt().and_then(|it| it.to()), Some("openai"));
        // What the head took is part of it.
        harness.advance(Duration::from_secs(1));
        let labels = [
            ("gen_ai_request_model", "fast"),
            ("deployment", "gpu"),
            ("error_type", "first_token"),
            ("next", "hosted"),
        ];
        assert_eq!(harness.counter("gen_ai_failed_attempts", &labels), 1);
        let answer = exchange.response(stream(&[CONTENT, END]));
        assert_eq!((answer.status(), answer.text()), (200, &*[CONTENT, END].concat()));
        assert_eq!(error(&exchange), None);
    }
}

#[test]
fn where_no_other_is_left_a_client_of_each_api_is_answered_504() {
    let asks = [
        ("/v1/chat/completions", json!({ "messages": [] }), "/error/message"),
        ("/v1/messages", json!({ "max_tokens": 9, "messages": [] }), "/error/message"),
        ("/v1/responses", json!({ "input": "hello" }), "/error/message"),
        ("/api/chat", json!({ "messages": [] }), "/error"),
    ];
    for (path, mut body, at) in asks {
        body["model"] = json!("mini");
        body["stream"] = json!(true);
        let harness = bounded();
        let mut exchange = harness.request(post(path, body));
        let answer = exchange.response(stream(&[": wait\n\n"]).falls_silent());
        assert_eq!(answer.status(), 504, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        let json: Value = answer.json();
        let message = json.pointer(at).and_then(Value::as_str).unwrap_or_else(|| panic!("{json}"));
        assert!(message.contains("no content within 5 s"), "{path}: {message}");
        assert_eq!(error(&exchange).as_deref(), Some("first_token"), "{path}");
    }
    // The head did not come either.
    let harness = bounded();
    let mut exchange = harness.request(streamed("mini"));
    harness.advance(Duration::from_secs(5));
    let problem =
        testing::response().status(504).header("content-type", "application/problem+json");
    assert_eq!(
        exchange.response(problem.body("{\"status\":504,\"detail\":\"late\"}")).status(),
        504
    );
    assert_eq!(error(&exchange).as_deref(), Some("first_token"));
}

#[test]
fn content_in_time_passes_and_whole_answers_have_no_such_bound() {
    let harness = bounded();
    let mut exchange = harness.request(streamed("mini"));
    // Once it has begun it may be silent.
    let answer = exchange.response(stream(&[CONTENT, END]).falls_silent());
    assert_eq!((answer.status(), answer.text()), (200, &*[CONTENT, END].concat()));
    assert_eq!(harness.request(hello("mini")).first_byte(), None);
    // A deployment may have none.
    assert_eq!(harness.request(streamed("smart")).first_byte(), None);
}
