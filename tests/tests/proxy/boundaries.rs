//! Where one request of an HTTP/1.1 connection ends and the next begins, no matter what the answer did
//! meanwhile.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::config::{HalfClose, ListenerTls};
use gateway_tests::upstream::full;
use gateway_tests::{Raw, Running, Setup, Upstream, forward, route, tls, until, within};
use http::Response;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

/// Longer than a connection that asks for nothing keeps its buffers.
const LONG: Duration = Duration::from_millis(1_600);

const SHORT: Duration = Duration::from_millis(30);

/// What requests there were, each with the body that came, once it is whole.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// An upstream that answers before it has read the body, and then goes on reading.
async fn hasty() -> (Upstream, Seen) {
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    let upstream = Upstream::http1(move |request| {
        let kept = Arc::clone(&kept);
        async move {
            let path = request.uri().path().to_owned();
            let answer = format!("early {path}");
            tokio::spawn(async move {
                let mut body = request.into_body();
                let mut whole = Vec::new();
                while !body.is_end_stream() {
                    match body.frame().await {
                        Some(frame) => whole.extend_from_slice(frame.unwrap().data_ref().unwrap()),
                        None => break,
                    }
                }
                kept.lock().unwrap().push((path, String::from_utf8(whole).unwrap()));
            });
            Response::new(full(answer))
        }
    })
    .await;
    (upstream, seen)
}

fn paths(upstream: &Upstream) -> Vec<String> {
    upstream.requests().iter().map(|request| request.uri.path().to_owned()).collect()
}

/// Bytes of a body that look like a request.
const DISGUISED: &str = "GET /x HTTP/1.1\r\nhost: a\r\n\r\n";

/// A chunk of these bytes.
fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// Sends a body whose rest comes late and looks like a request, and one more request.
/// Whether a client that expects 100 sends its body all the same after a final answer cannot be known
/// (RFC 9110 section 10.1.1): such an answer ends the connection.
async fn send_disguised(raw: &mut Raw, upstream: &Upstream, seen: &Seen, head: &str) {
    let is_chunked = head.contains("chunked");
    let rest = DISGUISED.repeat(20);
    let first = if is_chunked { chunk("abc") } else { "abc".to_owned() };
    let framing =
        if is_chunked { String::new() } else { format!("content-length: {}\r\n", 3 + rest.len()) };
    let before = upstream.requests().len();
    raw.send(format!("POST /p {head}{framing}\r\n{first}")).await;
    let mut response = raw.head().await;
    if response.status == 100 {
        response = raw.head().await;
    }
    assert_eq!(response.status, 200, "{head}");
    raw.read_until("early /p").await;
    if response.header("connection") == Some("close") {
        assert!(head.contains("expect"), "{head}");
        raw.send(if is_chunked { chunk(&rest) + "0\r\n\r\n" } else { rest.clone() }).await;
        assert!(!raw.rest().await.contains("HTTP/1.1"), "{head}");
        assert_eq!(paths(upstream)[before..], ["/p"], "{head}");
        return;
    }
    tokio::time::sleep(LONG).await;
    raw.send(if is_chunked { chunk(&rest) + "0\r\n\r\n" } else { rest.clone() }).await;
    until(|| seen.lock().unwrap().len() > before).await;
    assert_eq!(seen.lock().unwrap()[before], ("/p".to_owned(), format!("abc{rest}")), "{head}");
    raw.send(format!("GET /next {head}\r\n").replace("transfer-encoding: chunked\r\n", "")).await;
    assert_eq!(raw.response().await.body, "early /next", "{head}");
    assert_eq!(paths(upstream)[before..], ["/p", "/next"], "{head}");
    until(|| seen.lock().unwrap().len() > before + 1).await;
}

const HEADS: [&str; 5] = [
    "HTTP/1.1\r\nhost: a\r\n",
    "HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n",
    "HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n",
    "HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n",
    "HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n",
];

#[tokio::test]
async fn the_rest_of_a_body_is_never_a_request() {
    for head in HEADS {
        let (upstream, seen) = hasty().await;
        let gateway = Setup::proxy(upstream.address).start();
        let mut raw = Raw::connect(gateway.address).await;
        send_disguised(&mut raw, &upstream, &seen, head).await;
    }
}

