//! Mirrors: copies of requests for another upstream, which neither slow the requests nor change them.

use bytes::Bytes;
use gateway_tests::client::{get, request};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Running, Setup, Upstream, until, within};
use http::Response;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

/// A route to `real`, mirrored to `shadow`.
fn start(real: &Upstream, shadow: impl std::fmt::Display, more: &str) -> Running {
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n\
         [upstreams.real]\ntargets = [\"http://{}\"]\n\
         [upstreams.shadow]\ntargets = [\"http://{shadow}\"]\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"real\"\n\
         rewrite.add_prefix = \"/v1\"\nmirror = {{ upstream = \"shadow\", {more} }}\n",
        real.address
    );
    Setup::toml(&text, &[]).start()
}

async fn count(gateway: &Running, result: &str) -> u64 {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let start = format!(
        "gateway_mirrored_requests_total{{route=\"r\",upstream=\"shadow\",result=\"{result}\"}} "
    );
    let line = page.text().lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {start}")).parse().unwrap()
}

async fn until_count(gateway: &Running, result: &str, wanted: u64) {
    within(async {
        while count(gateway, result).await != wanted {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_copy_has_head_and_body_of_the_request_and_its_response_goes_nowhere() {
    let real = Upstream::http1(|request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full(format!("real {}", body.len())))
    })
    .await;
    let (seen, mut copies) = mpsc::unbounded_channel::<(http::request::Parts, Bytes)>();
    let shadow = Upstream::http1(move |request| {
        let seen = seen.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let status = if head.method == "PUT" { 500 } else { 200 };
            seen.send((head, body)).unwrap();
            Response::builder().status(status).body(full("x".repeat(3 << 20))).unwrap()
        }
    })
    .await;
    let gateway = start(&real, shadow.address, "body = \"64KiB\"");
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("POST", "/a?b=c", &[("x-own", "1")], "the body")).await;
    assert_eq!(answer.text(), "real 8");
    let (head, body) = within(copies.recv()).await.unwrap();
    assert_eq!(
        (head.method.as_str(), head.uri.path_and_query().unwrap().as_str()),
        ("POST", "/v1/a?b=c")
    );
    assert_eq!((head.headers["x-own"].as_bytes(), &body[..]), (&b"1"[..], &b"the body"[..]));
    let sent = real.request().headers;
    for name in ["x-request-id", "via", "x-forwarded-for"] {
        assert_eq!(head.headers.get(name), sent.get(name), "{name}");
        assert!(sent.contains_key(name), "{name}");
    }
    until_count(&gateway, "same", 1).await;
    assert_eq!(client.send(request("PUT", "/", &[], "")).await.status(), 200);
    until_count(&gateway, "different", 1).await;
    // One whose body is too large passes as it would without a mirror.
    let large = "y".repeat(100_000);
    assert_eq!(client.send(request("POST", "/", &[], large)).await.text(), "real 100000");
    until_count(&gateway, "skipped", 1).await;
    assert_eq!(shadow.requests().len(), 2);
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    assert!(page.text().contains(
        "gateway_mirrored_response_seconds_total{route=\"r\",upstream=\"shadow\",of=\"copy\"}"
    ));
    // The route counts requests alone, once their responses have been sent.
    within(async {
        let counted = "gateway_requests_total{route=\"r\",status=\"200\"} 3";
        while !Http1::admin(gateway.admin.unwrap(), "/metrics").await.text().contains(counted) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_shadow_that_hangs_or_is_away_is_nothing_to_the_requests() {
    let real = Upstream::echo().await;
    let hanging = Upstream::script(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let gateway = start(&real, hanging.address, "requests = 5, timeout = \"300ms\"");
    let mut client = Http1::connect(gateway.address).await;
    for _ in 0..20 {
        assert_eq!(client.send(get("/")).await.status(), 200);
    }
    // No more than so many wait, and those are given up.
    within(async {
        while count(&gateway, "timeout").await + count(&gateway, "skipped").await < 20 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(count(&gateway, "timeout").await >= 5);
    until(|| hanging.connections() <= 5).await;
    let nowhere = gateway_tests::ClosedPort::new();
    let gateway = start(&real, nowhere.address, "");
    assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
    until_count(&gateway, "failed", 1).await;
}

#[tokio::test]
async fn a_ratio_copies_a_share() {
    let (real, shadow) = (Upstream::echo().await, Upstream::echo().await);
    let gateway = start(&real, shadow.address, "ratio = 0.5");
    let mut client = Http1::connect(gateway.address).await;
    for _ in 0..100 {
        assert_eq!(client.send(get("/")).await.status(), 200);
    }
    within(async {
        while count(&gateway, "same").await < shadow.requests().len() as u64 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    let copies = shadow.requests().len();
    assert!((20..=80).contains(&copies), "{copies}");
    assert_eq!(real.requests().len(), 100);
}

#[tokio::test]
async fn the_example_of_the_documentation_copies_some() {
    let docs = include_str!("../../../docs/splits.md");
    let (_, text) = docs.split_once("# Mirrors\n").unwrap();
    let text = text.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let (real, shadow) = (Upstream::echo().await, Upstream::echo().await);
    let text = format!(
        "{text}[upstreams.v1]\ntargets = [\"http://{}\"]\n[upstreams.v2]\ntargets = [\"http://{}\"]\n",
        real.address, shadow.address
    );
    let gateway = Setup::toml(&text, &[]).start();
    let mut client = Http1::connect(gateway.address).await;
    let mut sent = 0;
    // A tenth is copied: that none of so many is happens once in 10^18 times.
    while shadow.requests().is_empty() && sent < 400 {
        assert_eq!(client.send(get("/chat")).await.status(), 200);
        sent += 1;
    }
    // Copies are under way for a while: a second one may be.
    until(|| !shadow.requests().is_empty()).await;
    assert_eq!(shadow.requests()[0].uri.path(), "/chat");
    assert_eq!(real.requests().len(), sent);
}

#[tokio::test]
async fn a_request_that_is_sent_again_has_one_copy() {
    let status = |status: u16| {
        Upstream::http1(move |_| async move {
            Response::builder().status(status).body(full("")).unwrap()
        })
    };
    let (first, second, shadow) = (status(503).await, status(200).await, status(503).await);
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n\
         [upstreams.first]\ntargets = [\"http://{}\"]\n\
         [upstreams.second]\ntargets = [\"http://{}\"]\n\
         [upstreams.shadow]\ntargets = [\"http://{}\"]\n\
         [plugins.again]\ncomponent = \"./again.wasm\"\ngrants = [\"attempts\"]\n\
         forward_to = [\"second\"]\nconfig = {{ upstreams = [\"second\"] }}\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nplugins = [\"again\"]\n\
         upstream = \"first\"\nmirror.upstream = \"shadow\"\n",
        first.address, second.address, shadow.address
    );
    let gateway = Setup::toml(&text, &[]).start();
    let mut client = Http1::connect(gateway.address).await;
    let answer = client.send(request("POST", "/", &[("authorization", "own")], "body")).await;
    assert_eq!((answer.status(), answer.header("x-sent")), (200, Some("2")));
    until_count(&gateway, "same", 1).await;
    let copy = shadow.request();
    assert_eq!(copy.headers["authorization"], "own", "and not what is meant for the second");
    assert_eq!((shadow.requests().len(), count(&gateway, "different").await), (1, 0));
}

/// 40 responses of which each is read up to 1 MiB: all but 64 KiB of each at 32 MiB a second.
#[tokio::test]
async fn long_responses_of_a_shadow_are_read_slowly() {
    let real = Upstream::http1(|_| async { Response::new(full("real")) }).await;
    let long = Bytes::from("x".repeat(2 << 20));
    let shadow = Upstream::http1(move |_| {
        let long = long.clone();
        async move { Response::new(full(long)) }
    })
    .await;
    let gateway = start(&real, shadow.address, "timeout = \"20s\"");
    let began = std::time::Instant::now();
    let mut client = Http1::connect(gateway.address).await;
    for _ in 0..40 {
        assert_eq!(client.send(get("/")).await.status(), 200);
    }
    until_count(&gateway, "same", 40).await;
    within(async {
        loop {
            let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
            let mut open = page.text().lines().filter(|line| {
                line.starts_with("gateway_upstream_connections{upstream=\"shadow\"")
                    && line.contains("state=\"in_use\"")
            });
            if open.next().is_some_and(|line| line.ends_with(" 0")) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let taken = began.elapsed();
    assert!(taken >= std::time::Duration::from_millis(1_100), "{taken:?}");
}
