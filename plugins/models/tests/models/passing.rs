//! Requests and responses of deployments that speak the client's API.

use gateway_plugin_sdk::testing;
use serde_json::{Value, json};

use super::support::{chat, hello, plugin, post, stream, with_models};

#[test]
fn a_request_goes_to_the_deployment_of_its_model_with_the_provider_s_name_and_key() {
    let harness = plugin();
    let body = r#"{ "model" : "mini", "seed": 12345678901234567890, "messages": [ ] }"#;
    let request = testing::request()
        .method("POST")
        .path("/team/v1/chat/completions")
        .query("a=1&key=secret")
        .header("authorization", "Bearer client-key")
        .header("x-api-key", "client-key")
        .header("accept-encoding", "gzip")
        .body(body);
    let exchange = harness.request(request);
    let sent = exchange.request();
    assert_eq!(sent.upstream(), Some("openai"));
    assert_eq!((sent.path(), sent.query()), ("/v1/chat/completions", Some("a=1")));
    assert_eq!(sent.header("authorization"), Some("Bearer sk-1"));
    assert_eq!(sent.header("x-api-key"), None);
    assert_eq!(sent.header("accept-encoding"), Some("identity"));
    assert_eq!(sent.text(), body.replace("mini", "gpt-mini"));
    assert_eq!(exchange.attribute("model.name").as_deref(), Some("mini"));
    assert_eq!(exchange.attribute("model.deployment").as_deref(), Some("hosted"));
}

#[test]
fn a_deployment_without_a_key_is_sent_none() {
    let harness = plugin();
    let exchange = harness.request(hello("gpt-4o-mini"));
    assert_eq!(exchange.request().upstream(), Some("gpu"));
    assert_eq!(exchange.request().header("authorization"), None);
}

#[test]
fn a_response_passes_byte_for_byte() {
    let harness = plugin();
    let mut exchange = harness.request(hello("mini"));
    let body = "{ \"id\":\"x\",\n \"usage\": {\"prompt_tokens\": 9, \"completion_tokens\": 3, \"total_tokens\": 12} }";
    let response = testing::response().header("content-type", "application/json").body(body);
    assert_eq!(exchange.response(response).text(), body);
    assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("12"));
    // 9 × 0.15 + 3 × 0.60 millionths of a dollar.
    assert_eq!(exchange.attribute("model.cost").as_deref(), Some("3150"));
}

#[test]
fn a_stream_passes_without_the_usage_that_the_client_did_not_ask_for() {
    let harness = plugin();
    let ask = json!({ "model": "mini", "stream": true, "messages": [] });
    let mut exchange = harness.request(chat(ask));
    let sent: Value = serde_json::from_slice(exchange.request().body()).unwrap();
    assert_eq!(sent["stream_options"]["include_usage"], true);
    let content =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\n";
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1,\"total_tokens\":6}}\n\n";
    let done = "data: [DONE]\n\n";
    let whole = [content, end, usage, done].concat();
    for split in 1..whole.len() {
        let mut exchange =
            harness.request(chat(json!({ "model": "mini", "stream": true, "messages": [] })));
        let answer = exchange.response(stream(&[&whole[..split], &whole[split..]]));
        assert_eq!(answer.text(), [content, end, done].concat(), "{split}");
        assert_eq!(exchange.attribute("model.tokens.total").as_deref(), Some("6"), "{split}");
    }
    let answer = exchange.response(stream(&[&whole]));
    assert_eq!(answer.text(), [content, end, done].concat());
}

#[test]
fn a_client_that_asks_for_the_usage_gets_it() {
    let harness = plugin();
    let ask = json!({
        "model": "mini", "stream": true, "stream_options": { "include_usage": true }, "messages": [],
    });
    let mut exchange = harness.request(chat(ask));
    let text = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";
    assert_eq!(exchange.response(stream(&[text])).text(), text);
}