/// The other end of a TLS connection, in clear.
async fn bridged(gateway: &Running, certificate: &Arc<rustls::sign::CertifiedKey>) -> Raw {
    let mut far = tls::connect(gateway.address, "a.example", &[certificate], &["http/1.1"]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut far).await });
    near.into()
}

fn secured(setup: Setup) -> (Setup, Arc<rustls::sign::CertifiedKey>) {
    let certificate = tls::certificate(&["a.example"]);
    let tls = ListenerTls { certificates: vec![certificate.clone()], ..ListenerTls::default() };
    (setup.listen(|it| it.tls = Some(tls)), certificate)
}

#[tokio::test]
async fn the_rest_of_a_body_is_never_a_request_over_tls() {
    for head in HEADS.iter().take(4) {
        let (upstream, seen) = hasty().await;
        let (setup, certificate) = secured(Setup::proxy(upstream.address));
        let gateway = setup.start();
        let mut raw = bridged(&gateway, &certificate).await;
        send_disguised(&mut raw, &upstream, &seen, head).await;
    }
}

/// What is answered without the body is either read to its end, or the answer says that the
/// connection ends.
#[tokio::test]
async fn an_answer_without_the_body_says_that_the_connection_ends() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address)
        .route(route("/fixed"))
        .listen(|it| it.limits.body_size = Some(100_000))
        .start();
    let cases = [
        ("/fixed", "content-length: 8192\r\n\r\nabc", 200),
        ("/fixed", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", 200),
        ("/fixed", "expect: 100-continue\r\ncontent-length: 10\r\n\r\n", 200),
        ("/fixed", "content-length: 8192\r\n\r\n", 200),
        ("/%zz", "content-length: 8192\r\n\r\nabc", 400),
        ("/%zz", "transfer-encoding: chunked\r\n\r\n", 400),
        ("/echo", "content-length: 100001\r\n\r\nabc", 413),
        ("/echo", "expect: 100-continue\r\ncontent-length: 100001\r\n\r\n", 413),
    ];
    let check = async |path: &str, rest: &str, status: u16| {
        let mut raw = Raw::connect(gateway.address).await;
        raw.send(format!("POST {path} HTTP/1.1\r\nhost: a\r\n{rest}")).await;
        let response = raw.response().await;
        assert_eq!(response.status, status, "{path} {rest:?}");
        assert_eq!(response.header("connection"), Some("close"), "{path} {rest:?}");
        tokio::time::sleep(SHORT).await;
        raw.send(DISGUISED).await;
        assert_eq!(raw.rest().await, "", "{path} {rest:?}");
    };
    for (path, rest, status) in cases {
        check(path, rest, status).await;
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn an_answer_without_a_body_that_has_come_keeps_the_connection() {
    let gateway = Setup::new().route(route("/fixed")).start();
    let mut raw = Raw::connect(gateway.address).await;
    let long = "x".repeat(20_000);
    for body in [
        "content-length: 5\r\n\r\nhello".to_owned(),
        format!("transfer-encoding: chunked\r\n\r\n{}{}0\r\n\r\n", chunk("abc"), chunk("def")),
        format!("content-length: {}\r\n\r\n{long}", long.len()),
    ] {
        raw.send(format!("POST /fixed HTTP/1.1\r\nhost: a\r\n{body}")).await;
        let response = raw.response().await;
        assert_eq!(response.body, "/fixed");
        if response.header("connection") == Some("close") {
            // It had not come when the answer was made.
            assert!(body.len() > 4_096, "{body}");
            raw = Raw::connect(gateway.address).await;
        }
    }
}

#[tokio::test]
async fn reads_what_an_upstream_left_of_a_body() {
    // Answers, and closes when it has the first bytes of the body.
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        let head = raw.read_until("\r\n\r\n").await;
        if head.starts_with("POST") {
            raw.read_until("abc").await;
        }
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        tokio::time::sleep(SHORT).await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 30000\r\n\r\nabc").await;
    let response = raw.response().await;
    assert_eq!((response.body.as_str(), response.header("connection")), ("ok", None));
    tokio::time::sleep(SHORT * 3).await;
    for _ in 0..3 {
        raw.send("x".repeat(9_999)).await;
        tokio::time::sleep(SHORT).await;
    }
    raw.send("GET /next HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(raw.response().await.body, "ok");
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn keeps_a_pipelined_head_that_comes_in_pieces() {
    let (upstream, _) = hasty().await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\nGET /b HT").await;
    assert_eq!(raw.response().await.body, "early /a");
    tokio::time::sleep(LONG).await;
    raw.send("TP/1.1\r\nhost: a\r\n").await;
    tokio::time::sleep(LONG).await;
    raw.send("\r\n").await;
    assert_eq!(raw.response().await.body, "early /b");
    assert_eq!(paths(&upstream), ["/a", "/b"]);
}

#[tokio::test]
async fn checks_the_head_of_each_pipelined_request() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::proxy(upstream.address).start();
    let get = "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let chunked =
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let two = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n\
        2\r\nok\r\n0\r\n\r\n";
    let mut raw = Raw::connect(gateway.address).await;
    raw.send([get, chunked, chunked, get, two, get].concat()).await;
    for body in ["", "ok", "ok", ""] {
        let response = raw.response().await;
        assert_eq!((response.status, response.body.as_str()), (200, body));
    }
    let refused = raw.response().await;
    assert_eq!(refused.status, 400);
    let detail = "Both content-length and transfer-encoding are given.";
    assert_eq!(refused.problem()["detail"], detail);
    assert_eq!(refused.header("connection"), Some("close"));
    assert_eq!(raw.rest().await, "");
    assert_eq!(upstream.requests().len(), 4);
}

#[tokio::test]
async fn carries_a_slow_exchange_in_both_directions() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        if raw.read_until("\r\n\r\n").await.starts_with("GET") {
            raw.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext").await;
            raw.rest().await;
            return;
        }
        raw.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for word in ["one", "two", "three"] {
            raw.read_until(word).await;
            raw.send(chunk(word)).await;
        }
        raw.send("0\r\n\r\n").await;
        raw.read_until("0\r\n\r\n").await;
        raw.rest().await;
    })
    .await;
    let gateway = Setup::proxy(upstream.address).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    raw.head().await;
    for word in ["one", "two", "three"] {
        tokio::time::sleep(LONG).await;
        raw.send(chunk(word)).await;
        raw.read_until(&chunk(word)).await;
    }
    raw.read_until("0\r\n\r\n").await;
    tokio::time::sleep(LONG).await;
    raw.send(chunk("late") + "0\r\n\r\n").await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(raw.response().await.body, "next");
    // One that was answered before its request had ended serves no other.
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn says_nothing_on_an_idle_connection() {
    let gateway = Setup::new()
        .route(route("/"))
        .listen(|it| {
            it.timeouts.header = Duration::from_millis(300);
            it.timeouts.keep_alive = Duration::from_millis(2_500);
        })
        .start();
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok";
    // Old clients send a line end behind a body; it is no part of a request.
    for request in
        [get.to_owned(), format!("{post}\r\n"), format!("\r\n{get}\r\n\r\n\r"), String::new()]
    {
        let mut raw = Raw::connect(gateway.address).await;
        if !request.is_empty() {
            raw.send(&request).await;
            assert_eq!(raw.response().await.status, 200);
        }
        if !request.ends_with('\r') {
            tokio::time::sleep(Duration::from_millis(500)).await;
            raw.send("\r\n").await;
        }
        assert_eq!(raw.rest().await, "", "{request:?}");
    }
    let mut raw = Raw::connect(gateway.address).await;
    raw.send(format!("{get}G")).await;
    assert_eq!(raw.response().await.status, 200);
    let late = raw.response().await;
    assert_eq!((late.status, late.header("connection")), (408, Some("close")));
}

/// Answers each request, after a while.
async fn slow() -> Upstream {
    Upstream::http1(|request| async move {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.map_or("broken".into(), |it| it.to_bytes());
        tokio::time::sleep(Duration::from_millis(200)).await;
        Response::new(full(format!("{path} {}", String::from_utf8_lossy(&body))))
    })
    .await
}

#[tokio::test]
async fn answers_a_client_that_has_ended_its_side() {
    let upstream = slow().await;
    let patient = || {
        let setup = Setup::proxy(upstream.address).route(route("/fixed"));
        setup.listen(|it| it.half_close = HalfClose::Answer)
    };
    let (setup, certificate) = secured(patient());
    let (clear, secure) = (patient().start(), setup.start());
    let get = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n";
    let post =
        "POST /b HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let fixed = "GET /fixed HTTP/1.1\r\nhost: a\r\n\r\n";
    for (requests, bodies) in [
        (get.to_owned(), vec!["/a "]),
        (post.to_owned(), vec!["/b ok"]),
        (fixed.to_owned(), vec!["/fixed"]),
        ([get, post, fixed, get].concat(), vec!["/a ", "/b ok", "/fixed", "/a "]),
        ([post, fixed, "GET /un"].concat(), vec!["/b ok", "/fixed"]),
    ] {
        for is_secure in [false, true] {
            let mut raw = match is_secure {
                true => bridged(&secure, &certificate).await,
                false => Raw::connect(clear.address).await,
            };
            raw.send(&requests).await;
            raw.stream.shutdown().await.unwrap();
            let mut last = None;
            for body in &bodies {
                let response = raw.response().await;
                assert_eq!(response.body, *body, "{requests:?}");
                last = response.header("connection").map(str::to_owned);
            }
            if !requests.ends_with("un") && bodies.last() != Some(&"/fixed") {
                assert_eq!(last.as_deref(), Some("close"), "{requests:?}");
            }
            assert_eq!(raw.rest().await, "", "{requests:?}");
        }
    }
}

#[tokio::test]
async fn gives_up_the_upstream_when_the_client_breaks_the_connection() {
    for ends_its_side_before in [false, true] {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let upstream = Upstream::script(move |stream| {
            let sender = sender.lock().unwrap().take();
            async move {
                let mut raw = Raw::from(stream);
                raw.read_until("\r\n\r\n").await;
                raw.rest().await;
                sender.unwrap().send(()).unwrap();
            }
        })
        .await;
        let gateway =
            Setup::proxy(upstream.address).listen(|it| it.half_close = HalfClose::Answer).start();
        let mut raw = Raw::connect(gateway.address).await;
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /pipelined HTTP/1.1\r\n").await;
        if ends_its_side_before {
            raw.stream.shutdown().await.unwrap();
        }
        until(|| upstream.connections() == 1).await;
        tokio::time::sleep(SHORT).await;
        raw.reset();
        gateway_tests::within(receiver).await.unwrap();
    }
}

#[tokio::test]
async fn gives_up_the_upstream_when_the_client_closes_the_connection() {
    for is_secure in [false, true] {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let upstream = Upstream::script(move |stream| {
            let sender = sender.lock().unwrap().take();
            async move {
                let mut raw = Raw::from(stream);
                raw.read_until("\r\n\r\n").await;
                raw.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun").await;
                raw.rest().await;
                sender.unwrap().send(()).unwrap();
            }
        })
        .await;
        let (setup, certificate) = secured(Setup::proxy(upstream.address));
        let clear = Setup::proxy(upstream.address).start();
        let secure = setup.start();
        let mut raw = match is_secure {
            true => bridged(&secure, &certificate).await,
            false => Raw::connect(clear.address).await,
        };
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        raw.read_until("begun").await;
        drop(raw);
        // Nothing more is written to it, and the upstream is left all the same.
        within(receiver).await.unwrap();
    }
}

#[tokio::test]
async fn says_that_the_last_connection_ends_when_it_drains() {
    let upstream = slow().await;
    let mut setup = Setup::proxy(upstream.address);
    setup.config.process.shutdown_grace = Duration::from_secs(5);
    let mut gateway = setup.start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(|| upstream.connections() == 1).await;
    gateway.stop();
    let response = raw.response().await;
    assert_eq!((response.body.as_str(), response.header("connection")), ("/a ", Some("close")));
    assert_eq!(raw.rest().await, "");
}

#[tokio::test]
async fn what_comes_early_of_a_new_protocol_is_not_lost() {
    let upstream = Upstream::script(|stream| async move {
        let mut raw = Raw::from(stream);
        raw.read_until("\r\n\r\n").await;
        tokio::time::sleep(SHORT).await;
        raw.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
            .await;
        let early = raw.read_until("early").await;
        raw.send(format!("heard {early}")).await;
        raw.rest().await;
    })
    .await;
    let gateway = Setup::new().upstream(upstream.address).route(forward("/", 0)).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nvery ").await;
    tokio::time::sleep(SHORT).await;
    raw.send("early").await;
    assert_eq!(raw.head().await.status, 101);
    assert_eq!(raw.read_until("early").await, "heard very early");
}

/// hyper keeps trailers that come behind the answer to itself until the next head comes.
#[tokio::test]
async fn trailers_behind_the_answer_end_the_body() {
    let (sent, mut came) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::script(move |stream| {
        let sent = sent.clone();
        async move {
            let mut raw = Raw::from(stream);
            if raw.read_until("\r\n\r\n").await.starts_with("GET") {
                raw.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext").await;
                return;
            }
            raw.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly").await;
            sent.send(raw.read_until("0\r\nx-sum: 1\r\n\r\n").await).unwrap();
        }
    })
    .await;
    // Wanted by the upstream, and by nobody.
    let gateway = Setup::proxy(upstream.address).route(route("/own")).start();
    let head = "HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut raw = Raw::connect(gateway.address).await;
    raw.send(format!("POST / {head}{}", chunk("abc"))).await;
    assert_eq!(raw.response().await.body, "early");
    raw.send("0\r\nx-sum: 1\r\n\r\n").await;
    assert!(within(came.recv()).await.unwrap().starts_with("3\r\nabc\r\n"));
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(raw.response().await.body, "next");
    raw.send(format!("POST /own {head}{}0\r\nx-sum: 1\r\n\r\n", chunk("abc"))).await;
    let own = raw.response().await;
    assert_eq!((own.status, own.header("connection")), (200, None));
    raw.send("GET /own HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(raw.response().await.status, 200);
}

/// The end of an upload tells the connection's timer that it is idle.
#[tokio::test]
async fn a_connection_whose_upload_ended_behind_its_answer_is_idle() {
    let (upstream, seen) = hasty().await;
    let setup = Setup::proxy(upstream.address);
    let gateway = setup.listen(|it| it.timeouts.keep_alive = Duration::from_millis(1_300)).start();
    let mut raw = Raw::connect(gateway.address).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    assert_eq!(raw.response().await.body, "early /");
    raw.send(chunk("abc") + "0\r\n\r\n").await;
    until(|| seen.lock().unwrap().len() == 1).await;
    // The harness waits for less than `timeouts.idle`.
    assert_eq!(raw.rest().await, "");
}

/// Most clients read when they have sent all: a reset on the way would take the answer from them.
#[tokio::test]
async fn an_upload_comes_to_its_end_though_its_upstream_has_answered_and_closed() {
    for status in ["200 OK", "413 Content Too Large"] {
        let upstream = Upstream::script(move |stream| async move {
            let mut raw = Raw::from(stream);
            raw.read_until("\r\n\r\n").await;
            raw.send(format!("HTTP/1.1 {status}\r\ncontent-length: 5\r\n\r\nearly")).await;
        })
        .await;
        let gateway = Setup::proxy(upstream.address).start();
        for _ in 0..5 {
            let mut raw = Raw::connect(gateway.address).await;
            let length = 8 << 20;
            let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
            raw.send(head).await;
            raw.send(vec![b'x'; length]).await;
            let answer = raw.response().await;
            assert!(answer.head.contains(status), "{}", answer.head);
            assert_eq!(answer.body, "early");
        }
    }
}
