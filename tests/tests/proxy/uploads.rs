//! Request bodies that upstreams do not take as they come: answers before their end, and lengths that must be known.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway_tests::streams::{self, Streams};
use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Answer, Http1, Http2, Raw, Running, Setup, Upstream, client, log};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::time::sleep;

const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno";

/// Answers each request by its head alone, and ends the connection without having announced it.
async fn answers_early() -> Upstream {
    Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send(REFUSED).await;
    })
    .await
}

#[tokio::test]
async fn an_answer_before_the_end_of_an_upload_announces_the_close_and_arrives() {
    let upstream = answers_early().await;
    let gateway = Setup::proxy(upstream.address).start();
    for framing in ["content-length: 8000000", "transfer-encoding: chunked"] {
        let mut raw = Raw::connect(gateway.address).await;
        raw.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n")).await;
        // It sends all of it before it reads.
        let piece = match framing.starts_with("content") {
            true => "x".repeat(80_000),
            false => format!("{:x}\r\n{}\r\n", 80_000, "x".repeat(80_000)),
        };
        for _ in 0..100 {
            raw.send(&piece).await;
        }
        let answer = raw.response().await;
        assert_eq!((answer.status, &*answer.body), (401, "no"), "{framing}");
        assert_eq!(answer.header("connection"), Some("close"), "{framing}");
        assert_eq!(raw.rest().await, "", "{framing}");
    }
    // A small body that came whole costs no connection.
    let upstream =
        Upstream::http1(|_| async { Response::builder().status(401).body(full("no")).unwrap() });
    let upstream = upstream.await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    for _ in 0..2 {
        raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi").await;
        let answer = raw.response().await;
        assert_eq!((answer.status, answer.header("connection")), (401, None));
    }
}

/// Answers by the head alone, and reads nothing more, without closing.
async fn stops_reading() -> Upstream {
    Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send(REFUSED).await;
        sleep(gateway_tests::PATIENCE).await;
    })
    .await
}

/// The same over HTTP/2: its window stays closed, and the stream open.
async fn stops_reading_over_http2() -> Upstream {
    Upstream::script(|stream| {
        streams::serve(stream, |request, mut reply| async move {
            streams::answer(&mut reply, 401, "no");
            sleep(gateway_tests::PATIENCE).await;
            drop(request);
        })
    })
    .await
}

#[tokio::test]
async fn an_upload_is_given_up_that_an_upstream_has_answered_and_takes_nothing_more_of() {
    let (http1, http2) = (stops_reading().await, stops_reading_over_http2().await);
    let gateways =
        [Setup::proxy(http1.address).start(), Setup::proxy(http2.address).over_http2().start()];
    tokio::join!(is_given_up(&gateways[0]), is_given_up(&gateways[1]));
}

async fn is_given_up(gateway: &Running) {
    let began = Instant::now();
    let over_http1 = async {
        let mut raw = Raw::connect(gateway.address).await;
        raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 30000000\r\n\r\n").await;
        let piece = "x".repeat(1_000_000);
        for _ in 0..30 {
            raw.send(&piece).await;
        }
        raw.response().await.status
    };
    let over_http2 = async {
        let mut client = Streams::connect(gateway.address).await;
        let (mut answer, mut body) = client.open("POST", "/", &[], true);
        // The gateway reads so much of it for the client's sake, though the upstream takes none.
        assert!(streams::send(&mut body, vec![b'x'; 30_000_000].into()).await);
        streams::heads(&mut answer).await.unwrap().response.status().as_u16()
    };
    assert_eq!(tokio::join!(over_http1, over_http2), (401, 401));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

/// Answers by the head alone, and reads on.
async fn answers_and_reads_on() -> Upstream {
    Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send(REFUSED).await;
        raw.rest().await;
    })
    .await
}

