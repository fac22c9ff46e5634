//! What a request is for, over both versions: its path, its host, and how far it may go.

use gateway::config::{Action, PathParameters, PathRules, Redirect};
use gateway_tests::frames::{Frames, Outcome};
use gateway_tests::{Http1, Http2, Raw, Running, Setup, Upstream, client, forward, route, setup};

/// The path that the upstream gets over each version; the status where it gets none.
async fn forwarded(gateway: &Running, upstream: &Upstream, path: &str) -> Result<String, u16> {
    let before = upstream.requests().len();
    let raw = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n");
    let one = Raw::ask(gateway.address, raw).await.status;
    let two = match Frames::connect(gateway.address).await.get(path.as_bytes()).await {
        Outcome::Answer(status, body) => {
            assert!(status == 200 || body.contains("\"detail\""), "{path}: {body}");
            status
        }
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(one, two, "{path}");
    let seen: Vec<_> = upstream.requests().split_off(before);
    let paths: Vec<_> =
        seen.iter().map(|it| it.uri.path_and_query().unwrap().to_string()).collect();
    match paths.as_slice() {
        [] => Err(one),
        [first, second] if first == second => Ok(first.clone()),
        other => panic!("{path}: {other:?}"),
    }
}

fn with_rules(upstream: &Upstream, rules: PathRules) -> Running {
    Setup::proxy(upstream.address).listen(|it| it.paths = rules).start()
}

#[tokio::test]
async fn refuses_path_parameters_keeps_them_or_strips_them() {
    let upstream = Upstream::echo().await;
    let rules = |parameters| PathRules { parameters, keep_encoded_slashes: false };
    let gateway = with_rules(&upstream, rules(PathParameters::Refuse));
    for path in ["/admin;x=1/secret", "/a;", "/a%3Bx", "/a%3bx", "/a/..;/b"] {
        assert_eq!(forwarded(&gateway, &upstream, path).await, Err(400), "{path}");
    }
    let path = "/a?b=c;d";
    assert_eq!(forwarded(&gateway, &upstream, path).await.as_deref(), Ok(path));
    let gateway = with_rules(&upstream, rules(PathParameters::Keep));
    for path in ["/admin;x=1/secret", "/a%3Bx"] {
        assert_eq!(forwarded(&gateway, &upstream, path).await.as_deref(), Ok(path));
    }
    assert_eq!(forwarded(&gateway, &upstream, "/a/..;/b").await, Err(400));
    let gateway = with_rules(&upstream, rules(PathParameters::Strip));
    let stripped = forwarded(&gateway, &upstream, "/admin;x=1/secret;y?q;r").await;
    assert_eq!(stripped.as_deref(), Ok("/admin/secret?q;r"));
    assert_eq!(forwarded(&gateway, &upstream, "/a%3Bx").await, Err(400));
}

#[tokio::test]
async fn finds_the_route_of_a_path_without_its_parameters() {
    let gateway = Setup::new()
        .listen(|it| it.paths.parameters = PathParameters::Strip)
        .route(route("/admin/{*rest}"))
        .route(route("/{*rest}"))
        .start();
    let answer = Http1::get(gateway.address, "/admin;x=1/secret").await;
    assert_eq!(answer.body, "/admin/{*rest}");
}

#[tokio::test]
async fn keeps_encoded_slashes_only_where_it_shall() {
    let upstream = Upstream::echo().await;
    let gateway = with_rules(&upstream, PathRules::default());
    assert_eq!(forwarded(&gateway, &upstream, "/a%2Fb").await, Err(400));
    let rules = PathRules { keep_encoded_slashes: true, ..PathRules::default() };
    let gateway = with_rules(&upstream, rules);
    let kept = forwarded(&gateway, &upstream, "/projects/group%2fname").await;
    assert_eq!(kept.as_deref(), Ok("/projects/group%2Fname"));
    for path in ["/a/..%2Fb", "/a%2F..", "/a%2F%2e%2e%2Fb", "/a%5Cb"] {
        assert_eq!(forwarded(&gateway, &upstream, path).await, Err(400), "{path}");
    }
}

#[tokio::test]
async fn serves_no_http2_request_without_a_host() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut frames = Frames::connect(gateway.address).await;
    let get: [(&str, &[u8]); 3] = [(":method", b"GET"), (":scheme", b"http"), (":path", b"/")];
    let with = |field: (&'static str, &'static [u8])| [&get[..], &[field]].concat();
    for fields in [get.to_vec(), with(("host", b"")), with(("host", b":80"))] {
        let outcome = frames.ask(&fields).await;
        assert!(matches!(outcome, Outcome::Answer(400, _)), "{outcome:?}");
    }
    assert!(upstream.requests().is_empty());
    // RFC 9113 section 8.3.1: the field may mean the pseudo-field.
    let outcome = frames.ask(&with(("host", b"a.example"))).await;
    assert!(matches!(outcome, Outcome::Answer(200, _)), "{outcome:?}");
    assert_eq!(upstream.request().headers["host"], "a.example");
}

