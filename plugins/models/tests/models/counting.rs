//! Counts of tokens without a deployment, and usage in heads of responses.

use serde_json::{Value, json};

use super::support::{answer, config, configured, hello, plugin, post};

#[test]
fn a_count_that_no_deployment_can_be_asked_for_is_the_gateway_s_estimate() {
    let harness = plugin();
    let text = "seven letters here and there";
    let messages = json!([{ "role": "user", "content": text }]);
    let contents = json!([{ "role": "user", "parts": [{ "text": text }] }]);
    let mut counts = Vec::new();
    for (path, body, member) in [
        (
            "/v1/messages/count_tokens",
            json!({ "model": "fast", "messages": messages }),
            "input_tokens",
        ),
        ("/v1beta/models/fast:countTokens", json!({ "contents": contents }), "totalTokens"),
        (
            "/v1beta/models/fast:countTokens",
            json!({ "generateContentRequest": { "model": "models/fast", "contents": contents } }),
            "totalTokens",
        ),
        ("/v1/responses/input_tokens", json!({ "model": "smart", "input": text }), "input_tokens"),
    ] {
        let exchange = harness.request(post(path, body));
        let counted = exchange.answer().expect("an answer");
        assert_eq!((counted.status(), counted.header("x-model-count")), (200, Some("estimate")));
        counts.push(counted.json::<Value>()[member].as_u64().expect("a count"));
        assert!(exchange.attribute("model.tokens.total").is_none());
    }
    // Two for each 7 bytes of text, and what is around it.
    assert!(counts.iter().all(|count| (8..20).contains(count)), "{counts:?}");
    assert_eq!(counts[1], counts[2]);
    // Who has the API is asked.
    let body = json!({ "model": "smart", "messages": messages });
    let exchange = harness.request(post("/v1/messages/count_tokens", body));
    assert_eq!(exchange.request().upstream(), Some("anthropic"));
    // What has no count is refused as before.
    let exchange =
        harness.request(post("/v1/embeddings", json!({ "model": "smart", "input": text })));
    assert_eq!(exchange.answer().unwrap().status(), 400);
}

#[test]
fn whole_answers_say_their_usage_in_the_head_if_that_is_asked_for() {
    let mut config = config();
    config["response_headers"] = json!(true);
    let usage = json!({ "prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110 });
    let completion = json!({ "choices": [{ "index": 0, "message": { "content": "hi" }, "finish_reason": "stop" }], "usage": usage });
    let length = completion.to_string().len().to_string();
    let harness = configured(config);
    let mut exchange = harness.request(hello("mini"));
    let response = exchange.response(answer(completion.clone()).header("content-length", &*length));
    let field = |name| response.header(name);
    assert_eq!(field("x-model-deployment"), Some("hosted"));
    assert_eq!(
        (field("x-model-input-tokens"), field("x-model-output-tokens")),
        (Some("100"), Some("10"))
    );
    assert_eq!(field("x-model-cost-usd"), Some("0.000021"));
    // A translated one likewise, here without a price.
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1",
        "content": [{ "type": "text", "text": "good day" }], "stop_reason": "end_turn",
        "usage": { "input_tokens": 3, "output_tokens": 2 },
    });
    let mut exchange = harness.request(hello("smart"));
    let response = exchange.response(answer(message));
    assert_eq!(response.header("x-model-output-tokens"), Some("2"));
    assert_eq!(response.header("x-model-cost-usd"), None);
    // Nobody asked.
    let harness = plugin();
    let mut exchange = harness.request(hello("mini"));
    let response = exchange.response(answer(completion).header("content-length", &*length));
    assert_eq!(response.header("x-model-input-tokens"), None);
}
