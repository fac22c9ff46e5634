//! Whatever goes wrong at a provider, a client of each API gets another deployment's answer or an error that it can read.

use std::time::Duration;

use gateway_plugin_sdk::testing::{self, Answer, Harness, RequestBuilder, ResponseBuilder};
use models::Models;
use serde_json::{Value, json};

use super::support::{answer, configured, post, stream};

/// The APIs of clients: how each asks for a whole answer and for a stream, and where its errors have their text.
const CLIENTS: [(&str, &str); 5] = [
    ("/v1/chat/completions", "/error/message"),
    ("/v1/responses", "/error/message"),
    ("/v1/messages", "/error/message"),
    ("/v1beta/models/m:generateContent", "/error/message"),
    ("/api/chat", "/error"),
];

/// Providers, and the endings of their names for errors in their form.
const PROVIDERS: [&str; 5] = ["openai", "anthropic", "gemini", "ollama", "bedrock"];

fn plugin(provider: &str, attempts: u32) -> Harness<Models> {
    let mut deployment = json!({ "upstream": "one", "provider": provider, "model": "own" });
    if provider == "bedrock" {
        deployment["region"] = json!("eu-central-1");
    }
    configured(json!({
        "defaults": { "attempts": attempts },
        "deployments": {
            "first": deployment,
            "next": { "upstream": "two", "provider": "openai", "model": "other" },
        },
        "models": { "m": { "deployments": [{ "name": "first" }, { "name": "next", "priority": 1 }] } },
    }))
}

fn ask(path: &str, streams: bool) -> RequestBuilder {
    let hello = json!([{ "role": "user", "content": "hello" }]);
    let path = if streams { path.replace(":generate", ":streamGenerate") } else { path.to_owned() };
    let body = match &*path {
        "/v1/responses" => json!({ "model": "m", "input": "hello", "stream": streams }),
        "/v1/messages" => {
            json!({ "model": "m", "max_tokens": 9, "messages": hello, "stream": streams })
        }
        gemini if gemini.contains("generate") || gemini.contains("Generate") => {
            json!({ "contents": [{ "role": "user", "parts": [{ "text": "hello" }] }] })
        }
        _ => json!({ "model": "m", "messages": hello, "stream": streams }),
    };
    post(&path, body).query("alt=sse")
}

fn of_kind(kind: &str, body: &str) -> ResponseBuilder {
    testing::response().header("content-type", kind).body(body.to_owned())
}

/// What the provider does, whether the client asked for a stream, and the status that it is answered with.
fn faults(provider: &str) -> Vec<(&'static str, bool, ResponseBuilder, u16)> {
    let error = |words: &str| match provider {
        "ollama" => json!({ "error": words }),
        "anthropic" => {
            json!({ "type": "error", "error": { "type": "overloaded_error", "message": words } })
        }
        "gemini" => json!({ "error": { "code": 503, "status": "UNAVAILABLE", "message": words } }),
        "bedrock" => json!({ "message": words }),
        _ => json!({ "error": { "type": "server_error", "code": "overloaded", "message": words } }),
    };
    let framing = match provider {
        "ollama" => "application/x-ndjson",
        "bedrock" => "application/vnd.amazon.eventstream",
        _ => "text/event-stream",
    };
    let endless = "data: ".to_owned() + &"x".repeat(600 << 10);
    let mut faults = vec![
        ("429", false, answer(error("Slow down.")).status(429).header("retry-after", "7"), 429),
        ("503", true, answer(error("It is full.")).status(503), 503),
        ("529", false, answer(error("It is full.")).status(529), 503),
        ("a page", false, of_kind("text/html", "<html>Sign in</html>"), 502),
        ("a page in place of a stream", true, of_kind("text/html", "<html>Sign in</html>"), 502),
        ("nothing", true, of_kind(framing, "").header("content-length", "0"), 502),
        ("garbage", true, of_kind(framing, "\u{1}\u{2}{{{]]] no stream at all\n\n"), 502),
        ("an endless event", true, of_kind(framing, &endless), 502),
        ("no JSON", false, of_kind("application/json", "{\"choices\": [{\"mess"), 502),
        ("a redirection", false, testing::response().status(302).header("location", "/"), 502),
    ];
    if provider != "bedrock" {
        let status = if provider == "ollama" { 502 } else { 503 };
        faults.push(("200 with an error", false, answer(error("It is full.")), status));
    }
    faults
}

