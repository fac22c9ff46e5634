//! Deployments that speak another API than the client.

use serde_json::{Value, json};

use super::support::{answer, chat, hello, plugin, post, sent, stream, with_models};

#[test]
fn a_chat_completion_is_answered_by_a_model_of_anthropic_s() {
    let harness = plugin();
    let mut exchange = harness.request(hello("smart"));
    let request = exchange.request();
    assert_eq!((request.upstream(), request.path()), (Some("anthropic"), "/v1/messages"));
    assert_eq!(request.header("x-api-key"), Some("sk-ant-1"));
    assert_eq!(request.header("anthropic-version"), Some("2023-06-01"));
    let body = sent(&exchange);
    assert_eq!(
        (&body["model"], &body["messages"][0]["role"]),
        (&json!("claude-1"), &json!("user"))
    );
    assert!(body["max_tokens"].as_u64().is_some());
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1",
        "content": [{ "type": "text", "text": "good day" }], "stop_reason": "end_turn",
        "usage": { "input_tokens": 3, "output_tokens": 2 },
    });
    let completion: Value = exchange.response(answer(message)).json();
    assert_eq!(completion["object"], "chat.completion");
    assert_eq!(completion["model"], "smart");
    assert_eq!(completion["choices"][0]["message"]["content"], "good day");
    assert_eq!(completion["usage"]["total_tokens"], 5);
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("5"));
}

#[test]
fn a_stream_is_translated_wherever_it_is_cut() {
    let events = [
        r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"c","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"good"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" day"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    let name = |event: &str| serde_json::from_str::<Value>(event).unwrap()["type"].clone();
    let whole: String = events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", name(event).as_str().unwrap()))
        .collect();
    let harness = plugin();
    let ask = |pieces: &[&str]| {
        let body = json!({ "model": "smart", "stream": true, "messages": [] });
        let mut exchange = harness.request(chat(body));
        let text = exchange.response(stream(pieces)).text().to_owned();
        (text, exchange.attribute("model.tokens.total").unwrap())
    };
    let (text, total) = ask(&[&whole]);
    assert!(text.contains("\"content\":\"good\"") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(!text.contains("prompt_tokens"), "{text}");
    assert_eq!(total, "5");
    // The times and ids of two answers are the same here.
    for split in (1..whole.len()).step_by(7) {
        assert_eq!(
            ask(&[&whole[..split], &whole[split..]]),
            (text.clone(), total.clone()),
            "{split}"
        );
    }
}

#[test]
fn a_stream_that_ends_too_early_is_not_passed_off_as_whole() {
    let harness = plugin();
    let body = json!({ "model": "smart", "stream": true, "messages": [] });
    let mut exchange = harness.request(chat(body));
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3}}}\n\n";
    let text = exchange.response(stream(&[start])).text().to_owned();
    assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{text}");
}

#[test]
fn messages_are_answered_by_a_model_of_openai_s() {
    let harness = plugin();
    let ask = json!({
        "model": "mini", "max_tokens": 20, "system": "be brief",
        "messages": [{ "role": "user", "content": "hello" }],
    });
    let mut exchange = harness.request(post("/v1/messages", ask));
    assert_eq!(exchange.request().path(), "/v1/chat/completions");
    assert_eq!(exchange.request().header("authorization"), Some("Bearer sk-1"));
    let body = sent(&exchange);
    assert_eq!(body["messages"].as_array().unwrap().len(), 2);
    let completion = json!({
        "id": "c", "object": "chat.completion", "model": "gpt-mini",
        "choices": [{ "index": 0, "finish_reason": "length", "message": { "role": "assistant", "content": "hi" } }],
        "usage": { "prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5 },
    });
    let message: Value = exchange.response(answer(completion)).json();
    assert_eq!(
        (&message["type"], &message["stop_reason"]),
        (&json!("message"), &json!("max_tokens"))
    );
    assert_eq!(message["content"][0]["text"], "hi");
}

#[test]
fn an_error_of_another_api_is_told_in_the_client_s() {
    let harness = plugin();
    let mut exchange = harness.request(hello("smart"));
    let error = json!({ "type": "error", "error": { "type": "invalid_request_error", "message": "bad image" } });
    let response = exchange.response(answer(error).status(400));
    let body: Value = response.json();
    assert_eq!((response.status(), &body["error"]["message"]), (400, &json!("bad image")));
    assert_eq!(body["error"]["type"], "invalid_request_error");
}

#[test]
fn what_cannot_be_told_to_a_provider_is_refused_by_its_name() {
    let harness = plugin();
    let ask = json!({ "model": "smart", "messages": [], "logit_bias": { "5": 1 } });
    let exchange = harness.request(chat(ask));
    let refused = exchange.answer().unwrap();
    assert_eq!(refused.status(), 400);
    assert!(refused.text().contains("logit_bias"), "{}", refused.text());
    let message = refused.json::<Value>()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.ends_with("of this model."), "{message}");
    // Another deployment of the model can take it.
    let harness = with_models(json!({
        "any": { "deployments": [{ "name": "claude" }, { "name": "hosted", "priority": 1 }] },
    }));
    let ask = json!({ "model": "any", "messages": [], "logit_bias": { "5": 1 } });
    let exchange = harness.request(chat(ask));
    assert_eq!(exchange.request().upstream(), Some("openai"));
}