#[test]
fn a_long_body_is_read_at_its_end() {
    let harness = plugin();
    let mut exchange =
        harness.request(post("/v1/embeddings", json!({ "model": "mini", "input": "a" })));
    let vector = "0.25,".repeat(20_000);
    let body = format!(
        "{{\"data\":[{{\"embedding\":[{vector}0]}}],\"usage\":{{\"prompt_tokens\":7,\"total_tokens\":7}}}}"
    );
    let response = testing::response().header("content-type", "application/json");
    let pieces: Vec<Vec<u8>> = body.as_bytes().chunks(10_000).map(<[u8]>::to_vec).collect();
    assert_eq!(exchange.response(response.chunks(pieces)).text(), body);
    assert_eq!(exchange.attribute("model.tokens.input").as_deref(), Some("7"));
}

#[test]
fn the_output_is_bounded_and_the_input_too() {
    let harness = with_models(json!({
        "small": { "deployments": [{ "name": "gpu" }], "max_output_tokens": 100, "max_input_tokens": 50 },
    }));
    let bound = |body: Value| {
        let exchange = harness.request(chat(body));
        let sent: Value = serde_json::from_slice(exchange.request().body()).unwrap();
        sent["max_tokens"].clone()
    };
    let ask = |most: u64| json!({ "model": "small", "max_tokens": most, "messages": [] });
    assert_eq!(bound(ask(1000)), 100);
    assert_eq!(bound(ask(10)), 10);
    let long = json!({ "role": "user", "content": "word ".repeat(100) });
    let exchange = harness.request(chat(json!({ "model": "small", "messages": [long] })));
    let refused = exchange.answer().unwrap();
    assert_eq!(refused.status(), 400);
    let body: Value = refused.json();
    assert_eq!(body["error"]["code"], "context_length_exceeded");
}

#[test]
fn what_is_wrong_is_said_in_the_client_s_form() {
    let harness = plugin();
    let refused = |request| {
        let exchange = harness.request(request);
        let answer = exchange.answer().expect("it is refused");
        (answer.status(), answer.json::<Value>())
    };
    let (status, body) = refused(hello("mimi"));
    assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")));
    assert!(body["error"]["message"].as_str().unwrap().contains("`mini`"), "{body}");
    let (status, body) =
        refused(post("/v1/messages", json!({ "model": "nobody", "messages": [] })));
    assert_eq!((status, &body["type"]), (404, &json!("error")));
    assert_eq!(body["error"]["type"], "not_found_error");
    let (status, body) = refused(chat(json!({ "messages": [] })));
    assert_eq!((status, &body["error"]["param"]), (400, &json!("model")));
    let broken = testing::request().method("POST").path("/v1/chat/completions").body("{");
    assert_eq!(refused(broken).0, 400);
    let nothing = testing::request().method("POST").path("/v1/chat/completions");
    assert_eq!(refused(nothing).0, 400);
    let (status, body) = refused(testing::request().method("POST").path("/v1/files").body("x"));
    assert_eq!((status, &body["error"]["code"]), (404, &json!("unknown_url")));
}

