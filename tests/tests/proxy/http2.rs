//! HTTP/2, end to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Http1, Http2, Setup, Upstream, client, route, within};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

fn with_trailers(data: &'static str, name: &'static str, value: &'static str) -> BoxBody {
    let mut trailers = HeaderMap::new();
    trailers.insert(name, value.parse().unwrap());
    let data = Some(Ok(Frame::data(data.into()))).filter(|_| !data.is_empty());
    let frames = data.into_iter().chain([Ok(Frame::trailers(trailers))]);
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

#[tokio::test]
async fn speaks_http2_in_clear_by_prior_knowledge_beside_http1() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut http2 = Http2::connect(gateway.address).await;
    assert_eq!(http2.send(client::get2("/two")).await.status(), 200);
    assert_eq!(Http1::get(gateway.address, "/one").await.status(), 200);
    let seen = upstream.requests();
    assert_eq!(
        (seen[0].uri.to_string(), &seen[0].headers["host"]),
        ("/two".to_owned(), &"a.example".parse().unwrap())
    );
    assert_eq!(seen[0].headers["via"], "2.0 gateway");
}

#[tokio::test]
async fn carries_a_grpc_call_with_its_trailers() {
    let upstream = Upstream::http2(|request| async move {
        assert_eq!(request.headers()["te"], "trailers");
        let body = request.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-client"], "1");
        assert_eq!(body.to_bytes(), "ping");
        let response = Response::builder().header("content-type", "application/grpc");
        response.body(with_trailers("pong", "grpc-status", "0")).unwrap()
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    let request = Request::post("http://a.example/pkg.Service/Call")
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(with_trailers("ping", "x-client", "1"))
        .unwrap();
    let answer = Http2::connect(gateway.address).await.send(request).await;
    assert_eq!(answer.body, "pong");
    assert_eq!(answer.trailers.unwrap()["grpc-status"], "0");
    assert_eq!(upstream.request().uri, "http://a.example/pkg.Service/Call");
}

#[tokio::test]
async fn carries_a_grpc_failure_that_is_only_trailers() {
    let upstream = Upstream::http2(|_| async {
        let response = Response::builder().header("grpc-status", "5").header("grpc-message", "no");
        response.body(full("")).unwrap()
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    let answer = Http2::connect(gateway.address).await.send(client::get2("/s/m")).await;
    assert_eq!((answer.header("grpc-status"), answer.body.len()), (Some("5"), 0));
}

#[tokio::test]
async fn joins_cookie_crumbs() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut request = client::get2("/");
    for crumb in ["a=b", "c=d", "e=f"] {
        request.headers_mut().append("cookie", crumb.parse().unwrap());
    }
    Http2::connect(gateway.address).await.send(request).await;
    let cookies: Vec<_> = upstream.request().headers.get_all("cookie").iter().cloned().collect();
    assert_eq!(cookies, ["a=b; c=d; e=f"]);
}

#[tokio::test]
async fn serves_a_thousand_streams_at_once() {
    let all_here = Arc::new(tokio::sync::Barrier::new(1_000));
    let upstream = Upstream::http1(move |_| {
        let all_here = Arc::clone(&all_here);
        async move {
            all_here.wait().await;
            Response::new(full("together"))
        }
    })
    .await;
    let gateway =
        Setup::proxy(upstream.address).listen(|it| it.limits.concurrent_streams = 1_000).start();
    let client = Http2::connect(gateway.address).await;
    let asked: Vec<_> = (0..1_000)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.send(client::get2("/")).await })
        })
        .collect();
    for answer in asked {
        let answer = within(answer).await.unwrap();
        assert_eq!((answer.status(), &answer.body[..]), (200, &b"together"[..]));
    }
}

#[tokio::test]
async fn holds_a_client_to_the_number_of_streams() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, high) = (Arc::clone(&now), Arc::clone(&most));
    let upstream = Upstream::http1(move |_| {
        let (count, high) = (Arc::clone(&count), Arc::clone(&high));
        async move {
            high.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            count.fetch_sub(1, Ordering::SeqCst);
            Response::new(full(""))
        }
    })
    .await;
    let gateway =
        Setup::proxy(upstream.address).listen(|it| it.limits.concurrent_streams = 2).start();
    let mut client = Http2::connect(gateway.address).await;
    client.send(client::get2("/")).await;
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.send(client::get2("/")).await.status() })
        })
        .collect();
    for answer in asked {
        assert_eq!(within(answer).await.unwrap(), 200);
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn refuses_a_host_that_differs_from_the_authority() {
    let gateway = Setup::new().route(route("/")).start();
    let mut client = Http2::connect(gateway.address).await;
    let mut request = client::get2("/");
    request.headers_mut().insert("host", "b.example".parse().unwrap());
    assert_eq!(client.send(request).await.status(), 400);
    let mut underscored = client::get2("/");
    underscored.headers_mut().insert("a_b", "c".parse().unwrap());
    assert_eq!(client.send(underscored).await.status(), 400);
}

#[tokio::test]
async fn answers_head_over_http2() {
    let upstream = Upstream::http1(|_| async { Response::new(full("0123456789")) }).await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut request = client::get2("/");
    *request.method_mut() = http::Method::HEAD;
    let answer = Http2::connect(gateway.address).await.send(request).await;
    assert_eq!((answer.header("content-length"), answer.body.len()), (Some("10"), 0));
}

#[tokio::test]
async fn resets_the_stream_of_a_body_that_breaks_off() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = gateway_tests::Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut client = Http2::connect(gateway.address).await;
    let response = within(client.0.send_request(client::get2("/"))).await.unwrap();
    assert!(within(response.into_body().collect()).await.is_err());
    assert!(!client.0.is_closed());
}

#[tokio::test]
async fn frees_a_stream_whose_client_takes_nothing() {
    let upstream = Upstream::http1(|_| async { Response::new(full(vec![b'x'; 4 << 20])) }).await;
    let gateway = Setup::proxy(upstream.address)
        .listen(|it| it.timeouts.idle = std::time::Duration::from_millis(200))
        .start();
    let mut client = Http2::connect(gateway.address).await;
    let stuck = within(client.0.send_request(client::get2("/"))).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
    assert!(within(stuck.into_body().collect()).await.is_err());
    assert!(!client.0.is_closed());
}
