//! Ten thousand requests of every kind, after which everything is given back.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Http1, Http2, Raw, Upstream, client, until};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use crate::process::Process;
use crate::{KEY, MIB, plugins};

/// Clients that ask at once.
const CLIENTS: u64 = 8;

/// How much more may be resident at the end: under 800 bytes a request.
const GROWTH: u64 = 8 * MIB;

/// Echoes bodies; `/endless` never ends.
async fn service() -> Upstream {
    Upstream::http1(|request| async move {
        if request.uri().path() == "/endless" {
            let pieces = stream::unfold((), async |()| {
                Some((Ok(Frame::data(Bytes::from_static(&[b'x'; 16 << 10]))), ()))
            });
            return Response::new(StreamBody::new(pieces).boxed_unsync());
        }
        let body = request.into_body().collect().await;
        Response::new(full(body.map_or_else(|_| Bytes::from("broken"), |body| body.to_bytes())))
    })
    .await
}

fn configuration(service: SocketAddr) -> String {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plugins = plugins(1_000_000);
    format!(
        r#"
        {plugins}
        [upstreams.service]
        targets = ["http://{service}"]
        keep_alive = {{ idle = "200ms" }}

        [upstreams.nobody]
        targets = ["http://{nobody}"]

        [[routes]]
        name = "api"
        paths = ["/api/{{*rest}}"]
        plugins = ["keys", "limit", "shape"]
        upstream = "service"

        [[routes]]
        name = "nobody"
        paths = ["/nobody"]
        upstream = "nobody"

        [[routes]]
        name = "plain"
        paths = ["/plain", "/endless"]
        upstream = "service"
        "#
    )
}

fn asked(path: &str, key: Option<&str>, body: &'static str) -> Request<BoxBody> {
    let mut request = client::get(path);
    *request.body_mut() = full(body);
    if let Some(key) = key {
        request.headers_mut().insert("x-api-key", key.parse().unwrap());
    }
    request
}

/// Ten requests over HTTP/1.1, one connection.
async fn ten_over_http1(address: SocketAddr) {
    let mut client = Http1::connect(address).await;
    for (path, key, body, status) in [
        ("/api/a", Some(KEY), "", 200),
        ("/api/b", Some(KEY), "a body", 200),
        ("/api/c", None, "", 401),
        ("/api/d", Some("wrong"), "", 401),
        ("/plain", None, "another body", 200),
        ("/plain", None, "", 200),
        ("/nowhere", None, "", 404),
        ("/nobody", None, "", 502),
        ("/api/e", Some(KEY), "", 200),
        ("/plain", None, "", 200),
    ] {
        assert_eq!(client.send(asked(path, key, body)).await.status(), status, "{path}");
    }
}

/// Eight requests over HTTP/2, all at once.
async fn eight_over_http2(address: SocketAddr) {
    let client = Http2::connect(address).await;
    let ask = |index| {
        let mut client = client.clone();
        let path = if index % 2 == 0 { "/api/a" } else { "/plain" };
        let mut request = client::get2(path);
        request.headers_mut().insert("x-api-key", KEY.parse().unwrap());
        async move { assert_eq!(client.send(request).await.status(), 200) }
    };
    let asked: Vec<_> = (0..8).map(|index| tokio::spawn(ask(index))).collect();
    for answered in asked {
        answered.await.unwrap();
    }
}

/// Two that end badly: one leaves in the middle of an answer, one talks nonsense.
async fn two_that_end_badly(address: SocketAddr) {
    let mut leaves = Raw::connect(address).await;
    leaves.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(leaves.head().await.status, 200);
    drop(leaves);
    assert_eq!(Raw::ask(address, "NON SENSE\r\n\r\n").await.status, 400);
}

/// This many times twenty requests, over as many connections at once as there are clients.
async fn rounds(address: SocketAddr, count: u64) {
    let clients = (0..CLIENTS).map(|index| {
        tokio::spawn(async move {
            for _ in (index..count).step_by(CLIENTS as usize) {
                ten_over_http1(address).await;
                eight_over_http2(address).await;
                two_that_end_badly(address).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_leave_no_descriptor_and_no_memory_behind() {
    let service = service().await;
    let gateway = Process::start(&configuration(service.address));
    let at_start = gateway.descriptors();
    // Instances, buffers and the allocator's pages are made once, and then kept.
    rounds(gateway.address, 100).await;
    until(|| gateway.descriptors() <= at_start).await;
    let before = gateway.memory();

    rounds(gateway.address, 500).await;
    until(|| gateway.descriptors() <= at_start).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let after = gateway.memory();
    assert!(after < before + GROWTH, "{} KiB grew to {} KiB", before >> 10, after >> 10);
}
