//! Deployments at Bedrock: signed requests, binary streams, errors by their type.

use gateway_model_protocols::framing::event_stream;
use gateway_plugin_sdk::testing::{self, Harness};
use models::Models;
use serde_json::{Value, json};

use super::support::{answer, hello, post, sent};

fn config() -> Value {
    json!({
        "deployments": {
            "claude": {
                "upstream": "bedrock", "provider": "bedrock", "region": "eu-central-1",
                "model": "eu.anthropic.claude-5-v1:0",
                "aws": { "access_key_id": "id", "secret_access_key": "key", "session_token": "token" },
            },
            "other": {
                "upstream": "bedrock", "provider": "bedrock", "region": "us-east-1", "secret": "bearer",
                "model": "arn:aws:bedrock:us-east-1:1:inference-profile/claude",
            },
        },
        "models": { "smart": { "deployments": [{ "name": "claude" }, { "name": "other", "priority": 1 }] } },
    })
}

fn prepared() -> testing::Preparation<Models> {
    let secrets = [
        ("id", "AKIDEXAMPLE"),
        ("key", "secret"),
        ("token", "session"),
        ("bearer", "bk-1"),
        ("swapped", "wJalrXU/K7+E"),
        ("temporary", "ASIAEXAMPLE"),
    ];
    secrets.into_iter().fold(Harness::prepare(), |it, (name, value)| it.secret(name, value))
}

fn plugin() -> Harness<Models> {
    prepared().configure(config()).expect("the configuration is valid")
}

/// A frame of an event stream, as AWS writes it.
fn frame(kind: &str, name: &str, payload: &Value) -> Vec<u8> {
    let payload = payload.to_string();
    let mut out = Vec::new();
    match kind {
        "event" => event_stream::write_event(&mut out, name, &payload),
        _ => event_stream::write_exception(&mut out, name, &payload),
    }
    out
}

fn stream(frames: impl IntoIterator<Item = Vec<u8>>) -> testing::ResponseBuilder {
    let response = testing::response().header("content-type", "application/vnd.amazon.eventstream");
    response.chunks(frames)
}

#[test]
fn requests_are_signed_for_the_host_and_the_path_that_are_sent() {
    let harness = plugin();
    let exchange = harness.request(hello("smart").header("x-amz-date", "yesterday"));
    let request = exchange.request();
    assert_eq!(request.upstream(), Some("bedrock"));
    assert_eq!(request.path(), "/model/eu.anthropic.claude-5-v1%3A0/converse");
    assert_eq!(request.header("host"), Some("bedrock-runtime.eu-central-1.amazonaws.com"));
    assert_eq!(request.header("x-amz-security-token"), Some("session"));
    assert_ne!(request.header("x-amz-date"), Some("yesterday"));
    let authorization = request.header("authorization").unwrap();
    assert!(
        authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"),
        "{authorization}"
    );
    assert!(authorization.contains(
        "/eu-central-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, "
    ));
    assert_eq!(sent(&exchange)["messages"][0]["content"][0]["text"], "hello");
}

#[test]
fn an_answer_is_translated_and_counted() {
    let harness = plugin();
    let mut exchange = harness.request(hello("smart"));
    let message = json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": "good day" }] } },
        "stopReason": "end_turn", "metrics": { "latencyMs": 1 },
        "usage": { "inputTokens": 3, "outputTokens": 2, "totalTokens": 9, "cacheReadInputTokens": 4 },
    });
    let completion: Value = exchange.response(answer(message)).json();
    assert_eq!(completion["choices"][0]["message"]["content"], "good day");
    assert_eq!(completion["usage"]["prompt_tokens"], 7);
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("9"));
}

#[test]
fn throttling_is_asked_of_the_next_whatever_its_status() {
    for status in [400, 429] {
        let harness = plugin();
        let mut exchange = harness.request(hello("smart"));
        let throttled = answer(json!({ "message": "Too many tokens" })).status(status);
        exchange
            .try_response(throttled.header("x-amzn-errortype", "ThrottlingException:http://aws/"));
        let attempt = exchange.attempt().unwrap_or_else(|| panic!("{status}"));
        assert_eq!(attempt.header("authorization"), Some("Bearer bk-1"));
        // The one that failed cools down. The other has a key of Bedrock's own, and an ARN for its name.
        let next = harness.request(hello("smart"));
        assert_eq!(next.attribute("model.deployment").as_deref(), Some("other"), "{status}");
        let path =
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fclaude/converse";
        assert_eq!(next.request().path(), path);
    }
}

#[test]
fn the_next_deployment_is_told_nothing_that_was_for_the_one_before() {
    let mut config = config();
    config["deployments"]["claude"]["headers"] = json!({ "x-account": "ours" });
    config["deployments"]["gpt"] = json!({ "upstream": "openai", "provider": "openai" });
    config["models"]["smart"]["deployments"][1] = json!({ "name": "gpt", "priority": 1 });
    let harness = prepared().configure(config).unwrap();
    let mut exchange = harness.request(hello("smart").header("host", "gateway.example"));
    assert_eq!(exchange.request().header("x-account"), Some("ours"));
    exchange.try_response(answer(json!({ "message": "no" })).status(503));
    let attempt = exchange.attempt().unwrap();
    assert_eq!(attempt.header("host"), Some("gateway.example"));
    let removed = format!("{attempt:?}");
    for name in ["x-account", "authorization", "x-amz-date", "x-amz-security-token"] {
        assert!(removed.contains(&format!("{name:?}")) && attempt.header(name).is_none(), "{name}");
    }
}

