//! Whatever goes wrong at a provider, a client of each API has the next deployment's answer, or an error that its API has: through
//! the real plugin, on real sockets, whole answers and streams.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use gateway_tests::client::request;
use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Answer, ClosedPort, Http1, Raw, Running, Setup, Upstream, within};
use http::Response;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};

const FILE: &str = r#"
[admin]
address = "127.0.0.1:0"

[upstreams.bad]
targets = ["http://${env:BAD}"]
timeouts = { first_byte = "1s" }

[upstreams.good]
targets = ["http://${env:GOOD}"]

[plugins.models]
component = "models"
grants = ["attempts", "key-value", "limiter", "metrics", "slots", "usage"]
forward_to = ["bad", "good"]
limits = { deadline = "10s", memory = "64MiB" }

[plugins.models.config]
max_answer = 1048576
defaults.first_token = "1s"
deployments.bad = { upstream = "bad", provider = "openai", model = "own" }
deployments.good = { upstream = "good", provider = "openai", model = "other" }
models.alone = { deployments = [{ name = "bad" }] }
models.two = { deployments = [{ name = "bad" }, { name = "good", priority = 1 }] }

[[routes]]
name = "models"
paths = ["/{*rest}"]
plugins = ["models"]
upstream = "bad"
errors = "openai"
"#;

/// The APIs of clients, whether deployments speak them too, and where their errors have their text.
const CLIENTS: [(&str, bool, &str); 5] = [
    ("/v1/chat/completions", true, "/error/message"),
    ("/v1/responses", true, "/error/message"),
    ("/v1/messages", false, "/error/message"),
    ("/v1beta/models/MODEL:generateContent", false, "/error/message"),
    ("/api/chat", false, "/error"),
];

fn serve(bad: SocketAddr, good: SocketAddr) -> Running {
    Setup::toml(FILE, &[("BAD", &bad), ("GOOD", &good)]).workers(1).start()
}

/// A call of a model by one of the clients.
async fn ask(gateway: SocketAddr, path: &str, model: &str, streams: bool) -> Answer {
    let hello = json!([{ "role": "user", "content": "hello" }]);
    let body = match path {
        "/v1/responses" => json!({ "model": model, "input": "hello", "stream": streams }),
        "/v1/messages" => {
            json!({ "model": model, "max_tokens": 9, "messages": hello, "stream": streams })
        }
        gemini if gemini.starts_with("/v1beta") => {
            json!({ "contents": [{ "role": "user", "parts": [{ "text": "hello" }] }] })
        }
        _ => json!({ "model": model, "messages": hello, "stream": streams }),
    };
    let path = path.replace("MODEL", model);
    let path = match streams {
        true => path.replace(":generateContent", ":streamGenerateContent?alt=sse"),
        false => path,
    };
    let fields = [("content-type", "application/json")];
    let request = request("POST", &path, &fields, body.to_string());
    within(Http1::connect(gateway).await.send(request)).await
}

fn streamed(pieces: impl IntoIterator<Item = String>) -> BoxBody {
    let pieces: Vec<_> = pieces.into_iter().collect();
    let frames = stream::iter(pieces).then(|piece| async {
        // So that each is a piece of its own on the way.
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok::<_, Infallible>(Frame::data(Bytes::from(piece)))
    });
    StreamBody::new(frames).map_err(|never| match never {}).boxed_unsync()
}

/// These bytes, and then nothing.
fn silent(pieces: impl IntoIterator<Item = String>) -> BoxBody {
    let pieces: Vec<_> = pieces.into_iter().map(|it| Ok(Frame::data(Bytes::from(it)))).collect();
    StreamBody::new(stream::iter(pieces).chain(stream::pending())).boxed_unsync()
}

fn answered(status: u16, kind: &str, body: BoxBody) -> Response<BoxBody> {
    Response::builder().status(status).header("content-type", kind).body(body).unwrap()
}

