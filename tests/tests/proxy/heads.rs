//! Heads that plugins write: they obey the rules for those of clients, over both protocols.

use gateway_tests::client::{request, request2};
use gateway_tests::{Answer, Http1, Http2, Raw, Running, Setup, Upstream, log};

const CONFIG: &str = r#"
[plugins.writes]
component = "./edits.wasm"
[plugins.passes]
component = "./edits.wasm"
on_error = "open"
[plugins.answers]
component = "./leaves.wasm"
[plugins.calls]
component = "./calls-out.wasm"
upstreams = ["orders"]
limits = { memory = "4MiB" }

[upstreams.orders]
targets = ["http://${env:ORDERS}"]

[[routes]]
name = "calls"
paths = ["/calls"]
plugins = ["calls"]
upstream = "orders"
[[routes]]
name = "answers"
paths = ["/answers"]
plugins = ["answers"]
upstream = "orders"
[[routes]]
name = "passes"
paths = ["/passes"]
plugins = ["passes"]
upstream = "orders"
[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["writes"]
upstream = "orders"
"#;

fn start(upstream: &Upstream) -> Running {
    Setup::toml(CONFIG, &[("ORDERS", &upstream.address)]).start()
}

/// The same request over both protocols.
async fn both(gateway: &Running, path: &str, fields: &[(&str, &str)]) -> [Answer; 2] {
    let mut http1 = Http1::connect(gateway.address).await;
    let mut http2 = Http2::connect(gateway.address).await;
    [
        http1.send(request("GET", path, fields, "")).await,
        http2.send(request2("GET", path, fields, "")).await,
    ]
}

#[tokio::test]
async fn what_no_client_may_send_no_plugin_may_write() {
    let upstream = Upstream::echo().await;
    let gateway = start(&upstream);
    for (field, value, named) in [
        ("x-set-path", "/a/../b", "path"),
        ("x-set-path", "/a/%2e%2e/b", "path"),
        ("x-set-path", "/a//b", "path"),
        ("x-set-path", "//b", "path"),
        ("x-set-path", "/a/.", "path"),
        ("x-set-path", "/a b", "path"),
        ("x-set-path", "/a/..%2fb", "path"),
        ("x-set-path", "/a%00", "path"),
        ("x-set-path", "/a/..;/b", "path"),
        ("x-set-path", "/a%zz", "path"),
        ("x-set-path", "a", "path"),
        ("x-set-query", "a b", "query"),
        ("x-set-query", "a#b", "query"),
        ("x-set-header", "host=", "`host`"),
        ("x-set-header", "host=a b", "`host`"),
        ("x-set-header", "Host=me@a", "`host`"),
        ("x-set-header", "host=a/b", "`host`"),
        ("x-add-header", "host=b", "`host`"),
        ("x-remove-header", "host", "`host`"),
        ("x-set-header", "http2-settings=AA", "`http2-settings`"),
        ("x-set-header", "transfer-encoding=chunked", "`transfer-encoding`"),
        ("x-set-header", "content-length=3", "`content-length`"),
        ("x-set-header", "connection=x", "`connection`"),
        ("x-set-header", "te=trailers", "`te`"),
    ] {
        for answer in both(&gateway, "/a", &[(field, value)]).await {
            assert_eq!(answer.status(), 500, "{field}: {value}");
            let lines = log::of_request(answer.id());
            let told = lines.iter().find(|line| line.field("plugin") == "writes").unwrap();
            assert!(told.message.contains(named), "{field}: {value}: {told:?}");
        }
    }
    assert!(upstream.requests().is_empty(), "none of it goes on");
    // As if the plugin were not there.
    for answer in both(&gateway, "/passes", &[("x-set-path", "/a/../b")]).await {
        assert_eq!(answer.status(), 200);
        assert_eq!(upstream.requests().pop().unwrap().uri.path(), "/passes");
    }
}

#[tokio::test]
async fn what_a_client_may_send_a_plugin_may_write_in_the_same_form() {
    let upstream = Upstream::echo().await;
    let gateway = start(&upstream);
    for (field, value, target, host) in [
        ("x-set-path", "/b/", "/b/", "a.example"),
        ("x-set-path", "/%c3%a9", "/%C3%A9", "a.example"),
        ("x-set-path", "/%7eb/...", "/~b/...", "a.example"),
        ("x-set-path", "/a%2fb;c", "/a%2Fb;c", "a.example"),
        ("x-set-query", "a=%22&b", "/a?a=%22&b", "a.example"),
        ("x-set-query", "a=\"b\"", "/a?a=%22b%22", "a.example"),
        ("x-set-header", "host=b.example:81", "/a", "b.example:81"),
        ("x-set-header", "host=[::1]", "/a", "[::1]"),
    ] {
        for answer in both(&gateway, "/a", &[(field, value)]).await {
            assert_eq!(answer.status(), 200, "{field}: {value}");
            let seen = upstream.requests().pop().unwrap();
            assert_eq!(seen.uri.path_and_query().unwrap(), target, "{value}");
            assert_eq!(seen.headers["host"], host, "{value}");
        }
    }
}

#[tokio::test]
async fn a_205_has_no_body() {
    let upstream = Upstream::echo().await;
    let gateway = start(&upstream);
    for answer in both(&gateway, "/answers", &[("x-answer", "205 5")]).await {
        assert_eq!(answer.status(), 500);
        let lines = log::of_request(answer.id());
        assert!(lines.iter().any(|line| line.message.contains("205")), "{lines:?}");
    }
    for answer in both(&gateway, "/answers", &[("x-answer", "205 0")]).await {
        assert_eq!((answer.status(), answer.text()), (205, ""));
    }
    // A body that is there already goes, and the connection stays in step.
    let mut client = Raw::connect(gateway.address).await;
    let head = "POST /a HTTP/1.1\r\nhost: a\r\nx-set-status: 205\r\ncontent-length: 5\r\n\r\nhello";
    for _ in 0..2 {
        client.send(head).await;
        let answer = client.response().await;
        assert_eq!((answer.status, answer.header("content-length")), (205, Some("0")));
    }
}

#[tokio::test]
async fn requests_of_plugins_themselves_obey_the_rules_too() {
    let upstream = Upstream::echo().await;
    let gateway = start(&upstream);
    for (name, value, named) in [
        ("x-target", "/a/../b", "path"),
        ("x-target", "/a/%2E./b", "path"),
        ("x-target", "//a", "path"),
        ("x-target", "/a//b", "path"),
        ("x-target", "/a%0d%0a", "path"),
        ("x-field", "host", "host"),
        ("x-field", "connection", "connection"),
        ("x-field", "http2-settings", "http2-settings"),
    ] {
        let mut client = Http1::connect(gateway.address).await;
        let fields = [("x-call", "orders"), (name, value)];
        let answer = client.send(request("GET", "/calls", &fields, "")).await;
        let told = answer.header("x-answer").unwrap_or_default();
        assert!(told.starts_with("Invalid(") && told.contains(named), "{value}: {told}");
        let lines = log::of_request(answer.id());
        let line = lines.iter().find(|line| line.field("plugin") == "calls").unwrap();
        assert!(line.message.contains(named), "{line:?}");
    }
    for target in ["/a%2fb", "/a;v=1/b", "/a?b=/../c"] {
        let mut client = Http1::connect(gateway.address).await;
        let fields = [("x-call", "orders"), ("x-target", target)];
        let answer = client.send(request("GET", "/calls", &fields, "")).await;
        assert!(answer.header("x-answer").unwrap().starts_with("200 "), "{target}: {answer:?}");
    }
}