#[test]
fn an_exception_before_content_is_asked_of_the_next_and_signed_again() {
    let harness = plugin();
    let streamed = || {
        post("/v1/chat/completions", json!({ "model": "smart", "stream": true, "messages": [] }))
    };
    let mut exchange = harness.request(streamed());
    assert!(exchange.request().path().ends_with("/converse-stream"));
    let start = frame("event", "messageStart", &json!({ "role": "assistant" }));
    let busy = frame("exception", "throttlingException", &json!({ "message": "Too many" }));
    exchange.try_response(stream([start.clone(), busy]));
    assert!(exchange.attempt().is_some());
    let text = json!({ "contentBlockIndex": 0, "delta": { "text": "hi" } });
    let whole = [
        start,
        frame("event", "contentBlockDelta", &text),
        frame("event", "messageStop", &json!({ "stopReason": "end_turn" })),
        frame(
            "event",
            "metadata",
            &json!({ "usage": { "inputTokens": 3, "outputTokens": 1, "totalTokens": 4 } }),
        ),
    ];
    let answer = exchange.response(stream(whole));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert!(answer.text().contains("\"content\":\"hi\"") && answer.text().ends_with("[DONE]\n\n"));
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("4"));
}

#[test]
fn bedrock_s_own_clients_pass_byte_for_byte() {
    let harness = plugin();
    let body = r#"{"messages": [ {"role":"user","content":[{"text":"hi"}]} ]}"#;
    let mut exchange = harness
        .request(testing::request().method("POST").path("/model/smart/converse-stream").body(body));
    assert_eq!(exchange.request().path(), "/model/eu.anthropic.claude-5-v1%3A0/converse-stream");
    assert_eq!(exchange.request().text(), body);
    let frames = [
        frame("event", "messageStop", &json!({ "stopReason": "end_turn" })),
        frame("event", "metadata", &json!({ "usage": { "inputTokens": 3, "outputTokens": 1 } })),
    ];
    let passed = exchange.response(stream(frames.clone())).body().to_vec();
    assert_eq!(passed, frames.concat());
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("4"));
    // What is refused here has the form of their errors.
    let refused =
        harness.request(testing::request().method("POST").path("/model/none/converse").body("{}"));
    let refused = refused.answer().unwrap();
    assert_eq!(refused.header("x-amzn-errortype"), Some("ResourceNotFoundException"));
    assert!(refused.json::<Value>()["message"].is_string());
}

#[test]
fn what_is_missing_is_said_at_its_place() {
    for (key, value, pointer, words) in [
        ("region", Value::Null, "/deployments/claude/region", "as in `region = \"eu-central-1\"`"),
        ("region", json!("a.b"), "/deployments/claude/region", "and no '.'"),
        ("host", json!("https://x"), "/deployments/claude/host", "`host:port`"),
        ("secret", json!("bearer"), "/deployments/claude/aws", "beside `secret`"),
        (
            "provider",
            json!("openai"),
            "/deployments/claude/aws",
            "is for the provider `bedrock` alone",
        ),
        (
            "aws",
            json!({ "access_key_id": "x", "secret_access_key": "key" }),
            "/deployments/claude/aws/access_key_id",
            "secret `x`",
        ),
        (
            "aws",
            json!({ "access_key_id": "swapped", "secret_access_key": "key" }),
            "/deployments/claude/aws/access_key_id",
            "are the two exchanged?",
        ),
        (
            "aws",
            json!({ "access_key_id": "temporary", "secret_access_key": "key" }),
            "/deployments/claude/aws/access_key_id",
            "name `session_token` too",
        ),
    ] {
        let mut config = config();
        config["deployments"]["claude"][key] = value;
        let error = prepared().configure(config).err().expect("it is wrong");
        let says = |it: &gateway_plugin_sdk::ConfigIssue| {
            format!("{} {:?}", it.message, it.help).contains(words)
        };
        let found = error.issues().iter().any(|it| it.pointer == pointer && says(it));
        assert!(found, "{error:?}");
    }
}

#[test]
fn another_attempt_has_the_query_that_the_client_sent() {
    let mut config = config();
    config["deployments"]["gemini"] = json!({ "upstream": "openai", "provider": "gemini" });
    config["models"]["smart"]["deployments"][1] = json!({ "name": "gemini", "priority": 1 });
    let harness = prepared().configure(config).unwrap();
    let body = json!({ "contents": [{ "role": "user", "parts": [{ "text": "hi" }] }] });
    let ask = post("/v1beta/models/smart:streamGenerateContent", body).query("alt=sse");
    let mut exchange = harness.request(ask);
    assert_eq!(exchange.request().query(), None);
    exchange.try_response(answer(json!({ "message": "no" })).status(503));
    let attempt = format!("{:?}", exchange.attempt().unwrap());
    assert!(attempt.contains("\"alt=sse\""), "{attempt}");
}