/// A provider that works.
async fn good() -> Upstream {
    Upstream::http1(|request| async {
        let is_chat = request.uri().path().ends_with("/chat/completions");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let usage = json!({ "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 });
        let message = json!({ "role": "assistant", "content": "from the next" });
        let part = json!({ "type": "output_text", "text": "from the next", "annotations": [] });
        let whole = match is_chat {
            true => json!({ "id": "c", "object": "chat.completion", "created": 1, "model": "other", "usage": usage,
                "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] }),
            false => json!({ "id": "r", "object": "response", "status": "completed", "model": "other", "output": [
                { "type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part] } ] }),
        };
        if asked["stream"] != true {
            return answered(200, "application/json", full(whole.to_string()));
        }
        let chunk = |delta: Value, end: Value| {
            let choice = json!({ "index": 0, "delta": delta, "finish_reason": end });
            let chunk = json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "other", "choices": [choice] });
            format!("data: {chunk}\n\n")
        };
        let event = |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
        let pieces = match is_chat {
            true => vec![
                chunk(message, Value::Null),
                chunk(json!({}), json!("stop")),
                "data: [DONE]\n\n".to_owned(),
            ],
            false => vec![
                event(json!({ "type": "response.output_text.delta", "delta": "from the next" })),
                event(json!({ "type": "response.completed", "response": whole })),
            ],
        };
        answered(200, "text/event-stream", streamed(pieces))
    })
    .await
}

/// What is wrong with a provider, whether of streams or of whole answers alone, the status that a client has if there is no other,
/// and the word for it.
struct Fault {
    name: &'static str,
    of_streams: Option<bool>,
    status: u16,
    word: &'static str,
    answer: fn() -> Option<Response<BoxBody>>,
}

fn faults() -> Vec<Fault> {
    let fault =
        |name, of_streams, status, word, answer| Fault { name, of_streams, status, word, answer };
    vec![
        fault("429", None, 429, "rate_limited", || {
            let error = json!({ "error": { "message": "Slow down.", "type": "rate_limit_error", "code": null } });
            let mut answer = answered(429, "application/json", full(error.to_string()));
            answer.headers_mut().insert("retry-after", "60".parse().unwrap());
            Some(answer)
        }),
        fault("no head", Some(true), 504, "first_token", || None),
        fault("no head of a whole answer", Some(false), 504, "timeout", || None),
        fault("a head and nothing", Some(true), 504, "first_token", || {
            Some(answered(200, "text/event-stream", silent([])))
        }),
        fault("comments alone", Some(true), 504, "first_token", || {
            let comments = [": wait\n\n".to_owned(), ": wait\n\n".to_owned()];
            Some(answered(200, "text/event-stream", silent(comments)))
        }),
        fault("a page", None, 502, "garbled", || {
            Some(answered(200, "text/html", full("<html>Sign in</html>")))
        }),
        fault("a page that is called JSON", Some(false), 502, "garbled", || {
            Some(answered(200, "application/json", full("<html>Sign in</html>")))
        }),
        fault("a long page that is called JSON", Some(false), 502, "garbled", || {
            let pages = (0..40).map(|_| format!("<html>{}</html>", "word ".repeat(400)));
            Some(answered(200, "application/json", streamed(pages)))
        }),
        fault("half of an answer", Some(false), 502, "garbled", || {
            Some(answered(200, "application/json", full("{\"id\": \"c\", \"choices\": [{\"mess")))
        }),
        fault("garbage in a stream", Some(true), 502, "garbled", || {
            let pieces = [": wait\n\n", "data: <html>Bad Gateway</html>\n\n", "data: {}\n\n"];
            Some(answered(200, "text/event-stream", streamed(pieces.map(str::to_owned))))
        }),
        fault("a stream that ends at once", Some(true), 502, "cut", || {
            Some(answered(200, "text/event-stream", streamed([": wait\n\n".to_owned()])))
        }),
        fault("an error as the first event", Some(true), 503, "overloaded", || {
            let error = json!({ "error": { "message": "It is full.", "type": "server_error", "code": "overloaded" } });
            Some(answered(200, "text/event-stream", streamed([format!("data: {error}\n\n")])))
        }),
        fault("an error with the status of a success", Some(false), 503, "overloaded", || {
            let error = json!({ "error": { "message": "It is full.", "type": "server_error", "code": "overloaded" } });
            Some(answered(200, "application/json", full(error.to_string())))
        }),
    ]
}

impl Fault {
    async fn provider(&self) -> Upstream {
        let answer = self.answer;
        Upstream::http1(move |request| async move {
            request.into_body().collect().await.unwrap();
            match answer() {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
        .await
    }
}

/// Calls of each client, alone and with another deployment.
async fn each_client(gateway: SocketAddr, streams: bool, status: u16, about: &str) {
    let calls = CLIENTS.map(|(path, _, at)| async move {
        let about = format!("{about}, {path}, stream {streams}");
        let answer = ask(gateway, path, "alone", streams).await;
        assert_eq!(answer.status(), status, "{about}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"), "{about}");
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        let message = json.pointer(at).and_then(Value::as_str).unwrap_or_default();
        assert!(message.len() > 5, "{about}: {json}");
        let answer = ask(gateway, path, "two", streams).await;
        assert_eq!(answer.status(), 200, "{about}: {}", answer.text());
        assert!(answer.text().contains("from the next"), "{about}: {}", answer.text());
    });
    join_all(calls).await;
}

async fn metrics(gateway: &Running) -> String {
    Http1::admin(gateway.admin.unwrap(), "/metrics").await.text().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_the_next_deployment_s_answer_or_an_error_of_the_api() {
    let good = good().await;
    // One gateway after the other: each has the memory of its instances.
    for fault in faults() {
        let provider = fault.provider().await;
        let gateway = serve(provider.address, good.address);
        for streams in [false, true] {
            if fault.of_streams.is_none_or(|only| only == streams) {
                each_client(gateway.address, streams, fault.status, fault.name).await;
            }
        }
        let word = format!("error_type=\"{}\"", fault.word);
        let metrics = metrics(&gateway).await;
        for name in ["plugin_gen_ai_requests_total{", "plugin_gen_ai_failed_attempts_total{"] {
            let lines = metrics.lines().filter(|line| line.starts_with(name));
            let alone: Vec<_> = lines.filter(|line| line.contains("\"alone\"")).collect();
            let all = alone.iter().all(|line| line.contains(&word));
            assert!(!alone.is_empty() && all, "{}: {metrics}", fault.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_left_for_the_next() {
    let good = good().await;
    let closed = ClosedPort::new();
    let gateway = serve(closed.address, good.address);
    for streams in [false, true] {
        each_client(gateway.address, streams, 502, "down").await;
    }
    assert!(metrics(&gateway).await.contains("error_type=\"unreachable\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn for_a_minute_of_429_nobody_waits_for_it() {
    let good = good().await;
    let faults = faults();
    let provider = faults[0].provider().await;
    let gateway = serve(provider.address, good.address);
    for (path, ..) in CLIENTS {
        for streams in [false, true] {
            let answer = ask(gateway.address, path, "two", streams).await;
            assert!(answer.text().contains("from the next"), "{}", answer.text());
        }
    }
    assert_eq!(provider.requests().len(), 1);
}

/// What a client has read of a stream when it ended, and whether it was cut off.
async fn read(gateway: SocketAddr, path: &str) -> (String, bool) {
    let body = match path {
        "/v1/messages" => {
            json!({ "model": "alone", "max_tokens": 9, "messages": [], "stream": true })
        }
        "/v1/responses" => json!({ "model": "alone", "input": "hello", "stream": true }),
        _ => json!({ "model": "alone", "messages": [], "stream": true }),
    };
    let body = body.to_string();
    let mut raw = Raw::connect(gateway).await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    raw.send([head, body].concat()).await;
    let all = raw.rest().await;
    let is_cut = !all.ends_with("0\r\n\r\n");
    (all, is_cut)
}

const CONTENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";
const DELTA: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n";

fn begins(path: &str) -> String {
    if path == "/v1/responses" { DELTA } else { CONTENT }.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_content_a_stream_has_an_error_event_of_its_api() {
    let good = good().await;
    let garbage = "data: <html>Bad Gateway</html>\n\n";
    for (fault, more) in [("garbage", garbage), ("an end", ""), ("a break", "break")] {
        let provider = Upstream::http1(move |request| async move {
            let begins = begins(request.uri().path());
            let body = match more {
                "break" => {
                    let pieces = [
                        Ok(Frame::data(begins.into())),
                        Err(std::io::Error::other("it breaks off")),
                    ];
                    let pieces = stream::iter(pieces).then(|piece| async {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        piece
                    });
                    StreamBody::new(pieces).boxed_unsync()
                }
                more => streamed([begins.clone(), begins, more.to_owned()]),
            };
            answered(200, "text/event-stream", body)
        })
        .await;
        let gateway = serve(provider.address, good.address);
        for path in ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/api/chat"] {
            let (read, is_cut) = read(gateway.address, path).await;
            assert!(
                read.starts_with("HTTP/1.1 200 ") && read.contains("hi"),
                "{fault} {path}: {read}"
            );
            assert!(read.contains("error") && !is_cut, "{fault} {path}: {read}");
            assert!(!read.contains("<html>"), "{fault} {path}: {read}");
        }
        let failed = "outcome=\"upstream_failed\"";
        until_metric(&gateway, failed, 4).await;
        assert!(!metrics(&gateway).await.contains("outcome=\"ok\""), "{fault}");
    }
    assert!(good.requests().is_empty());
}

async fn until_metric(gateway: &Running, label: &str, calls: u64) {
    for _ in 0..200 {
        let page = metrics(gateway).await;
        let lines = page.lines().filter(|line| line.starts_with("plugin_gen_ai_requests_total{"));
        let counts =
            lines.filter(|line| line.contains(label)).filter_map(|it| it.rsplit(' ').next());
        if counts.filter_map(|it| it.parse::<u64>().ok()).sum::<u64>() == calls {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{label}: {}", metrics(gateway).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_does_not_end_ends_the_stream() {
    let good = good().await;
    let provider = Upstream::http1(|request| async move {
        let begins = begins(request.uri().path());
        let endless =
            stream::iter([begins, "data: ".to_owned()]).chain(stream::repeat("x".repeat(16 << 10)));
        let frames = endless.map(|piece| Ok(Frame::data(Bytes::from(piece))));
        answered(200, "text/event-stream", StreamBody::new(frames).boxed_unsync())
    })
    .await;
    let gateway = serve(provider.address, good.address);
    // As it is: within an event there is no place for an error.
    let (passed, is_cut) = read(gateway.address, "/v1/chat/completions").await;
    assert!(is_cut && passed.contains("hi") && passed.len() < 2 << 20, "{}", passed.len());
    // Translated.
    for path in ["/v1/messages", "/api/chat"] {
        let (read, _) = read(gateway.address, path).await;
        assert!(
            read.contains("hi") && read.contains("error") && read.len() < 64 << 10,
            "{path}: {}",
            read.len()
        );
    }
    until_metric(&gateway, "error_type=\"garbled\"", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_counted_as_such_and_its_deployment_does_not_cool_down() {
    let good = good().await;
    let provider = Upstream::http1(|request| async move {
        let begins = begins(request.uri().path());
        answered(200, "text/event-stream", silent([begins]))
    })
    .await;
    let gateway = serve(provider.address, good.address);
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let body = json!({ "model": "alone", "max_tokens": 9, "messages": [], "stream": true })
            .to_string();
        let mut raw = Raw::connect(gateway.address).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        raw.send([head, body].concat()).await;
        raw.read_until("hi").await;
    }
    until_metric(&gateway, "error_type=\"cancelled\"", 2).await;
    let metrics = metrics(&gateway).await;
    assert!(!metrics.contains("plugin_gen_ai_cool_down_end_timestamp_seconds{"), "{metrics}");
    assert!(!metrics.contains("plugin_gen_ai_failed_attempts_total{"), "{metrics}");
}
