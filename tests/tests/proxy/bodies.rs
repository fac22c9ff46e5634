//! Bodies on their way through plugins: whole ones, and those that stream.
//!
//! Over 400 lines: stories that share their setup and are read one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use gateway_tests::client::{self, request, request2};
use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Http1, Http2, Raw, Running, Setup, Upstream, log, until, within};
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Notify, Semaphore};

/// One plugin in front of one upstream; `plugin` is the rest of its table.
fn through(component: &str, plugin: &str, upstream: &Upstream) -> Running {
    let text = format!(
        r#"
[plugins.body]
component = "./{component}.wasm"
{plugin}

[upstreams.orders]
targets = ["http://${{env:ORDERS}}"]

[[routes]]
name = "all"
paths = ["/{{*rest}}"]
plugins = ["body"]
upstream = "orders"
"#
    );
    Setup::toml(&text, &[("ORDERS", &upstream.address)]).start()
}

fn frames(frames: impl IntoIterator<Item = Frame<Bytes>>) -> BoxBody {
    let frames: Vec<_> = frames.into_iter().map(Ok).collect();
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

fn trailers(name: &'static str, value: &'static str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert(name, value.parse().unwrap());
    Frame::trailers(trailers)
}

fn chunk(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn a_whole_body_is_changed_both_ways_and_its_length_is_right() {
    let upstream = Upstream::http1(|request| async {
        let length = request.headers()["content-length"].to_str().unwrap().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Response::new(full(format!("got {length}: {body}")))
    })
    .await;
    let gateway = through("body-upper", "", &upstream);
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("POST", "/", &[], "shout")).await;
    assert_eq!(answer.text(), "GOT 5: SHOUT");
    assert_eq!(answer.header("content-length"), Some("12"));
    assert_eq!(answer.header("x-upper-response"), Some("12"));
    // Without a length in the request the upstream is told one anyway: the body is whole.
    let chunked = Request::post("/").header("host", "a");
    let chunked = chunked.body(frames([chunk("in "), chunk("pieces")])).unwrap();
    let answer = client.send(chunked).await;
    assert_eq!(answer.text(), "GOT 9: IN PIECES");
    let mut client = Http2::connect(gateway.address).await;
    let answer = client.send(request2("POST", "/", &[], "shout")).await;
    assert_eq!(answer.text(), "GOT 5: SHOUT");
    assert_eq!(upstream.requests()[0].headers["x-upper-request"], "5");
}

#[tokio::test]
async fn a_whole_body_may_have_megabytes() {
    let upstream = Upstream::echo().await;
    let plugin = "limits = { deadline = \"5s\", memory = \"64MiB\" }\nconfig = { limit = 4194304 }";
    let gateway = through("body-upper", plugin, &upstream);
    let body = "abcd".repeat(1 << 20);
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("POST", "/", &[], body.clone())).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.text() == body.to_ascii_uppercase());
}

