//! Limits and timeouts of a listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway_tests::{Http1, Http2, Raw, Setup, Upstream, client, route, until, within};
use http::Response;
use http_body_util::BodyExt as _;
use tokio::io::AsyncWriteExt as _;

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn refuses_a_head_that_is_too_large() {
    let gateway =
        Setup::new().route(route("/")).listen(|it| it.limits.header_size = 8 << 10).start();
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(9_000));
    let response = Raw::ask(gateway.address, request).await;
    assert_eq!(response.status, 431);
    response.problem();
    let unfinished = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(100_000));
    assert_eq!(Raw::ask(gateway.address, unfinished).await.status, 431);
}

#[tokio::test]
async fn refuses_too_many_fields() {
    for limit in [100, 20] {
        let gateway =
            Setup::new().route(route("/")).listen(|it| it.limits.header_count = limit).start();
        let fields = |count| "x: y\r\n".repeat(count);
        let request = |count| format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", fields(count));
        assert_eq!(Raw::ask(gateway.address, request(limit - 1)).await.status, 200);
        let refused = Raw::ask(gateway.address, request(limit)).await;
        assert_eq!(refused.status, 431);
        refused.problem();
    }
}

#[tokio::test]
async fn refuses_too_many_fields_over_http2() {
    let gateway = Setup::new().route(route("/")).listen(|it| it.limits.header_count = 20).start();
    let mut client = Http2::connect(gateway.address).await;
    let mut request = client::get2("/");
    for _ in 0..21 {
        request.headers_mut().append("x", "y".parse().unwrap());
    }
    assert_eq!(client.send(request).await.status(), 431);
    assert_eq!(client.send(client::get2("/")).await.status(), 200);
}

#[tokio::test]
async fn refuses_a_target_that_is_too_long() {
    let gateway =
        Setup::new().route(route("/")).listen(|it| it.limits.header_size = 80 << 10).start();
    let request = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(70_000));
    let response = Raw::ask(gateway.address, request).await;
    assert_eq!(response.status, 414);
    response.problem();
}

