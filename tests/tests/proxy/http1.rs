//! HTTP/1.1, end to end.

use gateway::config::{Action, Redirect};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Raw, Setup, Upstream, client, forward, route, setup};
use http::{Method, Response, StatusCode};

#[tokio::test]
async fn forwards_a_request_and_its_answer() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let request = "POST /a/b?c=d HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5\r\n\r\nhello";
    let response = Raw::ask(gateway.address, request).await;
    assert_eq!((response.status, response.body.as_str()), (200, "hello"));
    let seen = upstream.request();
    assert_eq!((seen.method, seen.uri.to_string()), (Method::POST, "/a/b?c=d".to_owned()));
    assert_eq!(seen.headers["host"], "a.example");
    assert_eq!(seen.headers["via"], "1.1 gateway");
    assert_eq!(response.header("via"), Some("1.1 gateway"));
}

#[tokio::test]
async fn names_each_request_once_for_everybody() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut client = Http1::connect(gateway.address).await;
    let mut forged = client::get("/");
    forged.headers_mut().insert("x-request-id", "mine".parse().unwrap());
    let first = client.send(forged).await;
    let second = client.send(client::get("/")).await;
    let ids: Vec<_> =
        upstream.requests().iter().map(|it| it.headers["x-request-id"].clone()).collect();
    assert_eq!(first.head.headers["x-request-id"], ids[0]);
    assert_eq!(second.head.headers["x-request-id"], ids[1]);
    assert_ne!(ids[0], ids[1]);
    assert_ne!(ids[0], "mine");
}

