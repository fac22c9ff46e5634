//! Deployments of Cohere: translated for the clients of others, and passed as it is to Cohere's own.

use gateway_plugin_sdk::testing::Harness;
use models::Models;
use serde_json::{Value, json};

use super::support::{answer, chat, configured, hello, post, sent, stream};

fn plugin() -> Harness<Models> {
    let deployment = json!({
        "upstream": "cohere", "provider": "cohere", "model": "command-a", "secret": "openai",
        "price": { "input": "2.50", "output": "10", "search": "2000" },
    });
    configured(json!({
        "deployments": {
            "command": deployment,
            "other": { "upstream": "other", "provider": "openai", "model": "gpt" },
        },
        "models": {
            "m": { "deployments": [{ "name": "command" }] },
            "short": { "deployments": [{ "name": "command" }], "max_output_tokens": 50 },
            "two": { "deployments": [{ "name": "command" }, { "name": "other", "priority": 1 }] },
        },
    }))
}

fn event(kind: &str, mut json: Value) -> String {
    json["type"] = kind.into();
    format!("event: {kind}\ndata: {json}\n\n")
}

fn content(text: &str) -> String {
    let message = json!({ "message": { "content": { "text": text } } });
    event("content-delta", json!({ "index": 0, "delta": message }))
}

fn usage() -> Value {
    json!({ "billed_units": { "input_tokens": 3, "output_tokens": 2 },
            "tokens": { "input_tokens": 503, "output_tokens": 4 } })
}

fn events() -> Vec<String> {
    let start = json!({ "role": "assistant", "content": [], "tool_plan": "", "tool_calls": [] });
    let text = json!({ "message": { "content": { "type": "text", "text": "" } } });
    vec![
        event("message-start", json!({ "id": "c1", "delta": { "message": start } })),
        event("content-start", json!({ "index": 0, "delta": text })),
        content("good"),
        content(" day"),
        event("content-end", json!({ "index": 0 })),
        event("message-end", json!({ "delta": { "finish_reason": "COMPLETE", "usage": usage() } })),
    ]
}

#[test]
fn a_chat_completion_is_answered_by_a_model_of_cohere_s() {
    let harness = plugin();
    let mut exchange = harness.request(hello("m"));
    let request = exchange.request();
    assert_eq!((request.upstream(), request.path()), (Some("cohere"), "/v2/chat"));
    assert_eq!(request.header("authorization"), Some("Bearer sk-1"));
    assert_eq!(
        sent(&exchange),
        json!({ "model": "command-a", "messages": [{ "role": "user", "content": "hello" }] })
    );
    let message =
        json!({ "role": "assistant", "content": [{ "type": "text", "text": "good day" }] });
    let got =
        json!({ "id": "c1", "message": message, "finish_reason": "COMPLETE", "usage": usage() });
    let completion: Value = exchange.response(answer(got)).json();
    assert_eq!(completion["choices"][0]["message"]["content"], "good day");
    assert_eq!(completion["choices"][0]["finish_reason"], "stop");
    // What is billed counts, and not what Cohere adds to the prompt.
    assert_eq!(completion["usage"]["total_tokens"], 5);
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("5"));
    assert_eq!(exchange.attribute("model.cost").as_deref(), Some("27500"));
}

#[test]
fn a_stream_is_translated_wherever_it_is_cut_and_never_whole_without_its_end() {
    let harness = plugin();
    let ask = |path: &str, pieces: &[&str]| {
        let body = json!({ "model": "m", "stream": true, "max_tokens": 9, "messages": [] });
        let mut exchange = harness.request(post(path, body));
        let text = exchange.response(stream(pieces)).text().to_owned();
        (text, exchange.attribute("model.tokens.total"))
    };
    let whole = events().concat();
    for (path, ending) in
        [("/v1/chat/completions", "data: [DONE]\n\n"), ("/v1/messages", "\"message_stop\"}\n\n")]
    {
        let (text, total) = ask(path, &[&whole]);
        assert!(text.contains("good") && text.ends_with(ending), "{text}");
        assert_eq!(total.as_deref(), Some("5"));
        for split in (1..whole.len()).step_by(5) {
            let cut = ask(path, &[&whole[..split], &whole[split..]]);
            assert_eq!(cut, (text.clone(), total.clone()), "{split}");
        }
        let (text, _) = ask(path, &[&events()[..4].concat()]);
        assert!(text.contains("\"error\"") && !text.ends_with(ending), "{text}");
    }
}

