//! Times towards a target, and what it needs to be told.

use std::time::{Duration, Instant};

use gateway_tests::upstream::full;
use gateway_tests::{Http1, Raw, Upstream};
use http::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::{at, example, failed, ms};

/// Answers never, or begins and says no more, or a byte each 50 ms.
async fn slow() -> Upstream {
    Upstream::script(|mut stream| async move {
        let mut buffer = vec![0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
        if !head.contains("/silent") {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\nbegun")
                .await
                .unwrap();
        }
        while head.contains("/drops") && stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(ms(50)).await;
        }
        tokio::time::sleep(gateway_tests::PATIENCE).await;
    })
    .await
}

fn shorter(target: &str) -> gateway_tests::Setup {
    let mut setup = example("Timeouts", &[("10.0.0.1:9000", target)]);
    let times = &mut setup.config.upstreams[0].timeouts;
    let seconds = [times.connect, times.first_byte, times.idle].map(|it| it.as_secs());
    assert_eq!(seconds, [1, 10, 30]);
    (times.first_byte, times.idle) = (ms(300), ms(300));
    let route = &mut setup.config.routes[0];
    assert_eq!(route.request_timeout, Some(Duration::from_secs(120)));
    route.request_timeout = Some(ms(1_500));
    setup
}

/// The first bytes of a response, and when it ended.
async fn broken(gateway: &gateway_tests::Running, path: &str) -> (String, Duration) {
    let began = Instant::now();
    let mut client = Raw::connect(gateway.address).await;
    client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    (client.rest().await, began.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_time_ends_what_it_is_for() {
    let reports = slow().await;
    let gateway = shorter(&at(&reports)).start();
    assert_eq!(Http1::get(gateway.address, "/reports/silent").await.status(), 504);
    assert_eq!(failed(&gateway, "reports", "first-byte-timeout").await, 1);
    let (said, _) = broken(&gateway, "/reports/begins").await;
    assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("begun"), "{said}");
    assert_eq!(failed(&gateway, "reports", "upstream-idle-timeout").await, 1);
    let (said, took) = broken(&gateway, "/reports/drops").await;
    assert!(said.ends_with("xxx") && took >= ms(1_400), "{took:?} {said}");
    assert_eq!(failed(&gateway, "reports", "request-timeout").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_takes_no_connection_costs_the_time_for_that() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    // They fill its queue: the system drops what asks for another connection.
    let mut queued = JoinSet::new();
    for _ in 0..4 {
        queued.spawn(TcpStream::connect(address));
    }
    tokio::time::sleep(ms(50)).await;
    let gateway = shorter(&address.to_string()).start();
    let began = Instant::now();
    assert_eq!(Http1::get(gateway.address, "/reports/1").await.status(), 504);
    assert!(began.elapsed() >= ms(950), "{:?}", began.elapsed());
    assert_eq!(failed(&gateway, "reports", "connect-timeout").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_its_length_and_a_time_until_it_is_whole() {
    let legacy = Upstream::echo().await;
    let chapter = "Servers that need the length of a body";
    let mut setup = example(chapter, &[("10.0.0.1:8000", &at(&legacy))]);
    let times = &mut setup.config.upstreams[0].timeouts;
    assert_eq!(times.request_body, Duration::from_secs(60));
    times.request_body = ms(500);
    let gateway = setup.start();
    let head = "POST /legacy/1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = Raw::ask(gateway.address, format!("{head}3\r\nabc\r\n0\r\n\r\n")).await;
    assert_eq!((answer.status, &*answer.body), (200, "abc"));
    let sent = legacy.request();
    assert_eq!(sent.headers["content-length"], "3");
    assert!(!sent.headers.contains_key("transfer-encoding"));
    let more = (1 << 20) + 1;
    let long = format!("{head}{more:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(more));
    assert_eq!(Raw::ask(gateway.address, long).await.status, 411);
    assert_eq!(Raw::ask(gateway.address, format!("{head}3\r\nabc\r\n")).await.status, 408);
    assert_eq!(legacy.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_told_its_own_name_and_says_no_more_than_it_may() {
    let shop = Upstream::http1(|request| async move {
        let path = request.uri().path();
        let count = if path.ends_with("many") { 250 } else { 80 };
        let value = if path.ends_with("long") { "x".repeat(200) } else { "x".to_owned() };
        let response = (0..count)
            .fold(Response::builder(), |it, number| it.header(format!("x-field-{number}"), &value));
        response.body(full("")).unwrap()
    })
    .await;
    let gateway = example("Servers", &[("10.0.0.1:8000", &at(&shop))]).start();
    assert_eq!(Http1::get(gateway.address, "/shop/1").await.status(), 200);
    let fields = shop.request().headers;
    assert_eq!(fields["host"], at(&shop));
    assert!(!fields.contains_key("via"));
    for name in ["x-forwarded-for", "forwarded", "x-request-id"] {
        assert!(fields.contains_key(name), "{name}");
    }
    for path in ["/shop/many", "/shop/long"] {
        assert_eq!(Http1::get(gateway.address, path).await.status(), 502);
    }
    assert_eq!(failed(&gateway, "shop", "response-header-size").await, 2);
}
