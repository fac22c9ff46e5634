//! Upstreams that fail, and clients that leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway_tests::{ClosedPort, Http1, Http2, Raw, Setup, Upstream, client, log, until, within};

/// What the client gets when the upstream says this to a request, and closes.
async fn said(bytes: &'static str) -> gateway_tests::Answer {
    let upstream = Upstream::script(move |stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send(bytes).await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    Http1::get(gateway.address, "/").await
}

#[tokio::test]
async fn answers_502_when_nobody_listens() {
    let free = ClosedPort::new();
    let gateway = Setup::proxy(free.address).start();
    let response = Raw::ask(gateway.address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(response.status, 502);
    let detail = response.problem()["detail"].to_string();
    assert!(!detail.contains(&free.address.port().to_string()), "{detail}");
}

#[tokio::test]
async fn answers_502_to_silence_and_to_nonsense() {
    for bytes in [
        "",
        "HTTP/1.1 200 O",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ] {
        let answer = said(bytes).await;
        assert_eq!(answer.status(), 502, "{bytes:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
}

#[tokio::test]
async fn skips_interim_responses() {
    let answer = said(
        "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    assert_eq!((answer.status(), &answer.body[..]), (200, &b"ok"[..]));
}

#[tokio::test]
async fn answers_504_to_a_late_upstream() {
    let upstream = Upstream::script(|stream| async move {
        Raw::from(stream).rest().await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address)
        .tune(|it| it.timeouts.first_byte = Duration::from_millis(100))
        .start();
    let answer = Http1::get(gateway.address, "/").await;
    assert_eq!(answer.status(), 504);
}

const TWO_TARGETS: &str = r#"
[upstreams.two]
targets = ["http://${env:DEAD}", "http://${env:LIVE}"]

[[routes]]
name = "all"
paths = ["/{*rest}"]
upstream = "two"
timeouts = { request = "300ms" }
"#;

/// The line of the log about a request that ended.
async fn line_of(id: &str) -> gateway_tests::log::Line {
    let line = || log::of_request(id).into_iter().find(|it| it.target == "gateway::access");
    until(|| line().is_some()).await;
    line().unwrap()
}

#[tokio::test]
async fn the_log_names_each_target_that_was_tried_and_the_one_that_was_slow() {
    let dead = ClosedPort::new();
    let live = Upstream::script(|stream| async move {
        Raw::from(stream).rest().await;
    })
    .await;
    let values: [(&str, &dyn std::fmt::Display); 2] = [("DEAD", &dead), ("LIVE", &live.address)];
    let gateway = Setup::toml(TWO_TARGETS, &values).start();
    let mut refused = 0;
    for _turn in 0..2 {
        let answer = Http1::get(gateway.address, "/").await;
        assert_eq!(answer.status(), 504);
        let line = line_of(answer.id()).await;
        let tries: Vec<_> = line.field("attempts").split(", ").collect();
        if tries.len() == 2 {
            refused += 1;
            assert!(tries[0].starts_with(&format!("{dead} refused connect=")), "{line:?}");
        }
        let last = tries.last().unwrap();
        assert!(last.starts_with(&format!("{} unanswered connect=", live.address)), "{line:?}");
        let waited = last.split("first_byte=").nth(1).unwrap().trim_end_matches("ms");
        assert!(waited.parse::<u64>().unwrap() > 150, "{line:?}");
        assert_eq!(line.field("upstream"), live.address.to_string());
        assert!(line.field("cause").ends_with(&format!("(target {})", live.address)), "{line:?}");
    }
    assert_eq!(refused, 1, "targets take turns");
}

#[tokio::test]
async fn never_lets_half_a_body_look_whole() {
    for half in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ] {
        let upstream = Upstream::script(move |stream| async move {
            let mut raw = Raw::from(stream);
            raw.read_until("\r\n\r\n").await;
            raw.send(half).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        })
        .await;
        let gateway = Setup::proxy(upstream.address).start();
        let mut raw = Raw::connect(gateway.address).await;
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let all = raw.rest().await;
        assert!(all.starts_with("HTTP/1.1 200 OK"), "{all}");
        assert!(all.contains("half") && !all.contains("\r\n0\r\n"), "{all}");
    }
}

#[tokio::test]
async fn cuts_an_upstream_that_falls_silent_in_its_body() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
        raw.rest().await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address)
        .tune(|it| it.timeouts.idle = Duration::from_millis(100))
        .start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(raw.rest().await.ends_with("half"));
}

/// An upstream that counts the connections that were closed on it.
async fn counting(reply: &'static str) -> (Upstream, Arc<AtomicUsize>) {
    let closed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&closed);
    let upstream = Upstream::script(move |stream| {
        let count = Arc::clone(&count);
        async move {
            let mut raw = Raw::from(stream);
            raw.read_until("\r\n\r\n").await;
            raw.send(reply).await;
            raw.rest().await;
            count.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    (upstream, closed)
}

#[tokio::test]
async fn gives_up_the_upstream_when_the_client_leaves_before_the_answer() {
    let (upstream, closed) = counting("").await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(|| upstream.connections() == 1).await;
    assert_eq!(closed.load(Ordering::SeqCst), 0);
    raw.reset();
    until(|| closed.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn gives_up_the_upstream_when_the_client_leaves_within_the_answer() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let (upstream, closed) = counting(head).await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.read_until("half").await;
    raw.reset();
    until(|| closed.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn gives_up_the_upstream_when_a_stream_is_reset() {
    let (upstream, closed) = counting("").await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut client = Http2::connect(gateway.address).await;
    let asked = tokio::spawn(client.0.send_request(client::get2("/")));
    until(|| upstream.connections() == 1).await;
    asked.abort();
    until(|| closed.load(Ordering::SeqCst) == 1).await;
    assert!(!client.0.is_closed());
}

#[tokio::test]
async fn gives_up_the_upstream_when_the_client_leaves_within_its_request() {
    let (upstream, closed) = counting("").await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf").await;
    until(|| upstream.connections() == 1).await;
    drop(raw);
    until(|| closed.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn passes_on_an_answer_that_comes_before_the_end_of_the_request() {
    let reply = "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno";
    let (upstream, closed) = counting(reply).await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nbegin").await;
    let response = raw.response().await;
    assert_eq!((response.status, response.body.as_str()), (403, "no"));
    drop(raw);
    until(|| closed.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn tries_a_fresh_connection_when_a_pooled_one_was_closed() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut client = Http1::connect(gateway.address).await;
    for _ in 0..5 {
        assert_eq!(within(client.send(client::get("/"))).await.status(), 200);
    }
    assert_eq!(upstream.connections(), 5);
}
