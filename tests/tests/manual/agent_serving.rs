//! An agent of A2A behind the gateway, through the real plugin. A real agent and its client are in `tests/mcp-clients`.

use super::mcp_serving::counted;
use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Running, Setup, Upstream, within};
use http::Response;
use serde_json::{Value, json};

const SERVED: &str = r#"
[admin]
address = "127.0.0.1:0"

[upstreams.weather]
targets = ["http://${env:AGENT}"]

[plugins.a2a]
component = "a2a"
grants = ["metrics"]
config.address = "https://api.example.com/agents/weather"

[plugins.access]
component = "authorize"
[[plugins.access.config.rules]]
name = "no-cancelling"
deny = 'attributes["a2a.operation"] == "CancelTask"'
[[plugins.access.config.rules]]
name = "all-else"
allow = 'true'

[[routes]]
name = "weather"
paths = ["/agents/weather/{*rest}"]
plugins = ["a2a", "access"]
upstream = "weather"
errors = "json-rpc"
rewrite = { strip_prefix = "/agents/weather" }
"#;

async fn agent() -> Upstream {
    Upstream::http1(|request| async move {
        if request.method() == "GET" {
            let card = json!({
                "name": "weather",
                "supportedInterfaces": [
                    { "url": "http://10.0.0.1:9999/rpc", "protocolBinding": "JSONRPC" },
                    { "url": "http://10.0.0.1:9999/rest", "protocolBinding": "HTTP+JSON" },
                ],
            });
            let response = Response::builder().header("content-type", "application/json");
            return response.body(full(card.to_string())).unwrap();
        }
        let path = request.uri().path().to_owned();
        let answer = json!({ "jsonrpc": "2.0", "id": 7, "result": { "path": path } });
        let response = Response::builder().header("content-type", "text/event-stream");
        response.body(full(format!("data: {answer}\n\n"))).unwrap()
    })
    .await
}

async fn call(gateway: &Running, method: &str) -> Answer {
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": { "id": "t" } });
    let fields = [("content-type", "application/json"), ("a2a-version", "1.0")];
    let request = request("POST", "/agents/weather/rpc", &fields, body.to_string());
    within(Http1::connect(gateway.address).await.send(request)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_found_and_called_at_the_gateway() {
    let agent = agent().await;
    let gateway = Setup::toml(SERVED, &[("AGENT", &agent.address)]).start();
    let card = Http1::get(gateway.address, "/agents/weather/.well-known/agent-card.json").await;
    let card: Value = serde_json::from_slice(&card.body).unwrap();
    let here = json!([{ "url": "https://api.example.com/agents/weather/rpc", "protocolBinding": "JSONRPC" }]);
    assert_eq!(card["supportedInterfaces"], here);
    let answer = call(&gateway, "SendStreamingMessage").await;
    assert_eq!(
        answer.text(),
        "data: {\"id\":7,\"jsonrpc\":\"2.0\",\"result\":{\"path\":\"/rpc\"}}\n\n"
    );
    for method in ["CancelTask", "tasks/cancel"] {
        let refused = call(&gateway, method).await;
        let body: Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(
            (refused.status(), &body["id"], &body["jsonrpc"]),
            (403, &json!(7), &json!("2.0"))
        );
    }
    let series = "plugin_a2a_requests_total{";
    counted(&gateway, series, &["operation=\"SendStreamingMessage\"", "outcome=\"ok\""], 1).await;
    counted(&gateway, series, &["operation=\"CancelTask\"", "outcome=\"refused\""], 2).await;
}
