//! A gateway with three deployments, and calls of its models.

use gateway_plugin_sdk::testing::{self, Exchange, Harness, RequestBuilder, ResponseBuilder};
use models::Models;
use serde_json::{Value, json};

/// Three deployments: `gpu` and `hosted` of OpenAI's API, `claude` of Anthropic's.
pub(crate) fn config() -> Value {
    json!({
        "deployments": {
            "gpu": { "upstream": "gpu", "provider": "openai", "model": "llama-8b" },
            "hosted": {
                "upstream": "openai", "provider": "openai", "model": "gpt-mini", "secret": "openai",
                "price": { "input": "0.15", "output": "0.60" },
            },
            "claude": {
                "upstream": "anthropic", "provider": "anthropic", "model": "claude-1",
                "secret": "anthropic",
            },
        },
        "models": {
            "fast": {
                "deployments": [{ "name": "gpu" }, { "name": "hosted", "priority": 1 }],
                "aliases": ["gpt-4o-mini"],
            },
            "mini": { "deployments": [{ "name": "hosted" }] },
            "smart": { "deployments": [{ "name": "claude" }] },
        },
    })
}

/// The plugin with this configuration.
pub(crate) fn configured(config: Value) -> Harness<Models> {
    let prepared = Harness::prepare().secret("openai", "sk-1").secret("anthropic", "sk-ant-1");
    prepared.configure(config).expect("the configuration is valid")
}

/// The plugin as [`config`] has it, with these members of `models` in place or added.
pub(crate) fn with_models(models: Value) -> Harness<Models> {
    let mut config = config();
    for (name, model) in models.as_object().expect("a table of models") {
        config["models"][name] = model.clone();
    }
    configured(config)
}

pub(crate) fn plugin() -> Harness<Models> {
    configured(config())
}

/// A chat completion.
pub(crate) fn chat(body: Value) -> RequestBuilder {
    post("/v1/chat/completions", body)
}

/// A chat completion with one message.
pub(crate) fn hello(model: &str) -> RequestBuilder {
    chat(json!({ "model": model, "messages": [{ "role": "user", "content": "hello" }] }))
}

pub(crate) fn post(path: &str, body: Value) -> RequestBuilder {
    testing::request()
        .method("POST")
        .path(path)
        .header("content-type", "application/json")
        .header("authorization", "Bearer client-key")
        .body(body.to_string())
}

/// A JSON response.
pub(crate) fn answer(body: Value) -> ResponseBuilder {
    testing::response().header("content-type", "application/json").body(body.to_string())
}

/// A stream of events, in these pieces.
pub(crate) fn stream(pieces: &[&str]) -> ResponseBuilder {
    let response = testing::response().header("content-type", "text/event-stream");
    response.chunks(pieces.iter().map(|piece| piece.as_bytes().to_vec()))
}

/// The body of the request that is sent to a deployment.
pub(crate) fn sent(exchange: &Exchange<'_, Models>) -> Value {
    serde_json::from_slice(exchange.request().body()).expect("a JSON body")
}
