//! Requests that two servers could read differently. None of them reaches an upstream.

use gateway_tests::{Raw, Setup, Upstream, forward, route};

const SYNTAX: &str = "The request head does not follow RFC 9112.";
const TWO_LENGTHS: &str = "Both content-length and transfer-encoding are given.";
const CODING: &str = "Unknown transfer coding.";

/// The answer to a malformed request: a problem document, and the end of the connection.
async fn refused(request: impl AsRef<[u8]>, status: u16, detail: &str) {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send(&request).await;
    let shown = String::from_utf8_lossy(request.as_ref()).into_owned();
    let response = raw.response().await;
    assert_eq!(response.status, status, "{shown}");
    assert_eq!(response.problem()["detail"], detail, "{shown}");
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
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\n{first}\r\n{second}\r\n\r\n{BODY}");
        refused(request, 400, TWO_LENGTHS).await;
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
    let response = raw.response().await;
    assert_eq!(response.status, 400);
    assert_eq!(response.problem()["detail"], TWO_LENGTHS);
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
        SYNTAX,
    )
    .await;
    refused("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\n12345", 400, SYNTAX).await;
}

#[tokio::test]
async fn refuses_a_transfer_coding_over_http_1_0() {
    let head = "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    refused(head.to_owned() + BODY, 400, SYNTAX).await;
}

#[tokio::test]
async fn refuses_transfer_codings_other_than_chunked() {
    for (coding, status) in
        [("gzip", 400), ("chunked, gzip", 400), ("xchunked", 400), ("gzip, chunked", 501)]
    {
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: {coding}\r\n\r\n");
        let detail = if status == 400 { SYNTAX } else { CODING };
        refused(head + BODY, status, detail).await;
    }
    let twice = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n";
    refused(twice.to_owned() + BODY, 501, CODING).await;
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
        "GET / HTTP/0.9\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1.1\r\nhost: a\r\n\r\n",
        "GET / http/2.0\r\nhost: a\r\n\r\n",
        "GET / HTTP/31\r\nhost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\rhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        refused(head, 400, SYNTAX).await;
    }
}

/// RFC 9110 section 15.6.6.
#[tokio::test]
async fn says_505_to_versions_that_it_does_not_serve() {
    let detail = "HTTP/1.0, HTTP/1.1 and HTTP/2 are served, and no other version.";
    for version in ["3.1", "2.5", "9.9", "2.0", "1.2", "3"] {
        refused(format!("GET / HTTP/{version}\r\nhost: a\r\n\r\n"), 505, detail).await;
        let early = format!("\r\nPOST /a HTTP/{version}\nhost: a\ncontent-length: 3\n\nabc");
        refused(early, 505, detail).await;
    }
}

/// RFC 9112 section 2.2 lets it. What is passed on is written again, with both characters.
#[tokio::test]
async fn takes_a_line_feed_alone_for_the_end_of_each_line_of_a_head() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    for head in [
        "GET /a HTTP/1.1\nhost: a\n\n",
        "GET /a HTTP/1.1\r\nhost: a\n\r\n",
        "\nGET /a HTTP/1.1\nhost: a\r\n\n",
    ] {
        let mut raw = Raw::connect(gateway.address).await;
        raw.send(format!("{head}GET /b HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        assert_eq!(
            [raw.response().await.status, raw.response().await.status],
            [200, 200],
            "{head:?}"
        );
    }
    assert_eq!(upstream.requests().len(), 6);
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
        let refused = Raw::ask(gateway.address, request).await;
        assert_eq!(refused.status, 400, "{path}");
        let detail = refused.problem()["detail"].to_string();
        assert!(detail.to_lowercase().contains("path"), "{path}: {detail}");
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

/// What is refused with this detail.
async fn refused_because(request: &str, detail: &str) {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send(request).await;
    let response = raw.response().await;
    assert_eq!(response.status, 400, "{request:?}");
    assert_eq!(response.problem()["detail"], detail, "{request:?}");
    assert_eq!(response.header("connection"), Some("close"), "{request:?}");
    assert_eq!(raw.rest().await, "", "{request:?}");
}

#[tokio::test]
async fn refuses_chunks_that_two_servers_could_read_differently() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    for body in [
        "xyz\r\n",
        "\r\n",
        "-1\r\n",
        "+3\r\nabc\r\n",
        "0x3\r\nabc\r\n",
        " 3\r\nabc\r\n",
        "3 \r\nabc\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3;a\nabc\r\n0\r\n\r\n",
        "3;a\0\r\nabc\r\n0\r\n\r\n",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "00000000000000003\r\nabc\r\n",
        "fffffffffffffffff\r\nabc\r\n",
        "3\r\nabc\r\n0\r\nx: y\n\r\n",
        "3\r\nabc\r\n0\r\nx: \0\r\n\r\n",
        "3\r\nabc\r\n0\r\nx : y\r\n\r\n",
        "3\r\nabc\r\n0\r\n\n",
    ] {
        let detail = "The chunks of the request body do not follow RFC 9112.";
        refused_because(&format!("{head}{body}"), detail).await;
    }
    let long = format!("{head}3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(20_000));
    refused_because(&long, "The chunks of the request body do not follow RFC 9112.").await;
}

#[tokio::test]
async fn takes_chunks_with_extensions_and_trailers() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    for body in [
        "3\r\nabc\r\n0\r\n\r\n",
        "1;x\r\na\r\n0002 ; y=\"z;\"\r\nbc\r\n000;last\r\nx-check: 1\r\n\r\n",
    ] {
        raw.send(format!("{head}{body}")).await;
        assert_eq!(raw.response().await.body, "abc", "{body:?}");
    }
}
