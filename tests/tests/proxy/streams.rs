//! HTTP/2 stream by stream: interim responses, uploads that nobody wants to their end, requests that a
//! target has not processed, and bodies that are cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway::config::ListenerTls;
use gateway_tests::streams::{self, Streams};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Raw, Running, Setup, Upstream, client, route, tls, within};
use h2::Reason;
use http::{HeaderMap, Response};
use tokio::sync::Notify;
use tokio::time::sleep;

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Answers in HTTP/1.1 with the same bytes.
async fn says(answer: &'static str) -> Upstream {
    Upstream::script(move |stream| async move {
        let mut raw = Raw::from(stream);
        while raw.is_answered().await {
            raw.read_until("\r\n\r\n").await;
            raw.send(answer).await;
        }
    })
    .await
}

const HINTS: &str = "HTTP/1.1 102 Processing\r\n\r\n\
    HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nlink: </b.js>\r\nx-a: 1\r\n\
    connection: x-hop\r\nx-hop: 1\r\ncontent-length: 5\r\n\r\n\
    HTTP/1.1 199 Odd\r\nx-a: 2\r\n\r\n\
    HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The same over HTTP/2.
async fn hints() -> Upstream {
    Upstream::script(|stream| {
        streams::serve(stream, |_, mut reply| async move {
            streams::inform(&mut reply, 102, &[]);
            let fields = [("link", "</a.css>"), ("link", "</b.js>"), ("x-a", "1")];
            streams::inform(&mut reply, 103, &fields);
            streams::inform(&mut reply, 199, &[("x-a", "2")]);
            streams::answer(&mut reply, 200, "ok");
        })
    })
    .await
}

async fn hears_hints(mut client: Streams) {
    for _ in 0..2 {
        let heads = client.get("/").await;
        let told: Vec<_> = heads.interim.iter().map(|head| head.status().as_u16()).collect();
        assert_eq!(told, [102, 103, 199]);
        let fields = heads.interim[1].headers();
        let links: Vec<_> = fields.get_all("link").iter().collect();
        assert_eq!(links, ["</a.css>", "</b.js>"]);
        assert_eq!(fields["x-a"], "1");
        assert_eq!(fields.len(), 3, "{fields:?}");
        assert_eq!(heads.interim[2].headers()["x-a"], "2");
        let mut body = heads.response.into_body();
        assert_eq!(streams::read(&mut body).await.unwrap().0, b"ok");
    }
}

#[tokio::test]
async fn interim_responses_come_to_a_client_whatever_the_upstream_speaks() {
    let one = says(HINTS).await;
    let gateway = Setup::proxy(one.address).start();
    hears_hints(Streams::connect(gateway.address).await).await;

    let certificate = tls::certificate(&["a.example"]);
    let secured = ListenerTls { certificates: vec![certificate.clone()], ..ListenerTls::default() };
    let gateway = Setup::proxy(one.address).listen(|it| it.tls = Some(secured)).start();
    let stream = tls::connect(gateway.address, "a.example", &[&certificate], &["h2"]).await;
    hears_hints(Streams::over(stream).await).await;

    let two = hints().await;
    let gateway = Setup::proxy(two.address).over_http2().start();
    hears_hints(Streams::connect(gateway.address).await).await;

    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let heads = [raw.head().await, raw.head().await, raw.head().await];
    assert_eq!(heads.each_ref().map(|head| head.status), [102, 103, 199]);
    assert_eq!(
        heads[1].head,
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nlink: </b.js>\r\nx-a: 1"
    );
    assert_eq!(raw.response().await.body, "ok");
}