#[tokio::test]
async fn refuses_a_declared_body_before_it_is_sent() {
    let upstream = Upstream::echo().await;
    let gateway =
        Setup::proxy(upstream.address).listen(|it| it.limits.body_size = Some(10)).start();
    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\n";
    let response = Raw::ask(gateway.address, request).await;
    assert_eq!(response.status, 413);
    response.problem();
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn refuses_an_undeclared_body_when_it_grows_too_large() {
    let upstream = Upstream::echo().await;
    let gateway =
        Setup::proxy(upstream.address).listen(|it| it.limits.body_size = Some(10)).start();
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let fits = Raw::ask(gateway.address, format!("{head}a\r\n0123456789\r\n0\r\n\r\n")).await;
    assert_eq!(fits.body, "0123456789");
    let mut raw = Raw::connect(gateway.address).await;
    raw.send(format!("{head}a\r\n0123456789\r\n")).await;
    raw.send("1\r\nx\r\n").await;
    let refused = raw.response().await;
    assert_eq!(refused.status, 413);
    refused.problem();
}

#[tokio::test]
async fn lets_a_client_that_is_still_sending_read_the_refusal() {
    let upstream = Upstream::echo().await;
    let gateway =
        Setup::proxy(upstream.address).listen(|it| it.limits.body_size = Some(10)).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 500000\r\n\r\n").await;
    raw.send(vec![b'x'; 500_000]).await;
    assert_eq!(raw.response().await.status, 413);
}

#[tokio::test]
async fn answers_408_to_a_head_that_began_and_stays_silent_to_an_idle_connection() {
    let gateway = Setup::new()
        .route(route("/"))
        .listen(|it| {
            it.timeouts.header = SHORT;
            it.timeouts.keep_alive = SHORT;
        })
        .start();
    let mut idle = Raw::connect(gateway.address).await;
    let mut half = Raw::connect(gateway.address).await;
    half.send("GET / HTTP/1.1\r\nhost:").await;
    let response = half.response().await;
    assert_eq!(response.status, 408);
    response.problem();
    assert_eq!(half.rest().await, "");
    assert_eq!(idle.rest().await, "");
    let mut second = Raw::connect(gateway.address).await;
    second.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(second.response().await.status, 200);
    second.send("GET / HT").await;
    assert_eq!(second.response().await.status, 408);
}

#[tokio::test]
async fn closes_an_idle_connection_after_a_request() {
    let gateway =
        Setup::new().route(route("/")).listen(|it| it.timeouts.keep_alive = SHORT).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(raw.response().await.status, 200);
    assert_eq!(raw.rest().await, "");
    let mut client = Http2::connect(gateway.address).await;
    assert_eq!(client.send(client::get2("/")).await.status(), 200);
    gateway_tests::until(|| client.0.is_closed()).await;
}

#[tokio::test]
async fn a_connection_that_rested_serves_again_and_ends_in_time() {
    let gateway = Setup::new()
        .route(route("/"))
        .listen(|it| it.timeouts.keep_alive = Duration::from_secs(3))
        .start();
    let mut raw = Raw::connect(gateway.address).await;
    for _ in 0..2 {
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(raw.response().await.status, 200);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    // In pieces, of which the first is all that there is when it wakes.
    raw.send("G").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    raw.send("ET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(raw.response().await.status, 200);
    assert_eq!(raw.response().await.status, 200);
    let began = std::time::Instant::now();
    assert_eq!(raw.rest().await, "");
    assert!(began.elapsed() >= Duration::from_secs(2), "it ended before its time");
}

#[tokio::test]
async fn answers_408_to_a_body_that_stalls() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).listen(|it| it.timeouts.idle = SHORT).start();
    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab";
    let response = Raw::ask(gateway.address, request).await;
    assert_eq!(response.status, 408);
    response.problem();
}

#[tokio::test]
async fn gives_up_a_whole_request_that_takes_too_long() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.rest().await;
    })
    .await;
    let gateway =
        Setup::proxy(upstream.address).listen(|it| it.timeouts.request = Some(SHORT)).start();
    let answer = Http1::get(gateway.address, "/").await;
    assert_eq!(answer.status(), 504);
}

