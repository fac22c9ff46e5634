//! What clients and agents see of the plugin, through the harness of the SDK.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use a2a::A2a;
use gateway_plugin_sdk::testing::{self, Harness, RequestBuilder};
use serde_json::{Value, json};

fn plugin() -> Harness<A2a> {
    Harness::new(json!({ "address": "https://api.example.com/agents/a" })).unwrap()
}

fn post(body: impl Into<Vec<u8>>) -> RequestBuilder {
    let request =
        testing::request().method("POST").path("/a2a").header("authorization", "Bearer x");
    request.header("content-type", "application/json").body(body)
}

fn call(method: &str, params: Value) -> RequestBuilder {
    post(json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }).to_string())
}

#[test]
fn a_call_says_what_it_asks_for_under_the_names_of_both_revisions() {
    let plugin = plugin();
    let message = json!({ "message": { "taskId": "t", "contextId": "c" } });
    for (method, version) in [("message/send", None), ("SendMessage", Some("1.0"))] {
        let mut request = call(method, message.clone());
        if let Some(version) = version {
            request = request.header("a2a-version", version);
        }
        let exchange = plugin.request(request);
        assert_eq!(exchange.request().header("authorization"), None);
        for (name, value) in [
            ("a2a.operation", "SendMessage"),
            ("a2a.method", method),
            ("a2a.version", version.unwrap_or("0.3")),
            ("a2a.task", "t"),
            ("a2a.context", "c"),
        ] {
            assert_eq!(exchange.attribute(name).as_deref(), Some(value), "{name}");
        }
    }
    let exchange = plugin.request(call("GetTask", json!({ "id": "t" })));
    assert_eq!(exchange.attribute("a2a.task").as_deref(), Some("t"));
}

#[test]
fn a_body_that_is_no_message_is_refused_with_its_id() {
    let plugin = plugin();
    for body in [
        r#"{"jsonrpc":"2.0","id":7,"method":"GetTask","Method":"CancelTask"}"#,
        r#"{"id":7,"method":"GetTask"}"#,
    ] {
        let exchange = plugin.request(post(body));
        let answer = exchange.answer().expect("it is refused");
        assert_eq!((answer.status(), answer.json::<Value>()["id"].clone()), (400, json!(7)));
    }
}

#[test]
fn a_preflight_passes_without_the_clients_token() {
    let request = testing::request().method("OPTIONS").path("/a2a");
    let plugin = plugin();
    let exchange = plugin.request(request.header("authorization", "Bearer x"));
    assert!(exchange.answer().is_none());
    assert_eq!(exchange.request().header("authorization"), None);
}

#[test]
fn what_is_no_call_is_refused() {
    let plugin = plugin();
    for (request, status) in [
        (post("{"), 400),
        (post("[]"), 400),
        (post(r#"[{"jsonrpc":"2.0","id":1,"method":"GetTask"}]"#), 400),
        (post(r#"{"jsonrpc":"2.0","id":1,"method":"GetTask","Method":"CancelTask"}"#), 400),
        (call("GetTask", json!({ "id": "a", "ID": "b" })), 400),
        (post("{}").header("content-encoding", "gzip"), 415),
        // The binding to REST, in which no rule would know what is asked.
        (testing::request().path("/tasks/t"), 405),
        (testing::request().method("DELETE").path("/tasks/t"), 405),
        // Over another protocol nothing could be read.
        (
            testing::request()
                .path("/.well-known/agent-card.json")
                .attribute("request.has-upgrade", "true"),
            405,
        ),
        (
            testing::request()
                .method("OPTIONS")
                .path("/a2a")
                .attribute("request.has-upgrade", "true"),
            405,
        ),
        (testing::request().path("/.well-known/agent-card.json").body("{}"), 400),
        (testing::request().method("OPTIONS").path("/a2a").body("{}"), 400),
    ] {
        let exchange = plugin.request(request);
        let answer = exchange.answer().expect("it is refused");
        let body: Value = answer.json();
        assert_eq!(answer.status(), status, "{body}");
        assert!(body["error"]["code"].is_i64(), "{body}");
    }
}

#[test]
fn a_card_is_fetched_anew_and_has_the_gateways_address() {
    let plugin = plugin();
    let card = json!({
        "name": "a", "signatures": [{}],
        "supportedInterfaces": [{ "url": "http://10.0.0.1:9/a2a", "protocolBinding": "JSONRPC" }],
    });
    let request =
        || testing::request().path("/.well-known/agent-card.json").header("if-none-match", "\"1\"");
    let answer = |body: String| {
        let answer = testing::response().header("content-type", "application/json");
        answer.header("etag", "W/\"1\"").body(body)
    };
    let mut exchange = plugin.request(request());
    assert_eq!(exchange.request().header("if-none-match"), None);
    assert_eq!(exchange.attribute("a2a.operation").as_deref(), Some("card"));
    let got = exchange.response(answer(card.to_string()));
    assert_eq!(got.header("etag"), None);
    let body: Value = got.json();
    assert_eq!(body["supportedInterfaces"][0]["url"], "https://api.example.com/agents/a/a2a");
    assert!(body.get("signatures").is_none());
    // What cannot be read does not pass: it may lead past the gateway.
    let mut exchange = plugin.request(request());
    assert_eq!(exchange.response(answer("{}".to_owned())).status(), 502);
    let mut exchange = plugin.request(call("GetExtendedAgentCard", json!({})));
    let result = json!({ "jsonrpc": "2.0", "id": 7, "result": card });
    let body: Value = exchange.response(answer(result.to_string())).json();
    assert_eq!(
        body["result"]["supportedInterfaces"][0]["url"],
        "https://api.example.com/agents/a/a2a"
    );
}

#[test]
fn what_an_answer_says_is_told_and_counted() {
    let plugin = plugin();
    let error = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32001,"message":"no"}}"#;
    let stream = testing::response().header("content-type", "text/event-stream");
    let json = testing::response().header("content-type", "application/json");
    for answer in [
        json.body(error),
        stream.chunks(["data: {\"result\":{}}\n\n".to_owned(), format!("data: {error}\n\n")]),
    ] {
        let mut exchange = plugin.request(call("SendStreamingMessage", json!({})));
        assert!(exchange.response(answer).text().contains(error));
        assert_eq!(exchange.attribute("a2a.outcome").as_deref(), Some("error"));
        assert_eq!(exchange.attribute("a2a.error").as_deref(), Some("-32001"));
        exchange.complete();
    }
    let labels = [("operation", "SendStreamingMessage"), ("outcome", "error")];
    assert_eq!(plugin.counter("a2a_requests", &labels), 2);
}

#[test]
fn an_address_is_one() {
    for address in ["", "api.example.com", "https://", "https://a/b?c"] {
        let error = Harness::<A2a>::new(json!({ "address": address })).err().unwrap();
        assert_eq!(error.issues()[0].pointer, "/address", "{address}");
    }
}

#[test]
fn a_problem_is_an_error_for_the_request() {
    let plugin = plugin();
    let answer = testing::response().status(502).header("content-type", "application/problem+json");
    let mut exchange = plugin.request(call("GetTask", json!({ "id": "t" })));
    let answer = exchange.response(answer.body(r#"{"detail":"It is away."}"#));
    let body: Value = answer.json();
    assert_eq!(
        (answer.status(), &body["id"], &body["error"]["message"]),
        (502, &json!(7), &json!("It is away."))
    );
}
