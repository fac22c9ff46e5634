//! What upstreams are told of clients.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use gateway_tests::{Http1, Setup, Upstream, client};
use http::HeaderMap;

/// The fields that the upstream gets when the client says these.
async fn seen(trusted: &[&str], says: &[(&'static str, &str)]) -> HeaderMap {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address)
        .listen(|it| it.trusted_proxies = trusted.iter().map(|net| net.parse().unwrap()).collect())
        .start();
    let mut request = client::get("/");
    for (name, value) in says {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    Http1::connect(gateway.address).await.send(request).await;
    let mut headers = upstream.request().headers;
    headers.insert("x-test-port", gateway.address.port().into());
    headers
}

#[tokio::test]
async fn tells_the_upstream_who_asks() {
    let headers = seen(&[], &[]).await;
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-host"], "a.example");
    assert_eq!(headers["x-forwarded-port"], headers["x-test-port"]);
    assert_eq!(headers["forwarded"], "for=127.0.0.1;host=\"a.example\";proto=http");
}

#[tokio::test]
async fn believes_nothing_that_a_stranger_says() {
    let says = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-for", "5.6.7.8"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/x"),
        ("x-real-ip", "1.2.3.4"),
        ("forwarded", "for=1.2.3.4"),
    ];
    let headers = seen(&["10.0.0.0/8"], &says).await;
    let all: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    assert_eq!(all, ["127.0.0.1"]);
    assert_eq!(headers["x-forwarded-host"], "a.example");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["forwarded"], "for=127.0.0.1;host=\"a.example\";proto=http");
    assert!(!headers.contains_key("x-real-ip") && !headers.contains_key("x-forwarded-prefix"));
}

#[tokio::test]
async fn adds_itself_behind_a_trusted_proxy() {
    let says = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-for", "5.6.7.8"),
        ("x-forwarded-host", "outer.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=1.2.3.4"),
        ("x-request-id", "outer-1"),
    ];
    let headers = seen(&["127.0.0.0/8"], &says).await;
    assert_eq!(headers["x-forwarded-for"], "1.2.3.4, 5.6.7.8, 127.0.0.1");
    assert_eq!(headers["x-forwarded-host"], "outer.example");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["x-request-id"], "outer-1");
    assert_eq!(headers["forwarded"], "for=1.2.3.4, for=127.0.0.1;host=\"a.example\";proto=http");
}