#[tokio::test]
async fn interim_responses_bring_links_alone_past_plugins() {
    let text = r#"
[plugins.one]
component = "./tagger.wasm"
config = { name = "one" }

[upstreams.orders]
targets = ["http://${env:ORDERS}"]

[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["one"]
upstream = "orders"
"#;
    let upstream = says(HINTS).await;
    let gateway = Setup::toml(text, &[("ORDERS", &upstream.address)]).start();
    let heads = Streams::connect(gateway.address).await.get("/").await;
    let fields: Vec<_> = heads.interim.iter().map(|head| head.headers().len()).collect();
    assert_eq!(fields, [0, 2, 0]);
    assert!(heads.interim[1].headers().contains_key("link"));
}

#[tokio::test]
async fn an_interim_response_does_not_wait_for_the_final_one() {
    let upstream = Upstream::script(|stream| {
        streams::serve(stream, |_, mut reply| async move {
            streams::inform(&mut reply, 103, &[("link", "</a>")]);
            sleep(milliseconds(500)).await;
            streams::answer(&mut reply, 200, "ok");
        })
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    let began = Instant::now();
    let (mut answer, _) = Streams::connect(gateway.address).await.open("GET", "/", &[], false);
    let hint = within(std::future::poll_fn(|it| answer.poll_informational(it))).await;
    assert_eq!(hint.unwrap().unwrap().status(), 103);
    assert!(began.elapsed() < milliseconds(400), "{:?}", began.elapsed());
    assert_eq!(within(answer).await.unwrap().status(), 200);
}

#[tokio::test]
async fn interim_responses_of_an_upstream_have_an_end_and_no_101() {
    for (count, status) in [(64, 200), (65, 502)] {
        let upstream = Upstream::script(move |stream| {
            streams::serve(stream, move |_, mut reply| async move {
                (0..count).for_each(|_| streams::inform(&mut reply, 103, &[("link", "</a>")]));
                streams::answer(&mut reply, 200, "ok");
            })
        })
        .await;
        let gateway = Setup::proxy(upstream.address).over_http2().start();
        assert_eq!(
            Streams::connect(gateway.address).await.get("/").await.response.status(),
            status
        );
    }
    let upstream = Upstream::script(|stream| {
        streams::serve(stream, |_, mut reply| async move {
            streams::inform(&mut reply, 101, &[]);
            sleep(milliseconds(100)).await;
        })
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    assert_eq!(Http1::get(gateway.address, "/").await.status(), 502);
}

/// Says 100 after a while and then what it was sent; 417 on `/no`.
async fn asking() -> Upstream {
    Upstream::script(|stream| {
        streams::serve(stream, |request, mut reply| async move {
            assert_eq!(request.headers()["expect"], "100-continue");
            if request.uri().path() == "/no" {
                return streams::answer(&mut reply, 417, "no");
            }
            sleep(milliseconds(300)).await;
            streams::inform(&mut reply, 100, &[]);
            let read = streams::read(&mut request.into_body()).await.unwrap().0;
            let mut stream = reply.send_response(Response::new(()), false).unwrap();
            stream.send_data(read.into(), true).unwrap();
        })
    })
    .await
}

#[tokio::test]
async fn a_client_that_expects_a_100_hears_it_when_the_upstream_asks() {
    let one = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        let head = raw.read_until("\r\n\r\n").await;
        assert!(head.contains("expect: 100-continue\r\n"), "{head}");
        if head.starts_with("POST /no") {
            return raw.send("HTTP/1.1 417 No\r\ncontent-length: 2\r\n\r\nno").await;
        }
        sleep(milliseconds(300)).await;
        raw.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        raw.read_until("much").await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmuch").await;
    })
    .await;
    let two = asking().await;
    let fields = [("expect", "100-continue"), ("content-length", "4")];
    for gateway in
        [Setup::proxy(one.address).start(), Setup::proxy(two.address).over_http2().start()]
    {
        let mut client = Streams::connect(gateway.address).await;
        let began = Instant::now();
        let (mut answer, mut body) = client.open("POST", "/yes", &fields, true);
        let heard = within(std::future::poll_fn(|it| answer.poll_informational(it))).await;
        assert_eq!(heard.unwrap().unwrap().status(), 100);
        assert!((250..900).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        assert!(streams::send(&mut body, "much".into()).await);
        let heads = streams::heads(&mut answer).await.unwrap();
        assert!(heads.interim.is_empty(), "{heads:?}");
        let mut body = heads.response.into_body();
        assert_eq!(streams::read(&mut body).await.unwrap().0, b"much");

        // One that is refused has not to send its body, and its stream ends.
        let (mut answer, mut body) = client.open("POST", "/no", &fields, true);
        let heads = streams::heads(&mut answer).await.unwrap();
        assert_eq!((heads.interim.len(), heads.response.status().as_u16()), (0, 417));
        assert_eq!(streams::read(&mut heads.response.into_body()).await.unwrap().0, b"no");
        assert_eq!(streams::reset(&mut body).await, Some(Reason::NO_ERROR));
    }
}

#[tokio::test]
async fn a_client_that_expects_a_100_hears_it_whoever_asks_for_the_body() {
    // A plugin that reads it, an upstream that does, and time.
    let text = r#"
[plugins.body]
component = "./body-upper.wasm"

[upstreams.orders]
targets = ["http://${env:ORDERS}"]

[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["body"]
upstream = "orders"
"#;
    let upstream = Upstream::echo().await;
    let silent = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("much").await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmuch").await;
    })
    .await;
    let gateways = [
        (Setup::toml(text, &[("ORDERS", &upstream.address)]).start(), "MUCH"),
        (Setup::proxy(upstream.address).start(), "much"),
        (Setup::proxy(silent.address).start(), "much"),
    ];
    for (gateway, said) in gateways {
        let mut client = Streams::connect(gateway.address).await;
        let fields = [("expect", "100-Continue"), ("content-length", "4")];
        let (mut answer, mut body) = client.open("POST", "/", &fields, true);
        let heard = within(std::future::poll_fn(|it| answer.poll_informational(it))).await;
        assert_eq!(heard.unwrap().unwrap().status(), 100);
        assert!(streams::send(&mut body, "much".into()).await);
        let mut body = streams::heads(&mut answer).await.unwrap().response.into_body();
        assert_eq!(streams::read(&mut body).await.unwrap().0, said.as_bytes());
    }
}

/// Sends so much, and only then looks for the answer.
async fn uploads_first(gateway: &Running, bytes: usize) -> (bool, u16, SendAfter) {
    let mut client = Streams::connect(gateway.address).await;
    let (mut answer, mut body) = client.open("POST", "/up", &[], true);
    let sent = streams::send(&mut body, vec![b'x'; bytes].into()).await;
    let heads = streams::heads(&mut answer).await.unwrap();
    let status = heads.response.status().as_u16();
    streams::read(&mut heads.response.into_body()).await.unwrap();
    (sent, status, SendAfter { client, body })
}

struct SendAfter {
    client: Streams,
    body: h2::SendStream<Bytes>,
}

#[tokio::test]
async fn an_early_refusal_reaches_a_client_that_sends_before_it_reads() {
    let one = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno").await;
        // It takes what the kernel takes.
        sleep(gateway_tests::PATIENCE).await;
    })
    .await;
    let gateway = Setup::proxy(one.address).start();
    let (sent, status, _) = uploads_first(&gateway, 900_000).await;
    assert_eq!((sent, status), (true, 401));

    let two = Upstream::script(|stream| {
        streams::serve(stream, |_, mut reply| async move {
            streams::answer(&mut reply, 401, "no");
        })
    })
    .await;
    let gateways = [
        (Setup::proxy(two.address).over_http2().start(), 401),
        (Setup::new().route(route("/up")).start(), 200),
        (Setup::new().start(), 404),
    ];
    for (gateway, expected) in &gateways {
        let (sent, status, _) = uploads_first(gateway, 8 << 20).await;
        assert!(sent, "all of it is taken");
        assert_eq!(status, *expected);
    }
    // More than that is not worth it; but the connection continues.
    let (gateway, expected) = &gateways[2];
    let (sent, status, mut after) = uploads_first(gateway, 66 << 20).await;
    assert!(!sent, "it is not read to its end");
    assert_eq!(status, *expected);
    assert_eq!(streams::reset(&mut after.body).await, Some(Reason::NO_ERROR));
    let (mut answer, _) = after.client.open("GET", "/up", &[], false);
    assert_eq!(streams::heads(&mut answer).await.unwrap().response.status(), *expected);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_to_who_is_sending_it() {
    let upstream = Upstream::echo().await;
    let gateway =
        Setup::proxy(upstream.address).listen(|it| it.limits.body_size = Some(100_000)).start();
    let (sent, status, _) = uploads_first(&gateway, 900_000).await;
    assert_eq!((sent, status), (true, 413));
}

#[tokio::test]
async fn an_upload_whose_response_is_complete_ends_with_its_patience() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        raw.rest().await;
    })
    .await;
    let gateway =
        Setup::proxy(upstream.address).listen(|it| it.timeouts.idle = milliseconds(300)).start();
    let mut client = Streams::connect(gateway.address).await;
    let (mut answer, mut body) = client.open("POST", "/", &[], true);
    body.send_data("begun".into(), false).unwrap();
    let heads = streams::heads(&mut answer).await.unwrap();
    assert_eq!(streams::read(&mut heads.response.into_body()).await.unwrap().0, b"ok");
    let began = Instant::now();
    assert_eq!(streams::reset(&mut body).await, Some(Reason::NO_ERROR));
    assert!(began.elapsed() < milliseconds(2_000), "{:?}", began.elapsed());
    assert_eq!(client.get("/").await.response.status(), 200);
}

