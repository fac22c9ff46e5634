//! Embeddings of deployments that have another API than the client.

use gateway_plugin_sdk::testing::Harness;
use models::Models;
use serde_json::{Value, json};

use super::support::{answer, post, sent};

fn plugin() -> Harness<Models> {
    let of = |provider: &str, model: &str| {
        json!({
            "upstream": provider, "provider": provider, "model": model, "secret": "openai",
            "price": { "input": "0.15" },
        })
    };
    let on_vertex = |model: &str| {
        json!({
            "upstream": "vertex", "provider": "vertex", "model": model, "secret": "openai",
            "project": "my-project", "region": "europe-west4", "price": { "input": "0.15" },
        })
    };
    let on_bedrock = |model: &str| {
        json!({
            "upstream": "bedrock", "provider": "bedrock", "model": model, "region": "eu-central-1",
            "aws": { "access_key_id": "id", "secret_access_key": "key" },
            "price": { "input": "0.15" },
        })
    };
    let prepared = Harness::prepare().secret("openai", "sk-1");
    let prepared = prepared.secret("id", "AKIDEXAMPLE").secret("key", "secret");
    let config = json!({
        "deployments": {
            "google": of("gemini", "gemini-embedding-001"),
            "own": of("ollama", "nomic-embed-text"),
            "hosted": of("openai", "text-embedding-3-small"),
            "claude": of("anthropic", "claude"),
            "mistral": of("mistral", "codestral-embed"),
            "vertex": on_vertex("text-embedding-005"),
            "contents": on_vertex("gemini-embedding-2"),
            "titan": on_bedrock("amazon.titan-embed-text-v2:0"),
            "command": on_bedrock("cohere.embed-v4:0"),
        },
        "models": {
            "google": { "deployments": [{ "name": "google" }] },
            "own": { "deployments": [{ "name": "own" }] },
            "hosted": { "deployments": [{ "name": "hosted" }] },
            "claude": { "deployments": [{ "name": "claude" }] },
            "mistral": { "deployments": [{ "name": "mistral" }] },
            "vertex": { "deployments": [{ "name": "vertex" }] },
            "contents": { "deployments": [{ "name": "contents" }] },
            "titan": { "deployments": [{ "name": "titan" }] },
            "command": { "deployments": [{ "name": "command" }] },
            "amazon": { "deployments": [{ "name": "titan" }, { "name": "command", "priority": 1 }] },
            "both": { "deployments": [{ "name": "own" }, { "name": "google", "priority": 1 }] },
        },
    });
    prepared.configure(config).expect("the configuration is valid")
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

#[test]
fn those_of_vertex_ai_are_asked_for_by_the_method_that_the_model_has() {
    let harness = plugin();
    let at = "/v1/projects/my-project/locations/europe-west4/publishers/google/models/";
    let mut exchange =
        harness.request(embeddings("vertex", json!({ "input_type": "search_query" })));
    assert_eq!(exchange.request().path(), [at, "text-embedding-005:predict"].concat());
    assert_eq!(exchange.request().header("x-goog-api-key"), Some("sk-1"));
    let instance = |text: &str| json!({ "content": text, "task_type": "RETRIEVAL_QUERY" });
    let instances = [instance("good day"), instance("hi")];
    let parameters = json!({ "autoTruncate": false });
    assert_eq!(sent(&exchange), json!({ "instances": instances, "parameters": parameters }));
    let vector = |tokens: u64| json!({ "embeddings": { "values": [1, 2], "statistics": { "truncated": false, "token_count": tokens } } });
    let got: Value =
        exchange.response(answer(json!({ "predictions": [vector(30), vector(10)] }))).json();
    assert_eq!(got["data"][1]["embedding"], json!([1, 2]));
    assert_eq!((&got["model"], &got["usage"]["prompt_tokens"]), (&json!("vertex"), &json!(40)));
    assert_eq!(exchange.attribute("model.cost").as_deref(), Some("6000"));

    let exchange = harness.request(embeddings("contents", json!({})));
    assert_eq!(exchange.request().path(), [at, "gemini-embedding-2:batchEmbedContents"].concat());
    let one = post("/v1/embeddings", json!({ "model": "contents", "input": "good day" }));
    let mut exchange = harness.request(one);
    assert_eq!(exchange.request().path(), [at, "gemini-embedding-2:embedContent"].concat());
    let content = json!({ "parts": [{ "text": "good day" }] });
    assert_eq!(sent(&exchange), json!({ "content": content }));
    let cut = json!({ "embedding": { "values": [1] }, "truncated": true });
    let refused = exchange.response(answer(cut));
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.json::<Value>()["error"]["code"], "context_length_exceeded");
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("0"));
}

