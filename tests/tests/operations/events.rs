//! Events of plugins that the gateway sends in the background: to a receiver that fails, hangs and comes back, and at the end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateway::config::{self, Known, Source};
use gateway_tests::client::request;
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Running, Setup, Upstream, log, until, within};
use http::Response;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

const TEXT: &str = r#"
[admin]
address = "127.0.0.1:0"

[upstreams.receiver]
targets = ["http://${env:RECEIVER}"]

[events.exposures]
upstream = "receiver"
path = "/collect?source=gateway"
headers = { authorization = "Bearer a-token" }
timeout = "300ms"
#MORE

[plugins.trials]
component = "experiments"
events = ["exposures"]
limits = { deadline = "1s" }

[plugins.trials.config]
unit = ["header:x-unit"]
exposures = { sink = "exposures", unit_names = true }

[[plugins.trials.config.experiments]]
name = "version"
variants = [{ name = "old", weight = 1 }, { name = "new", weight = 1 }]

[[routes]]
name = "shop"
paths = ["/"]
plugins = ["trials"]
respond = { body = "ok" }
"#;

/// What a receiver does with a batch.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Takes,
    Answers(u16),
    Hangs,
}

/// A receiver, and what it has taken.
struct Receiver {
    upstream: Upstream,
    mode: Arc<Mutex<Mode>>,
    /// Batches by their type and content.
    batches: Arc<Mutex<Vec<(String, String)>>>,
}

impl Receiver {
    async fn new(mode: Mode) -> Self {
        let (mode, batches) = (Arc::new(Mutex::new(mode)), Arc::<Mutex<Vec<_>>>::default());
        let (current, taken) = (Arc::clone(&mode), Arc::clone(&batches));
        let upstream = Upstream::http1(move |request: http::Request<hyper::body::Incoming>| {
            let (mode, taken) = (*current.lock().unwrap(), Arc::clone(&taken));
            async move {
                assert_eq!(request.headers()["authorization"], "Bearer a-token");
                let kind = request.headers()["content-type"].to_str().unwrap().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let status = match mode {
                    Mode::Takes => {
                        let text = String::from_utf8(body.to_vec()).unwrap();
                        taken.lock().unwrap().push((kind, text));
                        204
                    }
                    Mode::Answers(status) => status,
                    Mode::Hangs => {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                        504
                    }
                };
                Response::builder().status(status).body(full("")).unwrap()
            }
        })
        .await;
        Self { upstream, mode, batches }
    }

