//! A second level of caches: gateways find what one of them has stored in a server, and a purge holds on all of them.

mod tenants;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gateway_tests::client::{Answer, request};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Upstream};
use http::Response;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::stores::gateways::Gateway;
use crate::stores::server::{KINDS, Kind, Server};

const STORED: &str = "gateway_cache_second_level_stored_total";

/// An origin whose answers say how often it was asked.
async fn origin() -> (Upstream, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let upstream = Upstream::http1(move |request| {
        let number = count.fetch_add(1, Relaxed) + 1;
        let response = Response::builder().header("cache-control", "max-age=3600");
        let response = response.header("surrogate-key", "pages").header("vary", "x-kind");
        let kind = request.headers().get("x-kind").map(|it| it.to_str().unwrap().to_owned());
        let length = if request.uri().path() == "/o/long" { 100 << 10 } else { 0 };
        let body = format!("{number} {}{}", kind.unwrap_or_default(), "x".repeat(length));
        async move { response.body(full(body)).unwrap() }
    })
    .await;
    (upstream, asked)
}

fn text(upstream: &Upstream, server: &Server, timeout: &str) -> String {
    format!(
        "[upstreams.origin]\ntargets = [\"http://{}\"]\n\
         [stores.shared]\nredis = \"{}\"\ntimeout = \"{timeout}\"\n\
         [caches.pages]\nsecond_level = \"shared\"\nsecond_level_max_object = \"64KiB\"\n\
         [plugins.cache]\ncomponent = \"cache\"\ncache = \"pages\"\nlimits = {{ deadline = \"5s\" }}\n\
         [[routes]]\nname = \"all\"\npaths = [\"/o/{{*rest}}\"]\nplugins = [\"cache\"]\nupstream = \"origin\"\n",
        upstream.address,
        server.url()
    )
}

struct Two {
    _folder: TempDir,
    one: Gateway,
    other: Gateway,
}

/// Two gateways that know what the server has purged.
async fn two(text: &str) -> Two {
    let folder = tempdir().unwrap();
    let one = Gateway::run_up(folder.path(), text).await;
    let other = Gateway::run_up(folder.path(), text).await;
    for gateway in [&one, &other] {
        until_written(gateway, "/o/first").await;
    }
    Two { _folder: folder, one, other }
}

/// Asks until the answer is in the server, which it is not before the gateway knows what it has purged.
async fn until_written(gateway: &Gateway, path: &str) {
    let began = Instant::now();
    let before = gateway.metric(STORED).await;
    for turn in 0.. {
        get(gateway, &format!("{path}{turn}-{}", gateway.process()), "").await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        if gateway.metric(STORED).await > before {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "nothing is written");
    }
}

async fn get(gateway: &Gateway, path: &str, kind: &str) -> Answer {
    let fields = [("x-kind", kind)];
    let fields = if kind.is_empty() { &[][..] } else { &fields[..] };
    Http1::connect(gateway.address).await.send(request("GET", path, fields, "")).await
}

/// Which answer of the origin it is.
async fn body(gateway: &Gateway, path: &str) -> String {
    let answer = get(gateway, path, "").await;
    assert_eq!(answer.status(), 200);
    answer.text().trim().to_owned()
}

/// How much was written to the server, or refused.
async fn written(gateway: &Gateway) -> f64 {
    let dropped = gateway.metric("gateway_cache_second_level_dropped_total").await;
    gateway.metric(STORED).await + dropped
}

/// Stores it, and waits until the others can find it.
async fn store(gateway: &Gateway, path: &str, kind: &str) -> String {
    let before = gateway.metric(STORED).await;
    let answer = get(gateway, path, kind).await;
    gateway.until(STORED, |stored| stored > before).await;
    answer.text().trim().to_owned()
}

async fn purge(gateway: &Gateway, query: &str) -> Value {
    let path = format!("/caches/pages/purge?{query}");
    let asked = gateway_tests::client::to(gateway.admin, request("POST", &path, &[], ""));
    let answer = Http1::connect(gateway.admin).await.send(asked).await;
    serde_json::from_slice(&answer.body).unwrap()
}

