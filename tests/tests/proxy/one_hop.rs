//! What ends at one hop and what goes on to the next: interim responses, expectations, versions, reason
//! phrases, trailers, and how much of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway::config::UpstreamProtocol;
use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Http1, Http2, Raw, Running, Setup, Upstream, client};
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::Notify;
use tokio::time::sleep;

/// An upstream that answers each request with the same bytes, and keeps its connection.
async fn says(answer: impl Into<String>) -> Upstream {
    let answer = answer.into();
    Upstream::script(move |stream| {
        let answer = answer.clone();
        async move {
            let mut raw = Raw::from(stream);
            loop {
                raw.read_until("\r\n\r\n").await;
                raw.send(&answer).await;
            }
        }
    })
    .await
}

/// What has to live as long as a test asks it.
struct Kept {
    gateway: Running,
    _upstream: Upstream,
}

async fn asked(answer: impl Into<String>, request: &str) -> (Kept, Raw) {
    let upstream = says(answer).await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send(request).await;
    (Kept { gateway, _upstream: upstream }, raw)
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn interim_responses_come_in_order_before_the_final_one() {
    let answer = "HTTP/1.1 102 Processing\r\n\r\n\
        HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.js>\r\n\
        connection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=1\r\ncontent-length: 5\r\n\r\n\
        HTTP/1.1 103 Early Hints\r\nlink: </c.js>\r\n\r\n\
        HTTP/1.1 199 Odd\r\nx-a: 1\r\n\r\n\
        HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let (_kept, mut raw) = asked(answer, GET).await;
    for _ in 0..2 {
        let heads = [raw.head().await, raw.head().await, raw.head().await, raw.head().await];
        assert_eq!(heads.each_ref().map(|head| head.status), [102, 103, 103, 199]);
        assert_eq!(
            heads[1].head,
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.js>"
        );
        assert_eq!(heads[2].head, "HTTP/1.1 103 Early Hints\r\nlink: </c.js>");
        assert_eq!(heads[3].header("x-a"), Some("1"));
        assert_eq!(raw.response().await.body, "ok");
        raw.send(GET).await;
    }
}

#[tokio::test]
async fn an_interim_response_does_not_wait_for_the_final_one() {
    let arrived = Arc::new(Notify::new());
    let has_arrived = Arc::clone(&arrived);
    let upstream = Upstream::script(move |stream| {
        let has_arrived = Arc::clone(&has_arrived);
        async move {
            let mut raw = Raw::from(stream);
            raw.read_until("\r\n\r\n").await;
            raw.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await;
            has_arrived.notified().await;
            raw.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            raw.rest().await;
        }
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send(GET).await;
    assert_eq!(raw.head().await.status, 103);
    arrived.notify_one();
    assert_eq!(raw.response().await.status, 200);
}

#[tokio::test]
async fn interim_responses_are_not_for_http_1_0_and_not_without_end() {
    let one = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let (_kept, mut raw) = asked(format!("{one}{last}"), "GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    assert_eq!(raw.head().await.status, 200);
    let (_kept, mut raw) = asked(one.repeat(65) + last, GET).await;
    for _ in 0..64 {
        assert_eq!(raw.head().await.status, 103);
    }
    assert_eq!(raw.response().await.status, 502);
}

#[tokio::test]
async fn an_expectation_is_the_upstreams_to_meet() {
    // Its body is never asked for.
    for refusal in ["401 Unauthorized", "417 Expectation Failed", "413 Content Too Large"] {
        let request =
            "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
        let answer = format!("HTTP/1.1 {refusal}\r\ncontent-length: 2\r\n\r\nno");
        let (_kept, mut raw) = asked(answer, request).await;
        let response = raw.response().await;
        assert_eq!(response.status.to_string(), refusal[..3], "{response:?}");
        assert_eq!(response.header("connection"), Some("close"));
        assert_eq!(raw.rest().await, "");
    }
}

#[tokio::test]
async fn a_body_that_is_expected_is_sent_when_the_upstream_asks_for_it() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        let head = raw.read_until("\r\n\r\n").await;
        assert!(head.contains("expect: 100-continue\r\n"), "{head}");
        sleep(Duration::from_millis(300)).await;
        raw.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        raw.read_until("ok").await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes").await;
        raw.rest().await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    let began = Instant::now();
    raw.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .await;
    assert_eq!(raw.head().await.status, 100);
    assert!((250..900).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    raw.send("ok").await;
    assert_eq!(raw.response().await.body, "yes");
}

#[tokio::test]
async fn a_body_that_is_expected_is_sent_in_the_end_to_who_never_asks() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("ok").await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes").await;
        raw.rest().await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .await;
    assert_eq!(raw.head().await.status, 100);
    raw.send("ok").await;
    assert_eq!(raw.response().await.body, "yes");
}

#[tokio::test]
async fn an_expectation_crosses_from_one_protocol_to_the_other() {
    let upstream = says("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n").await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut client = Http2::connect(gateway.address).await;
    let request = client::request2("POST", "/", &[("expect", "100-continue")], "much");
    assert_eq!(client.send(request).await.status(), 417);

    let upstream = Upstream::http2(|request| async move {
        assert_eq!(request.headers()["expect"], "100-continue");
        let refusal = Response::builder().status(417);
        match request.uri().path() {
            "/no" => refusal.body(full("")).unwrap(),
            _ => Response::new(full(request.into_body().collect().await.unwrap().to_bytes())),
        }
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    let mut raw = Raw::connect(gateway.address).await;
    let ask = |path| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
        )
    };
    raw.send(ask("/yes")).await;
    assert_eq!(raw.head().await.status, 100);
    raw.send("ok").await;
    assert_eq!(raw.response().await.body, "ok");
    raw.send(ask("/no")).await;
    assert_eq!(raw.response().await.status, 417);
}

#[tokio::test]
async fn the_version_of_a_response_is_that_of_its_own_hop() {
    let answer = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok";
    let (_kept, mut raw) = asked(answer, GET).await;
    for _ in 0..2 {
        let response = raw.response().await;
        assert!(response.head.starts_with("HTTP/1.1 200 OK\r\n"), "{response:?}");
        assert_eq!((response.body.as_str(), response.header("connection")), ("ok", None));
        assert_eq!(response.header("via"), Some("1.0 gateway"));
        raw.send(GET).await;
    }
}

#[tokio::test]
async fn reason_phrases_go_on_and_unknown_statuses_have_none() {
    for (sent, got) in [
        ("HTTP/1.1 200 Fine", "HTTP/1.1 200 Fine"),
        ("HTTP/1.0 404 Nicht gefunden", "HTTP/1.1 404 Nicht gefunden"),
        ("HTTP/1.1 999 Odd", "HTTP/1.1 999 Odd"),
        ("HTTP/1.1 999", "HTTP/1.1 999 "),
        ("HTTP/1.1 999 ", "HTTP/1.1 999 "),
        ("HTTP/1.1 503 Service Unavailable", "HTTP/1.1 503 Service Unavailable"),
    ] {
        let (_kept, mut raw) = asked(format!("{sent}\r\ncontent-length: 0\r\n\r\n"), GET).await;
        let response = raw.response().await;
        assert_eq!(response.head.lines().next().unwrap(), got);
    }
    let mut fixed = gateway_tests::route("/");
    if let gateway::config::Action::Respond(respond) = &mut fixed.action {
        respond.status = http::StatusCode::from_u16(599).unwrap();
    }
    let gateway = Setup::new().route(fixed).start();
    let response = Raw::ask(gateway.address, GET).await;
    assert!(response.head.starts_with("HTTP/1.1 599 \r\n"), "{response:?}");
    let (_kept, mut raw) = asked("HTTP/1.1 200 a\x01b\r\ncontent-length: 0\r\n\r\n", GET).await;
    assert_eq!(raw.response().await.status, 502);
}

#[tokio::test]
async fn the_number_and_the_size_of_response_fields_are_bounded_alike_over_both_protocols() {
    let many = |count: usize| {
        let mut response = Response::builder();
        for number in 0..count {
            response = response.header("set-cookie", format!("a{number}=1"));
        }
        response.body(full("ok")).unwrap()
    };
    let served = move |request: http::Request<hyper::body::Incoming>| {
        let count = request.uri().path()[1..].parse().unwrap();
        async move { many(count) }
    };
    for http2 in [false, true] {
        let upstream =
            if http2 { Upstream::http2(served).await } else { Upstream::http1(served).await };
        let limited = |count, size| {
            let setup = Setup::proxy(upstream.address).tune(|upstream| {
                upstream.limits.header_count = count;
                upstream.limits.header_size = size;
            });
            if http2 { setup.over_http2() } else { setup }.start()
        };
        let ask = "GET /150 HTTP/1.1\r\nhost: a\r\n\r\n";
        let gateway = limited(1000, 64 << 10);
        let response = Raw::ask(gateway.address, ask).await;
        assert_eq!((response.status, response.body.as_str()), (200, "ok"));
        assert_eq!(response.head.matches("set-cookie: ").count(), 150);
        for (gateway, limit) in [
            (
                limited(100, 64 << 10),
                "more than 100 fields (`limits.header_count` of the upstream)",
            ),
            (limited(1000, 1 << 10), "more than 1024 bytes (`limits.header_size` of the upstream)"),
        ] {
            gateway_tests::log::listen();
            let response = Raw::ask(gateway.address, ask).await;
            let problem = response.problem();
            assert_eq!(problem["status"], 502);
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("upstream's answer is larger"), "{detail}");
            let id = response.header("x-request-id").unwrap();
            gateway_tests::until(|| !gateway_tests::log::of_request(id).is_empty()).await;
            let said = format!("{:?}", gateway_tests::log::of_request(id));
            assert!(said.contains(limit), "{said}");
        }
    }
}

#[tokio::test]
async fn a_request_has_as_many_fields_over_either_protocol() {
    let gateway = Setup::new().route(gateway_tests::route("/")).start();
    let lines = |count: usize| (0..count).map(|it| format!("x-{it}: 1\r\n")).collect::<String>();
    for (others, status) in [(99, 200), (100, 431)] {
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", lines(others));
        assert_eq!(Raw::ask(gateway.address, request).await.status, status);
        let mut request = client::get2("/");
        for number in 0..others {
            let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
            request.headers_mut().insert(name, "1".parse().unwrap());
        }
        let mut client = Http2::connect(gateway.address).await;
        assert_eq!(client.send(request).await.status(), status);
    }
}

#[tokio::test]
async fn a_request_without_a_body_says_so_where_one_is_usual() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut client = Http2::connect(gateway.address).await;
    for (method, length) in [
        ("POST", Some("0")),
        ("PUT", Some("0")),
        ("PATCH", Some("0")),
        ("GET", None),
        ("DELETE", None),
    ] {
        client.send(client::request2(method, "/", &[], "")).await;
        let seen = upstream.requests().pop().unwrap().headers;
        assert_eq!(seen.get("content-length").map(|it| it.to_str().unwrap()), length);
    }
}

/// Frames that come after some time, and then the end.
fn late(frames: impl IntoIterator<Item = Frame<Bytes>>) -> BoxBody {
    let frames: Vec<_> = frames.into_iter().map(Ok).collect();
    let mut left = frames.into_iter();
    let stream = futures_util::stream::once(async move {
        sleep(Duration::from_millis(50)).await;
        left.next()
    });
    let stream = futures_util::StreamExt::filter_map(stream, |frame| async move { frame });
    http_body_util::BodyExt::boxed_unsync(StreamBody::new(stream))
}

#[tokio::test]
async fn an_empty_body_that_ends_late_costs_no_connection() {
    // From the client to an upstream over HTTP/1.1.
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut client = Http2::connect(gateway.address).await;
    for _ in 0..10 {
        let mut request = client::request2("POST", "/", &[("content-length", "0")], "");
        *request.body_mut() = late([]);
        assert_eq!(client.send(request).await.status(), 200);
    }
    // A `POST` takes none that was idle for long, which a busy machine may do.
    assert!(upstream.connections() <= 3);
    // From an upstream over HTTP/2.
    let upstream = Upstream::http2(|_| async {
        Response::builder().header("content-length", "0").body(late([])).unwrap()
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    for _ in 0..3 {
        assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
        assert_eq!(client_over_http2(&gateway).await, 200);
    }
    assert_eq!(upstream.connections(), 1);
}

async fn client_over_http2(gateway: &Running) -> u16 {
    Http2::connect(gateway.address).await.send(client::get2("/")).await.status()
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n";

#[tokio::test]
async fn trailers_that_were_not_announced_come_to_who_takes_them() {
    let answer =
        format!("{CHUNKED}x-sum: 7\r\ngrpc-status: 0\r\nset-cookie: a=1\r\nx_a: 1\r\n\r\n");
    let ask = "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n";
    let (kept, mut raw) = asked(answer.clone(), ask).await;
    for _ in 0..3 {
        let read = raw.read_until("ok\r\n0\r\n").await;
        assert!(read.ends_with("2\r\nok\r\n0\r\n"), "{read}");
        assert_eq!(raw.read_until("\r\n\r\n").await, "x-sum: 7\r\ngrpc-status: 0\r\n\r\n");
        raw.send(ask).await;
    }
    // Who does not say that it takes them gets none.
    let response = Raw::ask(kept.gateway.address, GET).await;
    assert_eq!(response.body, "ok");
    assert!(!response.head.contains("x-sum"), "{response:?}");
}

/// Nobody waits for what ends here, and what decides about a request is not found behind it.
#[tokio::test]
async fn trailers_that_end_here_are_not_announced() {
    let answer = CHUNKED.replacen("\r\n\r\n", "\r\ntrailer: x-sum, set-cookie\r\n\r\n", 1);
    let answer = answer + "x-sum: 7\r\nset-cookie: a=1\r\n\r\n";
    let ask = "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n";
    let (kept, mut raw) = asked(answer, ask).await;
    let read = raw.read_until("ok\r\n0\r\n").await;
    assert!(read.contains("trailer: x-sum\r\n"), "{read}");
    assert_eq!(raw.read_until("\r\n\r\n").await, "x-sum: 7\r\n\r\n");
    let response = Raw::ask(kept.gateway.address, GET).await;
    assert_eq!((response.header("trailer"), &*response.body), (None, "ok"), "{response:?}");

    let upstream = Upstream::http1(|request| async {
        let announced = request.headers().get("trailer").cloned();
        let announced = announced.map_or("-".to_owned(), |it| it.to_str().unwrap().to_owned());
        let body = request.into_body().collect().await.unwrap();
        let came = body.trailers().cloned().unwrap_or_default();
        let came: Vec<_> = came.keys().map(|name| name.as_str().to_owned()).collect();
        Response::new(full(format!("{announced}; {}", came.join(" "))))
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let request = "POST / HTTP/1.1\r\nhost: a\r\ntrailer: x-api-key, x-up,traceparent\r\n\
        transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-up: 1\r\nx-api-key: k\r\n\
        x-http-method-override: DELETE\r\ntraceparent: 00-1-1-00\r\n\r\n";
    assert_eq!(Raw::ask(gateway.address, request).await.body, "x-up; x-up");
}

/// Tells the trailers of a request in its body, and has one behind it.
async fn tells_trailers(request: http::Request<hyper::body::Incoming>) -> Response<BoxBody> {
    let body = request.into_body().collect().await.unwrap();
    let told = body.trailers().and_then(|it| it.get("x-up")).map_or("none", |_| "x-up");
    let told = format!("{told} {}", body.trailers().is_some_and(|it| it.contains_key("host")));
    let late = HeaderMap::from_iter([
        ("x-down".parse().unwrap(), "1".parse().unwrap()),
        ("set-cookie".parse().unwrap(), "1".parse().unwrap()),
    ]);
    let frames = [Ok(Frame::data(told.into())), Ok(Frame::trailers(late))];
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
    Response::builder().header("trailer", "x-down").body(body).unwrap()
}

/// By one rule, whichever version each side speaks: those of a request go on, and those of a response go to who says
/// that it takes them.
#[tokio::test]
async fn trailers_go_by_one_rule_over_both_protocols() {
    for upstream_speaks_http2 in [false, true] {
        let upstream = match upstream_speaks_http2 {
            true => Upstream::http2(tells_trailers).await,
            false => Upstream::http1(tells_trailers).await,
        };
        let protocol = match upstream_speaks_http2 {
            true => UpstreamProtocol::Http2,
            false => UpstreamProtocol::Http1,
        };
        let gateway = Setup::proxy(upstream.address).tune(|it| it.protocol = protocol).start();
        for client_speaks_http2 in [false, true] {
            for takes in [false, true] {
                let fields: &[_] = if takes { &[("te", "trailers")] } else { &[] };
                let (text, trailers) = match client_speaks_http2 {
                    false => trailers_over_http1(&gateway, takes).await,
                    true => trailers_over_http2(&gateway, fields).await,
                };
                let case = format!("{client_speaks_http2} {upstream_speaks_http2} {takes}");
                assert_eq!(text, "x-up false", "{case}");
                let expected: &[&str] = if takes { &["x-down"] } else { &[] };
                assert_eq!(trailers, expected, "{case}");
            }
        }
    }
}

async fn trailers_over_http1(gateway: &Running, takes: bool) -> (String, Vec<String>) {
    let te = if takes { "te: trailers\r\nconnection: te\r\n" } else { "" };
    let request = format!(
        "POST / HTTP/1.1\r\nhost: a\r\n{te}transfer-encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nx-up: 1\r\nhost: b\r\n\r\n"
    );
    let response = Raw::ask(gateway.address, &request).await;
    let trailers = response.head.lines().filter_map(|line| line.strip_prefix("trailer-"));
    let names = trailers.filter_map(|line| line.split(':').next());
    (response.body.clone(), names.map(str::to_owned).collect())
}

async fn trailers_over_http2(gateway: &Running, fields: &[(&str, &str)]) -> (String, Vec<String>) {
    let late = HeaderMap::from_iter([
        ("x-up".parse().unwrap(), "1".parse().unwrap()),
        ("host".parse().unwrap(), "b".parse().unwrap()),
    ]);
    let frames = [Ok(Frame::data("hi".into())), Ok(Frame::trailers(late))];
    let mut request = client::request2("POST", "/", fields, "");
    *request.body_mut() = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
    let answer = Http2::connect(gateway.address).await.send(request).await;
    let names = answer.trailers.iter().flat_map(HeaderMap::keys);
    let names = names.map(|name| name.as_str().to_owned()).collect();
    (answer.text().to_owned(), names)
}

#[tokio::test]
async fn trailers_of_a_slow_body_come_behind_it() {
    let upstream = Upstream::http2(|_| async {
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
        let data: Vec<Frame<Bytes>> = vec![Frame::data(vec![b'x'; 300_000].into())];
        let frames = data.into_iter().chain([Frame::trailers(trailers)]).map(Ok);
        let body = StreamBody::new(futures_util::stream::iter(frames));
        Response::new(http_body_util::BodyExt::boxed_unsync(body))
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n").await;
    let read = raw.read_until("x-sum: 7\r\n\r\n").await;
    assert!(read.ends_with("x\r\n0\r\nx-sum: 7\r\n\r\n"));
    assert_eq!(
        read.matches('x').count(),
        300_000 + 1 + read.split("\r\n\r\n").next().unwrap().matches('x').count()
    );
    raw.send(GET).await;
    assert_eq!(raw.head().await.status, 200);
}

#[tokio::test]
async fn trailers_of_a_request_bring_nothing_that_the_head_decides() {
    let upstream = Upstream::http1(|request| async {
        let body = request.into_body().collect().await.unwrap();
        let names: Vec<_> = body.trailers().into_iter().flat_map(|it| it.keys()).collect();
        let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
        Response::new(full(names.join(" ")))
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let request = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\
        authorization: x\r\nx-forwarded-for: 1.1.1.1\r\nhost: b\r\ncookie: a=1\r\nx-sum: 7\r\n\r\n";
    assert_eq!(Raw::ask(gateway.address, request).await.body, "x-sum");
    let trailers = HeaderMap::from_iter(
        [("authorization", "x"), ("forwarded", "for=1.1.1.1"), ("x-sum", "7")]
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())),
    );
    let mut request = client::request2("POST", "/", &[], "");
    *request.body_mut() = late([Frame::trailers(trailers)]);
    let answer = Http2::connect(gateway.address).await.send(request).await;
    assert_eq!(answer.text(), "x-sum");
}

#[tokio::test]
async fn a_change_of_protocol_is_not_asked_of_http2_in_clear() {
    let upstream = Upstream::http2(|_| async { Response::new(full("")) }).await;
    let gateway = Setup::proxy(upstream.address)
        .tune(|upstream| upstream.protocol = UpstreamProtocol::Http2)
        .start();
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let response = Raw::ask(gateway.address, request).await;
    assert_eq!(response.problem()["status"], 501);
    assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
}