#[test]
fn those_of_bedrock_are_signed_and_counted_by_its_field_where_the_answer_says_nothing() {
    let harness = plugin();
    let mut exchange = harness.request(embeddings("command", json!({ "dimensions": 256 })));
    assert_eq!(exchange.request().path(), "/model/cohere.embed-v4%3A0/invoke");
    let host = "bedrock-runtime.eu-central-1.amazonaws.com";
    assert_eq!(exchange.request().header("host"), Some(host));
    let authorization = exchange.request().header("authorization").unwrap_or_default();
    assert!(authorization.contains("/eu-central-1/bedrock/aws4_request, SignedHeaders=host;"));
    let got = json!({ "id": "e", "embeddings": { "float": [[1, 2], [1, 2]] }, "texts": [] });
    let got = answer(got).header("x-amzn-bedrock-input-token-count", "40");
    let got: Value = exchange.response(got).json();
    assert_eq!(got["data"][1]["embedding"], json!([1, 2]));
    assert_eq!(got["usage"]["total_tokens"], 40);
    assert_eq!(exchange.attribute("model.cost").as_deref(), Some("6000"));
    exchange.complete();
    assert_eq!(harness.usage("estimated_calls"), 0);

    let one = post("/v1/embeddings", json!({ "model": "titan", "input": "good day" }));
    let mut exchange = harness.request(one);
    assert_eq!(exchange.request().path(), "/model/amazon.titan-embed-text-v2%3A0/invoke");
    assert_eq!(sent(&exchange), json!({ "inputText": "good day" }));
    let got = answer(json!({ "embedding": [1, 2], "inputTextTokenCount": 9 }));
    let got: Value = exchange.response(got).json();
    assert_eq!(
        (&got["data"][0]["embedding"], &got["usage"]["total_tokens"]),
        (&json!([1, 2]), &json!(9))
    );

    let refused = harness.request(embeddings("titan", json!({})));
    let refused = refused.answer().unwrap();
    assert_eq!(refused.status(), 400);
    let message = refused.json::<Value>()["error"]["message"].to_string();
    assert!(message.contains("takes one for each request"), "{message}");
    // Another deployment of the model takes several.
    let exchange = harness.request(embeddings("amazon", json!({})));
    assert_eq!(exchange.attribute("model.deployment").as_deref(), Some("command"));
    let mut exchange = harness.request(embeddings("command", json!({})));
    let busy = answer(json!({ "message": "Too many tokens" })).status(429);
    let busy = exchange.response(busy.header("x-amzn-errortype", "ThrottlingException"));
    assert_eq!((busy.status(), busy.header("content-type")), (429, Some("application/json")));
    assert_eq!(busy.json::<Value>()["error"]["message"], "Too many tokens");
}