    fn becomes(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn batches(&self) -> Vec<(String, String)> {
        self.batches.lock().unwrap().clone()
    }

    /// The units of all events that it took.
    fn units(&self) -> Vec<String> {
        let mut units = Vec::new();
        for (kind, text) in self.batches() {
            let events: Vec<Value> = match kind.as_str() {
                "application/json" => serde_json::from_str(&text).unwrap(),
                _ => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            };
            units.extend(events.iter().map(|it| it["unit_name"].as_str().unwrap().to_owned()));
        }
        units
    }

    fn has(&self, count: usize) -> bool {
        self.units().into_iter().collect::<BTreeSet<_>>().len() == count
    }
}

fn gateway(receiver: &Receiver, more: &str) -> Running {
    let text = TEXT.replace("#MORE", more);
    Setup::toml(&text, &[("RECEIVER", &receiver.upstream.address)]).start()
}

async fn ask(gateway: &Running, units: std::ops::Range<usize>) {
    let mut client = Http1::connect(gateway.address).await;
    for unit in units {
        let name = format!("unit-{unit}");
        assert_eq!(client.send(request("GET", "/", &[("x-unit", &name)], "")).await.status(), 200);
    }
}

async fn metric(gateway: &Running, line: &str) -> u64 {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let found = page.text().lines().find_map(|it| it.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("{line} is not in {}", page.text()))
}

/// The one sink, as the admin API shows it.
async fn shown(gateway: &Running) -> Value {
    let page = Http1::admin(gateway.admin.unwrap(), "/events").await;
    let page: Value = serde_json::from_str(page.text()).unwrap();
    assert_eq!(page["total"], 1, "{page}");
    page["events"][0].clone()
}

/// Until so many requests with events have failed.
async fn failures(gateway: &Running, count: u64) {
    let line = "gateway_event_requests_failed_total{sink=\"exposures\"}";
    within(async {
        while metric(gateway, line).await < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn each_event_arrives_through_failures_and_no_request_waits() {
    log::listen();
    let receiver = Receiver::new(Mode::Answers(503)).await;
    let gateway = gateway(&receiver, "interval = \"50ms\"\nbatch = 20");
    let began = Instant::now();
    ask(&gateway, 0..60).await;
    failures(&gateway, 1).await;
    receiver.becomes(Mode::Hangs);
    failures(&gateway, 2).await;
    ask(&gateway, 60..100).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(receiver.batches().is_empty());
    assert!(metric(&gateway, "gateway_events_queued_bytes{sink=\"exposures\"}").await > 10_000);
    let sink = shown(&gateway).await;
    assert_eq!((&sink["name"], &sink["upstream"]), (&"exposures".into(), &"receiver".into()));
    assert_eq!((&sink["plugins"], &sink["away"]), (&json!(["trials"]), &true.into()));
    assert_eq!(sink["delivered_total"], 0);
    assert!(sink["failed_requests_total"].as_u64() >= Some(2), "{sink}");
    assert!((10_000..1 << 20).contains(&sink["queued_bytes"].as_u64().unwrap()), "{sink}");
    receiver.becomes(Mode::Takes);
    until(|| receiver.has(100)).await;
    let batches = receiver.batches();
    let longest = batches.iter().map(|(_, text)| text.matches("\"unit_name\"").count()).max();
    assert!(
        (5..30).contains(&batches.len()) && longest == Some(20),
        "{}: {longest:?}",
        batches.len()
    );
    let event = &serde_json::from_str::<Value>(&batches[0].1).unwrap()[0];
    assert_eq!((&event["event"], &event["experiment"]), (&"exposure".into(), &"version".into()));
    assert_eq!(event["id"].as_str().map(str::len), Some(16));
    assert!(
        receiver
            .upstream
            .requests()
            .iter()
            .all(|it| it.uri == "/collect?source=gateway" && it.method == "POST")
    );
    within(async {
        while metric(&gateway, "gateway_events_delivered_total{sink=\"exposures\"}").await < 100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(metric(&gateway, "gateway_events_queued_bytes{sink=\"exposures\"}").await, 0);
    let sink = shown(&gateway).await;
    let none = json!({ "full": 0, "refused": 0, "ended": 0 });
    assert_eq!((&sink["away"], &sink["queued_bytes"]), (&false.into(), &0.into()));
    assert_eq!((&sink["delivered_total"], &sink["dropped_total"]), (&100.into(), &none));
    for reason in ["full", "refused", "ended"] {
        let line =
            format!("gateway_events_dropped_total{{sink=\"exposures\",reason=\"{reason}\"}}");
        assert_eq!(metric(&gateway, &line).await, 0, "{reason}");
    }
}

#[tokio::test]
async fn what_waits_is_bounded_and_what_is_refused_is_dropped() {
    let receiver = Receiver::new(Mode::Hangs).await;
    let more = "interval = \"20ms\"\nqueue = \"4KiB\"\nbatch_size = \"1KiB\"\nformat = \"ndjson\"";
    let gateway = gateway(&receiver, more);
    ask(&gateway, 0..100).await;
    let full = "gateway_events_dropped_total{sink=\"exposures\",reason=\"full\"}";
    let dropped = metric(&gateway, full).await;
    assert!((70..100).contains(&dropped), "{dropped}");
    assert!(metric(&gateway, "gateway_events_queued_bytes{sink=\"exposures\"}").await <= 4096);
    receiver.becomes(Mode::Takes);
    let left = 100 - usize::try_from(dropped).unwrap();
    until(|| receiver.has(left)).await;
    let (kind, text) = &receiver.batches()[0];
    assert!(
        kind == "application/x-ndjson" && text.ends_with("}\n") && text.len() <= 1024,
        "{kind} {text}"
    );
    receiver.becomes(Mode::Answers(422));
    ask(&gateway, 200..203).await;
    let refused = "gateway_events_dropped_total{sink=\"exposures\",reason=\"refused\"}";
    within(async {
        while metric(&gateway, refused).await < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let sink = shown(&gateway).await;
    let why = json!({ "full": dropped, "refused": 3, "ended": 0 });
    assert_eq!((&sink["dropped_total"], &sink["queue_bytes_max"]), (&why, &4096.into()));
    receiver.becomes(Mode::Takes);
    ask(&gateway, 300..301).await;
    until(|| receiver.has(left + 1)).await;
}

#[tokio::test]
async fn what_waits_is_sent_when_the_gateway_ends() {
    let receiver = Receiver::new(Mode::Takes).await;
    let mut gateway = gateway(&receiver, "interval = \"1h\"");
    ask(&gateway, 0..7).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(receiver.batches().is_empty(), "the hour is not over");
    gateway.stop();
    until(|| receiver.has(7)).await;
    assert_eq!(receiver.batches().len(), 1);
    until(|| gateway.has_ended()).await;
}

#[test]
fn each_wrong_option_is_explained_in_its_place() {
    let said = |text: &str| {
        let text = format!(
            "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n\
             [[routes]]\nname = \"r\"\npaths = [\"/\"]\nplugins = [\"p\"]\nrespond = {{}}\n\
             [upstreams.receiver]\ntargets = [\"http://127.0.0.1:1\"]\n\
             [plugins.p]\ncomponent = \"auth\"\nevents = [\"audit\"]\n{text}\n"
        );
        let source = Source::new(std::env::temp_dir().join("test.toml"), &text);
        match config::read(source, &|_| None, &Known { built_in: &["auth"] }) {
            Ok(loaded) => loaded.warnings.render(false),
            Err(diagnostics) => diagnostics.render(false),
        }
    };
    let sink = "[events.audit]\nupstream = \"receiver\"\npath = \"/events\"\n";
    assert_eq!(said(sink), "");
    for (text, words) in [
        (String::new(), "add an `[events.audit]` table"),
        (sink.replace("receiver", "reciever"), "did you mean `receiver`"),
        (sink.replace("/events", "https://a.example/events"), "this is a URL"),
        (sink.replace("path = \"/events\"", ""), "`path`"),
        (
            format!("{sink}queue = \"2KiB\"\nbatch_size = \"4KiB\""),
            "`batch_size` is larger than `queue`",
        ),
        (format!("{sink}format = \"csv\""), "ndjson"),
        (format!("{sink}[events.other]\nupstream = \"receiver\"\npath = \"/\""), "other"),
    ] {
        let told = said(&text);
        assert!(told.contains(words), "{text}: {told}");
    }
}