/// Where the client speaks the provider's own API, bytes that are no error pass as they are.
fn passes(provider: &str, path: &str, fault: &str) -> bool {
    let own = match provider {
        "openai" => {
            path.contains("/chat/") && path.starts_with("/v1/") || path.ends_with("/responses")
        }
        "anthropic" => path.ends_with("/messages"),
        "gemini" => path.contains(":generate"),
        "ollama" => path.starts_with("/api"),
        _ => false,
    };
    own && matches!(fault, "an endless event" | "no JSON")
}

fn message<'a>(answer: &'a Answer, json: &'a Value, at: &str) -> &'a str {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    json.pointer(at).and_then(Value::as_str).unwrap_or_else(|| panic!("{json}"))
}

#[test]
fn alone_each_fault_is_an_error_that_the_client_reads() {
    for provider in PROVIDERS {
        for (path, at) in CLIENTS {
            for (fault, streams, response, status) in faults(provider) {
                if passes(provider, path, fault) {
                    continue;
                }
                let case = format!("{provider}, {path}: {fault}");
                let harness = plugin(provider, 1);
                let mut exchange = harness.request(ask(path, streams));
                let answer = exchange.response(response);
                // The one API that has it.
                let own = answer.status() == 529 && path.ends_with("/messages");
                assert!(
                    answer.status() == status || own,
                    "{case}: {} {}",
                    answer.status(),
                    answer.text()
                );
                let json: Value = answer.json();
                assert!(message(answer, &json, at).len() > 5, "{case}: {json}");
                if fault == "429" {
                    assert_eq!(answer.header("retry-after"), Some("7"), "{case}");
                }
                // Nobody is charged for it.
                let total = exchange.attribute("model.tokens.total");
                assert!(total.is_none_or(|total| total == "0"), "{case}");
            }
        }
    }
}

#[test]
fn where_there_is_another_deployment_it_is_asked() {
    for provider in PROVIDERS {
        for (path, _) in CLIENTS {
            for (fault, streams, response, _) in faults(provider) {
                if passes(provider, path, fault) {
                    continue;
                }
                let harness = plugin(provider, 3);
                let mut exchange = harness.request(ask(path, streams));
                exchange.try_response(response);
                let attempt = exchange.attempt();
                assert_eq!(
                    attempt.and_then(|it| it.to()),
                    Some("two"),
                    "{provider}, {path}: {fault}"
                );
            }
        }
    }
}

#[test]
fn for_a_minute_of_429_the_other_deployment_is_asked_at_once() {
    let harness = plugin("anthropic", 3);
    let busy = || {
        answer(json!({ "type": "error", "error": { "type": "rate_limit_error", "message": "no" } }))
            .status(429)
    };
    let mut exchange = harness.request(ask("/v1/chat/completions", false));
    exchange.try_response(busy().header("retry-after", "60"));
    for second in 1..60 {
        let next = harness.request(ask("/v1/messages", false));
        assert_eq!(next.request().upstream(), Some("two"), "{second}");
        harness.advance(Duration::from_secs(1));
    }
    harness.advance(Duration::from_secs(2));
    assert_eq!(harness.request(ask("/v1/messages", false)).request().upstream(), Some("one"));
}

