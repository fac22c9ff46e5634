//! What becomes of a call whose deployment fails.

use std::time::Duration;

use gateway_plugin_sdk::testing::{self, Harness};
use models::Models;
use serde_json::{Value, json};

use super::support::{answer, chat, config, configured, hello, plugin, post, stream};

fn failed(status: u16) -> testing::ResponseBuilder {
    let error = json!({ "error": { "message": "no", "type": "server_error", "code": null } });
    answer(error).status(status)
}

fn deployment(harness: &Harness<Models>) -> String {
    harness.request(hello("fast")).attribute("model.deployment").unwrap()
}

#[test]
fn the_next_deployment_gets_the_request_as_the_client_sent_it() {
    for status in [429, 500, 502, 503, 504, 529] {
        let harness = plugin();
        let mut exchange = harness.request(hello("fast"));
        exchange.try_response(failed(status));
        let attempt = exchange.attempt().unwrap_or_else(|| panic!("{status}"));
        assert_eq!(attempt.to(), Some("openai"));
        assert_eq!(attempt.header("authorization"), Some("Bearer sk-1"));
        let body: Value = serde_json::from_slice(attempt.new_body().unwrap()).unwrap();
        assert_eq!(body["model"], "gpt-mini");
        let response = exchange.response(answer(json!({ "usage": { "prompt_tokens": 1 } })));
        assert_eq!(response.status(), 200);
        assert_eq!(exchange.attribute("model.deployment").as_deref(), Some("hosted"));
        // The one that failed is passed over for a while.
        assert_eq!(deployment(&harness), "hosted");
        harness.advance(Duration::from_secs(6));
        assert_eq!(deployment(&harness), "gpu");
    }
}

#[test]
fn a_deployment_is_passed_over_for_as_long_as_it_says() {
    let harness = plugin();
    harness.request(hello("fast")).try_response(failed(429).header("retry-after", "30"));
    harness.advance(Duration::from_secs(29));
    assert_eq!(deployment(&harness), "hosted");
    harness.advance(Duration::from_secs(2));
    assert_eq!(deployment(&harness), "gpu");
}

#[test]
fn when_all_cool_down_one_is_asked_all_the_same() {
    let harness = plugin();
    let mut exchange = harness.request(hello("fast"));
    exchange.try_response(failed(503));
    exchange.response(failed(503));
    assert_eq!(exchange.answer().unwrap().status(), 503);
    assert_eq!(exchange.answer().unwrap().json::<Value>()["error"]["message"], "no");
    assert_eq!(deployment(&harness), "gpu");
}

#[test]
fn a_wrong_request_is_wrong_everywhere() {
    let harness = plugin();
    let mut exchange = harness.request(hello("fast"));
    let error = json!({ "error": { "message": "bad", "type": "invalid_request_error" } });
    assert_eq!(exchange.response(answer(error.clone()).status(400)).json::<Value>(), error);
    assert!(exchange.attempt().is_none());
}

#[test]
fn too_long_a_context_goes_elsewhere_where_that_is_configured() {
    let mut config = config();
    config["defaults"]["fail_over"] = json!(["context-too-long"]);
    let harness = configured(config);
    let mut exchange = harness.request(hello("fast"));
    let error = json!({ "error": {
        "message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded",
    } });
    exchange.try_response(answer(error).status(400));
    assert_eq!(exchange.attempt().unwrap().to(), Some("openai"));
    // It did nothing wrong.
    assert_eq!(deployment(&harness), "gpu");
}

#[test]
fn clients_are_not_shown_a_refusal_of_the_gateway_s_key() {
    let harness = plugin();
    let mut exchange = harness.request(hello("mini"));
    let error = json!({ "error": { "message": "Incorrect API key: sk-1", "type": "invalid_request_error" } });
    let response = exchange.response(answer(error).status(401));
    assert_eq!(response.status(), 502);
    assert!(!response.text().contains("sk-1"), "{}", response.text());
    assert!(exchange.log().iter().any(|line| line.message.contains("hosted")));
}

