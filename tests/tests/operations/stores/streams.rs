//! A quota of tokens under a thousand streams of models at once, of which clients leave a third.
//!
//! The window is so long that it does not end while a test runs: what is there again was given back by calls.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway_tests::Upstream;
use http::Response;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::json;
use tempfile::tempdir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::gateways::Gateway;
use super::server::{KINDS, Server};
use super::shared::store;

const LIMIT: u64 = 100_000;
const STREAMS: usize = 1_000;

/// A stream that begins at once, and ends when the gate is open.
async fn model_server(gate: watch::Receiver<bool>) -> Upstream {
    Upstream::http1(move |_| {
        let mut gate = gate.clone();
        async move {
            let (sender, events) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
            let say = move |data: String| sender.send(format!("data: {data}\n\n").into());
            let content = json!({ "choices": [{ "index": 0, "delta": { "content": "hello" } }] });
            let usage =
                json!({ "prompt_tokens": 40, "completion_tokens": 60, "total_tokens": 100 });
            tokio::spawn(async move {
                let end =
                    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
                let usage = json!({ "choices": [], "usage": usage });
                if say(content.to_string()).is_ok() && gate.wait_for(|open| *open).await.is_ok() {
                    let _gone = say(end.to_string());
                    let _gone = say(usage.to_string());
                    let _gone = say("[DONE]".to_owned());
                }
            });
            let events = futures_util::stream::unfold(events, |mut events| async move {
                let event = events.recv().await?;
                Some((Ok::<_, std::io::Error>(Frame::data(event)), events))
            });
            let body = StreamBody::new(events).boxed_unsync();
            let response = Response::builder().header("content-type", "text/event-stream");
            response.body(body).unwrap()
        }
    })
    .await
}

fn configuration(upstream: SocketAddr, limiter: &str) -> String {
    format!(
        r#"
[upstreams.gpu]
targets = ["http://{upstream}"]

[plugins.models]
component = "models"
grants = ["attempts", "key-value", "limiter", "metrics", "slots", "usage"]
forward_to = ["gpu"]
limits = {{ deadline = "10s", memory = "64MiB" }}
config.deployments.gpu = {{ upstream = "gpu", provider = "openai", model = "m" }}
config.models.m = {{ deployments = [{{ name = "gpu" }}] }}

[plugins.quota]
component = "rate-limit"
{limiter}
limits = {{ deadline = "10s" }}
[[plugins.quota.config.policies]]
name = "tokens"
limit = {LIMIT}
window = "366d"
algorithm = "fixed"
key = []
cost = {{ attribute = "model.tokens.estimate" }}
settle = {{ attribute = "model.tokens.total" }}

[[routes]]
name = "models"
paths = ["/v1/{{*rest}}"]
plugins = ["models", "quota"]
upstream = "gpu"
"#
    )
}

/// A call whose stream has begun, or which was refused.
struct Call {
    stream: TcpStream,
    seen: String,
}

impl Call {
    async fn begin(address: SocketAddr) -> Self {
        let body = json!({
            "model": "m", "stream": true, "max_tokens": 200,
            "messages": [{ "role": "user", "content": "good day" }],
        });
        let body = body.to_string();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all([head, body].concat().as_bytes()).await.unwrap();
        let mut call = Self { stream, seen: String::new() };
        call.read_until(|seen| seen.contains("hello") || seen.contains(" 429 ")).await;
        call
    }