#[tokio::test]
async fn refuses_white_space_at_the_ends_of_http2_values_on_their_stream_alone() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut http2 = Http2::connect(gateway.address).await;
    for value in ["a ", " a", "a\t", "\ta", " "] {
        let mut request = client::get2("/");
        request.headers_mut().insert("x-field", value.parse().unwrap());
        let answer = http2.send(request).await;
        assert_eq!(answer.status(), 400, "{value:?}");
        assert_eq!(answer.problem()["status"], 400);
    }
    assert!(upstream.requests().is_empty());
    assert_eq!(http2.send(client::get2("/")).await.status(), 200, "the connection lives");
    // HTTP/1.1 leaves them out of the value (RFC 9112 section 5).
    let raw = "GET / HTTP/1.1\r\nhost: a\r\nx-field: \ta \t\r\n\r\n";
    assert_eq!(Raw::ask(gateway.address, raw).await.status, 200);
    assert_eq!(upstream.requests().pop().unwrap().headers["x-field"], "a");
}

#[tokio::test]
async fn passes_no_such_value_on_from_an_http2_upstream() {
    let upstream = Upstream::http2(|_| async {
        let response = http::Response::builder().header("x-field", "a ");
        response.body(gateway_tests::upstream::full("")).unwrap()
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    assert_eq!(Http1::get(gateway.address, "/").await.status(), 502);
}

#[tokio::test]
async fn counts_down_max_forwards_and_answers_for_the_last() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let (mut http1, mut http2) =
        (Http1::connect(gateway.address).await, Http2::connect(gateway.address).await);
    for (method, last) in [("OPTIONS", 204), ("TRACE", 405)] {
        let before = upstream.requests().len();
        let fields = [("max-forwards", "0")];
        let one = http1.send(client::request(method, "/", &fields, "")).await;
        let two = http2.send(client::request2(method, "/", &fields, "")).await;
        for answer in [one, two] {
            assert_eq!(answer.status(), last, "{method}");
            assert!(answer.header("allow").unwrap().contains("OPTIONS"));
        }
        assert_eq!(upstream.requests().len(), before, "{method}");
        let fields = [("max-forwards", "5")];
        http1.send(client::request(method, "/", &fields, "")).await;
        http2.send(client::request2(method, "/", &fields, "")).await;
        let seen: Vec<_> = upstream.requests()[before..]
            .iter()
            .map(|it| it.headers["max-forwards"].clone())
            .collect();
        assert_eq!(seen, ["4", "4"], "{method}");
    }
    for value in ["-1", "x", ""] {
        let request = client::request("OPTIONS", "/", &[("max-forwards", value)], "");
        assert_eq!(http1.send(request).await.status(), 400, "{value:?}");
    }
    // It means nothing elsewhere.
    http1.send(client::request("GET", "/", &[("max-forwards", "0")], "")).await;
    assert_eq!(upstream.requests().pop().unwrap().headers["max-forwards"], "0");
}

#[tokio::test]
async fn redirects_to_the_host_or_to_the_authority() {
    let to = |path: &str, location: &str| {
        let location = setup::template(location);
        let redirect = Redirect { status: http::StatusCode::FOUND, location };
        gateway::config::Route { action: Action::Redirect(redirect), ..route(path) }
    };
    let gateway = Setup::new()
        .route(to("/host", "https://{host}/"))
        .route(to("/authority", "http://{authority}/"))
        .start();
    for (authority, host) in
        [("a.example:8080", "a.example"), ("[::1]:8080", "[::1]"), ("[::1]", "[::1]"), ("b", "b")]
    {
        for (path, location) in
            [("/host", format!("https://{host}/")), ("/authority", format!("http://{authority}/"))]
        {
            let raw = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\n\r\n");
            let answer = Raw::ask(gateway.address, raw).await;
            assert_eq!(answer.header("location"), Some(&*location));
        }
    }
}

#[tokio::test]
async fn refuses_targets_that_are_none_of_its() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).route(forward("/x", 0)).start();
    for target in [
        "http://user@a.example/",
        "http://user:word@a.example/",
        "ftp://a.example/",
        "http://:80/",
        "a.example:80",
        "/a\\b",
        "/a%00",
        "/%C0%AF",
        "/%E0%80%AF",
        "*",
    ] {
        let raw = format!("GET {target} HTTP/1.1\r\nhost: a.example\r\n\r\n");
        let answer = Raw::ask(gateway.address, raw).await;
        assert_eq!(answer.status, 400, "{target}");
        assert_eq!(answer.problem()["status"], 400);
    }
    let raw = "OPTIONS * HTTP/1.1\r\n\r\n";
    assert_eq!(Raw::ask(gateway.address, raw).await.status, 400, "it has no host");
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn listens_for_ipv4_too_where_it_listens_on_every_address() {
    let gateway =
        Setup::new().listen(|it| it.address = "[::]:0".parse().unwrap()).route(route("/")).start();
    let port = gateway.address.port();
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        assert_eq!(Http1::get(address.parse().unwrap(), "/").await.status(), 200, "{address}");
    }
}