#[tokio::test]
async fn uses_one_upstream_connection_for_many_requests() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    for _ in 0..3 {
        let mut client = Http1::connect(gateway.address).await;
        for _ in 0..3 {
            assert_eq!(client.send(client::get("/")).await.status(), 200);
        }
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn strips_what_ends_at_this_hop() {
    let upstream = Upstream::http1(|_| async {
        let response = Response::builder()
            .header("connection", "x-secret")
            .header("x-secret", "1")
            .header("keep-alive", "timeout=5")
            .header("proxy-connection", "keep-alive")
            .header("x-kept", "1");
        response.body(full("")).unwrap()
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close, X-Hop\r\nx-hop: 1\r\n\
        keep-alive: 1\r\nproxy-connection: x\r\nte: gzip, trailers\r\nupgrade: foo\r\nx-end: 1\r\n\r\n";
    let response = Raw::ask(gateway.address, request).await;
    let seen = upstream.request().headers;
    // It names what is for the next hop alone.
    assert_eq!(seen["connection"], "te");
    for gone in ["x-hop", "keep-alive", "proxy-connection", "upgrade"] {
        assert!(!seen.contains_key(gone), "{gone}: {seen:?}");
    }
    assert_eq!(
        (&seen["te"], &seen["x-end"]),
        (&"trailers".parse().unwrap(), &"1".parse().unwrap())
    );
    for gone in ["x-secret", "keep-alive", "proxy-connection"] {
        assert_eq!(response.header(gone), None, "{gone}");
    }
    assert_eq!(response.header("x-kept"), Some("1"));
}

#[tokio::test]
async fn cannot_be_talked_into_dropping_the_host() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let request = "POST / HTTP/1.1\r\nhost: a\r\nconnection: host, content-length\r\n\
        content-length: 2\r\n\r\nhi";
    assert_eq!(Raw::ask(gateway.address, request).await.body, "hi");
    assert_eq!(upstream.request().headers["host"], "a");
}

#[tokio::test]
async fn answers_head_without_a_body_and_with_the_length() {
    let upstream = Upstream::http1(|_| async { Response::new(full("0123456789")) }).await;
    let gateway = Setup::proxy(upstream.address).route(route("/fixed")).start();
    let mut raw = Raw::connect(gateway.address).await;
    for (path, length) in [("/", "10"), ("/fixed", "6")] {
        raw.send(format!("HEAD {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        assert_eq!(raw.head().await.header("content-length"), Some(length));
    }
    raw.send("GET /fixed HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(raw.response().await.body, "/fixed");
}

#[tokio::test]
async fn passes_204_and_304_without_a_body() {
    let upstream = Upstream::http1(|request| async move {
        let status = request.uri().path()[1..].parse::<u16>().unwrap();
        Response::builder().status(status).header("etag", "\"x\"").body(full("")).unwrap()
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut client = Http1::connect(gateway.address).await;
    for status in [204, 304, 200] {
        let answer = client.send(client::get(&format!("/{status}"))).await;
        assert_eq!((answer.status(), answer.body.len()), (status, 0));
        assert_eq!(answer.header("etag"), Some("\"x\""));
    }
}

#[tokio::test]
async fn says_100_only_when_the_upstream_takes_the_body() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .await;
    assert_eq!(raw.head().await.status, 100);
    raw.send("ok").await;
    assert_eq!(raw.response().await.body, "ok");
    assert_eq!(upstream.request().headers["expect"], "100-continue");

    raw.send("POST /%zz HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .await;
    assert_eq!(raw.head().await.status, 400);
}

#[tokio::test]
async fn passes_chunked_trailers_both_ways() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = gateway_tests::raw::Raw::from(stream);
        let request = raw.read_until("\r\n0\r\n").await;
        assert!(request.contains("3\r\nabc\r\n"), "{request}");
        let trailers = raw.read_until("\r\n\r\n").await;
        raw.send(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: ",
        )
        .await;
        raw.send(trailers).await;
        raw.rest().await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let request = "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntrailer: x-check\r\n\
        transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-check: 7\r\n\r\n";
    let response = Raw::ask(gateway.address, request).await;
    assert_eq!(response.body, "ok");
    assert!(response.head.contains("trailer-x-sum: x-check: 7"), "{response:?}");
}

#[tokio::test]
async fn tells_not_found_from_not_allowed() {
    let mut only_get = route("/a");
    only_get.matcher.methods = vec![Method::GET, Method::PUT];
    let gateway = Setup::new().route(only_get).start();
    let missing = Raw::ask(gateway.address, "GET /b HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.problem()["title"], "Not Found");
    let refused = Raw::ask(gateway.address, "POST /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(refused.status, 405);
    refused.problem();
    let allow = refused.header("allow").unwrap();
    assert!(allow.contains("GET") && allow.contains("PUT"), "{allow}");
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("HEAD /b HTTP/1.1\r\nhost: a\r\n\r\nGET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(raw.head().await.status, 404);
    assert_eq!(raw.response().await.body, "/a");
}

#[tokio::test]
async fn answers_options_for_the_server_as_a_whole() {
    let gateway = Setup::new().start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(raw.head().await.status, 204);
    raw.send("GET * HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(raw.response().await.status, 400);
}

#[tokio::test]
async fn refuses_to_be_a_forward_proxy() {
    let gateway = Setup::new().route(route("/{*rest}")).start();
    let response =
        Raw::ask(gateway.address, "CONNECT b.example:443 HTTP/1.1\r\nhost: b\r\n\r\n").await;
    assert_eq!(response.status, 501);
    response.problem();
}

#[tokio::test]
async fn takes_the_authority_of_the_target_over_the_host_field() {
    let upstream = Upstream::echo().await;
    let mut ours = forward("/{*rest}", 0);
    ours.matcher.hosts = vec![setup::host("b.example")];
    let gateway = Setup::new().upstream(upstream.address).route(ours).start();
    let request = "GET http://b.example:81/x HTTP/1.1\r\nhost: a.example\r\n\r\n";
    assert_eq!(Raw::ask(gateway.address, request).await.status, 200);
    let seen = upstream.request();
    assert_eq!(
        (seen.uri.to_string().as_str(), &seen.headers["host"]),
        ("/x", &"b.example:81".parse().unwrap())
    );
}

#[tokio::test]
async fn refuses_hosts_that_are_missing_repeated_or_no_hosts() {
    let gateway = Setup::new().route(route("/{*rest}")).start();
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: user@a\r\n\r\n",
        "GET http://user@a/ HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let response = Raw::ask(gateway.address, request).await;
        assert_eq!(response.status, 400, "{request}");
        response.problem();
    }
    let old = Raw::ask(gateway.address, "GET /old HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.status, 200);
}

#[tokio::test]
async fn rewrites_paths_and_hosts() {
    let upstream = Upstream::echo().await;
    let mut prefixes = forward("/api/{*rest}", 0);
    prefixes.rewrite.strip_prefix = Some("/api".to_owned());
    prefixes.rewrite.add_prefix = Some("/v1".to_owned());
    prefixes.rewrite.host = Some("inner.example".to_owned());
    let mut templated = forward("/items/{id}", 0);
    templated.rewrite.path = Some(setup::template("/by-id/{id}/x"));
    let gateway = Setup::new().upstream(upstream.address).route(prefixes).route(templated).start();
    let mut client = Http1::connect(gateway.address).await;
    client.send(client::get("/api/a//b/../c?q=1")).await;
    client.send(client::get("/items/a%20b?q=2")).await;
    let seen = upstream.requests();
    assert_eq!(seen[0].uri, "/v1/a/c?q=1");
    assert_eq!(seen[0].headers["host"], "inner.example");
    assert_eq!(seen[0].headers["x-forwarded-host"], "a.example");
    assert_eq!(seen[1].uri, "/by-id/a%20b/x?q=2");
}

#[tokio::test]
async fn redirects_with_captures_and_their_escapes() {
    let mut moved = route("/old/{*rest}");
    moved.action = Action::Redirect(Redirect {
        status: StatusCode::PERMANENT_REDIRECT,
        location: setup::template("https://{host}/new/{rest}{query}"),
    });
    let gateway = Setup::new().route(moved).start();
    let answer = Http1::get(gateway.address, "/old/a%20b/c?d=%2F").await;
    assert_eq!(answer.status(), 308);
    assert_eq!(answer.header("location"), Some("https://a.example/new/a%20b/c?d=%2F"));
}

#[tokio::test]
async fn serves_requests_in_one_packet_in_order() {
    let gateway = Setup::new().route(route("/a")).route(route("/b")).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\nGET /b HTTP/1.1\r\nhost: a\r\n\r\nGET /c HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(raw.response().await.body, "/a");
    assert_eq!(raw.response().await.body, "/b");
    assert_eq!(raw.response().await.status, 404);
}