#[tokio::test]
async fn an_upload_goes_on_behind_its_response() {
    let (got, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, whole) = (Arc::clone(&got), Arc::clone(&seen));
    let upstream = Upstream::script(move |stream| {
        let (count, whole) = (Arc::clone(&count), Arc::clone(&whole));
        streams::serve(stream, move |request, mut reply| {
            let (count, whole) = (Arc::clone(&count), Arc::clone(&whole));
            async move {
                streams::answer(&mut reply, 200, "ok");
                let read = streams::read(&mut request.into_body()).await.unwrap().0;
                count.store(read.len(), Ordering::SeqCst);
                whole.notify_one();
            }
        })
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    let mut client = Streams::connect(gateway.address).await;
    let (mut answer, mut body) = client.open("POST", "/", &[], true);
    let heads = streams::heads(&mut answer).await.unwrap();
    assert_eq!(streams::read(&mut heads.response.into_body()).await.unwrap().0, b"ok");
    for _ in 0..4 {
        sleep(milliseconds(20)).await;
        body.reserve_capacity(100_000);
        body.send_data(vec![b'x'; 100_000].into(), false).unwrap();
    }
    body.send_data(Bytes::new(), true).unwrap();
    within(seen.notified()).await;
    assert_eq!(got.load(Ordering::SeqCst), 400_000);
}

/// Refuses the streams of its first connections; says what it was sent over the others.
async fn refuses(first: usize) -> Upstream {
    let connections = Arc::new(AtomicUsize::new(0));
    Upstream::script(move |stream| {
        let number = connections.fetch_add(1, Ordering::SeqCst);
        async move {
            streams::serve_with(stream, |_, request, mut reply| {
                if number < first && request.uri().path() != "/first" {
                    return reply.send_reset(Reason::REFUSED_STREAM);
                }
                tokio::spawn(async move {
                    let read = streams::read(&mut request.into_body()).await.unwrap().0;
                    let mut stream = reply.send_response(Response::new(()), false).unwrap();
                    stream.send_data([&b"got "[..], &read].concat().into(), true).unwrap();
                });
            })
            .await;
        }
    })
    .await
}

#[tokio::test]
async fn a_request_that_was_not_processed_is_sent_again_elsewhere() {
    for warm in [false, true] {
        let upstream = refuses(1).await;
        let gateway = Setup::proxy(upstream.address).over_http2().start();
        if warm {
            assert_eq!(Http1::get(gateway.address, "/first").await.status(), 200);
        }
        let answer = Http1::get(gateway.address, "/a").await;
        assert_eq!((answer.status(), answer.text(), upstream.connections()), (200, "got ", 2));
        // Neither idempotent nor read: nothing of it was processed.
        let mut raw = Raw::connect(gateway.address).await;
        raw.send("POST /b HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n").await;
        sleep(milliseconds(200)).await;
        raw.send("ok").await;
        assert_eq!(raw.response().await.body, "got ok");
        // What is short is kept, though it was on its way.
        let request = client::request("POST", "/c", &[], "short");
        let answer = Http1::connect(gateway.address).await.send(request).await;
        assert_eq!((answer.status(), answer.text()), (200, "got short"));
        // The other connection serves these too.
        assert_eq!(upstream.connections(), 2);
    }
}

#[tokio::test]
async fn a_request_is_sent_again_once_and_never_in_part() {
    let upstream = refuses(9).await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    assert_eq!(Http1::get(gateway.address, "/a").await.status(), 502);
    assert_eq!(upstream.connections(), 2);

    // More of its body has gone out than is kept.
    let upstream = Upstream::script(|stream| {
        streams::serve(stream, |request, mut reply| async move {
            let mut body = request.into_body();
            within(body.data()).await.unwrap().unwrap();
            reply.send_reset(Reason::REFUSED_STREAM);
        })
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    let request = client::request("POST", "/a", &[], vec![b'x'; 100_000]);
    assert_eq!(Http1::connect(gateway.address).await.send(request).await.status(), 502);
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_stream_above_the_last_one_of_a_goaway_is_sent_again() {
    // The frames by hand: a GOAWAY that leaves out the stream that it meets.
    let connections = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::script(move |stream| {
        let number = connections.fetch_add(1, Ordering::SeqCst);
        async move {
            if number > 0 {
                return streams::serve(stream, |_, mut reply| async move {
                    streams::answer(&mut reply, 200, "second");
                })
                .await;
            }
            let mut raw = Raw::from(stream);
            raw.send([0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
            raw.wait_for_frame(1).await;
            raw.send([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await;
            sleep(milliseconds(2_000)).await;
        }
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    let answer = Http1::get(gateway.address, "/").await;
    assert_eq!((answer.status(), answer.text()), (200, "second"));
}

#[tokio::test]
async fn requests_that_come_together_keep_to_what_a_new_connection_allows() {
    let upstream = Upstream::script(|stream| async move {
        let mut builder = h2::server::Builder::new();
        builder.max_concurrent_streams(2);
        let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
        while let Some(Ok((_, mut reply))) = connection.accept().await {
            tokio::spawn(async move {
                sleep(milliseconds(20)).await;
                streams::answer(&mut reply, 200, "ok");
            });
        }
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    let mut client = Streams::connect(gateway.address).await;
    // Beyond two, the target refuses what comes.
    let mut answers: Vec<_> = (0..20).map(|_| client.open("POST", "/", &[], false).0).collect();
    for answer in &mut answers {
        assert_eq!(streams::heads(answer).await.unwrap().response.status(), 200);
    }
}

#[tokio::test]
async fn says_that_a_target_fell_silent_in_the_middle_of_a_response() {
    let upstream = Upstream::script(|stream| async move {
        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
        let Some(Ok((_, mut reply))) = connection.accept().await else { return };
        let mut body = reply.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"begun"), false).unwrap();
        // Sends that, and reads nothing from then on.
        let _none = tokio::time::timeout(milliseconds(50), connection.accept()).await;
        sleep(gateway_tests::PATIENCE).await;
    })
    .await;
    gateway_tests::log::listen();
    let gateway = Setup::proxy(upstream.address)
        .over_http2()
        .tune(|it| (it.ping, it.ping_timeout) = (milliseconds(100), milliseconds(100)))
        .start();
    let mut client = Streams::connect(gateway.address).await;
    let heads = client.get("/").await;
    let id = heads.response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(streams::read(&mut heads.response.into_body()).await.is_err());
    gateway_tests::until(|| !gateway_tests::log::of_request(&id).is_empty()).await;
    let said = gateway_tests::log::of_request(&id)[0].field("cause").to_owned();
    assert!(said.contains("did not answer a PING"), "{said}");
}

#[tokio::test]
async fn a_graceful_goaway_costs_no_request() {
    let upstream = Upstream::script(|stream| async move {
        let mut served = 0;
        streams::serve_with(stream, |connection, request, mut reply| {
            served += 1;
            if served == 5 {
                connection.graceful_shutdown();
            }
            tokio::spawn(async move {
                let read = streams::read(&mut request.into_body()).await.unwrap().0;
                sleep(milliseconds(3)).await;
                let mut stream = reply.send_response(Response::new(()), false).unwrap();
                stream.send_data(read.into(), true).unwrap();
            });
        })
        .await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let address = gateway.address;
            tokio::spawn(async move {
                let mut client = Http1::connect(address).await;
                for _ in 0..40 {
                    let request = client::request("POST", "/", &[], "once");
                    let answer = client.send(request).await;
                    assert_eq!((answer.status(), answer.text()), (200, "once"));
                }
            })
        })
        .collect();
    for client in clients {
        within(client).await.unwrap();
    }
    assert!(upstream.connections() > 5, "{} connections", upstream.connections());
}

#[tokio::test]
async fn trailers_behind_a_length_come_to_a_client_over_http2() {
    let upstream = Upstream::script(|stream| {
        streams::serve(stream, |_, mut reply| async move {
            let head = Response::builder().header("content-length", "2").body(()).unwrap();
            let mut stream = reply.send_response(head, false).unwrap();
            stream.send_data("ok".into(), false).unwrap();
            sleep(milliseconds(50)).await;
            let sum = ("x-sum".parse().unwrap(), "7".parse().unwrap());
            stream.send_trailers(HeaderMap::from_iter([sum])).unwrap();
        })
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    let mut client = Streams::connect(gateway.address).await;
    let (mut answer, _) = client.open("GET", "/", &[("te", "trailers")], false);
    let response = streams::heads(&mut answer).await.unwrap().response;
    assert_eq!(response.headers()["content-length"], "2");
    let (body, trailers) = streams::read(&mut response.into_body()).await.unwrap();
    assert_eq!((&body[..], &trailers.unwrap()["x-sum"]), (&b"ok"[..], &"7".parse().unwrap()));
    let answer = Http1::get(gateway.address, "/").await;
    assert_eq!((answer.text(), answer.trailers.is_none()), ("ok", true));
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_off_the_upstream() {
    let (began, left) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, leaves) = (Arc::clone(&began), Arc::clone(&left));
    let upstream = Upstream::script(move |stream| {
        let (begins, leaves) = (Arc::clone(&begins), Arc::clone(&leaves));
        streams::serve(stream, move |request, mut reply| {
            let (begins, leaves) = (Arc::clone(&begins), Arc::clone(&leaves));
            async move {
                // On one, in the middle of its response; its upload is not read either way.
                if request.uri().path() == "/begun" {
                    let mut stream = reply.send_response(Response::new(()), false).unwrap();
                    stream.send_data("part".into(), false).unwrap();
                    begins.notify_one();
                    assert!(streams::reset(&mut stream).await.is_some());
                } else {
                    begins.notify_one();
                    within(std::future::poll_fn(|it| reply.poll_reset(it))).await.unwrap();
                }
                leaves.notify_one();
                drop(request);
            }
        })
    })
    .await;
    let gateway = Setup::proxy(upstream.address).over_http2().start();
    for path in ["/waits", "/begun"] {
        for upload in [0, 300_000] {
            let mut client = Streams::connect(gateway.address).await;
            let (mut answer, mut body) = client.open("POST", path, &[], true);
            body.reserve_capacity(upload);
            body.send_data(vec![b'x'; upload].into(), upload == 0).unwrap();
            within(began.notified()).await;
            if path == "/begun" {
                streams::heads(&mut answer).await.unwrap();
            }
            body.send_reset(Reason::CANCEL);
            within(left.notified()).await;
        }
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn what_is_cut_off_never_looks_whole_whatever_the_reason_is_called() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut client = Streams::connect(gateway.address).await;
    let (answer, mut body) = client.open("POST", "/", &[], true);
    body.send_data("half".into(), false).unwrap();
    gateway_tests::until(|| !upstream.requests().is_empty()).await;
    body.send_reset(Reason::NO_ERROR);
    assert!(within(answer).await.is_err());

    let cut = Upstream::script(|stream| {
        streams::serve(stream, |request, mut reply| async move {
            let reason = match request.uri().path() {
                "/none" => Reason::NO_ERROR,
                "/cancel" => Reason::CANCEL,
                _ => Reason::REFUSED_STREAM,
            };
            let mut stream = reply.send_response(Response::new(()), false).unwrap();
            stream.send_data("half".into(), false).unwrap();
            sleep(milliseconds(50)).await;
            stream.send_reset(reason);
        })
    })
    .await;
    let gateway = Setup::proxy(cut.address).over_http2().start();
    let mut client = Streams::connect(gateway.address).await;
    for (path, reason) in [
        ("/none", Reason::INTERNAL_ERROR),
        ("/cancel", Reason::CANCEL),
        ("/refused", Reason::INTERNAL_ERROR),
    ] {
        let mut body = client.get(path).await.response.into_body();
        assert_eq!(streams::read(&mut body).await.unwrap_err().reason(), Some(reason), "{path}");
    }
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET /none HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(!raw.rest().await.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn a_response_has_a_date_and_the_length_of_its_body() {
    let gateway = Setup::new().route(route("/")).start();
    let response = Streams::connect(gateway.address).await.get("/").await.response;
    assert_eq!(response.headers()["content-length"], "1");
    assert!(response.headers()["date"].to_str().unwrap().ends_with(" GMT"));
    let upstream = Upstream::http1(|_| async {
        let dated = Response::builder().header("date", "Tue, 01 Jan 2030 00:00:00 GMT");
        dated.body(full("")).unwrap()
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let response = Streams::connect(gateway.address).await.get("/").await.response;
    assert_eq!(response.headers()["date"], "Tue, 01 Jan 2030 00:00:00 GMT");
}

#[tokio::test]
async fn a_length_that_is_not_kept_costs_its_stream_alone() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut client = Streams::connect(gateway.address).await;
    for sent in ["short", "much longer than it said"] {
        let (answer, mut body) = client.open("POST", "/", &[("content-length", "9")], true);
        body.send_data(sent.into(), true).unwrap();
        // Its stream is reset, or its exchange fails with the body.
        let answered = within(answer).await;
        assert!(answered.is_err() || answered.unwrap().status() == 400);
    }
    assert_eq!(client.get("/").await.response.status(), 200);
}