#[tokio::test]
async fn refuses_a_fragment_instead_of_cutting_it_off() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    for target in ["/a#b", "/#", "/a?b#c", "/a?#", "http://a.example/a#b", "http://a.example#b"] {
        let raw = format!("GET {target} HTTP/1.1\r\nhost: a.example\r\n\r\n");
        let answer = Raw::ask(gateway.address, raw).await;
        assert_eq!(answer.status, 400, "{target}");
        assert_eq!(answer.problem()["status"], 400);
    }
    assert!(upstream.requests().is_empty());
    let raw = "GET /a HTTP/1.1\r\nhost: a.example\r\nx-field: #\r\n\r\n";
    assert_eq!(Raw::ask(gateway.address, raw).await.status, 200);
}

#[tokio::test]
async fn forwards_queries_as_they_are_but_for_what_no_uri_holds() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    for (sent, forwarded_as) in [
        ("/?q={a|b}^[0]`\\'", "/?q={a|b}^[0]`\\'"),
        ("/?a=%22b%22&c=%zz", "/?a=%22b%22&c=%zz"),
        ("/?q=\u{e9}", "/?q=%C3%A9"),
        ("/a|b\"{c}?d", "/a%7Cb%22%7Bc%7D?d"),
    ] {
        let seen = forwarded(&gateway, &upstream, sent).await;
        assert_eq!(seen.as_deref(), Ok(forwarded_as), "{sent}");
    }
}

/// Over HTTP/2 the library resets such a stream before the gateway sees it.
#[tokio::test]
async fn escapes_what_the_parser_does_not_take() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let forwarded = |number: usize| upstream.requests()[number].uri.to_string();
    let mut number = 0;
    let mut raw = Raw::connect(gateway.address).await;
    for (sent, as_escaped) in [
        ("/a<b>`c\"", "/a%3Cb%3E%60c%22"),
        ("/?q=\"a\"&r=<b>", "/?q=%22a%22&r=%3Cb%3E"),
        ("/<?`{|}^\\<", "/%3C?`{|}^\\%3C"),
        ("/{|}^[]<", "/%7B%7C%7D%5E%5B%5D%3C"),
        ("/a//<../b", "/a/%3C../b"),
        ("http://a.example/<?\"", "/%3C?%22"),
    ] {
        let request = format!("GET {sent} HTTP/1.1\r\nhost: a.example\r\nx: <\"\r\n\r\n");
        // Alone, in pieces of any size, and behind another one.
        raw.send(&request).await;
        assert_eq!(raw.response().await.status, 200, "{sent}");
        for size in [1, 2, 3, 7] {
            for piece in request.as_bytes().chunks(size) {
                raw.send(piece).await;
                tokio::task::yield_now().await;
            }
            assert_eq!(raw.response().await.status, 200, "{sent} {size}");
        }
        raw.send(format!("\r\n{request}POST {sent} HTTP/1.1\nhost: a\ncontent-length: 2\n\n<<"))
            .await;
        assert_eq!(raw.response().await.status, 200, "{sent}");
        assert_eq!(raw.response().await.body, "<<", "{sent}");
        for number in number..number + 7 {
            assert_eq!(forwarded(number), as_escaped, "{sent}");
            let field = upstream.requests()[number].headers.get("x").cloned();
            assert!(field.is_none_or(|field| field == "<\""));
        }
        number += 7;
    }
}

#[tokio::test]
async fn escapes_bytes_outside_ascii() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    for (sent, forwarded_as) in [("/caf\u{e9}", "/caf%C3%A9"), ("/\u{e9}?\u{e9}", "/%C3%A9?%C3%A9")]
    {
        let seen = forwarded(&gateway, &upstream, sent).await;
        assert_eq!(seen.as_deref(), Ok(forwarded_as), "{sent}");
    }
    // No UTF-8, which HTTP/2 does not take; overlong.
    let one = [&b"GET /\xff?\xe9 HTTP/1.1\r\nhost: a\r\n\r\n"[..], b""].concat();
    assert_eq!(Raw::ask(gateway.address, one).await.status, 200);
    assert_eq!(upstream.requests().last().unwrap().uri.to_string(), "/%FF?%E9");
    let overlong = &b"GET /\xc0\xaf HTTP/1.1\r\nhost: a\r\n\r\n"[..];
    assert_eq!(Raw::ask(gateway.address, overlong).await.status, 400);
}