/// Waits until a gateway gives another answer than this.
async fn until_not(gateway: &Gateway, path: &str, before: &str) {
    let began = Instant::now();
    while body(gateway, path).await == before {
        assert!(began.elapsed() < Duration::from_secs(20), "{path} is {before} for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_gateway_stores_is_a_hit_on_another_until_it_is_purged() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let (upstream, asked) = origin().await;
        let Two { one, other, .. } = &two(&text(&upstream, &server, "10s")).await;

        // Each variant is the one that was stored, with its age.
        let first = store(one, "/o/a", "").await;
        let second = store(one, "/o/a", "red").await;
        assert_ne!(first, second);
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let before = asked.load(Relaxed);
        let answer = get(other, "/o/a", "").await;
        assert_eq!(answer.text().trim(), first, "{kind:?}");
        assert!(answer.header("cache-status").is_some_and(|it| it.contains("; hit")), "{answer:?}");
        let age: u64 = answer.header("age").unwrap().parse().unwrap();
        assert!((1..60).contains(&age), "{age}");
        assert_eq!(get(other, "/o/a", "red").await.text().trim(), second);
        // A variant that is not here is looked for there, too.
        let third = store(one, "/o/a", "blue").await;
        assert_eq!(get(other, "/o/a", "blue").await.text().trim(), third);
        assert_eq!(asked.load(Relaxed), before + 1, "{kind:?}");
        let hits = "gateway_cache_second_level_requests_total{cache=\"pages\",result=\"hit\"}";
        assert_eq!(other.metric(hits).await, 2.0, "both variants at once, and the third");

        // A purge of what this gateway does not hold itself.
        let apart = store(one, "/o/apart", "").await;
        let gone = purge(other, "url=http://a.example/o/apart").await;
        assert_eq!((&gone["purged"], &gone["second_level"]), (&0.into(), &"purged".into()));
        assert_ne!(body(other, "/o/apart").await, apart, "it is not in the server any more");
        until_not(one, "/o/apart", &apart).await;

        // By tag, and everything: neither is found in the server, nor for long in the memory of the other.
        for (query, path) in [("tag=pages", "/o/by-tag"), ("all=true", "/o/all")] {
            let stored = store(one, path, "").await;
            assert_eq!(body(other, path).await, stored);
            let gone = purge(one, query).await;
            assert!(gone["purged"].as_u64().unwrap() > 0, "{gone}");
            assert_eq!(gone["second_level"], "purged");
            assert_ne!(body(one, path).await, stored);
            until_not(other, path, &stored).await;
        }

        // What a request makes invalid is so on all gateways.
        let stored = store(one, "/o/c", "").await;
        assert_eq!(body(other, "/o/c").await, stored);
        let posted = request("POST", "/o/c", &[], "");
        assert_eq!(Http1::connect(one.address).await.send(posted).await.status(), 200);
        until_not(other, "/o/c", &stored).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_a_miss_and_hears_of_purges_later() {
    let Some(server) = Server::start(Kind::Redis, &[]).await else { return };
    let (upstream, asked) = origin().await;
    let Two { one, other, .. } = &two(&text(&upstream, &server, "200ms")).await;
    let stored = store(one, "/o/a", "").await;

    server.pause();
    let before = asked.load(Relaxed);
    let mut longest = Duration::ZERO;
    for number in 0..12 {
        let began = Instant::now();
        body(other, &format!("/o/away{number}")).await;
        longest = longest.max(began.elapsed());
    }
    assert_eq!(asked.load(Relaxed), before + 12);
    assert!(longest < Duration::from_secs(3), "{longest:?}");
    other.until("gateway_store_up", |up| up == 0.0).await;
    // Nobody waits for what is known to be away.
    let began = Instant::now();
    for number in 12..32 {
        body(other, &format!("/o/away{number}")).await;
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let gone = purge(one, "url=http://a.example/o/a").await;
    assert_eq!((&gone["purged"], &gone["second_level"]), (&1.into(), &"later".into()));
    assert_ne!(body(one, "/o/a").await, stored);

    server.go_on();
    for gateway in [one, other] {
        gateway.until("gateway_store_up", |up| up == 1.0).await;
        until_written(gateway, "/o/again").await;
    }
    let began = Instant::now();
    while purge(one, "tag=nothing").await["second_level"] != "purged" {
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    assert_ne!(body(other, "/o/a").await, stored, "it is not found any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_foreign_or_too_long_is_not_found() {
    let Some(server) = Server::start(Kind::Redis, &[]).await else { return };
    let (upstream, asked) = origin().await;
    let Two { one, other, .. } = &two(&text(&upstream, &server, "10s")).await;
    let keys = |server: &Server| {
        let all = server.ask("KEYS gateway:{cache/pages}:e=*");
        let names = all.lines().filter(|line| line.starts_with("gateway:"));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    server.ask(
        "EVAL \"for _, k in ipairs(redis.call('KEYS', '*:e=*')) do redis.call('DEL', k) end\" 0",
    );
    let change = |script: &str| {
        let all = keys(&server);
        let [key] = &all[..] else { panic!("{all:?}") };
        let script = format!("EVAL \"{script}\" 1 {key}");
        server.ask(&script);
    };
    let last =
        "local f = redis.call('HKEYS', KEYS[1])[1]; local v = redis.call('HGET', KEYS[1], f); ";
    for (path, script) in [
        // Its last byte is another one.
        (
            "/o/damaged",
            format!("{last} redis.call('HSET', KEYS[1], f, string.sub(v, 1, -2) .. '~')"),
        ),
        ("/o/cut", format!("{last} redis.call('HSET', KEYS[1], f, string.sub(v, 1, -40))")),
        ("/o/foreign", format!("{last} redis.call('HSET', KEYS[1], f, 'hello')")),
        ("/o/other-type", "redis.call('SET', KEYS[1], 'hello')".to_owned()),
    ] {
        let stored = store(one, path, "").await;
        change(&script);
        let before = (asked.load(Relaxed), written(other).await);
        assert_ne!(body(other, path).await, stored, "{path}");
        assert_eq!(asked.load(Relaxed), before.0 + 1, "{path}");
        let began = Instant::now();
        while written(other).await == before.1 {
            assert!(began.elapsed() < Duration::from_secs(20), "{path}");
        }
        server.ask("EVAL \"for _, k in ipairs(redis.call('KEYS', '*:e=*')) do redis.call('DEL', k) end\" 0");
    }
    let damaged = "gateway_cache_second_level_requests_total{cache=\"pages\",result=\"damaged\"}";
    assert_eq!(other.metric(damaged).await, 2.0);

    // One that is too long stays where it is.
    let long = get(one, "/o/long", "").await;
    assert_eq!(get(one, "/o/long", "").await.body, long.body, "it is a hit here");
    assert_ne!(get(other, "/o/long", "").await.body, long.body);
    assert_eq!(keys(&server).len(), 0);
    // A server that has lost what it had, with what was purged, has lost all.
    let stored = store(one, "/o/lost", "").await;
    server.ask("FLUSHALL");
    assert_ne!(body(other, "/o/lost").await, stored);
}
