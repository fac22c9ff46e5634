//! MCP servers behind one address, as `examples/mcp.toml` has them: through the real plugins, to servers that follow a script.
//! The official clients and a real server are in `tests/mcp-clients`.

use std::net::SocketAddr;
use std::time::Duration;

use super::example::file::{Example, free_address};
use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Running, Setup, Upstream, within};
use http::Response;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

const NEW: &str = "2026-07-28";

/// A server that lists three tools in a stream, says its name when one is called, and has one session.
async fn server(name: &'static str) -> Upstream {
    Upstream::http1(move |request| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let response = Response::builder().header("mcp-session-id", format!("session-of-{name}"));
        if head.method != "POST" {
            let session = head.headers.get("mcp-session-id").map(|id| id.to_str().unwrap());
            let is_here = session.is_some_and(|id| id == format!("session-of-{name}"));
            let status = if is_here { 200 } else { 404 };
            return response
                .status(status)
                .header("content-type", "text/event-stream")
                .body(full(": hello\n\n"))
                .unwrap();
        }
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let tools = ["add", "files_delete", "wipe"].map(|tool| json!({ "name": tool }));
        let result = match asked["method"].as_str().unwrap() {
            "tools/list" => json!({ "tools": tools }),
            "tools/call" => json!({ "content": [{ "type": "text", "text": name }] }),
            _ => json!({}),
        };
        let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result });
        let response = response.header("content-type", "text/event-stream");
        response.body(full(format!("id: 1\ndata: {answer}\n\n"))).unwrap()
    })
    .await
}

/// The example, with time enough for a build without optimisation.
fn read() -> Example {
    let mut example = Example::read("mcp.toml");
    for plugin in ["auth", "rate-limit"] {
        let component = format!("component = \"{plugin}\"");
        example =
            example.with(&component, &format!("{component}\nlimits = {{ deadline = \"1s\" }}"));
    }
    example
}

async fn example() -> (Running, [Upstream; 2]) {
    let servers = [server("one").await, server("two").await];
    let example = read().with("limit = 120\n", "limit = 2\n");
    let example = example.at(9001, servers[0].address).at(9002, servers[1].address);
    (example.on_a_free_port().start(), servers)
}

struct Client {
    address: SocketAddr,
    key: &'static str,
    session: Option<String>,
    version: &'static str,
}

impl Client {
    fn new(gateway: &Running, key: &'static str, version: &'static str) -> Self {
        Self { address: gateway.address, key, session: None, version }
    }

    async fn send(&self, http: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let authorization = format!("Bearer {}", self.key);
        let mut all = vec![
            ("authorization", &*authorization),
            ("content-type", "application/json"),
            ("mcp-protocol-version", self.version),
        ];
        all.extend_from_slice(fields);
        all.extend(self.session.as_deref().map(|session| ("mcp-session-id", session)));
        let request = request(http, "/mcp", &all, body.to_owned());
        within(Http1::connect(self.address).await.send(request)).await
    }

    async fn ask(&self, method: &str, mut params: Value) -> Answer {
        let mut fields = Vec::new();
        let name = params["name"].as_str().map(str::to_owned);
        if self.version == NEW {
            params["_meta"] = json!({ "io.modelcontextprotocol/protocolVersion": NEW });
            fields.push(("mcp-method", method));
            fields.extend(name.as_deref().map(|name| ("mcp-name", name)));
        }
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        self.send("POST", &fields, &body.to_string()).await
    }

    async fn call(&self, tool: &str) -> Answer {
        self.ask("tools/call", json!({ "name": tool, "arguments": {} })).await
    }
}

/// The error of JSON-RPC, for the request that was sent.
fn error(answer: &Answer) -> String {
    let body: Value =
        serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()));
    assert_eq!((&body["jsonrpc"], &body["id"]), (&json!("2.0"), &json!(7)), "{body}");
    body["error"]["message"].as_str().unwrap().to_owned()
}

