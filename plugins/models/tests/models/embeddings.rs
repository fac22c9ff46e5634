//! Embeddings of deployments that have another API than the client.

use gateway_plugin_sdk::testing::Harness;
use models::Models;
use serde_json::{Value, json};

use super::support::{answer, configured, post, sent};

fn plugin() -> Harness<Models> {
    let of = |provider: &str, model: &str| {
        json!({
            "upstream": provider, "provider": provider, "model": model, "secret": "openai",
            "price": { "input": "0.15" },
        })
    };
    configured(json!({
        "deployments": {
            "google": of("gemini", "gemini-embedding-001"),
            "own": of("ollama", "nomic-embed-text"),
            "hosted": of("openai", "text-embedding-3-small"),
            "claude": of("anthropic", "claude"),
        },
        "models": {
            "google": { "deployments": [{ "name": "google" }] },
            "own": { "deployments": [{ "name": "own" }] },
            "hosted": { "deployments": [{ "name": "hosted" }] },
            "claude": { "deployments": [{ "name": "claude" }] },
            "both": { "deployments": [{ "name": "own" }, { "name": "google", "priority": 1 }] },
        },
    }))
}

fn embeddings(model: &str, more: Value) -> gateway_plugin_sdk::testing::RequestBuilder {
    let mut body = json!({ "model": model, "input": ["good day", "hi"] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post("/v1/embeddings", body)
}

#[test]
fn those_of_gemini_are_asked_for_at_once_and_charged_by_its_usage() {
    let harness = plugin();
    let mut exchange =
        harness.request(embeddings("google", json!({ "encoding_format": "base64" })));
    assert_eq!(exchange.request().path(), "/v1beta/models/gemini-embedding-001:batchEmbedContents");
    assert_eq!(exchange.request().header("x-goog-api-key"), Some("sk-1"));
    let request = |text: &str| {
        let content = json!({ "parts": [{ "text": text }] });
        json!({ "model": "models/gemini-embedding-001", "content": content })
    };
    assert_eq!(sent(&exchange), json!({ "requests": [request("good day"), request("hi")] }));
    let vectors = json!([{ "values": [1, 2] }, { "values": [1, 2] }]);
    let got = json!({ "embeddings": vectors, "usageMetadata": { "promptTokenCount": 40 } });
    let got: Value = exchange.response(answer(got)).json();
    assert_eq!(
        got["data"][1],
        json!({ "object": "embedding", "index": 1, "embedding": "AACAPwAAAEA=" })
    );
    assert_eq!((&got["model"], &got["usage"]["total_tokens"]), (&json!("google"), &json!(40)));
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("40"));
    assert_eq!(exchange.attribute("model.cost").as_deref(), Some("6000"));
}

/// As it is of models that say no usage, and of everything that is translated.
#[test]
fn an_answer_without_a_usage_is_charged_its_estimate() {
    let harness = plugin();
    let mut exchange = harness.request(embeddings("google", json!({})));
    let estimate = exchange.attribute("model.tokens.estimate");
    let got: Value = exchange.response(answer(json!({ "embeddings": [{ "values": [1] }] }))).json();
    assert_eq!(exchange.attribute("model.tokens.total"), estimate);
    assert_eq!(Some(got["usage"]["total_tokens"].to_string()), estimate);
    exchange.complete();
    assert_eq!(harness.usage("estimated_calls"), 1);
}

#[test]
fn those_of_ollama_are_not_cut_and_another_deployment_is_asked() {
    let harness = plugin();
    let mut exchange = harness.request(embeddings("both", json!({ "dimensions": 256 })));
    assert_eq!(exchange.request().path(), "/api/embed");
    assert_eq!(
        sent(&exchange),
        json!({ "model": "nomic-embed-text", "input": ["good day", "hi"], "dimensions": 256, "truncate": false })
    );
    exchange.try_response(answer(json!({ "error": "no" })).status(503));
    let attempt = exchange.attempt().expect("another is asked");
    assert_eq!(attempt.to(), Some("gemini"));
    let got =
        json!({ "embeddings": [{ "values": [1] }], "usageMetadata": { "promptTokenCount": 3 } });
    let got: Value = exchange.response(answer(got)).json();
    assert_eq!(got["data"][0]["embedding"], json!([1]));
    let mut exchange = harness.request(embeddings("own", json!({})));
    let got =
        json!({ "model": "nomic-embed-text", "embeddings": [[0.5], [1]], "prompt_eval_count": 9 });
    let got: Value = exchange.response(answer(got)).json();
    assert_eq!(got["data"][1]["embedding"], json!([1]));
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("9"));
}

#[test]
fn clients_of_ollama_s_have_those_of_others() {
    let harness = plugin();
    for (model, path, got) in [
        (
            "hosted",
            "/v1/embeddings",
            json!({ "data": [{ "embedding": [1, 2] }], "usage": { "prompt_tokens": 9, "total_tokens": 9 } }),
        ),
        (
            "google",
            "/v1beta/models/gemini-embedding-001:batchEmbedContents",
            json!({ "embeddings": [{ "values": [1, 2] }], "usageMetadata": { "promptTokenCount": 9 } }),
        ),
    ] {
        let body = json!({ "model": model, "input": "good day" });
        let mut exchange = harness.request(post("/api/embed", body));
        assert_eq!(exchange.request().path(), path);
        let got: Value = exchange.response(answer(got)).json();
        assert_eq!(got, json!({ "model": model, "embeddings": [[1, 2]], "prompt_eval_count": 9 }));
    }
}

/// The provider refuses a body that names another model than the path.
#[test]
fn gemini_s_own_requests_name_its_model_everywhere() {
    let harness = plugin();
    let request = json!({ "model": "models/google", "content": { "parts": [{ "text": "a" }] } });
    for (verb, body, wanted) in [
        (
            "batchEmbedContents",
            json!({ "requests": [request.clone(), request.clone()] }),
            "/requests/1/model",
        ),
        ("embedContent", request, "/model"),
    ] {
        let exchange = harness.request(post(&format!("/v1beta/models/google:{verb}"), body));
        let path = exchange.request().path().to_owned();
        assert_eq!(path, format!("/v1beta/models/gemini-embedding-001:{verb}"));
        let named = sent(&exchange).pointer(wanted).cloned();
        assert_eq!(named, Some(json!("models/gemini-embedding-001")));
    }
}

#[test]
fn a_provider_that_has_none_is_not_asked() {
    let harness = plugin();
    let exchange = harness.request(embeddings("claude", json!({})));
    assert_eq!(exchange.answer().unwrap().status(), 400);
}
