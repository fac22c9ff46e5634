//! What cannot be read does not pass, or passes and is counted, by setting.

use gateway_plugin_sdk::testing::{self, Harness, RequestBuilder, ResponseBuilder};
use guardrails::Guardrails;
use serde_json::{Value, json};

use crate::support::{chat, events, plugin, post, stream};

fn guarded(on_unreadable: &str) -> Harness<Guardrails> {
    plugin(json!({
        "input": { "email": "mask" },
        "output": { "email": "redact" },
        "max_body": 2048,
        "on_unreadable": on_unreadable,
    }))
}

fn web_socket(path: &str) -> RequestBuilder {
    let request = testing::request().method("GET").path(path);
    request.attribute("request.has-upgrade", "true")
}

fn requests() -> Vec<(&'static str, RequestBuilder, u16)> {
    let long = json!({ "messages": [{ "content": "x".repeat(4000) }] });
    vec![
        ("compressed", chat("hi").header("content-encoding", "gzip"), 415),
        ("a form", chat("hi").header("content-type", "multipart/form-data; boundary=x"), 415),
        ("long", post("/v1/chat/completions", &long).header("content-length", "4100"), 413),
        ("broken", chat("hi").body("{\"messages\":"), 400),
        ("no text", chat("hi").body(b"{\"a\":\"\xff\"}".as_slice()), 400),
        ("a WebSocket", web_socket("/v1/responses"), 400),
        ("a WebSocket elsewhere", web_socket("/v1/realtime"), 400),
        ("elsewhere", post("/files", &json!({ "a": "b" })), 400),
    ]
}

#[test]
fn requests_that_cannot_be_read_are_refused_or_pass() {
    for (name, request, status) in requests() {
        let plugin = guarded("closed");
        let exchange = plugin.request(request);
        let refused = exchange.answer().unwrap_or_else(|| panic!("{name} passes"));
        assert_eq!(refused.status(), status, "{name}");
        assert!(refused.text().contains("cannot be checked"), "{name}: {}", refused.text());
        assert_eq!(plugin.counter("guardrails_unreadable", &[("direction", "input")]), 1, "{name}");
    }
    for (name, request, _) in requests() {
        let plugin = guarded("open");
        let exchange = plugin.request(request);
        assert!(exchange.answer().is_none(), "{name}");
        assert!(exchange.attribute("guardrails.unreadable").is_some(), "{name}");
        assert_eq!(plugin.counter("guardrails_unreadable", &[("direction", "input")]), 1, "{name}");
    }
}

#[test]
fn a_request_that_is_said_to_be_for_a_web_socket_is_read_all_the_same() {
    let plugin = guarded("open");
    let exchange = plugin.request(chat("ada@example.com").attribute("request.has-upgrade", "true"));
    assert!(exchange.request().text().contains("[EMAIL_1]"));
}

fn answers() -> Vec<(&'static str, ResponseBuilder)> {
    let json = || testing::response().header("content-type", "application/json");
    vec![
        ("compressed", json().header("content-encoding", "br").body("xx")),
        ("audio", testing::response().header("content-type", "audio/mpeg").body("xx")),
        ("long", json().header("content-length", "9999").body("xx")),
        ("broken", json().body("{\"a\":")),
    ]
}

#[test]
fn answers_that_cannot_be_read_are_replaced_or_pass() {
    for (name, answer) in answers() {
        let plugin = guarded("closed");
        let mut exchange = plugin.request(chat("hi"));
        let read = exchange.response(answer);
        assert_eq!(read.status(), 502, "{name}");
        assert!(
            read.json::<Value>()["error"]["message"]
                .as_str()
                .unwrap()
                .contains("cannot be checked"),
            "{name}"
        );
    }
    for (name, answer) in answers() {
        let plugin = guarded("open");
        let mut exchange = plugin.request(chat("hi"));
        assert_eq!(exchange.response(answer).status(), 200, "{name}");
        assert_eq!(
            plugin.counter("guardrails_unreadable", &[("direction", "output")]),
            1,
            "{name}"
        );
    }
}

#[test]
fn a_stream_that_cannot_be_read_on_is_ended_or_passes() {
    let large = events(&[&"x".repeat(600_000)]);
    let sent = [events(&["fine"]), large, events(&["more"])].concat();
    let mut exchange_plugin = guarded("closed");
    let mut exchange = exchange_plugin.request(chat("hi"));
    let read = exchange.response(stream(sent.clone())).text().to_owned();
    assert!(read.len() < 2000 && read.contains("content_filter"), "{}", read.len());
    drop(exchange);
    exchange_plugin = guarded("open");
    let mut exchange = exchange_plugin.request(chat("hi"));
    assert_eq!(exchange.response(stream(sent.clone())).text(), sent.concat());
}

#[test]
fn errors_in_plain_text_are_read_as_texts() {
    let plugin = guarded("closed");
    let mut exchange = plugin.request(chat("hi"));
    let error = testing::response().status(502).header("content-type", "text/html");
    let read = exchange.response(error.body("<p>write to ada@example.com</p>"));
    assert_eq!((read.status(), read.text()), (502, "<p>write to [EMAIL]</p>"));
}
