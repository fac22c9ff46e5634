//! Responses that a plugin keeps: who is served what, that one request is sent for all who ask at the same time, what
//! becomes of a body that breaks off, and how what is kept is purged.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use gateway_tests::client::{request, request2};
use gateway_tests::upstream::{BoxBody, full};
use gateway_tests::{Answer, Http1, Http2, Raw, Running, Setup, Upstream, until, within};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

/// A service: what it sends depends on the path, and each response has another number.
struct Origin {
    upstream: Upstream,
    gate: Arc<Semaphore>,
    sent: Arc<AtomicUsize>,
}

impl Origin {
    async fn start() -> Self {
        let (gate, sent) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let state = (Arc::clone(&gate), Arc::clone(&sent));
        let upstream = Upstream::http1(move |request| answer(request, state.clone())).await;
        Self { upstream, gate, sent }
    }

    fn sent(&self) -> usize {
        self.sent.load(SeqCst)
    }

    fn opens(&self) {
        self.gate.add_permits(1);
    }
}

type State = (Arc<Semaphore>, Arc<AtomicUsize>);

async fn answer(request: Request<Incoming>, (gate, sent): State) -> Response<BoxBody> {
    let number = sent.fetch_add(1, SeqCst) + 1;
    let path = request.uri().path().to_owned();
    let response = Response::builder().header("etag", "\"a\"").header("x-number", number);
    let response = response.header("x-not-kept", "1").header("content-type", "text/plain");
    if path.starts_with("/wait-head") {
        gate.acquire().await.unwrap().forget();
    }
    let has_it = request.headers().get("if-none-match").is_some_and(|it| it == "\"a\"");
    let script = match &*path {
        "/fails" if number > 1 => return response.status(503).body(full("no")).unwrap(),
        "/renewed" if has_it => return response.status(304).body(full("")).unwrap(),
        "/tagged" => return response.header("x-tags", "one two").body(full("tagged")).unwrap(),
        "/private" | "/wait-head-private" => {
            return response.header("x-private", "1").body(full("private")).unwrap();
        }
        "/large" => return response.body(full(vec![b'x'; 70 << 10])).unwrap(),
        "/stream" | "/wait-stream" => "first wait second end",
        "/breaks" | "/wait-head-breaks" => "first wait break",
        "/watched" => "first discard",
        "/seen" => "first second",
        "/streams-large" => "big big first wait end",
        _ => return response.body(full(format!("{path} {number}"))).unwrap(),
    };
    let response = match &*path {
        "/watched" | "/seen" => response.header("x-watch", "1"),
        _ => response,
    };
    let frames = stream::unfold((script.split(' '), gate), next);
    response.body(StreamBody::new(frames).boxed_unsync()).unwrap()
}