#[tokio::test]
async fn an_answer_arrives_whose_upload_passes_its_limit_afterwards() {
    let upstream = answers_and_reads_on().await;
    let gateway =
        Setup::proxy(upstream.address).listen(|it| it.limits.body_size = Some(100_000)).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    // The gateway has the answer when it announces that the connection ends.
    assert_eq!(raw.head().await.header("connection"), Some("close"));
    let piece = format!("{:x}\r\n{}\r\n", 80_000, "x".repeat(80_000));
    for _ in 0..100 {
        raw.send(&piece).await;
    }
    assert_eq!(raw.rest().await, "no");

    let mut client = Streams::connect(gateway.address).await;
    let (mut answer, mut body) = client.open("POST", "/", &[], true);
    let heads = streams::heads(&mut answer).await.unwrap();
    assert_eq!(heads.response.status(), 401);
    assert!(streams::send(&mut body, vec![b'x'; 8_000_000].into()).await, "all of it is taken");
    assert_eq!(streams::read(&mut heads.response.into_body()).await.unwrap().0, b"no");
}

/// Says which length it was given, and what came.
async fn tells_lengths() -> Upstream {
    Upstream::http1(|request| async move {
        let length = request.headers().get("content-length").cloned();
        let coding = request.headers().contains_key("transfer-encoding");
        let announced = request.headers().get("trailer").cloned();
        let body = request.into_body().collect().await.unwrap();
        let late = body.trailers().is_some();
        let length = length.as_ref().map_or("none", |length| length.to_str().unwrap());
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        assert!(announced.is_none() || late, "{announced:?}");
        Response::new(full(format!("{length} {coding} {late} {text}")))
    })
    .await
}

fn pieces(pieces: &[&'static str]) -> BoxBody {
    let frames: Vec<_> = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from(*piece)))).collect();
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

