//! Clients of models that leave, and places at deployments: what is read of a response without its client settles a quota
//! by the provider's own usage, and a request that another deployment answers has its place there alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use gateway_tests::client::request;
use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Answer, Http1, Raw, Running, Setup, Upstream, until, within};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

const SERVED: &str = r#"
[admin]
address = "127.0.0.1:0"

[upstreams.first]
targets = ["http://${env:FIRST}"]

[upstreams.second]
targets = ["http://${env:SECOND}"]

[plugins.models]
component = "models"
forward_to = ["first", "second"]
limits = { deadline = "1s", memory = "64MiB" }
config.defaults.cool_down = "0s"
config.deployments.drained = { upstream = "first", provider = "openai", drain = { time = "10s" } }
config.deployments.stopped = { upstream = "first", provider = "openai" }
config.deployments.one = { upstream = "first", provider = "openai", concurrency = { limit = 1 } }
config.deployments.two = { upstream = "second", provider = "openai", concurrency = { limit = 2 } }
config.models.drained = { deployments = [{ name = "drained" }] }
config.models.stopped = { deployments = [{ name = "stopped" }] }
config.models.both = { deployments = [{ name = "one" }, { name = "two", priority = 1 }] }

[plugins.quota]
component = "rate-limit"
limits = { deadline = "1s" }
[[plugins.quota.config.policies]]
name = "tokens"
limit = 10000
window = "1h"
key = []
algorithm = "fixed"
cost = { attribute = "model.tokens.estimate" }
settle = { attribute = "model.tokens.total" }

[[routes]]
name = "models"
paths = ["/v1/{*rest}"]
plugins = ["models", "quota"]
upstream = "first"
"#;

fn serve(first: SocketAddr, second: SocketAddr) -> Running {
    Setup::toml(SERVED, &[("FIRST", &first), ("SECOND", &second)]).workers(1).start()
}

fn asked(model: &str, stream: bool) -> String {
    let message = json!({ "role": "user", "content": "good day" });
    json!({ "model": model, "stream": stream, "max_tokens": 100, "messages": [message] })
        .to_string()
}

async fn post(address: SocketAddr, body: String) -> Answer {
    let fields = [("content-type", "application/json")];
    let request = request("POST", "/v1/chat/completions", &fields, body);
    within(Http1::connect(address).await.send(request)).await
}

/// The sum of all lines of the metric that have these words.
async fn sum(gateway: &Running, name: &str, words: &str) -> u64 {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let is_it = |line: &&str| line.starts_with(&format!("{name}{{")) && line.contains(words);
    let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    page.text().lines().filter(is_it).map(value).sum()
}

async fn becomes(gateway: &Running, name: &str, words: &str, wanted: u64) {
    within(async {
        while sum(gateway, name, words).await != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// A model whose stream has content, waits for the gate, and then ends with a usage of 4,321 tokens.
async fn model(gate: &Arc<Semaphore>) -> Upstream {
    let gate = Arc::clone(gate);
    Upstream::http1(move |_| {
        let gate = Arc::clone(&gate);
        let chunk = |choices: Value, usage: Value| {
            let chunk = json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, "usage": usage });
            format!("data: {chunk}\n\n")
        };
        let content = json!([{ "index": 0, "delta": { "content": "hello" }, "finish_reason": null }]);
        let stop = json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }]);
        let usage = json!({ "prompt_tokens": 21, "completion_tokens": 4300, "total_tokens": 4321 });
        let last = [chunk(stop, Value::Null), chunk(json!([]), usage), "data: [DONE]\n\n".to_owned()];
        let pieces = [chunk(content, Value::Null), last.concat()];
        let frames = stream::unfold(pieces.into_iter().enumerate(), move |mut pieces| {
            let gate = Arc::clone(&gate);
            async move {
                let (index, piece) = pieces.next()?;
                if index > 0 {
                    gate.acquire().await.unwrap().forget();
                }
                Some((Ok::<_, std::io::Error>(Frame::data(Bytes::from(piece))), pieces))
            }
        });
        let body: BoxBody = StreamBody::new(frames).boxed_unsync();
        let response = Response::builder().header("content-type", "text/event-stream");
        std::future::ready(response.body(body).unwrap())
    })
    .await
}

const OUTPUT: &str = "plugin_gen_ai_client_inference_usage_output_tokens_total";
const REQUESTS: &str = "plugin_gen_ai_requests_total";

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_settled_by_the_usage_that_comes_after_the_client_has_left() {
    let gate = Arc::new(Semaphore::new(0));
    let model = model(&gate).await;
    let gateway = serve(model.address, model.address);
    let leaves = async |name: &str| {
        let body = asked(name, true);
        let mut raw = Raw::connect(gateway.address).await;
        raw.send(format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
        raw.read_until("hello").await;
        raw.reset();
    };
    leaves("drained").await;
    becomes(&gateway, "gateway_plugin_drains", "models", 1).await;
    gate.add_permits(1);
    becomes(&gateway, REQUESTS, "client_left", 1).await;
    assert_eq!(sum(&gateway, OUTPUT, "drained").await, 4300);
    assert_eq!(sum(&gateway, "gateway_plugin_drains_total", "complete").await, 1);
    // Without it what had come is charged by an estimate, at once.
    leaves("stopped").await;
    becomes(&gateway, REQUESTS, "client_left", 2).await;
    assert!((1..20).contains(&sum(&gateway, OUTPUT, "stopped").await));
    // 4,321 tokens and a few are used: there is room for one more such call, and no third.
    for (left, status) in [(9000, 429), (5000, 200)] {
        let mut body: Value = serde_json::from_str(&asked("drained", true)).unwrap();
        body["max_tokens"] = left.into();
        gate.add_permits(usize::from(status == 200));
        let answer = post(gateway.address, body.to_string()).await;
        assert_eq!(answer.status(), status, "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_another_deployment_answers_has_its_place_there_alone() {
    let first = Upstream::http1(|_| async {
        let error = json!({ "error": { "message": "no", "type": "server_error" } }).to_string();
        let response = Response::builder().status(503).header("content-type", "application/json");
        response.body(full(error)).unwrap()
    })
    .await;
    let gate = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&gate);
    let second = Upstream::http1(move |_| {
        let waits = Arc::clone(&waits);
        async move {
            waits.acquire().await.unwrap().forget();
            let usage = json!({ "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 });
            let choice = json!({ "index": 0, "message": { "role": "assistant", "content": "second" }, "finish_reason": "stop" });
            let answer = json!({ "choices": [choice], "usage": usage }).to_string();
            let response = Response::builder().header("content-type", "application/json");
            response.body(full(answer)).unwrap()
        }
    })
    .await;
    let gateway = serve(first.address, second.address);
    let ask = || {
        let address = gateway.address;
        tokio::spawn(async move { post(address, asked("both", false)).await })
    };
    // Each was at the first one, which has one place, and is at the second one now.
    let mut waiting = Vec::new();
    for requests in 1..=2 {
        waiting.push(ask());
        until(|| second.requests().len() == requests).await;
        assert_eq!(first.requests().len(), requests);
    }
    becomes(&gateway, "gateway_plugin_slots", "held", 2).await;
    // The second one has two places.
    let third = within(ask()).await.unwrap();
    assert_eq!((third.status(), first.requests().len()), (503, 3), "{}", third.text());
    gate.add_permits(2);
    for one in waiting {
        let answer = within(one).await.unwrap();
        assert!(answer.status() == 200 && answer.text().contains("second"), "{}", answer.text());
    }
    becomes(&gateway, "gateway_plugin_slots", "held", 0).await;
}