/// Waits until a series has this value: it is counted behind the last byte.
pub(crate) async fn counted(gateway: &Running, metric: &str, labels: &[&str], count: u64) {
    let is_it = |line: &&str| {
        let has_labels = labels.iter().all(|label| line.contains(label));
        line.starts_with(metric) && has_labels && line.ends_with(&format!(" {count}"))
    };
    let mut text = String::new();
    for _ in 0..100 {
        let metrics = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
        metrics.text().clone_into(&mut text);
        if text.lines().any(|line| is_it(&line)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no {metric} with {labels:?} and {count}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_teams_have_the_tools_that_are_for_them() {
    let (gateway, servers) = example().await;
    for version in [NEW, "2025-06-18"] {
        let mut client = Client::new(&gateway, "team-a-key", version);
        if version != NEW {
            let answer = client.ask("initialize", json!({ "protocolVersion": version })).await;
            client.session = answer.header("mcp-session-id").map(str::to_owned);
        }
        let answer = client.ask("tools/list", json!({})).await;
        let list = json!({ "jsonrpc": "2.0", "id": 7, "result": { "tools": [{ "name": "add" }] } });
        assert_eq!(answer.text(), format!("id: 1\ndata: {list}\n\n"));
        let answer = client.call("files_delete").await;
        assert_eq!(
            (answer.status(), &*error(&answer)),
            (403, "The tool `files_delete` is not allowed here.")
        );
    }
    // What was refused has reached no server, and nobody's token has.
    for server in &servers {
        let heads = server.requests();
        let is_refused =
            |name: Option<&http::HeaderValue>| name.is_some_and(|name| name == "files_delete");
        assert!(!heads.iter().any(|head| is_refused(head.headers.get("mcp-name"))));
        assert!(!heads.iter().any(|head| head.headers.contains_key("authorization")));
    }
    // A field that says something else than the body.
    let client = Client::new(&gateway, "team-a-key", NEW);
    let params = json!({ "name": "files_delete", "_meta": { "io.modelcontextprotocol/protocolVersion": NEW } });
    let body =
        json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params }).to_string();
    let answer =
        client.send("POST", &[("mcp-method", "tools/call"), ("mcp-name", "add")], &body).await;
    assert_eq!(answer.status(), 400);
    assert!(
        answer.text().contains("-32020") && error(&answer).contains("Mcp-Name"),
        "{}",
        answer.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_other_plugins_are_errors_of_json_rpc_too() {
    let (gateway, _servers) = example().await;
    let nobody = Client::new(&gateway, "nobody", NEW).call("add").await;
    assert_eq!(nobody.status(), 401);
    error(&nobody);
    let challenge = nobody.header("www-authenticate").unwrap();
    let address =
        "resource_metadata=\"http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp\"";
    assert!(challenge.contains(address), "{challenge}");
    let metadata = Http1::get(gateway.address, "/.well-known/oauth-protected-resource/mcp").await;
    let document: Value = serde_json::from_slice(&metadata.body).unwrap();
    assert_eq!(document["authorization_servers"], json!(["https://id.example.com"]));
    // By team and tool.
    let (a, b) =
        (Client::new(&gateway, "team-a-key", NEW), Client::new(&gateway, "team-b-key", NEW));
    assert_eq!([a.call("add").await.status(), a.call("add").await.status()], [200, 200]);
    let limited = a.call("add").await;
    assert_eq!(limited.status(), 429);
    assert!(error(&limited).contains("No quota is left under calls"));
    assert_eq!([a.call("where").await.status(), b.call("add").await.status()], [200, 200]);
    assert_eq!(a.ask("tools/list", json!({})).await.status(), 200);
    for (labels, count) in [
        (["method=\"tools/call\"", "name=\"add\"", "outcome=\"ok\""], 3),
        (["method=\"tools/call\"", "name=\"add\"", "outcome=\"refused\""], 1),
        (["method=\"tools/list\"", "name=\"\"", "outcome=\"ok\""], 1),
    ] {
        counted(&gateway, "plugin_mcp_requests_total{", &labels, count).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_stays_where_it_began_and_requests_without_one_have_turns() {
    let (gateway, servers) = example().await;
    for _ in 0..6 {
        let mut client = Client::new(&gateway, "team-a-key", "2025-11-25");
        let answer = client.ask("initialize", json!({ "protocolVersion": "2025-11-25" })).await;
        client.session = Some(answer.header("mcp-session-id").unwrap().to_owned());
        for http in ["GET", "DELETE", "GET"] {
            let answer = client.send(http, &[("last-event-id", "3")], "").await;
            assert_eq!((answer.status(), answer.text()), (200, ": hello\n\n"));
        }
    }
    let ends = servers.iter().flat_map(Upstream::requests).filter(|head| head.method != "POST");
    assert_eq!(ends.filter(|head| head.headers["last-event-id"] == "3").count(), 18);
    // One that no gateway gave: the client is to begin anew.
    let mut client = Client::new(&gateway, "team-a-key", "2025-11-25");
    client.session = Some("session-of-one".to_owned());
    assert_eq!(client.send("GET", &[], "").await.status(), 404);
    let before = servers.each_ref().map(|server| server.requests().len());
    let client = Client::new(&gateway, "team-b-key", NEW);
    for _ in 0..6 {
        assert_eq!(client.ask("ping", json!({})).await.status(), 200);
    }
    for (server, before) in servers.iter().zip(before) {
        assert!(server.requests().len() > before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_in_cel_decide_by_what_the_plugin_says() {
    let server = server("one").await;
    let text = r#"
[upstreams.tools]
targets = ["http://${env:SERVER}"]

[plugins.mcp]
component = "mcp"
grants = ["metrics"]

[plugins.access]
component = "authorize"
[[plugins.access.config.rules]]
name = "one-tool"
allow = 'attributes["mcp.method"] != "tools/call" || attributes["mcp.tool"] == "add"'

[[routes]]
name = "mcp"
paths = ["/mcp"]
plugins = ["mcp", "access"]
upstream = "tools"
errors = "json-rpc"
"#;
    let gateway = Setup::toml(text, &[("SERVER", &server.address)]).start();
    let client = Client::new(&gateway, "-", NEW);
    assert_eq!(client.call("add").await.status(), 200);
    let refused = client.call("wipe").await;
    assert_eq!(refused.status(), 403);
    error(&refused);
    assert_eq!(client.ask("tools/list", json!({})).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_an_error_of_json_rpc() {
    let (away, other) = (free_address(), free_address());
    let gateway = read().at(9001, away).at(9002, other).on_a_free_port().start();
    let answer = Client::new(&gateway, "team-a-key", NEW).call("add").await;
    assert_eq!(answer.status(), 502);
    error(&answer);
}
