//! Gateways with `[usage]`, and questions about it.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use gateway::config::Config;
use gateway::usage::Query;
use gateway_tests::client::request;
use gateway_tests::{Answer, Http1, Running, Setup};
use serde_json::Value;
use tokio::task::JoinSet;

/// Plugins and routes of all tests here: `keys` knows two consumers by their keys, and `uses` adds to
/// usage.
const ROUTES: &str = r#"
[admin]
address = "127.0.0.1:0"

[plugins.keys]
component = "auth"
[[plugins.keys.config.api_key.keys]]
id = "one"
digest = "sha256:130a82f68d3064ef477880b571abfcf0f1f4aac4f9cd161aea5e6b543d2ee2d8"
consumer = "acme"

[plugins.uses]
component = "./uses.wasm"
grants = ["usage"]

[[routes]]
name = "kept"
paths = ["/kept"]
plugins = ["keys", "uses"]
respond = { body = "12345" }

[[routes]]
name = "open"
paths = ["/open/{*rest}"]
plugins = ["uses"]
respond = { body = "123" }

[upstreams.service]
targets = ["http://${env:SERVICE}"]

[[routes]]
name = "sent"
paths = ["/sent"]
plugins = ["keys", "uses"]
upstream = "service"

[[routes]]
name = "bare"
paths = ["/bare"]
respond = { status = 404, body = "1" }
"#;

/// The key of `acme`.
pub(crate) const KEY: (&str, &str) = ("x-api-key", "quickstart-key");

/// A gateway that keeps usage there; `more` belongs to `[usage]`.
pub(crate) fn setup(store: &str, more: &str) -> Setup {
    setup_before(&"127.0.0.1:9", store, more)
}

/// The same, with a service at this address behind the route `sent`.
pub(crate) fn setup_before(service: &dyn Display, store: &str, more: &str) -> Setup {
    let usage = format!("[usage]\nstore = {store:?}\nflush = \"100ms\"\n{more}\n");
    Setup::toml(&(usage + ROUTES), &[("PASSWORD", &"secret"), ("SERVICE", service)])
}

/// The same without usage.
pub(crate) fn without() -> Setup {
    let routes = ROUTES.replace("grants = [\"usage\"]", "grants = [\"usage\", \"metrics\"]");
    Setup::toml(&routes, &[("SERVICE", &"127.0.0.1:9")])
}

/// Sends a request over its own connection.
pub(crate) async fn ask(address: SocketAddr, path: &str, fields: &[(&str, &str)]) -> Answer {
    Http1::connect(address).await.send(request("POST", path, fields, "1234567")).await
}

/// Sends as many requests, several at a time. All must be answered with 200.
pub(crate) async fn ask_often(address: SocketAddr, count: usize, consumers: usize) {
    let mut clients = JoinSet::new();
    for client in 0..4 {
        clients.spawn(async move {
            let mut connection = Http1::connect(address).await;
            for number in (client..count).step_by(4) {
                let consumer = format!("c{}", number % consumers);
                let asked = request("GET", "/open/x", &[("x-consumer", &consumer)], "");
                assert_eq!(connection.send(asked).await.status(), 200);
            }
        });
    }
    clients.join_all().await;
}

/// Asks the store of a configuration.
pub(crate) fn report(config: &Config, by: &str) -> Value {
    let usage = config.usage.clone().unwrap();
    let query = Query::parse(by, None, None).unwrap();
    let read = move || query.read(&usage, Duration::from_secs(20)).map(|report| report.json());
    // The library's way to PostgreSQL has its own runtime.
    let json = std::thread::spawn(read).join().unwrap();
    json.map_or_else(|error| Value::String(error.to_string()), |json| json["rows"].clone())
}

/// The row of a report in which this column has this text.
pub(crate) fn row<'r>(rows: &'r Value, column: &str, text: &str) -> &'r Value {
    let found = rows.as_array().and_then(|rows| rows.iter().find(|row| row[column] == text));
    found.unwrap_or_else(|| panic!("no {column} {text} in {rows:#}"))
}

/// The sum of a column.
pub(crate) fn sum(rows: &Value, column: &str) -> i64 {
    rows.as_array().map_or(0, |rows| rows.iter().map(|row| row[column].as_i64().unwrap_or(0)).sum())
}

/// One of the gateway's metrics.
pub(crate) async fn metric(gateway: &Running, name: &str) -> u64 {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let line = page.text().lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {}", page.text())).parse().unwrap()
}

/// Asks again and again until the answer is yes.
pub(crate) async fn until_true<F: Future<Output = bool>>(mut is: impl FnMut() -> F) {
    gateway_tests::within(async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// The same, for what takes its time on a busy machine.
pub(crate) async fn until_done<F: Future<Output = bool>>(mut is: impl FnMut() -> F) {
    let done = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), done).await.unwrap();
}

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
