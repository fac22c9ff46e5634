//! What is blocked is refused in the words of the client's API, and never passes as complete.

use gateway_plugin_sdk::testing;
use serde_json::{Value, json};

use crate::support::{DONE, answer, chat, completion, events, key, masking, plugin, post, stream};

#[test]
fn a_request_is_refused_in_the_form_of_its_api() {
    let plugin = masking();
    let text = format!("my key is {}", key());
    let message = "This was stopped by a guard rail: it has an api key.";
    let messages = json!([{ "role": "user", "content": text }]);
    for (path, body, code) in [
        ("/v1/chat/completions", json!({ "messages": messages }), "/error/code"),
        ("/v1/responses", json!({ "input": text }), "/error/code"),
        ("/v1/messages", json!({ "messages": messages }), ""),
        (
            "/v1beta/models/g:generateContent",
            json!({ "contents": [{ "parts": [{ "text": text }] }] }),
            "/error/details/0/reason",
        ),
        ("/api/chat", json!({ "messages": messages }), ""),
    ] {
        let exchange = plugin.request(post(path, &body));
        let refused = exchange.answer().unwrap();
        assert_eq!(refused.status(), 400, "{path}");
        let read: Value = refused.json();
        assert!(
            refused.text().contains(message) && !refused.text().contains("ghp_"),
            "{path}: {read}"
        );
        if !code.is_empty() {
            assert_eq!(read.pointer(code), Some(&json!("content_filter")), "{path}: {read}");
        }
        assert_eq!(exchange.attribute("guardrails.action").as_deref(), Some("block"));
        assert!(exchange.log().iter().all(|line| !format!("{line:?}").contains("ghp_")));
    }
}

#[test]
fn status_code_and_message_are_as_they_are_set() {
    let plugin = plugin(json!({
        "input": { "api-key": "block" },
        "json": { "input": [""] },
        "refusal": { "status": 451, "code": "no_secrets", "message": "Please look: {reason}!" },
    }));
    let exchange = plugin.request(chat(&key()));
    let read: Value = exchange.answer().unwrap().json();
    assert_eq!(exchange.answer().unwrap().status(), 451);
    assert_eq!(read["error"]["code"], "no_secrets");
    assert_eq!(read["error"]["message"], "Please look: it has an api key!");
    let exchange = plugin.request(post("/other", &json!({ "a": [key()] })));
    let read: Value = exchange.answer().unwrap().json();
    assert_eq!((&read["status"], &read["code"]), (&json!(451), &json!("no_secrets")));
    assert_eq!(exchange.answer().unwrap().header("content-type"), Some("application/problem+json"));
}

#[test]
fn a_whole_answer_becomes_the_apis_own_for_filtered_content() {
    let plugin = masking();
    let text = format!("the key is {}", key());
    let mut exchange = plugin.request(chat("hello"));
    let read: Value = exchange.response(completion(&text)).json();
    assert_eq!(read["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(read["choices"][0]["message"]["content"], Value::Null);
    assert_eq!((&read["id"], &read["usage"]["total_tokens"]), (&json!("c1"), &json!(9)));
    for (path, response, at, word) in [
        (
            "/v1/messages",
            json!({ "content": [{ "type": "text", "text": text }], "stop_reason": "end_turn" }),
            "/stop_reason",
            "refusal",
        ),
        (
            "/v1/models/g:generateContent",
            json!({ "candidates": [{ "content": { "parts": [{ "text": text }] } }] }),
            "/candidates/0/finishReason",
            "SAFETY",
        ),
        (
            "/v1/responses",
            json!({ "output": [{ "content": [{ "text": text }] }], "status": "completed" }),
            "/incomplete_details/reason",
            "content_filter",
        ),
    ] {
        let mut exchange = plugin.request(post(path, &json!({ "input": "hello" })));
        let answered = exchange.response(answer(&response));
        assert_eq!(answered.status(), 200);
        let read: Value = answered.json();
        assert_eq!(read.pointer(at), Some(&json!(word)), "{path}: {read}");
        assert!(!answered.text().contains("ghp_"));
    }
    // The API has no word for it.
    let mut exchange = plugin.request(post("/api/chat", &json!({ "messages": [] })));
    let answered =
        exchange.response(answer(&json!({ "message": { "content": text }, "done": true })));
    assert_eq!(answered.status(), 400);
}

#[test]
fn a_stream_ends_before_what_is_blocked_and_says_so() {
    let plugin = masking();
    let key = key();
    let (front, back) = key.split_at(17);
    let mut sent = events(&["the key", " is ", front, back, " and more", " text"]);
    sent.push(DONE.to_owned());
    let mut exchange = plugin.request(chat("hello"));
    let read = exchange.response(stream(sent)).text().to_owned();
    let rest = read.strip_prefix(&events(&["the key", " is "]).concat()).expect(&read);
    assert!(rest.contains("\"finish_reason\":\"content_filter\""), "{rest}");
    assert!(
        rest.ends_with("data: [DONE]\n\n") && !rest.contains("more") && !rest.contains("ghp_"),
        "{rest}"
    );
    let labels = [("detector", "api-key"), ("action", "block"), ("direction", "output")];
    assert_eq!(plugin.counter("guardrails_matches", &labels), 1);
    assert_eq!(exchange.attribute("guardrails.action").as_deref(), Some("block"));
}

#[test]
fn a_plugin_behind_models_says_that_it_stands_wrong_once() {
    let plugin = masking();
    for _ in 0..2 {
        plugin.request(chat("hello").attribute("model.name", "m"));
    }
    let lines = plugin.log();
    let warned = lines.iter().filter(|line| format!("{line:?}").contains("stands behind `models`"));
    assert_eq!(warned.count(), 1);
    let exchange = plugin.request(testing::request().path("/v1/models"));
    assert!(exchange.answer().is_none());
}