#[tokio::test]
async fn a_whole_body_keeps_its_trailers() {
    let upstream = Upstream::http2(|request| async move {
        let body = request.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-checksum"], "1");
        Response::new(frames([Frame::data(body.to_bytes()), trailers("grpc-status", "0")]))
    })
    .await;
    let gateway = {
        let text = r#"
[plugins.upper]
component = "./body-upper.wasm"
[upstreams.orders]
targets = ["http://${env:ORDERS}"]
protocol = "http2"
[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["upper"]
upstream = "orders"
"#;
        Setup::toml(text, &[("ORDERS", &upstream.address)]).start()
    };
    let request = Request::post("http://a.example/").header("te", "trailers");
    let request = request.body(frames([chunk("ping"), trailers("x-checksum", "1")])).unwrap();
    let answer = Http2::connect(gateway.address).await.send(request).await;
    assert_eq!(
        (answer.text(), answer.trailers.clone().unwrap()["grpc-status"].as_bytes()),
        ("PING", &b"0"[..])
    );
}

#[tokio::test]
async fn a_request_body_over_the_plugins_limit_is_refused_with_413() {
    let upstream = Upstream::echo().await;
    let gateway = through("body-upper", "config = { limit = 8 }", &upstream);
    let send = async |body| {
        Http1::connect(gateway.address).await.send(request("POST", "/", &[], body)).await
    };
    let answer = send("123456789").await;
    assert_eq!(answer.status(), 413);
    assert_eq!(answer.problem()["title"], "Content Too Large");
    assert!(upstream.requests().is_empty());
    assert_eq!(send("12345678").await.text(), "12345678");
}

#[tokio::test]
async fn a_response_body_over_the_plugins_limit_fails_closed_and_passes_open() {
    const LONG: &str = "far longer than eight bytes";
    let upstream = Upstream::http1(|_| async {
        Response::new(frames([chunk("far longer "), chunk("than eight bytes")]))
    })
    .await;
    let closed = through("body-upper", "config = { limit = 8 }", &upstream);
    let answer = Http1::get(closed.address, "/").await;
    assert_eq!(
        (answer.status(), answer.problem()["detail"].as_str()),
        (
            502,
            Some("The upstream's answer is longer than 8 bytes, the most that is read as a whole.")
        )
    );
    until(|| {
        log::of_request(answer.id()).iter().any(|line| line.field("hook") == "on-response-body")
    })
    .await;
    drop(closed);
    let open = through("body-upper", "on_error = \"open\"\nconfig = { limit = 8 }", &upstream);
    let answer = Http1::get(open.address, "/").await;
    assert_eq!(
        (answer.status(), answer.text(), answer.header("x-upper-response")),
        (200, LONG, None)
    );
}

#[tokio::test]
async fn messages_without_a_body_are_left_alone() {
    let upstream = Upstream::http1(|request| async move {
        match request.uri().path() {
            "/empty" => Response::builder().status(204).body(full("")).unwrap(),
            _ if request.method() == Method::HEAD => {
                Response::builder().header("content-length", "5").body(full("")).unwrap()
            }
            _ => Response::new(full("hello")),
        }
    })
    .await;
    for component in ["body-upper", "chunk-count"] {
        let gateway = through(component, "", &upstream);
        let mut client = Http1::connect(gateway.address).await;
        let answer = client.send(request("GET", "/empty", &[], "")).await;
        assert_eq!((answer.status(), answer.header("x-upper-response")), (204, None));
        assert_eq!(answer.header("content-length"), None);
        let mut raw = Raw::connect(gateway.address).await;
        raw.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\nGET /empty HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let head = raw.head().await;
        // The length would be that of a body that the plugin has not changed.
        assert_eq!((head.status, head.header("content-length")), (200, None));
        assert_eq!(raw.head().await.status, 204);
    }
    for request in upstream.requests() {
        assert!(!request.headers.contains_key("x-upper-request"));
        assert!(!request.headers.contains_key("transfer-encoding"), "a body out of nothing");
    }
}

#[tokio::test]
async fn chunks_are_changed_on_their_way_and_the_context_goes_from_one_to_the_next() {
    let upstream = Upstream::http1(|request| async {
        assert!(!request.headers().contains_key("content-length"), "the length may change");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(frames([Frame::data(body), chunk(" and an old one")]))
    })
    .await;
    let plugin = r#"config = { replace = { from = "old", to = "brand new" } }"#;
    let gateway = through("chunk-count", plugin, &upstream);
    let request = Request::post("/").header("host", "a");
    let request = request.body(frames([chunk("an old"), chunk(" thing")])).unwrap();
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request).await;
    let there = "an brand new thing[request 12 bytes]";
    let sum = there.len() + " and an old one".len();
    assert_eq!(answer.text(), format!("{there} and an brand new one[response {sum} bytes]"));
    assert_eq!(answer.header("content-length"), None);
    let said = || log::said(answer.id()).into_iter().find(|line| line.starts_with("chunks: "));
    until(|| said().is_some()).await;
    let words: Vec<_> =
        said().unwrap().split(' ').skip(1).map(|n| n.parse::<usize>().unwrap()).collect();
    assert_eq!((words[1], words[3]), (12, sum));
}

