//! What passes at the moment: the history, the stream of snapshots and its bounds, and costs by route.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gateway_tests::client::{request, to};
use gateway_tests::setup::written;
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Raw, Running, Setup, Upstream, within};
use http::Response;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use super::document::{faults, fits};
use super::program::Program;

const TEXT: &str = r#"
[admin]
address = "127.0.0.1:0"

[recorder]
sample = 1.0

[plugins.shape]
component = "transform"
config.response.headers.set.a = "b"

[upstreams.service]
targets = ["http://${env:SERVICE}"]

[[routes]]
name = "api/v1"
paths = ["/api/{id}"]
plugins = ["shape"]
upstream = "service"

[[routes]]
name = "fixed"
paths = ["/fixed"]
respond = { status = 403 }
"#;

const ASK: &str = "GET /traffic/stream HTTP/1.1\r\nhost: localhost\r\n\r\n";

async fn start() -> (Running, Upstream) {
    let service = Upstream::http1(|_| async { Response::new(full("0123")) }).await;
    (Setup::toml(TEXT, &[("SERVICE", &service.address)]).start(), service)
}

async fn get(admin: SocketAddr, path: &str) -> Value {
    let answer = Http1::admin(admin, path).await;
    assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// The data of an event of a stream.
async fn event(stream: &mut Raw) -> Value {
    loop {
        let text = stream.read_until("\n\n").await;
        let event = text.lines().find_map(|line| line.strip_prefix("data: "));
        if let Some(event) = event {
            return serde_json::from_str(event).unwrap();
        }
    }
}

async fn document(admin: SocketAddr) -> Value {
    get(admin, "/openapi.json").await
}

#[tokio::test]
async fn a_snapshot_a_second_has_what_passed() {
    let (gateway, _service) = start().await;
    let admin = gateway.admin.unwrap();
    let mut stream = Raw::connect(admin).await;
    stream.send(ASK).await;
    let head = stream.read_until("\r\n\r\n").await;
    assert!(
        head.contains("content-type: text/event-stream") && head.contains("no-store"),
        "{head}"
    );
    // The first snapshot has nothing to be compared with.
    event(&mut stream).await;
    for path in ["/api/1", "/api/2", "/api/3", "/fixed"] {
        Http1::get(gateway.address, path).await;
    }
    let document = document(admin).await;
    let (mut requests, mut calls, mut answered) = (0, 0, 0.0);
    let mut statuses = json!({});
    let began = Instant::now();
    within(async {
        while requests < 4 || calls < 3 || answered < 2.5 {
            let snapshot = event(&mut stream).await;
            let found = fits(&document, "#/components/schemas/Snapshot", &snapshot);
            assert!(found.is_empty(), "{found:?}\n{snapshot:#}");
            let seconds = snapshot["interval_seconds"].as_f64().unwrap();
            requests += snapshot["total"]["requests"].as_u64().unwrap();
            for route in snapshot["routes"].as_array().unwrap() {
                for (status, count) in route["statuses"].as_object().unwrap() {
                    let so_far = statuses[status].as_u64().unwrap_or(0);
                    statuses[status] = (so_far + count.as_u64().unwrap()).into();
                }
            }
            for plugin in snapshot["plugins"].as_array().unwrap() {
                calls += plugin["hooks"]["on-response"]["calls"].as_u64().unwrap_or(0);
            }
            for target in snapshot["targets"].as_array().unwrap() {
                answered += target["answered_per_second"].as_f64().unwrap() * seconds;
            }
            assert_eq!(snapshot["workers"].as_array().unwrap().len(), 1);
            assert!(snapshot["memory_bytes"].as_u64().unwrap() > 1 << 20);
            // What a plugin does at every response alike is not a call.
            if requests == 4 && began.elapsed() > Duration::from_secs(4) {
                break;
            }
        }
    })
    .await;
    assert_eq!(requests, 4);
    assert_eq!(statuses, json!({ "2xx": 3, "4xx": 1 }));
    assert!((answered - 3.0).abs() < 0.1, "{answered}");
    // Then the history has them.
    within(async {
        loop {
            let all = get(admin, "/traffic").await;
            let found = faults(&document, "/traffic", "get", 200, &all);
            assert!(found.is_empty(), "{found:?}");
            let rates = all["points"]["requests_per_second"].as_array().unwrap();
            if rates.iter().any(|rate| rate.as_f64().unwrap() > 0.0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    let one = get(admin, "/traffic?route=api%2Fv1").await;
    assert_eq!(one["route"], "api/v1");
    let sum =
        |it: &Value| it.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).sum::<f64>();
    let rate = sum(&one["points"]["requests_per_second"]);
    assert!((rate * 5.0 - 3.0).abs() < 1.0, "{rate}");
    assert!(one["points"].get("memory_bytes").is_none());
    let later = get(admin, &format!("/traffic?after={}", one["last"])).await;
    assert!(later["points"]["at"].as_array().unwrap().len() <= 1);
    for wrong in
        ["/traffic?after=x", "/traffic?after=-1", "/traffic?since=1", "/traffic/stream?a=b"]
    {
        assert_eq!(Http1::admin(admin, wrong).await.status(), 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_chain_has_its_places_and_what_each_hook_costs() {
    let (gateway, _service) = start().await;
    let admin = gateway.admin.unwrap();
    for number in 0..5 {
        Http1::get(gateway.address, &format!("/api/{number}")).await;
    }
    let chain = get(admin, "/routes/api%2Fv1/chain").await;
    let found = faults(&document(admin).await, "/routes/{name}/chain", "get", 200, &chain);
    assert!(found.is_empty(), "{found:?}\n{chain:#}");
    let plugin = &chain["plugins"][0];
    assert_eq!((&plugin["plugin"], &plugin["routes"]), (&json!("shape"), &json!(1)));
    assert!(plugin["put_at"]["line"].as_u64() > plugin["defined_at"]["line"].as_u64());
    assert_eq!(chain["records"], 5);
    let hooks = plugin["hooks"].as_array().unwrap();
    assert!(hooks.iter().any(|hook| hook["this_route"]["records"] == 5), "{chain:#}");
    assert_eq!(get(admin, "/routes/fixed/chain").await["plugins"], json!([]));
    assert_eq!(Http1::admin(admin, "/routes/none/chain").await.status(), 404);
}

#[tokio::test]
async fn few_listen_at_a_time_and_a_place_is_given_back() {
    let (gateway, _service) = start().await;
    let admin = gateway.admin.unwrap();
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream = Raw::connect(admin).await;
        stream.send(ASK).await;
        assert!(stream.read_until("\r\n\r\n").await.contains(" 200 OK"));
        streams.push(stream);
    }
    let refused = Http1::admin(admin, "/traffic/stream").await;
    assert_eq!(refused.problem()["status"], 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.problem()["detail"].as_str().unwrap().contains("8 listen already"));
    // Probes and questions have places all the same.
    assert_eq!(Http1::admin(admin, "/readyz").await.status(), 200);
    streams.pop();
    within(async {
        loop {
            let mut stream = Raw::connect(admin).await;
            stream.send(ASK).await;
            if stream.read_until("\r\n\r\n").await.contains(" 200 OK") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    // A question for the head alone takes no place.
    let head = to(admin, request("HEAD", "/traffic/stream", &[], ""));
    assert_eq!(Http1::connect(admin).await.send(head).await.status(), 200);
}

#[tokio::test]
async fn one_that_does_not_read_misses_snapshots_and_holds_up_nobody() {
    let (gateway, _service) = start().await;
    let admin = gateway.admin.unwrap();
    // A window that holds few snapshots.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let mut slow = socket.connect(admin).await.unwrap();
    slow.write_all(ASK.as_bytes()).await.unwrap();
    let mut other = Raw::connect(admin).await;
    other.send(ASK).await;
    let first = event(&mut other).await["sequence"].as_u64().unwrap();
    let mut last = first;
    while last < first + 4 {
        last = event(&mut other).await["sequence"].as_u64().unwrap();
    }
    assert_eq!(Http1::admin(admin, "/livez").await.status(), 200);
    // What it hears once it reads is in order, and never twice.
    let mut text = vec![0; 1 << 20];
    let read = within(slow.read(&mut text)).await.unwrap();
    assert!(String::from_utf8_lossy(&text[..read]).starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_reload_ends_the_stream_since_who_may_ask_may_be_another() {
    let text = "[admin]\naddress = \"127.0.0.1:0\"\n\
                [[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond.body = \"x\"\n";
    let program = Program::start(&written(text), |_, _| ()).await;
    let mut stream = Raw::connect(program.admin).await;
    stream.send(ASK).await;
    event(&mut stream).await;
    let reload = to(program.admin, request("POST", "/reload", &[], ""));
    assert_eq!(Http1::connect(program.admin).await.send(reload).await.status(), 200);
    let rest = within(stream.rest()).await;
    assert!(rest.ends_with("0\r\n\r\n"), "the body ends, and does not break off: {rest}");
}