    async fn read_until(&mut self, is: impl Fn(&str) -> bool) {
        let mut buffer = [0; 4096];
        while !is(&self.seen) {
            let read = tokio::time::timeout(Duration::from_secs(60), self.stream.read(&mut buffer));
            let read = read.await.expect("a stream goes on").unwrap();
            assert!(read > 0, "it was cut off: {}", self.seen);
            self.seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    }

    fn is_admitted(&self) -> bool {
        self.seen.starts_with("HTTP/1.1 200 ")
    }

    /// What is left of the quota after this call.
    fn left(&self) -> u64 {
        let (_, field) = self.seen.split_once("ratelimit: \"tokens\";r=").expect("the field");
        field.split([';', '\r']).next().unwrap().parse().unwrap()
    }
}

/// Tokens that calls were counted with, and how many calls that was.
async fn used(gateways: &[Gateway]) -> (u64, u64) {
    let (mut tokens, mut calls) = (0.0, 0.0);
    for gateway in gateways {
        for kind in ["input", "output"] {
            let name = format!("plugin_gen_ai_client_inference_usage_{kind}_tokens_total");
            tokens += gateway.metric(&name).await;
        }
        calls += gateway.metric("plugin_gen_ai_requests_total").await;
    }
    (tokens as u64, calls as u64)
}

async fn until_counted(gateways: &[Gateway], calls: u64) -> u64 {
    let began = Instant::now();
    loop {
        let (tokens, counted) = used(gateways).await;
        if counted == calls {
            return tokens;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{counted} of {calls} calls are over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn a_thousand_streams(gateways: &[Gateway], gate: &watch::Sender<bool>) {
    // What a call reserves: one after the other, the first two tell.
    let (first, second) =
        (Call::begin(gateways[0].address).await, Call::begin(gateways[0].address).await);
    let estimate = first.left() - second.left();
    assert!(estimate > 200, "{estimate}");
    let mut under_way = vec![first, second];
    let mut calls = 2;
    for round in 0..2 {
        let begun = under_way.len();
        let left = match round {
            0 => LIMIT - 2 * estimate,
            _ => LIMIT - used(gateways).await.0,
        };
        let mut beginning = JoinSet::new();
        for index in 0..STREAMS {
            beginning.spawn(Call::begin(gateways[index % gateways.len()].address));
        }
        under_way.extend(beginning.join_all().await.into_iter().filter(Call::is_admitted));
        let admitted = (under_way.len() - begun) as u64;
        assert_eq!(admitted, left / estimate, "of {left} left, {estimate} a call");
        calls += admitted;
        // Each third client leaves in the middle, and for the others the streams end.
        let mut ending = JoinSet::new();
        for (index, mut call) in under_way.drain(..).enumerate() {
            match index % 3 {
                0 => drop(call),
                _ => drop(ending.spawn(async move {
                    call.read_until(|seen| seen.contains("[DONE]")).await;
                })),
            }
        }
        // Those who leave leave a stream that goes on.
        let leavers = (begun as u64 + admitted).div_ceil(3);
        until_counted(gateways, calls - (begun as u64 + admitted) + leavers).await;
        gate.send_replace(true);
        ending.join_all().await;
        let tokens = until_counted(gateways, calls).await;
        assert!(tokens < LIMIT, "{tokens}");
        gate.send_replace(false);
        // Not one token is lost to calls that are over: refused, left or ended. What a call reserved is given back
        // a moment after it was counted.
        let began = Instant::now();
        loop {
            let tokens = until_counted(gateways, calls).await;
            let probe = Call::begin(gateways[0].address).await;
            calls += 1;
            let (left, expected) = (probe.left(), LIMIT - tokens - estimate);
            gate.send_replace(true);
            drop(probe);
            until_counted(gateways, calls).await;
            gate.send_replace(false);
            if left == expected {
                break;
            }
            let late = began.elapsed() > Duration::from_secs(20);
            assert!(!late, "{left} and not {expected} are left after round {round}: {tokens} used");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_never_pass_a_quota_in_memory_and_leave_nothing_taken() {
    let (gate, open) = watch::channel(false);
    let server = model_server(open).await;
    let folder = tempdir().unwrap();
    let text = configuration(server.address, "");
    let gateways = [Gateway::run(folder.path(), &text)];
    a_thousand_streams(&gateways, &gate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_over_three_gateways_never_pass_a_quota_in_a_server() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let (gate, open) = watch::channel(false);
        let models = model_server(open).await;
        let folder = tempdir().unwrap();
        let limiter = "limiter = { store = \"shared\", on_store_error = \"closed\" }";
        let text = store(&server, "") + &configuration(models.address, limiter);
        let mut gateways = Vec::new();
        for _ in 0..3 {
            gateways.push(Gateway::run_up(folder.path(), &text).await);
        }
        a_thousand_streams(&gateways, &gate).await;
    }
}