#[tokio::test]
async fn chunks_keep_their_trailers() {
    let upstream = Upstream::http2(|request| async move {
        let body = request.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-checksum"], "1");
        Response::new(frames([Frame::data(body.to_bytes()), trailers("grpc-status", "0")]))
    })
    .await;
    let text = r#"
[plugins.count]
component = "./chunk-count.wasm"
[upstreams.orders]
targets = ["http://${env:ORDERS}"]
protocol = "http2"
[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["count"]
upstream = "orders"
"#;
    let gateway = Setup::toml(text, &[("ORDERS", &upstream.address)]).start();
    let request = Request::post("http://a.example/").header("te", "trailers");
    let request = request.body(frames([chunk("ping"), trailers("x-checksum", "1")])).unwrap();
    let answer = Http2::connect(gateway.address).await.send(request).await;
    assert_eq!(answer.text(), "ping[request 4 bytes][response 21 bytes]");
    assert_eq!(answer.trailers.unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn an_event_goes_through_a_chunk_plugin_before_the_next_one_is_sent() {
    let seen = Arc::new(Notify::new());
    let next = Arc::clone(&seen);
    let upstream = Upstream::script(move |stream| {
        let next = Arc::clone(&next);
        async move {
            let mut raw = Raw::from(stream);
            raw.read_until("\r\n\r\n").await;
            raw.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await;
            for event in ["one", "two", "end"] {
                raw.send(format!("b\r\ndata: {event}\n\n\r\n")).await;
                next.notified().await;
            }
            raw.send("0\r\n\r\n").await;
        }
    })
    .await;
    let plugin = r#"config = { replace = { from = "data", to = "news" }, trailer = false }"#;
    let gateway = through("chunk-count", plugin, &upstream);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    for event in ["one", "two", "end"] {
        raw.read_until(&format!("news: {event}\n\n")).await;
        seen.notify_one();
    }
    raw.read_until("0\r\n\r\n").await;
}

#[tokio::test]
async fn a_piece_of_a_request_goes_through_a_chunk_plugin_before_the_next_one_is_sent() {
    let arrived = Arc::new(Semaphore::new(0));
    let pieces = Arc::clone(&arrived);
    let upstream = Upstream::http1(move |request| {
        let pieces = Arc::clone(&pieces);
        async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                pieces.add_permits(frame.data_ref().map_or(0, Bytes::len));
            }
            Response::new(full("thanks"))
        }
    })
    .await;
    let gateway = through("chunk-count", "config = { trailer = false }", &upstream);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for _ in 0..3 {
        raw.send("4\r\nping\r\n").await;
        within(arrived.acquire_many(4)).await.unwrap().forget();
    }
    raw.send("0\r\n\r\n").await;
    assert_eq!(raw.response().await.status, 200);
}

#[tokio::test]
async fn events_that_are_alike_pass_without_a_call_for_each() {
    let other = "data: {\"other\":1}\n\n";
    let events = ["one", "two", "three", "", "four", "five"].map(|text| match text {
        "" => Bytes::from(other),
        text => Bytes::from(format!("data: {{\"t\":\"{text}\"}}\n\n")),
    });
    let whole = events.concat();
    let upstream = Upstream::http1(move |_| {
        let events = events.clone();
        let events = stream::unfold(0, move |index| {
            let event = events.get(index).cloned();
            async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Ok(Frame::data(event?)), index + 1))
            }
        });
        async { Response::new(StreamBody::new(events).boxed_unsync()) }
    })
    .await;
    // Calls for the first, the other, the one behind it and the end; and for the third, where fewer bytes pass.
    let each = "data: {\"t\":\"\"}\n\n".len();
    for (bytes, calls, seen, passed) in
        [(1000, 4, 2 * each + 7 + other.len(), 12), (4, 5, 3 * each + 12 + other.len(), 7)]
    {
        let alike = r#"{ before = "data: {\"t\":\"", after = "\"}\n\n", bytes = BYTES }"#;
        let alike = alike.replace("BYTES", &bytes.to_string());
        let config = format!("config = {{ trailer = false, alike = {alike} }}");
        let gateway = through("chunk-count", &config, &upstream);
        let answer = Http1::get(gateway.address, "/").await;
        assert_eq!(answer.text().as_bytes(), whole);
        for told in [format!("chunks: 0 0 {calls} {seen}"), format!("passed: {passed}")] {
            until(|| log::said(answer.id()).contains(&told)).await;
        }
    }
}

