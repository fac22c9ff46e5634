//! What upstreams are told of clients.

use gateway::config::{self, AddedFields, ForwardedFamily, UpstreamProtocol};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Http2, Setup, Upstream, client};
use http::HeaderMap;

/// The fields that the upstream gets when the client says these.
async fn seen(trusted: &[&str], says: &[(&'static str, &str)]) -> HeaderMap {
    seen_by(trusted, ForwardedFamily::XForwarded, says).await
}

/// As [`seen`], behind proxies that write this family.
async fn seen_by(
    trusted: &[&str],
    family: ForwardedFamily,
    says: &[(&'static str, &str)],
) -> HeaderMap {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address)
        .listen(|it| {
            it.trusted_proxies = trusted.iter().map(|net| net.parse().unwrap()).collect();
            it.forwarded_by = family;
        })
        .start();
    let mut request = client::get("/");
    let mut request2 = client::get2("/");
    for (name, value) in says {
        request.headers_mut().append(*name, value.parse().unwrap());
        request2.headers_mut().append(*name, value.parse().unwrap());
    }
    Http1::connect(gateway.address).await.send(request).await;
    Http2::connect(gateway.address).await.send(request2).await;
    let [mut headers, over_http2] =
        upstream.requests().try_into().map(|all: [_; 2]| all.map(|it| it.headers)).unwrap();
    for (name, value) in &headers {
        if !["via", "x-request-id"].contains(&name.as_str()) || says.iter().any(|it| it.0 == name) {
            assert_eq!(over_http2.get(name), Some(value), "over HTTP/2");
        }
    }
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
    assert_eq!(
        headers["forwarded"],
        "for=1.2.3.4, for=5.6.7.8;host=\"outer.example\";proto=https, for=127.0.0.1"
    );
    assert_eq!(headers["x-forwarded-port"], "443");
}

const TRUSTED: &[&str] = &["127.0.0.0/8"];

#[tokio::test]
async fn writes_both_families_from_the_one_that_its_proxies_write() {
    let says = [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example:8443"),
        // The client's own: the proxies do not write it.
        ("forwarded", "for=6.6.6.6;proto=http;host=evil"),
    ];
    let headers = seen(TRUSTED, &says).await;
    assert_eq!(
        headers["forwarded"],
        "for=192.0.2.7;host=\"shop.example:8443\";proto=https, for=127.0.0.1"
    );
    assert_eq!(headers["x-forwarded-port"], "8443");

    let says = [
        ("forwarded", "for=6.6.6.6;proto=http;host=evil"),
        ("forwarded", "for=\"[2001:db8::7]:99\";host=\"shop.example\";proto=https"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-prefix", "/evil"),
        ("x-real-ip", "6.6.6.6"),
    ];
    let headers = seen_by(TRUSTED, ForwardedFamily::Forwarded, &says).await;
    assert_eq!(headers["x-forwarded-for"], "6.6.6.6, 2001:db8::7, 127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["x-forwarded-host"], "shop.example");
    assert_eq!(headers["x-forwarded-port"], "443");
    assert_eq!(
        headers["forwarded"],
        "for=6.6.6.6, for=\"[2001:db8::7]:99\";host=\"shop.example\";proto=https, for=127.0.0.1"
    );
    assert!(!headers.contains_key("x-real-ip") && !headers.contains_key("x-forwarded-prefix"));
}

#[tokio::test]
async fn believes_the_other_family_in_nothing() {
    let forwarded = [("forwarded", "for=6.6.6.6;proto=https;host=evil")];
    let headers = seen(TRUSTED, &forwarded).await;
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["forwarded"], "for=127.0.0.1;host=\"a.example\";proto=http");
    let x_forwarded = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-proto", "https")];
    let headers = seen_by(TRUSTED, ForwardedFamily::Forwarded, &x_forwarded).await;
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-port"], headers["x-test-port"]);
    assert_eq!(headers["forwarded"], "for=127.0.0.1;host=\"a.example\";proto=http");
}

#[tokio::test]
async fn has_one_port_one_scheme_and_one_address() {
    // Only the address is said: the rest is what the gateway sees.
    let headers = seen(TRUSTED, &[("x-forwarded-for", "192.0.2.7")]).await;
    assert_eq!(headers["x-forwarded-port"], headers["x-test-port"]);
    let expected = "for=192.0.2.7;host=\"a.example\";proto=http, for=127.0.0.1";
    assert_eq!(headers["forwarded"], expected);
    let says = [("x-forwarded-proto", "https"), ("x-forwarded-port", "444")];
    assert_eq!(seen(TRUSTED, &says).await["x-forwarded-port"], "444");
    // What is no scheme, host or port counts as not said; synonyms do not decide for anybody.
    let says = [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-host", "a b"),
        ("x-forwarded-port", "x"),
        ("x-forwarded-ssl", "on"),
        ("x-forwarded-scheme", "https"),
        ("x-real-ip", "6.6.6.6"),
        ("x-forwarded-prefix", "/app"),
    ];
    let headers = seen(TRUSTED, &says).await;
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-host"], "a.example");
    assert_eq!(headers["x-forwarded-port"], headers["x-test-port"]);
    assert_eq!(headers["x-real-ip"], "192.0.2.7");
    assert_eq!(headers["x-forwarded-prefix"], "/app");
    assert!(!headers.contains_key("x-forwarded-ssl"));
    assert!(!headers.contains_key("x-forwarded-scheme"));
    // A list with a member for each hop is read at the client's place, any other from the right.
    let says = [("x-forwarded-for", "192.0.2.7, 127.0.0.9"), ("x-forwarded-proto", "https, http")];
    assert_eq!(seen(TRUSTED, &says).await["x-forwarded-proto"], "https");
    let says = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "http, https")];
    assert_eq!(seen(TRUSTED, &says).await["x-forwarded-proto"], "https");
}

/// The names of the fields that the upstream gets beside `host`, and how often it gets them.
async fn names(over_http2: bool, added: AddedFields) -> Vec<String> {
    let answer = |_| async { http::Response::new(full("")) };
    let (upstream, protocol) = match over_http2 {
        true => (Upstream::http2(answer).await, UpstreamProtocol::Http2),
        false => (Upstream::http1(answer).await, UpstreamProtocol::Http1),
    };
    let tune = |it: &mut config::Upstream| (it.added_fields, it.protocol) = (added, protocol);
    let gateway = Setup::proxy(upstream.address).tune(tune).start();
    let mut request = client::get("/");
    for (name, value) in [
        ("x-forwarded-for", "1.2.3.4"),
        ("forwarded", "for=1.2.3.4"),
        ("x-request-id", "mine"),
        ("via", "1.1 before"),
    ] {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    Http1::connect(gateway.address).await.send(request).await;
    let headers = upstream.request().headers;
    let mut names: Vec<_> = headers.iter().map(|(name, _)| name.to_string()).collect();
    names.retain(|name| name != "host");
    names.sort();
    names
}

#[tokio::test]
async fn adds_what_the_upstream_is_to_have_and_passes_on_none_of_it() {
    let none = AddedFields { x_forwarded: false, forwarded: false, via: false, request_id: false };
    let x_forwarded =
        ["x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"];
    for over_http2 in [false, true] {
        assert_eq!(names(over_http2, none).await, ["via"]);
        let some = AddedFields { forwarded: true, ..none };
        assert_eq!(names(over_http2, some).await, ["forwarded", "via"]);
        let some = AddedFields { x_forwarded: true, ..none };
        assert_eq!(names(over_http2, some).await, [&["via"], &x_forwarded[..]].concat());
        let some = AddedFields { via: true, request_id: true, ..none };
        assert_eq!(names(over_http2, some).await, ["via", "via", "x-request-id"]);
        let all = names(over_http2, AddedFields::default()).await;
        let ends = [&["forwarded", "via", "via"], &x_forwarded[..], &["x-request-id"]].concat();
        assert_eq!(all, ends);
    }
}