#[test]
fn what_fails_is_asked_of_the_next_or_told_in_the_client_s_form() {
    let failed = || {
        event("message-end", json!({ "delta": { "finish_reason": "ERROR", "error": "no room" } }))
    };
    let streamed = |model: &str| chat(json!({ "model": model, "stream": true, "messages": [] }));
    // A status, an error in place of content, and a whole answer that failed.
    let harness = plugin();
    let mut exchange = harness.request(hello("two"));
    exchange.try_response(answer(json!({ "message": "slow down" })).status(429));
    assert_eq!(exchange.attempt().unwrap().to(), Some("other"));
    let harness = plugin();
    let mut exchange = harness.request(streamed("two"));
    exchange.try_response(stream(&[&events()[0], &failed()]));
    assert_eq!(exchange.attempt().unwrap().to(), Some("other"));
    let harness = plugin();
    let mut exchange = harness.request(hello("two"));
    exchange.try_response(answer(json!({ "id": "c", "message": {}, "finish_reason": "TIMEOUT" })));
    assert_eq!(exchange.attempt().unwrap().to(), Some("other"));
    // Without another, and in the middle.
    let harness = plugin();
    let mut exchange = harness.request(streamed("m"));
    let response = exchange.response(stream(&[&events()[0], &failed()]));
    assert_eq!(response.status(), 502);
    assert_eq!(response.json::<Value>()["error"]["message"], "no room");
    let harness = plugin();
    let mut exchange = harness.request(streamed("m"));
    let text = exchange.response(stream(&[&events()[..4].concat(), &failed()])).text().to_owned();
    assert!(text.contains("\"no room\"") && !text.contains("[DONE]"), "{text}");
    // A text that Cohere blocks is a wrong request to others, whose clients do not know 498.
    let harness = plugin();
    let mut exchange = harness.request(hello("m"));
    let response = exchange.response(answer(json!({ "message": "blocked" })).status(498));
    assert_eq!(response.status(), 400);
    assert_eq!(response.json::<Value>()["error"]["code"], "content_filter");
}

#[test]
fn cohere_s_own_clients_pass_but_for_the_model_and_its_bound() {
    let harness = plugin();
    let ask = |model: &str| json!({ "documents": ["d"], "model": model, "stream": true, "messages": [], "p": 0.5 });
    let mut exchange = harness.request(post("/v2/chat", ask("m")));
    assert_eq!(exchange.request().path(), "/v2/chat");
    assert_eq!(sent(&exchange), ask("command-a"));
    let whole = events().concat();
    assert_eq!(exchange.response(stream(&[&whole[..90], &whole[90..]])).text(), whole);
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("5"));
    let exchange = harness.request(post("/v2/chat", ask("short")));
    assert_eq!(sent(&exchange)["max_tokens"], 50);
    let mut exchange = harness
        .request(post("/v2/rerank", json!({ "model": "m", "query": "q", "documents": ["a"] })));
    assert_eq!(exchange.request().path(), "/v2/rerank");
    let ranked = json!({ "results": [], "meta": { "billed_units": { "search_units": 1 } } });
    assert_eq!(exchange.response(answer(ranked.clone())).json::<Value>(), ranked);
    assert_eq!(exchange.attribute("model.cost").as_deref(), Some("2000000"));
    // No other provider has this API.
    let exchange = harness.request(post("/v2/chat", ask("none")));
    let refused = exchange.answer().expect("an answer");
    assert_eq!(refused.status(), 404);
    assert!(refused.json::<Value>()["message"].as_str().unwrap().contains("`none`"));
}

#[test]
fn embeddings_are_translated_for_openai_s_clients() {
    let harness = plugin();
    let ask = json!({ "model": "short", "input": ["a", "b"], "encoding_format": "base64" });
    let mut exchange = harness.request(post("/v1/embeddings", ask));
    assert_eq!(exchange.request().path(), "/v2/embed");
    assert_eq!(
        sent(&exchange),
        json!({ "model": "command-a", "texts": ["a", "b"], "input_type": "search_document",
                "embedding_types": ["base64"], "truncate": "NONE" })
    );
    let got = json!({ "id": "e", "embeddings": { "base64": ["AAAA", "BBBB"] }, "texts": ["a", "b"],
                      "meta": { "billed_units": { "input_tokens": 2 } } });
    let embeddings: Value = exchange.response(answer(got)).json();
    assert_eq!(
        embeddings["data"][1],
        json!({ "object": "embedding", "index": 1, "embedding": "BBBB" })
    );
    assert_eq!(
        (&embeddings["model"], &embeddings["usage"]["total_tokens"]),
        (&json!("short"), &json!(2))
    );
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("2"));
    // Tokens as numbers are OpenAI's own: another deployment takes them.
    let exchange =
        harness.request(post("/v1/embeddings", json!({ "model": "two", "input": [1, 2] })));
    assert_eq!(exchange.request().upstream(), Some("other"));
}