#[tokio::test]
async fn drops_a_reader_that_takes_nothing() {
    let given_up = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&given_up);
    let upstream = Upstream::script(move |stream| {
        let count = Arc::clone(&seen);
        async move {
            let mut raw = Raw::from(stream);
            raw.read_until("\r\n\r\n").await;
            raw.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
            let chunk = vec![b'x'; 1 << 20];
            while raw.stream.write_all(&chunk).await.is_ok() {}
            count.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let gateway = Setup::proxy(upstream.address).listen(|it| it.timeouts.idle = SHORT).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.head().await;
    until(|| given_up.load(Ordering::SeqCst) == 1).await;
    assert!(raw.rest().await.len() < 1_000_000_000);
}

#[tokio::test]
async fn lets_a_client_that_is_still_sending_read_that_there_is_no_route() {
    let gateway = Setup::new().start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 500000\r\n\r\n").await;
    raw.send(vec![b'x'; 500_000]).await;
    assert_eq!(raw.response().await.status, 404);
}

#[tokio::test]
async fn closes_connections_beyond_the_limit_at_once_and_serves_the_others() {
    let gateway =
        Setup::new().route(route("/")).listen(|it| it.limits.connections = Some(2)).start();
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut first = Raw::connect(gateway.address).await;
    first.send(get).await;
    first.response().await;
    let mut second = Http2::connect(gateway.address).await;
    assert_eq!(second.send(client::get2("/")).await.status(), 200);
    for _ in 0..3 {
        assert_eq!(Raw::connect(gateway.address).await.rest().await, "");
    }
    first.send(get).await;
    assert_eq!(first.response().await.status, 200);
    assert_eq!(second.send(client::get2("/")).await.status(), 200);
    drop(first);
    within(async {
        loop {
            let mut third = Raw::connect(gateway.address).await;
            third.send(get).await;
            if third.is_answered().await {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn bounds_the_connections_of_an_address_but_not_of_a_proxy() {
    for is_proxy in [false, true] {
        let gateway = Setup::new().route(route("/")).listen(|it| {
            it.limits.connections_per_address = Some(1);
            if is_proxy {
                it.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            }
        });
        let gateway = gateway.start();
        let mut first = Raw::connect(gateway.address).await;
        first.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(first.response().await.status, 200);
        let mut second = Raw::connect(gateway.address).await;
        second.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(second.is_answered().await, is_proxy);
    }
}

#[tokio::test]
async fn refuses_a_body_that_comes_too_slowly() {
    let upstream = Upstream::echo().await;
    let setup = |rate| {
        Setup::proxy(upstream.address).listen(move |it| {
            it.limits.body_rate = rate;
            it.timeouts.body_grace = SHORT;
        })
    };
    let (defaults, all, none) =
        (setup(None).start(), setup(Some(100)).start(), setup(Some(0)).start());
    let length = "content-length: 100\r\n\r\n";
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    for (gateway, head, is_refused) in [
        (&defaults, length, true),
        (&defaults, chunked, false),
        (&all, length, true),
        (&all, chunked, true),
        (&none, length, false),
        (&none, chunked, false),
    ] {
        let mut raw = Raw::connect(gateway.address).await;
        raw.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{head}")).await;
        for _ in 0..6 {
            raw.send(if head == chunked { "1\r\nx\r\n" } else { "x" }).await;
            tokio::time::sleep(SHORT / 2).await;
        }
        raw.send(if head == chunked { "0\r\n\r\n".to_owned() } else { "x".repeat(94) }).await;
        let response = raw.response().await;
        assert_eq!(response.status, if is_refused { 408 } else { 200 }, "{head}");
        if is_refused {
            assert_eq!(response.header("connection"), Some("close"));
            let detail = response.problem()["detail"].to_string();
            assert!(detail.contains("more slowly than"), "{detail}");
        }
    }
}

#[tokio::test]
async fn refuses_a_body_that_comes_too_slowly_over_http2() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address)
        .listen(|it| {
            it.limits.body_rate = Some(100);
            it.timeouts.body_grace = SHORT;
        })
        .start();
    let mut client = Http2::connect(gateway.address).await;
    let slow = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(SHORT / 2).await;
        let frame = http_body::Frame::data(bytes::Bytes::from_static(b"x"));
        Some((Ok::<_, std::io::Error>(frame), ()))
    });
    let body = http_body_util::BodyExt::boxed_unsync(http_body_util::StreamBody::new(slow));
    let request = client::get2("/").map(|_| body);
    let response = within(client.0.send_request(request)).await.unwrap();
    assert_eq!(response.status(), 408);
    assert_eq!(client.send(client::get2("/")).await.status(), 200);
}

#[tokio::test]
async fn a_body_may_be_slow_once_its_answer_has_begun() {
    let upstream = Upstream::http1(|request| async {
        Response::new(request.into_body().map_err(std::io::Error::other).boxed_unsync())
    })
    .await;
    let gateway = Setup::proxy(upstream.address)
        .listen(|it| {
            it.limits.body_rate = Some(1_000);
            it.timeouts.body_grace = SHORT;
        })
        .start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    raw.head().await;
    for _ in 0..4 {
        tokio::time::sleep(SHORT).await;
        raw.send("1\r\nx\r\n").await;
        raw.read_until("1\r\nx\r\n").await;
    }
    raw.send("0\r\n\r\n").await;
    raw.read_until("0\r\n\r\n").await;
}
