//! What Azure, Mistral and Cohere want otherwise.

use gateway_plugin_sdk::testing::Harness;
use models::Models;
use serde_json::{Value, json};

use super::support::{configured, post, sent, stream};

fn plugin(deployment: Value) -> Harness<Models> {
    let mut deployment = deployment;
    deployment["upstream"] = json!("there");
    deployment["secret"] = json!("openai");
    deployment["model"] = json!("own");
    configured(json!({
        "deployments": { "one": deployment },
        "models": { "m": { "deployments": [{ "name": "one" }], "max_output_tokens": 50 } },
    }))
}

#[test]
fn azure_has_each_endpoint_where_its_version_has_it() {
    let dated = json!({ "provider": "azure" });
    let newer = json!({ "provider": "azure", "api_version": "2025-04-01-preview" });
    let undated = json!({ "provider": "azure", "api_version": "v1" });
    for (deployment, from, path, query) in [
        (
            &dated,
            "/v1/chat/completions",
            "/openai/deployments/own/chat/completions",
            Some("api-version=2024-10-21"),
        ),
        // Responses are not in that version.
        (&dated, "/v1/responses", "/openai/v1/responses", None),
        (&newer, "/v1/responses", "/openai/responses", Some("api-version=2025-04-01-preview")),
        (
            &newer,
            "/v1/embeddings",
            "/openai/deployments/own/embeddings",
            Some("api-version=2025-04-01-preview"),
        ),
        (&undated, "/v1/chat/completions", "/openai/v1/chat/completions", None),
        (&undated, "/v1/responses", "/openai/v1/responses", None),
    ] {
        let harness = plugin(deployment.clone());
        let body = json!({ "model": "m", "input": "hi", "messages": [] });
        let exchange = harness.request(post(from, body).query("api-version=2020-01-01"));
        let request = exchange.request();
        assert_eq!((request.path(), request.query()), (path, query), "{from} {deployment}");
        assert_eq!(request.header("api-key"), Some("sk-1"));
        assert_eq!(sent(&exchange)["model"], "own");
    }
}

#[test]
fn mistral_gets_what_it_knows_and_says_the_usage_unasked() {
    let harness = plugin(json!({ "provider": "mistral" }));
    let ask = json!({
        "stream_options": { "include_usage": false }, "model": "m", "stream": true, "seed": 5,
        "max_completion_tokens": 80, "messages": [{ "role": "user", "content": "hi" }],
    });
    let mut exchange = harness.request(post("/v1/chat/completions", ask));
    assert_eq!(exchange.request().header("authorization"), Some("Bearer sk-1"));
    assert_eq!(
        sent(&exchange),
        json!({ "model": "own", "stream": true, "random_seed": 5, "max_tokens": 50,
                "messages": [{ "role": "user", "content": "hi" }] })
    );
    let text = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":4}}\n\ndata: [DONE]\n\n";
    assert_eq!(exchange.response(stream(&[text])).text(), text);
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("4"));
    // A translated request likewise.
    let ask = json!({ "model": "m", "stream": true, "max_tokens": 20, "messages": [{ "role": "user", "content": "hi" }] });
    let exchange = harness.request(post("/v1/messages", ask));
    let body = sent(&exchange);
    assert_eq!((&body["max_tokens"], &body["stream_options"]), (&json!(20), &Value::Null));
    // It has no responses: they are translated.
    let exchange = harness.request(post("/v1/responses", json!({ "model": "m", "input": "hi" })));
    assert_eq!(exchange.request().path(), "/v1/chat/completions");
}

#[test]
fn mistral_gets_ids_of_calls_that_others_made_in_its_form() {
    let harness = plugin(json!({ "provider": "mistral" }));
    let history = |one: &str, other: &str| {
        let call = |id: &str| json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{}" } });
        json!({ "model": "m", "messages": [
            { "role": "assistant", "tool_calls": [call(one), call(other)] },
            { "role": "tool", "tool_call_id": one, "content": "1" },
            { "role": "tool", "tool_call_id": other, "content": "2" },
        ] })
    };
    let exchange =
        harness.request(post("/v1/chat/completions", history("D681PevKs", "call_of_another")));
    let body = sent(&exchange);
    let ids: Vec<&str> =
        ["/0/tool_calls/0/id", "/0/tool_calls/1/id", "/1/tool_call_id", "/2/tool_call_id"]
            .iter()
            .map(|at| body["messages"].pointer(at).unwrap().as_str().unwrap())
            .collect();
    assert_eq!((ids[0], ids[2]), ("D681PevKs", "D681PevKs"));
    assert!(ids[1].len() == 9 && ids[1].bytes().all(|it| it.is_ascii_alphanumeric()), "{ids:?}");
    assert_eq!(ids[1], ids[3]);
}

#[test]
fn cohere_openai_is_asked_by_the_api_that_it_has_for_openai_s_clients() {
    let harness = plugin(json!({ "provider": "cohere-openai" }));
    let ask = json!({ "model": "m", "max_completion_tokens": 10, "messages": [] });
    let exchange = harness.request(post("/v1/chat/completions", ask));
    assert_eq!(exchange.request().path(), "/compatibility/v1/chat/completions");
    assert_eq!(sent(&exchange)["max_tokens"], 10);
}