async fn post(gateway: &Running, http2: bool, body: &[&'static str]) -> Answer {
    let mut request = match http2 {
        true => client::request2("POST", "/", &[], ""),
        false => client::request("POST", "/", &[], ""),
    };
    *request.body_mut() = pieces(body);
    match http2 {
        true => Http2::connect(gateway.address).await.send(request).await,
        false => Http1::connect(gateway.address).await.send(request).await,
    }
}

#[tokio::test]
async fn a_body_without_a_length_is_read_first_and_sent_with_one() {
    let upstream = tells_lengths().await;
    let streams = Setup::proxy(upstream.address).start();
    let text = r#"
[upstreams.orders]
targets = ["http://${env:ORDERS}"]
buffer_request_bodies = "10B"
[[routes]]
name = "all"
paths = ["/{*rest}"]
upstream = "orders"
"#;
    let gateway = Setup::toml(text, &[("ORDERS", &upstream.address)]).start();
    for http2 in [false, true] {
        assert_eq!(post(&streams, http2, &["one", "two"]).await.text(), "none true false onetwo");
        assert_eq!(post(&gateway, http2, &["one", "two"]).await.text(), "6 false false onetwo");
        assert_eq!(
            post(&gateway, http2, &["0123456789"]).await.text(),
            "10 false false 0123456789"
        );
        assert_eq!(post(&gateway, http2, &[]).await.text(), "0 false false ");
        // More is for who says how much it is.
        let answer = post(&gateway, http2, &["0123456789", "0"]).await;
        assert_eq!(answer.status(), 411);
        let detail = "A request body of more than 10 bytes needs a content-length here.";
        assert_eq!(answer.problem()["detail"], detail);
        let request = match http2 {
            true => client::request2("POST", "/", &[], "0123456789a"),
            false => client::request("POST", "/", &[], "0123456789a"),
        };
        let answer = match http2 {
            true => Http2::connect(gateway.address).await.send(request).await,
            false => Http1::connect(gateway.address).await.send(request).await,
        };
        assert_eq!(answer.text(), "11 false false 0123456789a");
    }
    // Trailers have no place behind a length.
    let chunks = "3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n";
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n";
    let answer = Raw::ask(gateway.address, format!("{head}\r\n{chunks}")).await;
    assert_eq!(answer.body, "3 false false abc");
    // Nobody else is there to ask for the body.
    let mut raw = Raw::connect(gateway.address).await;
    raw.send(format!("{head}expect: 100-continue\r\n\r\n")).await;
    assert_eq!(raw.head().await.status, 100);
    raw.send(chunks).await;
    assert_eq!(raw.response().await.body, "3 false false abc");
    // One that breaks off is sent to nobody.
    let before = upstream.requests().len();
    let mut raw = Raw::connect(gateway.address).await;
    let path = "/breaks-off-before-it-is-whole";
    raw.send(format!("{}\r\n3\r\nabc\r\n", head.replace(" / ", &format!(" {path} ")))).await;
    raw.reset();
    gateway_tests::until(|| !log::lines(|line| line.field("path") == path).is_empty()).await;
    assert_eq!(upstream.requests().len(), before);
}

/// A gateway whose bodies have 64 KiB together, and the text of a chunked upload to it.
fn with_little_room(upstream: &Upstream, keys: &str) -> (Running, impl Fn(usize) -> String) {
    let text = format!(
        r#"
[upstreams.orders]
targets = ["http://${{env:ORDERS}}"]
buffer_request_bodies = "64KiB"
{keys}
[[routes]]
name = "all"
paths = ["/{{*rest}}"]
upstream = "orders"
"#
    );
    let mut setup = Setup::toml(&text, &[("ORDERS", &upstream.address)]);
    setup.config.process.buffered_bodies = 64 << 10;
    let gateway = setup.start();
    let begin = |bytes: usize| {
        let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        format!("{head}{bytes:x}\r\n{}\r\n", "x".repeat(bytes))
    };
    (gateway, begin)
}

#[tokio::test]
async fn a_body_that_is_read_first_holds_its_room_for_a_bounded_time() {
    let upstream = tells_lengths().await;
    let time = "timeouts = { request_body = \"500ms\" }";
    let (gateway, begin) = with_little_room(&upstream, time);
    let mut slow = Raw::connect(gateway.address).await;
    slow.send(begin(40_000)).await;
    let began = Instant::now();
    sleep(Duration::from_millis(200)).await;
    // Meanwhile there is no room for another.
    let answer = Raw::ask(gateway.address, begin(40_000) + "0\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    // That some of it comes now and then is not enough.
    for _ in 0..2 {
        slow.send("1\r\ny\r\n").await;
        sleep(Duration::from_millis(100)).await;
    }
    let answer = slow.response().await;
    assert_eq!(answer.status, 408, "{}", answer.body);
    assert!(
        answer.body.contains("The request body was not complete within 500ms."),
        "{}",
        answer.body
    );
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let answer = Raw::ask(gateway.address, begin(40_000) + "0\r\n\r\n").await;
    assert!(answer.body.starts_with("40000 false false xx"), "{}", answer.body);
}

#[tokio::test]
async fn a_body_has_all_of_the_room_and_a_longer_one_needs_its_length() {
    let upstream = tells_lengths().await;
    let (gateway, begin) = with_little_room(&upstream, "");
    // In pieces, so that its memory grows.
    let more = |bytes: usize| format!("{bytes:x}\r\n{}\r\n", "x".repeat(bytes));
    let whole = begin(30_000) + &more(25_000) + &more(10_536);
    let answer = Raw::ask(gateway.address, format!("{whole}0\r\n\r\n")).await;
    assert!(answer.body.starts_with("65536 false false xx"), "{}", &answer.body[..60]);
    let answer = Raw::ask(gateway.address, format!("{whole}1\r\ny\r\n0\r\n\r\n")).await;
    assert_eq!(answer.status, 411);
    // The room of a running gateway may be smaller than what the file was checked with.
    let mut setup = Setup::proxy(upstream.address);
    setup.config.process.buffered_bodies = 64 << 10;
    setup.config.upstreams[0].buffer_request_bodies = Some(1 << 20);
    let gateway = setup.start();
    let answer = Raw::ask(gateway.address, format!("{whole}1\r\ny\r\n0\r\n\r\n")).await;
    assert_eq!(answer.status, 411);
    assert!(
        answer.body.contains("more than 65536 bytes needs a content-length"),
        "{}",
        answer.body
    );
}
