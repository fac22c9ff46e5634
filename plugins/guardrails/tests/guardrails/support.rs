//! Calls of models, and what answers them.

use gateway_plugin_sdk::testing::{self, Harness, RequestBuilder, ResponseBuilder};
use guardrails::Guardrails;
use serde_json::{Value, json};

pub(crate) fn plugin(config: Value) -> Harness<Guardrails> {
    Harness::new(config).expect("a valid configuration")
}

/// What most tests have: personal data is masked, keys are blocked.
pub(crate) fn masking() -> Harness<Guardrails> {
    plugin(json!({
        "input": { "personal-data": "mask", "private-key": "mask", "api-key": "block" },
        "output": { "card": "redact", "api-key": "block" },
    }))
}

pub(crate) fn post(path: &str, body: &Value) -> RequestBuilder {
    let request = testing::request().method("POST").path(path).body(body.to_string());
    request.header("content-type", "application/json")
}

/// A chat completion with one message.
pub(crate) fn chat(text: &str) -> RequestBuilder {
    let messages = json!([{ "role": "user", "content": text }]);
    post("/v1/chat/completions", &json!({ "model": "m", "messages": messages }))
}

pub(crate) fn answer(body: &Value) -> ResponseBuilder {
    testing::response().header("content-type", "application/json").body(body.to_string())
}

pub(crate) fn completion(text: &str) -> ResponseBuilder {
    let message = json!({ "role": "assistant", "content": text });
    let choices = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
    answer(
        &json!({ "id": "c1", "model": "m", "created": 7, "choices": choices, "usage": { "total_tokens": 9 } }),
    )
}

/// The events of a chat completion's stream, one for each text.
pub(crate) fn events(texts: &[&str]) -> Vec<String> {
    let event = |text: &&str| {
        let delta = json!({ "content": text });
        format!(
            "data: {}\n\n",
            json!({ "id": "c1", "model": "m", "choices": [{ "index": 0, "delta": delta }] })
        )
    };
    texts.iter().map(event).collect()
}

pub(crate) const DONE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

pub(crate) fn stream(pieces: impl IntoIterator<Item = String>) -> ResponseBuilder {
    testing::response().header("content-type", "text/event-stream").chunks(pieces)
}

/// A key that GitHub's documentation has, in two parts, so that nobody takes it for a leak.
pub(crate) fn key() -> String {
    ["ghp_", "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"].concat()
}
