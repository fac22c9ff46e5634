//! Bodies that take their time, and protocols that follow HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use gateway_tests::{Raw, Setup, Upstream, within};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn passes_an_event_on_before_the_next_one_is_sent() {
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
    let gateway = Setup::proxy(upstream.address)
        .listen(|it| it.timeouts.idle = Duration::from_millis(100))
        .start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    for event in ["one", "two", "end"] {
        raw.read_until(&format!("data: {event}\n\n")).await;
        // The client's idle timeout does not run while it is the upstream that is silent.
        tokio::time::sleep(Duration::from_millis(300)).await;
        seen.notify_one();
    }
    raw.read_until("0\r\n\r\n").await;
}

#[tokio::test]
async fn lets_a_slow_reader_slow_the_upstream_down() {
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
    let gateway = Setup::proxy(upstream.address).start();
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
    // Kernel buffers on four sides, and a little in the gateway; not the whole.
    assert!(before < TOTAL / 4, "{before}");
}

#[tokio::test]
async fn carries_a_websocket() {
    let upstream = Upstream::script(|stream| async move {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() {
                socket.send(message).await.unwrap();
            }
        }
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let asked = tokio_tungstenite::client_async("ws://a.example/chat", stream);
    let (mut socket, response) = within(asked).await.unwrap();
    assert_eq!(response.status(), 101);
    assert!(response.headers().contains_key("x-request-id"));
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(within(socket.next()).await.unwrap().unwrap(), Message::text(text));
    }
    let large = "x".repeat(1 << 20);
    socket.send(Message::text(large.clone())).await.unwrap();
    assert_eq!(within(socket.next()).await.unwrap().unwrap(), Message::text(large));
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = within(socket.next()).await {}
}

#[tokio::test]
async fn is_no_tunnel_before_the_upstream_agrees() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    let smuggled = "GET /second HTTP/1.1\r\nhost: a\r\n\r\n";
    let upgrade =
        "GET /first HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    raw.send(format!("{upgrade}{smuggled}")).await;
    assert_eq!(raw.response().await.status, 200);
    assert_eq!(raw.response().await.status, 200);
    let seen = upstream.requests();
    assert_eq!(seen[0].headers["upgrade"], "websocket");
    assert_eq!((seen[1].uri.path(), seen[1].headers.contains_key("via")), ("/second", true));
}

#[tokio::test]
async fn never_passes_an_upgrade_to_http2_on() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\n\
        upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n";
    assert_eq!(Raw::ask(gateway.address, request).await.status, 200);
    let seen = upstream.request().headers;
    assert!(!seen.contains_key("upgrade") && !seen.contains_key("http2-settings"));
}

#[tokio::test]
async fn hands_over_what_was_said_early_once_the_upstream_agreed() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello ").await;
        let early = raw.read_until(".").await;
        raw.send(early).await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\nearly.")
        .await;
    assert_eq!(raw.head().await.status, 101);
    raw.read_until("hello early.").await;
}

#[tokio::test]
async fn closes_a_tunnel_in_which_nothing_moves() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
            .await;
        raw.rest().await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address)
        .listen(|it| it.timeouts.idle = Duration::from_millis(100))
        .start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").await;
    assert_eq!(raw.head().await.status, 101);
    assert_eq!(raw.rest().await, "");
}
