//! Requests that two servers could read differently. None of them reaches an upstream.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use gateway_tests::{Raw, Setup, Upstream, forward, route};

/// The answer to a malformed request: a problem document, and the end of the connection.
async fn refused(request: impl AsRef<[u8]>, status: u16) {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send(&request).await;
    let shown = String::from_utf8_lossy(request.as_ref()).into_owned();
    let response = raw.response().await;
    assert_eq!(response.status, status, "{shown}");
    response.problem();
    assert_eq!(response.header("connection"), Some("close"), "{shown}");
    assert_eq!(raw.rest().await, "", "{shown}");
    assert!(upstream.requests().is_empty(), "{shown}");
}

const BODY: &str = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn refuses_a_length_beside_a_transfer_coding_in_both_orders() {
    for (first, second) in [
        ("content-length: 5", "transfer-encoding: chunked"),
        ("transfer-encoding: chunked", "content-length: 5"),
        ("Transfer-Encoding: chunked", "CONTENT-LENGTH: 5"),
    ] {
        refused(format!("POST / HTTP/1.1\r\nhost: a\r\n{first}\r\n{second}\r\n\r\n{BODY}"), 400)
            .await;
    }
}

#[tokio::test]
async fn refuses_it_when_the_head_comes_in_pieces() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    for piece in [
        "POST / HT",
        "TP/1.1\r\nhost: a\r\ntransfer-encoding: chu",
        "nked\r\nconte",
        "nt-length: 5\r\n\r\n",
    ] {
        raw.send(piece).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(raw.response().await.status, 400);
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn takes_a_chunked_body_that_only_looks_like_a_head() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    for _ in 0..2 {
        let request = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
            13\r\ncontent-length: 5\r\n\r\n0\r\n\r\n";
        raw.send(request).await;
        assert_eq!(raw.response().await.body, "content-length: 5\r\n");
    }
}

#[tokio::test]
async fn refuses_differing_lengths() {
    refused(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n123456",
        400,
    )
    .await;
    refused("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\n12345", 400).await;
}

#[tokio::test]
async fn refuses_a_transfer_coding_over_http_1_0() {
    refused(format!("POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{BODY}"), 400)
        .await;
}

#[tokio::test]
async fn refuses_transfer_codings_other_than_chunked() {
    for (coding, status) in
        [("gzip", 400), ("chunked, gzip", 400), ("xchunked", 400), ("gzip, chunked", 501)]
    {
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: {coding}\r\n\r\n");
        refused(head + BODY, status).await;
    }
    let twice = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n";
    refused(twice.to_owned() + BODY, 501).await;
}

#[tokio::test]
async fn refuses_heads_that_break_the_grammar() {
    for head in [
        "GET / HTTP/1.1\r\nhost: a\r\n folded: x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx : a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx y: a\r\n\r\n",
        "G\0ET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n: a\r\n\r\n",
        "GET / HTTP/3.1\r\nhost: a\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        refused(head, 400).await;
    }
}

#[tokio::test]
async fn refuses_names_with_underscores() {
    let gateway = Setup::new().route(route("/")).start();
    let request = "GET / HTTP/1.1\r\nhost: a\r\ncontent_length: 5\r\n\r\n";
    let response = Raw::ask(gateway.address, request).await;
    assert_eq!(response.status, 400);
    assert_eq!(response.problem()["detail"], "A field name holds an underscore.");
}

#[tokio::test]
async fn refuses_paths_with_a_hidden_separator() {
    for path in ["/a%2fb", "/a%5Cb", "/a%00", "/..", "/a/../../b", "/%zz", "/%c0%af"] {
        let gateway = Setup::new().route(route("/{*rest}")).start();
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(Raw::ask(gateway.address, request).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn forwards_the_path_that_it_matched() {
    let upstream = Upstream::echo().await;
    let gateway =
        Setup::new().upstream(upstream.address).route(forward("/public/{*rest}", 0)).start();
    let mut raw = Raw::connect(gateway.address).await;
    for (path, status) in [
        ("/public/../admin", 404),
        ("/public//%2e%2e/admin", 404),
        ("//public/./a//%62", 200),
        ("/x/../public/c?/../q", 200),
    ] {
        raw.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        assert_eq!(raw.response().await.status, status, "{path}");
    }
    let seen: Vec<_> = upstream.requests().iter().map(|it| it.uri.to_string()).collect();
    assert_eq!(seen, ["/public/a/b", "/public/c?/../q"]);
}

#[tokio::test]
async fn refuses_a_chunk_that_is_none() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let request = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n";
    let response = Raw::ask(gateway.address, request).await;
    assert_eq!(response.status, 400);
    response.problem();
}