/// Each provider's path, and an answer with one vector.
const ASKED: [(&str, &str, &str); 5] = [
    ("hosted", "/v1/embeddings", r#"{"data":[{"embedding":[1,2]}],"usage":{"prompt_tokens":9}}"#),
    ("own", "/api/embed", r#"{"embeddings":[[1,2]],"prompt_eval_count":9}"#),
    ("mistral", "/v1/embeddings", r#"{"data":[{"embedding":[1,2]}],"usage":{"prompt_tokens":9}}"#),
    (
        "vertex",
        "/v1/projects/my-project/locations/europe-west4/publishers/google/models/text-embedding-005:predict",
        r#"{"predictions":[{"embeddings":{"values":[1,2],"statistics":{"token_count":9}}}]}"#,
    ),
    (
        "titan",
        "/model/amazon.titan-embed-text-v2%3A0/invoke",
        r#"{"embedding":[1,2],"inputTextTokenCount":9}"#,
    ),
];

#[test]
fn clients_of_gemini_s_have_those_of_others() {
    let harness = plugin();
    for (model, path, got) in ASKED {
        let got: Value = serde_json::from_str(got).unwrap();
        let request = json!({ "model": format!("models/{model}"), "content": { "parts": [{ "text": "good day" }] }, "outputDimensionality": 2 });
        let usage = json!({ "promptTokenCount": 9 });
        let vector = json!({ "values": [1, 2] });
        let one = json!({ "embedding": vector, "usageMetadata": usage });
        let several = json!({ "embeddings": [vector], "usageMetadata": usage });
        for (verb, body, wanted) in [
            ("embedContent", request.clone(), one),
            ("batchEmbedContents", json!({ "requests": [request] }), several),
        ] {
            let mut exchange =
                harness.request(post(&format!("/v1beta/models/{model}:{verb}"), body));
            assert_eq!(exchange.request().path(), path);
            assert_eq!(exchange.response(answer(got.clone())).json::<Value>(), wanted);
            assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("9"));
        }
    }
    let image = json!({ "content": { "parts": [{ "inlineData": { "mimeType": "image/png" } }] } });
    let refused = harness.request(post("/v1beta/models/hosted:embedContent", image));
    let refused = refused.answer().unwrap();
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.json::<Value>()["error"]["status"], "INVALID_ARGUMENT");
}

#[test]
fn clients_of_cohere_s_have_those_of_others() {
    let harness = plugin();
    for (model, path, got) in ASKED {
        let got: Value = serde_json::from_str(got).unwrap();
        let mut body = json!({ "model": model, "texts": ["good day"] });
        body["embedding_types"] = json!(["float", "base64"]);
        // Each of its requests must say one, whether the provider has a place for it or not.
        body["input_type"] = json!("search_document");
        let mut exchange = harness.request(post("/v2/embed", body));
        assert_eq!(exchange.request().path(), path);
        let got: Value = exchange.response(answer(got)).json();
        let vectors = json!({ "float": [[1, 2]], "base64": ["AACAPwAAAEA="] });
        assert_eq!(
            (&got["embeddings"], &got["response_type"]),
            (&vectors, &json!("embeddings_by_type"))
        );
        assert_eq!(got["meta"]["billed_units"]["input_tokens"], 9);
        assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("9"));
    }
    let body = json!({ "model": "hosted", "texts": ["a"], "embedding_types": ["int8"] });
    let refused = harness.request(post("/v2/embed", body));
    let refused = refused.answer().unwrap();
    assert_eq!(refused.status(), 400);
    let message = refused.json::<Value>()["message"].to_string();
    assert!(message.contains("`embedding_types`"), "{message}");
}

#[test]
fn mistral_has_another_name_for_dimensions() {
    let harness = plugin();
    let body = json!({ "model": "mistral", "input": "a", "dimensions": 2 });
    let exchange = harness.request(post("/v1/embeddings", body.clone()));
    let wanted = json!({ "model": "codestral-embed", "input": "a", "output_dimension": 2 });
    assert_eq!(sent(&exchange), wanted);
    let exchange = harness.request(post("/api/embed", body));
    assert_eq!(sent(&exchange)["output_dimension"], 2);
}

#[test]
fn a_long_answer_of_cohere_s_is_charged_what_it_says_at_its_end() {
    let mut config = super::support::config();
    config["deployments"]["cohere"] =
        json!({ "upstream": "cohere", "provider": "cohere", "model": "embed-v4.0" });
    config["models"]["cohere"] = json!({ "deployments": [{ "name": "cohere" }] });
    let harness = super::support::configured(config);
    let body = json!({ "model": "cohere", "texts": ["usage"], "input_type": "search_query" });
    let mut exchange = harness.request(post("/v2/embed", body));
    let vector = vec![0.25; 20_000];
    let whole = json!({
        "embeddings": { "float": [vector] }, "id": "e", "meta": { "billed_units": { "input_tokens": 4321 } },
        "response_type": "embeddings_by_type", "texts": ["usage"],
    });
    let pieces: Vec<_> = whole.to_string().into_bytes().chunks(9000).map(<[u8]>::to_vec).collect();
    let response = gateway_plugin_sdk::testing::response();
    exchange.response(response.header("content-type", "application/json").chunks(pieces));
    exchange.complete();
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("4321"));
}