#[test]
fn a_wait_is_what_the_provider_says_or_how_long_it_is_passed_over() {
    for (path, _) in CLIENTS {
        let harness = plugin("gemini", 1);
        let delay = json!({ "error": { "code": 429, "status": "RESOURCE_EXHAUSTED", "message": "no", "details": [
            { "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "90s" } ] } });
        let mut exchange = harness.request(ask(path, false));
        let told = exchange.response(answer(delay).status(429));
        if !path.contains("generate") {
            assert_eq!(told.header("retry-after"), Some("90"), "{path}");
        }
        // Those clients would wait as long as they are told.
        let obeys = path.starts_with("/v1/");
        assert_eq!(told.header("x-should-retry"), obeys.then_some("false"), "{path}");
        // In a response of 200 likewise.
        let hidden = json!({ "error": { "code": 429, "status": "RESOURCE_EXHAUSTED", "message": "no", "details": [
            { "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "90s" } ] } });
        let mut exchange = harness.request(ask(path, false));
        let told = exchange.response(answer(hidden));
        assert_eq!((told.status(), told.header("retry-after")), (429, Some("90")), "{path}");
        assert_eq!(told.header("x-should-retry"), obeys.then_some("false"), "{path}");
        let harness = plugin("anthropic", 1);
        let full =
            json!({ "type": "error", "error": { "type": "overloaded_error", "message": "no" } });
        let mut exchange = harness.request(ask(path, false));
        let told = exchange.response(answer(full).status(529));
        let expected = if path == "/v1/messages" { (529, None) } else { (503, Some("5")) };
        assert_eq!((told.status(), told.header("retry-after")), expected, "{path}");
    }
}

#[test]
fn an_error_with_the_status_of_a_success_is_held_back_until_it_is_whole() {
    let error = "{ \"error\": { \"message\": \"It is full.\", \"code\": 503 } }";
    for end in 1..error.len() {
        let harness = plugin("openai", 1);
        let mut exchange = harness.request(ask("/v1/chat/completions", false));
        let pieces = [&error[..end], &error[end..]].map(|piece| piece.as_bytes().to_vec());
        let response = testing::response().header("content-type", "application/json");
        let answer = exchange.response(response.chunks(pieces));
        assert_eq!(answer.status(), 503, "{end}");
        assert_eq!(answer.json::<Value>()["error"]["message"], "It is full.");
    }
    // An answer is let go with its first bytes.
    let harness = plugin("openai", 1);
    let mut exchange = harness.request(ask("/v1/chat/completions", false));
    let pieces =
        ["{\"id\":\"c\",", "\"choices\":[],", "\"error\":null}"].map(|it| it.as_bytes().to_vec());
    let response = testing::response().header("content-type", "application/json");
    assert_eq!(exchange.response(response.chunks(pieces)).status(), 200);
    assert_eq!(exchange.released_after(), Some(1));
}

#[test]
fn a_chat_completion_that_says_nothing_is_a_failure() {
    let pieces_of = |body: &str, end: usize| {
        let pieces = [&body[..end], &body[end..]].map(|piece| piece.as_bytes().to_vec());
        testing::response().header("content-type", "application/json").chunks(pieces)
    };
    for body in ["null", "{}", " { }\n", "{\"choices\":[]}", "{\n \"choices\": []\n}\n"] {
        for end in 0..=body.len() {
            let harness = plugin("openai", 1);
            let mut exchange = harness.request(ask("/v1/chat/completions", false));
            assert_eq!(exchange.response(pieces_of(body, end)).status(), 502, "{body} {end}");
            // Another API's answer is not known so well.
            let mut exchange = harness.request(ask("/v1/responses", false));
            let status = if body == "null" { 502 } else { 200 };
            assert_eq!(exchange.response(pieces_of(body, end)).status(), status, "{body} {end}");
        }
    }
    for body in ["{\"choices\":[{}]}", "{\"choices\":[],\"usage\":{\"prompt_tokens\":1}}"] {
        for end in 0..=body.len() {
            let harness = plugin("openai", 1);
            let mut exchange = harness.request(ask("/v1/chat/completions", false));
            assert_eq!(exchange.response(pieces_of(body, end)).text(), body, "{end}");
        }
    }
}

#[test]
fn a_client_of_gemini_s_without_events_gets_one_array() {
    let text = |text: &str| {
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
        )
    };
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    let end = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let whole = [start, &text("good"), &text(" day"), end].concat();
    let harness = plugin("anthropic", 1);
    let request = || ask("/v1beta/models/m:generateContent", true);
    for split in (1..whole.len()).step_by(11) {
        let mut exchange = harness.request(request().query("key=client"));
        let answer = exchange.response(stream(&[&whole[..split], &whole[split..]]));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let list: Vec<Value> = answer.json();
        let texts: String = list
            .iter()
            .filter_map(|it| it["candidates"][0]["content"]["parts"][0]["text"].as_str())
            .collect();
        assert_eq!(texts, "good day", "{split}");
        assert_eq!(list.last().unwrap()["candidates"][0]["finishReason"], "STOP");
    }
    let mut exchange = harness.request(request());
    assert!(exchange.response(stream(&[&whole])).text().starts_with("data: {"));
}
