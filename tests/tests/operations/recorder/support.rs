//! A gateway that records everything, and questions about it.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use gateway_tests::upstream::full;
use gateway_tests::{Answer, Http1, Running, Setup, Upstream, within};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::Value;

/// The debug secret of these tests.
pub(crate) const SECRET: &str = "a-debug-secret-of-some-length";

/// Routes for everything that there is to explain.
const ROUTES: &str = r#"
[admin]
address = "127.0.0.1:0"

[upstreams.service]
targets = ["http://${env:SERVICE}"]
[upstreams.pair]
targets = ["http://127.0.0.1:1", "http://${env:SERVICE}"]
[upstreams.gone]
targets = ["http://127.0.0.1:1"]

[plugins.keys]
component = "auth"
[[plugins.keys.config.api_key.keys]]
id = "one"
digest = "sha256:130a82f68d3064ef477880b571abfcf0f1f4aac4f9cd161aea5e6b543d2ee2d8"
consumer = "acme"
[plugins.spins]
component = "./spins.wasm"
config = {}
limits = { deadline = "30s" }
[plugins.tag]
component = "./tagger.wasm"
config = { name = "tag" }
[plugins.panics]
component = "./panics.wasm"
[plugins.floods]
component = "./floods-log.wasm"
[plugins.limit]
component = "rate-limit"
config.policies = [{ name = "per-day", limit = 1, window = "1d", key = [] }]
[plugins.narrow]
component = "rate-limit"
config.concurrency = [{ name = "one", limit = 1, key = [], queue = 5, wait = "20ms" }]

[[routes]]
name = "keyed"
paths = ["/keyed/{*rest}"]
plugins = ["keys"]
upstream = "service"
[[routes]]
name = "spun"
paths = ["/spun"]
plugins = ["tag", "spins"]
upstream = "service"
[[routes]]
name = "panicking"
paths = ["/panicking"]
plugins = ["panics"]
upstream = "service"
[[routes]]
name = "flooded"
paths = ["/flooded"]
plugins = ["floods"]
upstream = "service"
[[routes]]
name = "limited"
paths = ["/limited"]
plugins = ["limit"]
upstream = "service"
[[routes]]
name = "narrow"
paths = ["/narrow/{*rest}"]
plugins = ["narrow"]
upstream = "service"
[[routes]]
name = "api"
paths = ["/api/{*rest}"]
upstream = "service"
[[routes]]
name = "api-v2"
paths = ["/api/{*rest}"]
headers = { x-version = "2" }
upstream = "service"
[[routes]]
name = "pair"
paths = ["/pair"]
upstream = "pair"
[[routes]]
name = "gone"
paths = ["/gone"]
upstream = "gone"
[[routes]]
name = "hosted"
hosts = ["*.a.example", "b.example"]
paths = ["/{*rest}"]
respond = { status = 200 }
[[routes]]
name = "everything"
paths = ["/{*rest}"]
respond = { status = 404, body = "nothing here" }
"#;

/// Between two events.
const PAUSE: Duration = Duration::from_millis(150);

/// A key of `acme`.
pub(crate) const KEY: (&str, &str) = ("x-api-key", "quickstart-key");

/// The configuration with this in `[recorder]`, before this service.
pub(crate) fn text(recorder: &str) -> String {
    format!("[recorder]\ndebug_secret = \"${{env:SECRET}}\"\n{recorder}\n{ROUTES}")
}

pub(crate) fn setup(recorder: &str, service: &dyn Display) -> Setup {
    Setup::toml(&text(recorder), &[("SERVICE", service), ("SECRET", &SECRET)])
}

/// A gateway that keeps every exchange, before a service.
pub(crate) fn recording(service: &Upstream) -> Running {
    setup("sample = 1.0", &service.address).start()
}

/// Answers what the path asks for: `/slow` after 600 ms, `/503`, `/events`, `/long` and `/endless`
/// with streams of events.
pub(crate) async fn service() -> Upstream {
    Upstream::http1(|request| async move {
        let wanted = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let events = |count: usize, first: Duration| {
            let event = move |left: usize| async move {
                let pause = if left == count { first } else { PAUSE };
                let left = left.checked_sub(1)?;
                tokio::time::sleep(pause).await;
                let event = Bytes::from_static(b"data: 1\n\n");
                Some((Ok::<_, std::io::Error>(Frame::data(event)), left))
            };
            StreamBody::new(stream::unfold(count, event)).boxed_unsync()
        };
        let (status, kind, body) = match &*wanted {
            "slow" => {
                tokio::time::sleep(Duration::from_millis(600)).await;
                (200, "text/plain", full("slow"))
            }
            "never" => std::future::pending().await,
            "events" => (200, "text/event-stream", events(2, PAUSE)),
            "long" => (200, "text/event-stream", events(5, Duration::ZERO)),
            "endless" => (200, "text/event-stream; charset=utf-8", events(1_000, PAUSE)),
            other => {
                let status = other.parse().ok().filter(|status| *status >= 200);
                (status.unwrap_or(200), "text/plain", full("0123456789"))
            }
        };
        Response::builder().status(status).header("content-type", kind).body(body).unwrap()
    })
    .await
}

pub(crate) async fn admin(gateway: &Running, target: &str) -> Answer {
    Http1::admin(gateway.admin.unwrap(), target).await
}

/// Records that fit, newest first, when there are so many: the client has its answer a moment before.
pub(crate) async fn records(gateway: &Running, query: &str, least: usize) -> Vec<Value> {
    within(async {
        loop {
            let answer = admin(gateway, &format!("/requests?{query}")).await;
            assert_eq!(answer.status(), 200, "{}", answer.text());
            let mut json: Value = serde_json::from_str(answer.text()).unwrap();
            let Value::Array(records) = json["requests"].take() else { panic!("{json}") };
            if records.len() >= least {
                return records;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// The record of a request.
pub(crate) async fn record(gateway: &Running, id: &str) -> Value {
    within(async {
        loop {
            let answer = admin(gateway, &format!("/requests/{id}")).await;
            if answer.status() == 200 {
                return serde_json::from_str(answer.text()).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// The only record.
pub(crate) async fn only(gateway: &Running) -> Value {
    let records = records(gateway, "", 1).await;
    assert_eq!(records.len(), 1, "{records:#?}");
    record(gateway, records[0]["id"].as_str().unwrap()).await
}

pub(crate) fn millis(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}")) / 1_000_000
}

pub(crate) fn says(record: &Value, part: &str) {
    let said = record["explanation"].as_str().unwrap();
    assert!(said.contains(part), "{said}\n{record:#}");
}