#[test]
fn a_failure_of_the_gateway_has_the_client_s_form() {
    let harness = plugin();
    let mut exchange = harness.request(post(
        "/v1/messages",
        json!({ "model": "smart", "max_tokens": 5, "messages": [] }),
    ));
    let problem = json!({ "type": "about:blank", "title": "Bad Gateway", "status": 502, "detail": "It is away." });
    let response = testing::response()
        .status(502)
        .header("content-type", "application/problem+json")
        .body(problem.to_string());
    let response = exchange.response(response);
    assert_eq!(
        (response.status(), response.header("content-type")),
        (502, Some("application/json"))
    );
    assert_eq!(response.json::<Value>()["type"], "error");
}

#[test]
fn a_request_is_sent_as_often_as_is_configured() {
    let mut config = config();
    config["defaults"]["attempts"] = json!(1);
    let harness = configured(config);
    let mut exchange = harness.request(hello("fast"));
    assert_eq!(exchange.response(failed(503)).status(), 503);
    assert!(exchange.attempt().is_none());
}

const EARLY: &str =
    "data: {\"error\":{\"message\":\"busy\",\"type\":\"server_error\",\"code\":null}}\n\n";

fn streamed(model: &str) -> testing::RequestBuilder {
    chat(json!({ "model": model, "stream": true, "messages": [] }))
}

#[test]
fn a_stream_that_fails_before_it_has_content_is_asked_of_the_next() {
    let harness = plugin();
    let mut exchange = harness.request(streamed("fast"));
    exchange.try_response(stream(&[": wait\n\n", EARLY]));
    assert_eq!(exchange.attempt().unwrap().to(), Some("openai"));
    let text =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\ndata: [DONE]\n\n";
    assert_eq!(exchange.response(stream(&[text])).text(), text);
    assert_eq!(deployment(&harness), "hosted");
}

#[test]
fn without_another_deployment_an_early_error_has_a_status() {
    let harness = plugin();
    let mut exchange = harness.request(streamed("mini"));
    let answer = exchange.response(stream(&[EARLY]));
    assert_eq!((answer.status(), answer.header("content-type")), (502, Some("application/json")));
    assert_eq!(answer.json::<Value>()["error"]["message"], "busy");
    // By another API too, in the client's form.
    let mut exchange = harness.request(streamed("smart"));
    let early = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let answer = exchange.response(stream(&[early]));
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.json::<Value>()["error"]["message"], "Overloaded");
}

#[test]
fn what_fails_after_content_is_passed_on() {
    let harness = plugin();
    let mut exchange = harness.request(streamed("fast"));
    let content = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let answer = exchange.response(stream(&[content, EARLY]));
    assert_eq!((answer.status(), answer.text()), (200, &*[content, EARLY].concat()));
    assert!(exchange.attempt().is_none());
}

#[test]
fn what_is_no_answer_is_asked_of_the_next() {
    let redirects = || testing::response().status(302).header("location", "https://login.example/");
    let harness = plugin();
    let mut exchange = harness.request(streamed("fast"));
    exchange.try_response(redirects());
    assert_eq!(exchange.attempt().unwrap().to(), Some("openai"));
    let answer = exchange.response(redirects());
    assert_eq!((answer.status(), answer.header("location")), (502, None));
    // Nor is a stream that ends without a word.
    let harness = plugin();
    let mut exchange = harness.request(streamed("fast"));
    exchange.try_response(stream(&[": nothing\n\n"]));
    assert_eq!(exchange.attempt().unwrap().to(), Some("openai"));
}

#[test]
fn a_wrong_key_in_a_stream_is_not_shown_either() {
    let harness = plugin();
    let mut exchange = harness.request(streamed("mini"));
    let early = "data: {\"error\":{\"message\":\"Incorrect API key: sk-1\",\"code\":\"invalid_api_key\"}}\n\n";
    let answer = exchange.response(stream(&[early]));
    assert_eq!(answer.status(), 502);
    assert!(!answer.text().contains("sk-1"), "{}", answer.text());
}

#[test]
fn a_deployment_that_cannot_be_told_the_request_is_passed_over() {
    let mut config = config();
    config["models"]["any"] = json!({ "deployments": [
        { "name": "gpu" }, { "name": "claude", "priority": 1 }, { "name": "hosted", "priority": 2 },
    ] });
    let harness = configured(config);
    let body = json!({ "model": "any", "messages": [], "logit_bias": { "5": 1 } });
    let mut exchange = harness.request(chat(body));
    exchange.try_response(failed(500));
    assert_eq!(exchange.attempt().unwrap().to(), Some("openai"));
}