type Words = (std::str::Split<'static, char>, Arc<Semaphore>);

async fn next((mut words, gate): Words) -> Option<(Result<Frame<Bytes>, std::io::Error>, Words)> {
    let frame = loop {
        match words.next()? {
            "wait" => gate.acquire().await.unwrap().forget(),
            "break" => break Err(std::io::Error::other("it breaks off")),
            "big" => break Ok(Frame::data(Bytes::from(vec![b'x'; 60 << 10]))),
            word => break Ok(Frame::data(Bytes::from(format!("{word} ")))),
        }
    };
    tokio::time::sleep(Duration::from_millis(10)).await;
    Some((frame, (words, gate)))
}

fn start(origin: &Origin, fresh_ms: u64, more: &str) -> Running {
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[upstreams.origin]\ntargets = [\"http://{}\"]\n\
         [caches.pages]\nmemory = \"4MiB\"\nmax_object = \"100KiB\"\npartition = \"8KiB\"\n{more}\n\
         [plugins.keep]\ncomponent = \"./caches.wasm\"\ngrants = [\"cache\"]\ncache = \"pages\"\n\
         limits = {{ deadline = \"10s\" }}\n\
         config = {{ fresh_ms = {fresh_ms} }}\n\
         [plugins.before]\ncomponent = \"./tagger.wasm\"\nlimits = {{ deadline = \"10s\" }}\nconfig = {{ name = \"before\" }}\n\
         [plugins.behind]\ncomponent = \"./tagger.wasm\"\nlimits = {{ deadline = \"10s\" }}\nconfig = {{ name = \"behind\" }}\n\
         [[routes]]\nname = \"all\"\npaths = [\"/{{*rest}}\"]\nplugins = [\"before\", \"keep\", \"behind\"]\n\
         upstream = \"origin\"\n",
        origin.upstream.address
    );
    Setup::toml(&text, &[]).workers(2).start()
}

async fn ask(gateway: &Running, path: &str, fields: &[(&str, &str)]) -> Answer {
    Http1::connect(gateway.address).await.send(request("GET", path, fields, "")).await
}

async fn caches(gateway: &Running) -> Value {
    let answer = Http1::admin(gateway.admin.unwrap(), "/caches").await;
    let page: Value = serde_json::from_str(answer.text()).unwrap();
    page["caches"][0].clone()
}

async fn purge(gateway: &Running, query: &str) -> (u16, Value) {
    let admin = gateway.admin.unwrap();
    let path = format!("/caches/pages/purge?{query}");
    let asked = gateway_tests::client::to(admin, request("POST", &path, &[], ""));
    let answer = Http1::connect(admin).await.send(asked).await;
    (answer.status(), serde_json::from_slice(&answer.body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_response_is_an_answer_of_the_plugin() {
    let origin = Origin::start().await;
    let gateway = start(&origin, 60_000, "");
    let first = ask(&gateway, "/page?a=1", &[]).await;
    assert_eq!((first.status(), first.text()), (200, "/page 1"));
    assert_eq!(
        (first.header("x-cache"), first.header("x-not-kept")),
        (Some("miss, Ok(())"), Some("1"))
    );
    for is_http2 in [false, true] {
        let answer = match is_http2 {
            false => ask(&gateway, "/page?a=1", &[]).await,
            true => {
                let mut client = Http2::connect(gateway.address).await;
                client.send(request2("GET", "/page?a=1", &[], "")).await
            }
        };
        assert_eq!((answer.status(), answer.text()), (200, "/page 1"));
        assert_eq!((answer.header("x-cache"), answer.header("x-number")), (Some("hit"), Some("1")));
        assert_eq!(answer.header("content-length"), Some("7"));
        assert_eq!(answer.header("x-not-kept"), None);
        // The plugin before sees it; the one behind saw what is stored.
        assert_eq!(answer.header("x-trace-response"), Some("behind, before"), "{answer:?}");
    }
    let mut client = Http1::connect(gateway.address).await;
    let head = client.send(request("HEAD", "/page?a=1", &[], "")).await;
    assert_eq!((head.header("content-length"), head.text()), (Some("7"), ""));
    assert_eq!(ask(&gateway, "/page?a=2", &[]).await.text(), "/page 2");
    assert_eq!(ask(&gateway, "/page?a=1", &[("x-variant", "b")]).await.text(), "/page 3");
    assert_eq!(ask(&gateway, "/page?a=1", &[]).await.text(), "/page 1");
    assert_eq!(origin.sent(), 3);
    let shown = caches(&gateway).await;
    assert_eq!((&shown["name"], &shown["objects"]), (&"pages".into(), &3.into()), "{shown}");
    assert_eq!(
        (&shown["plugins"], &shown["evicted_total"]),
        (&serde_json::json!(["keep"]), &0.into())
    );
    assert_eq!(
        (&shown["requests_total"]["hit"], &shown["requests_total"]["miss"]),
        (&4.into(), &3.into())
    );
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let line = "gateway_cache_requests_total{cache=\"pages\",result=\"hit\"} 4";
    assert!(page.text().contains(line), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_served_from_the_whole() {
    let origin = Origin::start().await;
    let gateway = start(&origin, 60_000, "");
    // The first one is answered with all of it.
    assert_eq!(ask(&gateway, "/page", &[("range", "bytes=0-1")]).await.status(), 200);
    let part = ask(&gateway, "/page", &[("range", "bytes=1-4")]).await;
    assert_eq!((part.status(), part.text()), (206, "page"));
    assert_eq!(
        (part.header("content-range"), part.header("content-length")),
        (Some("bytes 1-4/7"), Some("4"))
    );
    let none = ask(&gateway, "/page", &[("range", "bytes=7-")]).await;
    assert_eq!((none.status(), none.header("content-range")), (416, Some("bytes */7")));
    let other = ask(&gateway, "/page", &[("range", "bytes=1-4"), ("if-range", "\"b\"")]).await;
    assert_eq!((other.status(), other.text()), (200, "/page 1"));
    assert_eq!(origin.sent(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_is_sent_for_all_who_ask_at_the_same_time() {
    let origin = Origin::start().await;
    let gateway = start(&origin, 60_000, "");
    for path in ["/wait-head", "/wait-stream"] {
        let before = origin.sent();
        let address = gateway.address;
        let collapsed = async || caches(&gateway).await["collapsed_total"].as_u64().unwrap();
        let all = collapsed().await;
        let asks: Vec<_> = (0..300)
            .map(|_| {
                tokio::spawn(async move {
                    Http1::connect(address).await.send(request("GET", path, &[], "")).await
                })
            })
            .collect();
        if path == "/wait-head" {
            while collapsed().await < all + 299 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        } else {
            // Some wait for the head, others join.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        origin.opens();
        let mut answers = Vec::new();
        for asked in asks {
            answers.push(within(asked).await.unwrap());
        }
        assert_eq!(origin.sent(), before + 1, "{path}");
        let expected = answers[0].text().to_owned();
        assert!(answers.iter().all(|it| it.status() == 200 && it.text() == expected), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_is_served_as_it_arrives_whoever_leaves() {
    let origin = Origin::start().await;
    let gateway = start(&origin, 60_000, "");
    let mut leader = Raw::connect(gateway.address).await;
    leader.send("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await;
    leader.read_until("first").await;
    let mut second = Raw::connect(gateway.address).await;
    second.send("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await;
    second.read_until("first").await;
    leader.reset();
    tokio::time::sleep(Duration::from_millis(50)).await;
    origin.opens();
    second.read_until("second").await;
    second.read_until("end").await;
    until_stored(&gateway, 1).await;
    let answer = ask(&gateway, "/stream", &[]).await;
    assert_eq!((answer.text(), answer.header("x-cache")), ("first second end ", Some("hit")));
    assert_eq!(origin.sent(), 1);
}

async fn until_stored(gateway: &Running, objects: u64) {
    for _ in 0..500 {
        if caches(gateway).await["objects"] == objects {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{}", caches(gateway).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_nobody_waits_for_is_finished_if_it_is_to_be() {
    for finishes in [false, true] {
        let origin = Origin::start().await;
        let more = if finishes { "abandoned = \"finish\"" } else { "" };
        let gateway = start(&origin, 60_000, more);
        let mut leader = Raw::connect(gateway.address).await;
        leader.send("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await;
        leader.read_until("first").await;
        leader.reset();
        tokio::time::sleep(Duration::from_millis(50)).await;
        origin.opens();
        if finishes {
            until_stored(&gateway, 1).await;
        } else {
            for _ in 0..500 {
                if caches(&gateway).await["arriving"] == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(caches(&gateway).await["objects"], 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_looks_whole_to_nobody() {
    let origin = Origin::start().await;
    let gateway = start(&origin, 60_000, "");
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Raw::connect(gateway.address).await;
        client.send("GET /breaks HTTP/1.1\r\nhost: a\r\n\r\n").await;
        client.read_until("first").await;
        clients.push(client);
    }
    assert_eq!(origin.sent(), 1);
    origin.opens();
    for mut client in clients {
        let rest = client.rest().await;
        assert!(!rest.ends_with("0\r\n\r\n"), "{rest:?}");
    }
    let shown = caches(&gateway).await;
    assert_eq!((&shown["objects"], &shown["arriving"]), (&0.into(), &0.into()), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_response_that_is_not_stored_goes_on_alone() {
    let origin = Origin::start().await;
    let gateway = start(&origin, 60_000, "");
    let address = gateway.address;
    let get = move |path: &'static str, wait: &'static str| {
        tokio::spawn(async move {
            let fields = [("x-wait", wait)];
            Http1::connect(address).await.send(request("GET", path, &fields, "")).await
        })
    };
    let asks: Vec<_> = (0..3).map(|_| get("/wait-head-private", "20000")).collect();
    until(|| origin.sent() == 1).await;
    while caches(&gateway).await["collapsed_total"] != 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    origin.gate.add_permits(3);
    for asked in asks {
        assert_eq!(within(asked).await.unwrap().text(), "private");
    }
    assert_eq!(origin.sent(), 3);
    // Nor does it wait for longer than it may.
    let first = get("/wait-head", "20000");
    until(|| origin.sent() == 4).await;
    let second = get("/wait-head", "30");
    until(|| origin.sent() == 5).await;
    origin.gate.add_permits(2);
    assert_eq!(within(first).await.unwrap().status(), 200);
    assert_eq!(within(second).await.unwrap().status(), 200);
    // The leader leaves before there is a response: the next one leads.
    let mut leader = Raw::connect(gateway.address).await;
    leader.send("GET /wait-head-2 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until(|| origin.sent() == 6).await;
    let follower = get("/wait-head-2", "20000");
    while caches(&gateway).await["collapsed_total"] != 4 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    leader.reset();
    until(|| origin.sent() == 7).await;
    origin.gate.add_permits(2);
    assert_eq!(within(follower).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_response_is_confirmed_or_stands_in() {
    let origin = Origin::start().await;
    let gateway = start(&origin, 0, "");
    assert_eq!(ask(&gateway, "/renewed", &[]).await.header("x-cache"), Some("miss, Ok(())"));
    let renewed = ask(&gateway, "/renewed", &[]).await;
    assert_eq!((renewed.status(), renewed.text()), (200, "/renewed 1"));
    assert_eq!(
        (renewed.header("x-cache"), renewed.header("x-renewed")),
        (Some("revalidated"), Some("yes"))
    );
    assert_eq!(caches(&gateway).await["objects"], 1);
    let origin = Origin::start().await;
    let gateway = start(&origin, 0, "");
    assert_eq!(ask(&gateway, "/fails", &[]).await.status(), 200);
    let stale = ask(&gateway, "/fails", &[]).await;
    assert_eq!(
        (stale.status(), stale.text(), stale.header("x-cache")),
        (200, "/fails 1", Some("stale if error"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_response_is_served_while_it_is_renewed_in_the_background() {
    let origin = Origin::start().await;
    let gateway = start(&origin, 0, "");
    let stale = [("x-stale", "serve")];
    assert_eq!(ask(&gateway, "/page", &[]).await.text(), "/page 1");
    let answer = ask(&gateway, "/page", &stale).await;
    assert_eq!((answer.text(), answer.header("x-cache")), ("/page 1", Some("stale, Ok(true)")));
    until(|| origin.sent() == 2).await;
    let sent = origin.upstream.requests()[1].clone();
    assert_eq!(sent.headers["if-none-match"], "\"a\"");
    // The plugins behind have seen it.
    assert_eq!(sent.headers["x-trace-request"], "before, behind");
    while caches(&gateway).await["stored_total"] != 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ask(&gateway, "/page", &stale).await.text(), "/page 2");
    // Confirmed, it stays.
    assert_eq!(ask(&gateway, "/renewed", &[]).await.status(), 200);
    let asked = origin.sent();
    assert_eq!(ask(&gateway, "/renewed", &stale).await.header("x-renewed"), None);
    until(|| origin.sent() > asked).await;
    let renewed = async || ask(&gateway, "/renewed", &stale).await.header("x-renewed").is_some();
    while !renewed().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // One at a time for each key.
    let origin = Origin::start().await;
    let gateway = start(&origin, 0, "");
    assert_eq!(ask(&gateway, "/page", &[("x-key", "slow")]).await.status(), 200);
    for _ in 0..5 {
        let answer = ask(&gateway, "/wait-head", &[("x-key", "slow"), ("x-stale", "serve")]).await;
        assert!(answer.header("x-cache").is_some_and(|it| it.starts_with("stale")), "{answer:?}");
    }
    until(|| origin.sent() == 2).await;
    origin.opens();
    assert_eq!(caches(&gateway).await["background_total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_not_to_be_kept_passes() {
    let origin = Origin::start().await;
    let gateway = start(&origin, 60_000, "");
    let large = ask(&gateway, "/large", &[]).await;
    assert_eq!((large.body.len(), large.header("x-cache")), (70 << 10, Some("miss, Ok(())")));
    assert_eq!(ask(&gateway, "/large", &[]).await.header("x-cache"), Some("hit"));
    // Its length is known when it is over the bound.
    let address = gateway.address;
    let asked = tokio::spawn(async move {
        Http1::connect(address).await.send(request("GET", "/streams-large", &[], "")).await
    });
    until(|| origin.sent() == 2).await;
    origin.opens();
    assert_eq!(within(asked).await.unwrap().body.len(), (120 << 10) + 10);
    assert_eq!(ask(&gateway, "/watched", &[]).await.text(), "first discard ");
    assert_eq!(ask(&gateway, "/watched", &[]).await.header("x-cache"), Some("miss, Ok(())"));
    assert_eq!(ask(&gateway, "/seen", &[]).await.text(), "first second ");
    until_stored(&gateway, 2).await;
    assert_eq!(ask(&gateway, "/seen", &[]).await.header("x-cache"), Some("hit"));
    // Who has too much loses the oldest.
    for index in 0..40 {
        let path = format!("/tenant-{index}");
        assert_eq!(ask(&gateway, &path, &[("x-tenant", "acme")]).await.status(), 200);
    }
    let shown = caches(&gateway).await;
    let objects = shown["objects"].as_u64().unwrap();
    assert!((10..42).contains(&objects), "{shown}");
    assert_eq!(shown["partitions"], 1);
    assert_eq!(ask(&gateway, "/tenant-39", &[]).await.header("x-cache"), Some("hit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_purged_by_key_tag_owner_and_all() {
    let origin = Origin::start().await;
    let gateway = start(&origin, 60_000, "");
    for (path, tenant) in [("/tagged", ""), ("/a", ""), ("/b", "acme"), ("/c", "acme")] {
        assert_eq!(ask(&gateway, path, &[("x-tenant", tenant)]).await.status(), 200);
    }
    let purged = |count: u64| {
        (200, serde_json::json!({ "cache": "pages", "purged": count, "second_level": null }))
    };
    assert_eq!(purge(&gateway, "tag=three").await, purged(0));
    assert_eq!(purge(&gateway, "tag=two").await, purged(1));
    assert_eq!(purge(&gateway, "key=%2Fa%3F").await, purged(1));
    assert_eq!(purge(&gateway, "key=%2Fa%3F").await, purged(0));
    assert_eq!(purge(&gateway, "partition=acme").await, purged(2));
    assert_eq!(ask(&gateway, "/tagged", &[]).await.header("x-cache"), Some("miss, Ok(())"));
    assert_eq!(ask(&gateway, "/", &[("x-purge", "one")]).await.text(), "1");
    assert_eq!(ask(&gateway, "/a", &[]).await.status(), 200);
    assert_eq!(purge(&gateway, "all=true").await, purged(1));
    assert_eq!(purge(&gateway, "").await.0, 400);
    assert_eq!(purge(&gateway, "all=true&tag=x").await.0, 400);
    assert_eq!(purge(&gateway, "all=yes").await.0, 400);
    let admin = gateway.admin.unwrap();
    let path = "/caches/nothing/purge?all=true";
    let asked = gateway_tests::client::to(admin, request("POST", path, &[], ""));
    assert_eq!(Http1::connect(admin).await.send(asked).await.status(), 404);
}

/// The ways of clients to learn that a body is not whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_looks_whole_to_no_client_of_any_version() {
    let origin = Origin::start().await;
    let gateway = start(&origin, 60_000, "");
    let mut first = Raw::connect(gateway.address).await;
    first.send("GET /breaks HTTP/1.1\r\nhost: a\r\n\r\n").await;
    first.read_until("first").await;
    // Where there are no chunks, the connection ends with the body.
    let mut old = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    old.write_all(b"GET /breaks HTTP/1.0\r\nhost: a\r\n\r\n").await.unwrap();
    let mut read = Vec::new();
    while !read.windows(6).any(|it| it == b"first ") {
        assert!(within(old.read_buf(&mut read)).await.unwrap() > 0);
    }
    let (answered, head) = tokio::sync::oneshot::channel();
    let mut client = Http2::connect(gateway.address).await;
    let http2 = tokio::spawn(async move {
        let response = client.0.send_request(request2("GET", "/breaks", &[], "")).await.unwrap();
        answered.send(response.status()).unwrap();
        response.into_body().collect().await
    });
    assert_eq!(within(head).await.unwrap(), 200);
    assert_eq!(origin.sent(), 1);
    origin.opens();
    assert!(!first.rest().await.ends_with("0\r\n\r\n"));
    let end = loop {
        match within(old.read_buf(&mut read)).await {
            Ok(0) => break None,
            Ok(_) => {}
            Err(error) => break Some(error.kind()),
        }
    };
    assert_eq!(end, Some(std::io::ErrorKind::ConnectionReset), "it is no end");
    assert!(within(http2).await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_ask_at_the_same_time_learn_that_the_upstream_broke_off() {
    let origin = Origin::start().await;
    let gateway = start(&origin, 60_000, "");
    let address = gateway.address;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(Http2::connect(address).await);
    }
    let heads = Arc::new(AtomicUsize::new(0));
    let asks: Vec<_> = (0..1_000)
        .map(|index| {
            let (mut client, heads) = (clients[index % 10].clone(), Arc::clone(&heads));
            tokio::spawn(async move {
                let asked = request2("GET", "/wait-head-breaks", &[], "");
                let response = client.0.send_request(asked).await.unwrap();
                heads.fetch_add(1, SeqCst);
                response.into_body().collect().await.map(|body| body.to_bytes())
            })
        })
        .collect();
    while caches(&gateway).await["collapsed_total"] != 999 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    origin.opens();
    // Who has nothing yet when it breaks off asks the upstream.
    until(|| heads.load(SeqCst) == 1_000).await;
    origin.opens();
    for asked in asks {
        let body = within(asked).await.unwrap();
        assert!(body.is_err(), "{body:?}");
    }
    assert_eq!(origin.sent(), 1);
    assert_eq!(caches(&gateway).await["objects"], 0);
}

/// What the plugin `cache` has found out for a request is known for the next one, and no longer than it is right.
#[tokio::test(flavor = "multi_thread")]
async fn a_hit_is_given_again_without_a_call_for_as_long_as_it_is_stored() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let upstream = Upstream::http1(move |request| {
        let number = count.fetch_add(1, SeqCst) + 1;
        let language = request.headers().get("accept-language");
        let language = language.map_or("none", |it| it.to_str().unwrap()).to_owned();
        let response = Response::builder().header("cache-control", "max-age=60");
        let response = response.header("etag", "\"a\"");
        let response = match request.uri().path() {
            "/by-language" => response.header("vary", "accept-language"),
            _ => response,
        };
        async move { response.body(full(format!("{number} {language}"))).unwrap() }
    })
    .await;
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[upstreams.origin]\ntargets = [\"http://{}\"]\n[caches.pages]\n\
         [plugins.cache]\ncomponent = \"cache\"\ncache = \"pages\"\nlimits = {{ deadline = \"5s\" }}\n\
         [[routes]]\nname = \"all\"\npaths = [\"/{{*rest}}\"]\nplugins = [\"cache\"]\nupstream = \"origin\"\n",
        upstream.address
    );
    let gateway = Setup::toml(&text, &[]).workers(1).start();
    let reused = async || {
        let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
        let name = "gateway_plugin_changes_reused_total{plugin=\"cache\"} ";
        let line = page.text().lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.parse::<u64>().unwrap()
    };
    let (german, french) = (("accept-language", "de"), ("accept-language", "fr"));
    for _ in 0..10 {
        assert_eq!(ask(&gateway, "/a", &[]).await.text(), "1 none");
        let same = ask(&gateway, "/a", &[("if-none-match", "\"a\"")]).await;
        assert_eq!((same.status(), same.text()), (304, ""));
        let part = ask(&gateway, "/a", &[("range", "bytes=0-1")]).await;
        assert_eq!((part.status(), part.text()), (206, "1 "));
        let answer = ask(&gateway, "/a", &[]).await;
        let status = answer.header("cache-status").unwrap();
        assert!(status.starts_with("gateway; hit; ttl="), "{status}");
    }
    assert_eq!(sent.load(SeqCst), 1);
    // A second passes now and then.
    let again = reused().await;
    assert!(again >= 10, "{again}");
    assert_eq!(caches(&gateway).await["requests_total"]["hit"], 39);
    let age = async || {
        let answer = ask(&gateway, "/a", &[]).await;
        answer.header("age").unwrap().parse::<u64>().unwrap()
    };
    let before = age().await;
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert!(age().await > before);
    let gone = serde_json::json!({ "cache": "pages", "purged": 1, "second_level": null });
    assert_eq!(purge(&gateway, "all=true").await, (200, gone));
    assert_eq!(ask(&gateway, "/a", &[]).await.text(), "2 none");
    // What another field selects, which the gateway does not know of, is for the plugin to say.
    for (fields, text) in [(german, "3 de"), (french, "4 fr"), (german, "3 de"), (french, "4 fr")] {
        assert_eq!(ask(&gateway, "/by-language", &[fields]).await.text(), text);
    }
    let admin = gateway.admin.unwrap();
    let page = Http1::admin(admin, "/caches").await;
    let page: Value = serde_json::from_str(page.text()).unwrap();
    assert_eq!(page["caches"][0]["plugins"], serde_json::json!(["cache"]));
}