#[test]
fn models_are_listed_for_those_who_may_use_them() {
    let harness = with_models(json!({
        "secret": { "deployments": [{ "name": "gpu" }], "consumers": ["team-a"] },
    }));
    let names = |request: testing::RequestBuilder| {
        let exchange = harness.request(request);
        let list: Value = exchange.answer().unwrap().json();
        let data = list["data"].as_array().unwrap();
        data.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let list = || testing::request().path("/v1/models");
    assert_eq!(names(list()), ["fast", "mini", "smart"]);
    let team = |name| list().attribute("consumer.group", name);
    assert_eq!(names(team("team-a")), ["fast", "mini", "secret", "smart"]);
    // To others it is not there, and no hint says that it is.
    let refused = harness.request(hello("secre").attribute("consumer.group", "team-b"));
    let text = refused.answer().unwrap().text();
    assert!(text.contains("no model") && !text.contains("`secret`"), "{text}");
    let refused = harness.request(hello("secret").attribute("consumer.group", "team-b"));
    assert_eq!(refused.answer().unwrap().status(), 404);
    assert!(harness.request(hello("secret").attribute("consumer.id", "team-a")).answer().is_none());
    let one = harness.request(testing::request().path("/v1/models/mini"));
    assert_eq!(one.answer().unwrap().json::<Value>()["id"], "mini");
    let anthropic = list().header("anthropic-version", "2023-06-01");
    assert_eq!(names(anthropic), ["fast", "mini", "smart"]);
    // Google's own client asks at the path of the others', and says who it is.
    let of_google = |request: testing::RequestBuilder| {
        let exchange = harness.request(request);
        exchange.answer().unwrap().json::<Value>()
    };
    let client =
        |path| testing::request().path(path).header("x-goog-api-client", "google-genai-sdk/3.6.1");
    let beta = testing::request().path("/v1beta/models");
    for all in [of_google(client("/v1/models")), of_google(beta)] {
        assert_eq!(all["models"][0]["name"], "models/fast", "{all}");
    }
    let beta = testing::request().path("/v1beta/models/mini");
    for one in [of_google(client("/v1/models/mini")), of_google(beta)] {
        assert_eq!(one["name"], "models/mini", "{one}");
    }
}

#[test]
fn the_model_that_a_path_names_is_the_one_that_is_asked() {
    let harness = plugin();
    let body = json!({ "model": "gpt-huge", "messages": [] });
    let exchange = harness.request(post("/openai/deployments/mini/chat/completions", body));
    let sent: Value = serde_json::from_slice(exchange.request().body()).unwrap();
    assert_eq!(sent["model"], "gpt-mini");
}

#[test]
fn only_what_calls_a_model_is_passed_on() {
    let harness = plugin();
    let refused = |request: testing::RequestBuilder| {
        harness.request(request).answer().map(|answer| answer.status())
    };
    let delete = post("/v1/chat/completions", json!({ "model": "mini" })).method("DELETE");
    assert_eq!(refused(delete), Some(404));
    assert_eq!(refused(post("/v1beta/models/mini:deleteAll", json!({}))), Some(404));
    let long = "x".repeat(1_000_000);
    let exchange = harness.request(hello(&long));
    assert!(exchange.answer().unwrap().text().len() < 300);
}

#[test]
fn names_of_models_in_a_path_may_have_a_colon_and_escapes() {
    let harness = with_models(json!({ "llama3:8b v2": { "deployments": [{ "name": "gpu" }] } }));
    for method in ["GET", "HEAD"] {
        let request = testing::request().method(method).path("/v1/models/llama3:8b%20v2");
        assert_eq!(harness.request(request).answer().unwrap().status(), 200);
    }
}

#[test]
fn an_event_that_is_too_long_to_be_read_passes() {
    let harness = plugin();
    let mut exchange =
        harness.request(chat(json!({ "model": "mini", "stream": true, "messages": [] })));
    let content = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let long = format!("data: {{\"image\":\"{}\"}}\n\n", "A".repeat(2 << 20));
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":700,\"total_tokens\":703}}\n\n";
    let whole = [content, &long, content, "data: [DONE]\n\n"].concat();
    let told = [content, &long, content, usage, "data: [DONE]\n\n"].concat();
    let pieces: Vec<&str> =
        told.as_bytes().chunks(60_000).map(|it| std::str::from_utf8(it).unwrap()).collect();
    // What comes behind it is read as ever: this client did not ask for a usage.
    assert!(exchange.response(stream(&pieces)).text() == whole);
    assert_eq!(exchange.attribute("model.tokens.output").as_deref(), Some("700"));
    assert_eq!(exchange.attribute("model.error"), None);
}