#[tokio::test]
async fn a_slow_reader_slows_the_upstream_down_through_a_chunk_plugin() {
    const TOTAL: usize = 256 << 20;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let upstream = Upstream::script(move |stream| {
        let count = Arc::clone(&count);
        async move {
            let mut raw = Raw::from(stream);
            raw.read_until("\r\n\r\n").await;
            raw.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {TOTAL}\r\n\r\n")).await;
            let chunk = vec![b'x'; 64 << 10];
            while raw.stream.write_all(&chunk).await.is_ok() {
                count.fetch_add(chunk.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    let gateway = through("chunk-count", "config = { trailer = false }", &upstream);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.head().await;
    let mut before = usize::MAX;
    within(async {
        while sent.load(Ordering::SeqCst) != before {
            before = sent.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    assert!(before < TOTAL / 4, "{before}");
}

#[tokio::test]
async fn a_hook_that_answers_or_cuts_a_body_off_keeps_its_context_for_the_end() {
    let upstream = Upstream::http1(|_| async {
        let pieces = stream::unfold(0, |index| async move {
            let text = *["before", "STOP"].get(index)?;
            tokio::time::sleep(Duration::from_millis(100 * index as u64)).await;
            Some((Ok(chunk(text)), index + 1))
        });
        Response::new(StreamBody::new(pieces).boxed_unsync())
    })
    .await;
    let gateway =
        through("chunk-count", r#"config = { trailer = false, stop = "STOP" }"#, &upstream);
    let fields = [("x-stop", "STOP")];
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("GET", "/", &fields, "")).await;
    assert_eq!(answer.status(), 403);
    let said = |id: String, line: &'static str| async move {
        until(|| log::said(&id).iter().any(|said| said == line)).await;
    };
    said(answer.id().to_owned(), "chunks: 1 403 0 0").await;
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody").await;
    let head = raw.head().await;
    let id = head.header("x-request-id").unwrap().to_owned();
    said(id, "chunks: 1 4 2 10").await;
}

#[tokio::test]
async fn the_receiver_can_tell_a_body_that_a_plugin_cut_off() {
    let upstream = Upstream::http1(|_| async {
        // Far enough apart that the two do not meet in one chunk.
        let pieces = stream::unfold(0, |index| async move {
            let text = *["before", "ABORT", "after"].get(index)?;
            if index > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Some((Ok(chunk(text)), index + 1))
        });
        Response::new(StreamBody::new(pieces).boxed_unsync())
    })
    .await;
    let gateway = through("aborts", "", &upstream);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = raw.head().await;
    assert_eq!((head.status, head.header("transfer-encoding")), (200, Some("chunked")));
    assert_eq!(within(raw.rest()).await, "6\r\nbefore\r\n", "no last chunk");
    let id = head.header("x-request-id").unwrap();
    let failed = || log::of_request(id).into_iter().find(|line| line.target == "gateway::access");
    until(|| failed().is_some()).await;
    assert_eq!(failed().unwrap().field("fault"), "plugin");
    let why = log::of_request(id);
    assert!(why.iter().any(|line| line.message.contains("the marker was met")), "{why:?}");

    let mut client = Http2::connect(gateway.address).await;
    within(client.0.ready()).await.unwrap();
    let response = within(client.0.send_request(client::get2("/"))).await.unwrap();
    let error = within(response.into_body().collect()).await.unwrap_err();
    assert!(!error.is_closed(), "the stream is reset, not ended: {error:?}");
    // Only that stream is broken.
    within(client.0.ready()).await.unwrap();
}

#[tokio::test]
async fn the_upstream_can_tell_a_request_body_that_a_plugin_cut_off() {
    let upstream = Upstream::echo().await;
    let gateway = through("aborts", "config = { request = true, response = false }", &upstream);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n6\r\nbefore\r\n")
        .await;
    until(|| upstream.requests().len() == 1).await;
    raw.send("5\r\nABORT\r\n5\r\nafter\r\n0\r\n\r\n").await;
    let answer = raw.response().await;
    assert_eq!(
        (answer.status, answer.problem()["detail"].as_str()),
        (500, Some("A plugin on this route failed."))
    );
}

#[tokio::test]
async fn a_plugin_that_fails_at_a_chunk_breaks_the_body_closed_and_is_left_out_open() {
    // A pattern that nearly matches everywhere: far more than a millisecond of work.
    let body = "a".repeat(300 << 10);
    let (sent, go_on) = (Bytes::from(body.clone()), Arc::new(Notify::new()));
    let gate = Arc::clone(&go_on);
    let upstream = Upstream::http1(move |_| {
        let pieces = [Bytes::from("before "), sent.clone()];
        let begin = (0, pieces, Arc::clone(&gate));
        let pieces = stream::unfold(begin, |(index, pieces, gate)| async move {
            let piece = pieces.get(index)?.clone();
            if index == 1 {
                gate.notified().await;
            }
            Some((Ok(Frame::data(piece)), (index + 1, pieces, gate)))
        });
        async { Response::new(StreamBody::new(pieces).boxed_unsync()) }
    })
    .await;
    let plugin = format!(
        "limits = {{ deadline = \"1ms\" }}\n\
         config = {{ trailer = false, replace = {{ from = \"{}b\", to = \"\" }} }}",
        "a".repeat(4 << 10)
    );
    let gateway = through("chunk-count", &plugin, &upstream);
    let mut client = Http1::connect(gateway.address).await;
    let response = within(client.0.send_request(client::get("/"))).await.unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(response.status(), 200);
    let mut received = response.into_body();
    let first = within(received.frame()).await.unwrap().unwrap();
    assert_eq!(first.data_ref().unwrap(), "before ");
    go_on.notify_one();
    within(received.collect()).await.unwrap_err();
    let named = |line: &log::Line| line.field("hook") == "on-response-chunk";
    until(|| log::of_request(&id).iter().any(named)).await;
    drop(gateway);
    let gateway = through("chunk-count", &format!("on_error = \"open\"\n{plugin}"), &upstream);
    go_on.notify_one();
    assert!(Http1::get(gateway.address, "/").await.text() == format!("before {body}"));
}

#[tokio::test]
async fn a_hundred_open_streams_hold_no_instance_and_do_not_mix_their_contexts() {
    const STREAMS: usize = 100;
    let go_on = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&go_on);
    let upstream = Upstream::http1(move |request| {
        let gate = Arc::clone(&gate);
        async move {
            let size: usize = request.uri().path()[1..].parse().unwrap();
            let pieces = stream::unfold(0, move |index| {
                let gate = Arc::clone(&gate);
                async move {
                    if index == 1 {
                        gate.acquire().await.unwrap().forget();
                    }
                    let piece = Frame::data(Bytes::from("x".repeat(size)));
                    (index < 2).then(|| (Ok(piece), index + 1))
                }
            });
            Response::new(StreamBody::new(pieces).boxed_unsync())
        }
    })
    .await;
    let gateway = through("chunk-count", "limits = { instances = 1 }", &upstream);
    let mut open = Vec::new();
    for size in 1..=STREAMS {
        let mut client = Http1::connect(gateway.address).await;
        let response = within(client.0.send_request(client::get(&format!("/{size}")))).await;
        let mut body = response.unwrap().into_body();
        let first = within(body.frame()).await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len(), size);
        open.push((size, body, client));
    }
    go_on.add_permits(STREAMS);
    for (size, body, _client) in open {
        let rest = within(body.collect()).await.unwrap().to_bytes();
        let rest = String::from_utf8(rest.to_vec()).unwrap();
        assert_eq!(rest, format!("{}[response {} bytes]", "x".repeat(size), 2 * size));
    }
}

#[tokio::test]
async fn what_is_about_the_old_bytes_and_what_plugins_write_does_not_come_another_way() {
    let upstream = Upstream::http2(|request| async {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let names = |fields: &HeaderMap| {
            fields.keys().fold(String::new(), |all, name| all + name.as_str() + " ") + "."
        };
        let response = Response::builder()
            .header("content-digest", "sha-256=:AA==:")
            .header("etag", "\"a\"")
            .header("x-head", names(&head.headers))
            .header("x-trailers", names(&trailers));
        let mut late = HeaderMap::new();
        for name in ["content-digest", "x-upper-response", "x-sum"] {
            late.insert(name, "1".parse().unwrap());
        }
        response.body(frames([chunk("answer"), Frame::trailers(late)])).unwrap()
    })
    .await;
    let text = r#"
[plugins.body]
component = "./body-upper.wasm"

[upstreams.orders]
targets = ["http://${env:ORDERS}"]
protocol = "http2"

[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["body"]
upstream = "orders"
"#;
    let gateway = Setup::toml(text, &[("ORDERS", &upstream.address)]).start();
    let mut late = HeaderMap::new();
    for name in ["content-digest", "x-upper-request", "x-sum"] {
        late.insert(name, "1".parse().unwrap());
    }
    let fields = [
        ("content-digest", "sha-256=:AA==:"),
        ("content-md5", "AA=="),
        ("te", "trailers"),
        ("x-a", "1"),
    ];
    let mut request = request2("POST", "/", &fields, "");
    *request.body_mut() = frames([chunk("ping"), Frame::trailers(late)]);
    let answer = Http2::connect(gateway.address).await.send(request).await;
    assert_eq!(answer.text(), "ANSWER");
    let head = answer.header("x-head").unwrap();
    assert!(head.contains("x-upper-request ") && head.contains("x-a "), "{head}");
    assert!(!head.contains("content-digest") && !head.contains("content-md5"), "{head}");
    assert_eq!(answer.header("x-trailers"), Some("x-sum ."));
    assert_eq!((answer.header("content-digest"), answer.header("etag")), (None, Some("W/\"a\"")));
    let trailers = answer.trailers.unwrap();
    assert_eq!(trailers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x-sum"]);
}

#[tokio::test]
async fn a_plugin_that_reads_a_body_has_it_asked_for() {
    let upstream = Upstream::echo().await;
    let gateway = through("body-upper", "", &upstream);
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .await;
    assert_eq!(raw.head().await.status, 100);
    raw.send("ok").await;
    assert_eq!(raw.response().await.body, "OK");
    assert!(!upstream.request().headers.contains_key("expect"));
}
