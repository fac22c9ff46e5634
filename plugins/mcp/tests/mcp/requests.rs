//! Requests on their way to the server.

use gateway_plugin_sdk::testing;
use serde_json::{Value, json};

use crate::support::{NEW, config, new, old, plugin, post, post_as};

#[test]
fn a_call_passes_as_it_is_and_says_what_it_is() {
    let plugin = plugin(config());
    let mut request = new("tools/call", json!({ "name": "add", "arguments": { "a": 1.0 } }));
    request = request.header("mcp-param-region", "eu").header("accept-encoding", "gzip");
    let exchange = plugin.request(request);
    let sent = exchange.request();
    assert!(sent.text().contains(r#""a":1.0"#));
    assert_eq!(sent.header("mcp-param-region"), Some("eu"));
    // Answers are read here, and the client's token was issued for the gateway.
    assert_eq!(sent.header("accept-encoding"), Some("identity"));
    assert_eq!(sent.header("authorization"), None);
    for (name, value) in [
        ("mcp.message", "request"),
        ("mcp.method", "tools/call"),
        ("mcp.name", "add"),
        ("mcp.tool", "add"),
        ("mcp.version", NEW),
        ("mcp.client", "check"),
        ("mcp.calls", "1"),
    ] {
        assert_eq!(exchange.attribute(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn the_clients_token_passes_where_that_is_said() {
    let plugin = plugin(json!({ "pass_authorization": true }));
    let exchange = plugin.request(old("tools/list", json!({})));
    assert_eq!(exchange.request().header("authorization"), Some("Bearer of the client"));
}

#[test]
fn fields_that_contradict_the_body_are_refused_with_the_id_of_the_request() {
    let plugin = plugin(json!({}));
    let call = || new("tools/call", json!({ "name": "add" }));
    let list = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;
    for (request, code) in [
        (call().header("mcp-name", "del"), -32_020),
        (call().header("mcp-method", "tools/list"), -32_020),
        (call().header("mcp-protocol-version", "2025-11-25"), -32_020),
        (post(list).header("mcp-protocol-version", NEW), -32_602),
        (old("tools/list", json!({})).header("mcp-method", "tools/call"), -32_020),
    ] {
        let exchange = plugin.request(request);
        let answer = exchange.answer().expect("it is refused");
        let body: Value = answer.json();
        assert_eq!((answer.status(), &body["error"]["code"]), (400, &json!(code)), "{body}");
        assert_eq!((&body["id"], &body["jsonrpc"]), (&json!(7), &json!("2.0")));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert_eq!(
        plugin.counter(
            "mcp_requests",
            &[("method", "tools/call"), ("name", "other"), ("outcome", "refused")]
        ),
        3
    );
}

#[test]
fn what_is_not_allowed_is_refused() {
    let plugin = plugin(config());
    let allowed = |method: &str, params: Value| {
        let both = [old(method, params.clone()), new(method, params)];
        let answers =
            both.map(|request| plugin.request(request).answer().map(|answer| answer.status()));
        assert_eq!(answers[0], answers[1], "{method}");
        answers[0].is_none()
    };
    assert!(allowed("tools/call", json!({ "name": "add" })));
    assert!(allowed("tools/call", json!({ "name": "files_read" })));
    assert!(!allowed("tools/call", json!({ "name": "files_delete" })));
    assert!(!allowed("tools/call", json!({ "name": "wipe" })));
    assert!(!allowed("tools/call", json!({})));
    assert!(!allowed("prompts/get", json!({ "name": "any" })));
    assert!(allowed("resources/read", json!({ "uri": "docs://a" })));
    assert!(!allowed("resources/read", json!({ "uri": "docs://a/../../b" })));
    assert!(!allowed("resources/subscribe", json!({ "uri": "file:///etc/passwd" })));
    let listen =
        |uri: &str| json!({ "notifications": { "resourceSubscriptions": ["docs://a", uri] } });
    assert!(allowed("subscriptions/listen", listen("docs://b")));
    assert!(!allowed("subscriptions/listen", listen("file:///b")));
    let complete =
        |name: &str| json!({ "ref": { "type": "ref/prompt", "name": name }, "argument": {} });
    assert!(!allowed("completion/complete", complete("any")));
    let exchange = plugin.request(old("tools/call", json!({ "name": "files_delete" })));
    let body: Value = exchange.answer().unwrap().json();
    assert_eq!(body["error"]["message"], "The tool `files_delete` is not allowed here.");
    assert_eq!(body["id"], 7);
}

#[test]
fn scopes_and_claims_open_what_they_are_for() {
    let plugin = plugin(config());
    let wipe = || old("tools/call", json!({ "name": "wipe" }));
    let exchange = plugin.request(wipe());
    let answer = exchange.answer().unwrap();
    assert_eq!(answer.status(), 403);
    assert_eq!(
        answer.header("www-authenticate"),
        Some(
            "Bearer error=\"insufficient_scope\", scope=\"admin\", \
             resource_metadata=\"https://api.example.com/.well-known/oauth-protected-resource/mcp\""
        )
    );
    assert!(plugin.request(wipe().attribute("consumer.scopes", "read admin")).answer().is_none());
    let root = || old("tools/call", json!({ "name": "anything" })).attribute("consumer.id", "root");
    let answer_of = |request| {
        plugin.request(request).answer().map(|answer| answer.header("www-authenticate").is_some())
    };
    // No scope would help.
    assert_eq!(answer_of(root()), Some(false));
    assert_eq!(answer_of(root().attribute("consumer.claim.mfa", "true")), None);
}

#[test]
fn bodies_that_could_be_read_otherwise_are_refused() {
    let plugin = plugin(json!({}));
    let list = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;
    for (request, status) in [
        (post("{").header("x-a", "b"), 400),
        (post("[]"), 400),
        (post(format!("[{list}]")), 400),
        (post(list).header("content-encoding", "gzip"), 415),
        (post_as("text/plain", list), 415),
        (post_as("application/json; charset=utf-16", list), 415),
        (post(list).header("origin", "https://evil.example"), 403),
        (
            testing::request()
                .method("POST")
                .path("/mcp")
                .header("content-type", "application/json"),
            400,
        ),
        (testing::request().method("PUT").path("/mcp"), 405),
        (testing::request().path("/mcp").attribute("request.has-upgrade", "true"), 405),
        (
            testing::request()
                .method("DELETE")
                .path("/mcp")
                .attribute("request.has-upgrade", "true"),
            405,
        ),
        (
            testing::request()
                .method("OPTIONS")
                .path("/mcp")
                .attribute("request.has-upgrade", "true"),
            405,
        ),
        (testing::request().method("OPTIONS").path("/mcp").body(list), 400),
        (
            testing::request()
                .method("OPTIONS")
                .path("/mcp")
                .header("origin", "https://evil.example"),
            403,
        ),
        (testing::request().path("/mcp").body(list), 400),
    ] {
        let exchange = plugin.request(request);
        let answer = exchange.answer().expect("it is refused");
        let body: Value = answer.json();
        assert_eq!(answer.status(), status, "{body}");
        assert!(body["error"]["code"].is_i64() && body["id"].is_null(), "{body}");
    }
    let fine = post_as("application/json; charset=UTF-8", list);
    assert!(plugin.request(fine).answer().is_none());
}

#[test]
fn a_body_that_is_no_message_is_refused_with_its_id() {
    let plugin = plugin(json!({}));
    for body in [
        r#"{"jsonrpc":"2.0","id":7,"method":"a","method":"b"}"#,
        r#"{"id":7,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":["a"]}}"#,
    ] {
        let exchange = plugin.request(post(body));
        let answer = exchange.answer().expect("it is refused");
        assert_eq!((answer.status(), answer.json::<Value>()["id"].clone()), (400, json!(7)));
    }
}

#[test]
fn a_preflight_passes_without_the_clients_token() {
    for passes in [false, true] {
        let plugin = plugin(json!({ "pass_authorization": passes }));
        let request = testing::request().method("OPTIONS").path("/mcp");
        let exchange = plugin.request(request.header("authorization", "Bearer x"));
        assert!(exchange.answer().is_none());
        assert_eq!(exchange.request().header("authorization").is_some(), passes);
    }
}

#[test]
fn an_origin_passes_where_it_is_listed() {
    let plugin = plugin(json!({ "origins": ["https://App.example.com"] }));
    let from = |origin: &str| {
        let request = old("tools/list", json!({})).header("origin", origin);
        plugin.request(request).answer().is_none()
    };
    assert!(from("https://app.example.com"));
    assert!(
        !from("https://app.example.com.evil.example")
            && !from("null")
            && !from("http://app.example.com")
    );
}

#[test]
fn a_batch_is_judged_by_each_of_its_messages() {
    let mut config = config();
    config["max_batch"] = json!(2);
    let plugin = plugin(config);
    let call = |id: i32, tool: &str| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool } });
    let batch = |calls: Value| plugin.request(post(calls.to_string()));
    let exchange = batch(json!([call(1, "add"), call(2, "add")]));
    assert!(exchange.answer().is_none());
    assert_eq!(exchange.attribute("mcp.message").as_deref(), Some("batch"));
    assert_eq!(
        (exchange.attribute("mcp.calls").as_deref(), exchange.attribute("mcp.tool")),
        (Some("2"), None)
    );
    let exchange = batch(json!([call(1, "add"), call(2, "wipe")]));
    let body: Value = exchange.answer().unwrap().json();
    assert_eq!((&body[0]["id"], &body[1]["id"]), (&json!(1), &json!(2)));
    assert!(body[1]["error"]["message"].as_str().unwrap().contains("`wipe`"), "{body}");
    let three = json!([call(1, "add"), call(2, "add"), call(3, "add")]);
    assert_eq!(batch(three).answer().unwrap().status(), 400);
    // Only one of the old revisions knows batches.
    let new = post(json!([call(1, "add")]).to_string()).header("mcp-protocol-version", NEW);
    assert_eq!(plugin.request(new).answer().unwrap().status(), 400);
}

#[test]
fn who_issues_tokens_is_told_at_both_paths() {
    let plugin = plugin(config());
    let ask = |method: &str, path: &str| {
        let exchange = plugin.request(testing::request().method(method).path(path));
        let answer = exchange.answer().expect("the plugin answers");
        (answer.status(), serde_json::from_slice::<Value>(answer.body()).unwrap_or_default())
    };
    for path in
        ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"]
    {
        let (status, document) = ask("GET", path);
        assert_eq!(status, 200);
        assert_eq!(document["resource"], "https://api.example.com/mcp");
        assert_eq!(document["authorization_servers"], json!(["https://id.example.com"]));
        assert_eq!(document["scopes_supported"], json!(["tools"]));
        assert_eq!(ask("POST", path).0, 405);
    }
    assert_eq!(ask("GET", "/.well-known/oauth-protected-resource/other").0, 404);
}
