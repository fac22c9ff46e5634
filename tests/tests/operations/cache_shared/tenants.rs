//! Tenants over a second level: what one gateway keeps for a consumer is found on the other by that consumer, and by nobody
//! else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gateway_tests::client::{Answer, request};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Upstream};
use http::Response;
use tempfile::tempdir;

use super::{STORED, purge};
use crate::stores::gateways::Gateway;
use crate::stores::server::{KINDS, Kind, Server};

/// Consumers, whose key is their name and `-key`.
const WHO: [&str; 3] = ["ada", "bob", "eve"];
const AUTH: &str = r#"
[plugins.auth]
component = "auth"
[plugins.auth.config.api_key]
bearer = true
keys = [
  { id = "ada", digest = "sha256:15b5f344504549a217d5e34c7ae9b0af03c413536b0d0c0fc48822ac8922d3c8" },
  { id = "bob", digest = "sha256:9b94dc1a51a38769f135edf04033ad7f2f487b6c25929be7a861cfc1ab10cf98" },
  { id = "eve", digest = "sha256:063f9aac4168c3cc72bc2f81d8e55314ef8052df55829d2e13be2d1f3302a2df" },
]
[plugins.predictions]
component = "predictions"
cache = "pages"
limits = { memory = "64MiB", deadline = "5s" }
[plugins.cache]
component = "cache"
cache = "pages"
limits = { deadline = "5s" }
config.credentials = "by-consumer"
[[routes]]
name = "all"
paths = ["/{*rest}"]
plugins = ["auth", "predictions", "cache"]
upstream = "origin"
"#;

/// A model and a site, whose answers say for whom they are made.
async fn origin() -> (Upstream, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let upstream = Upstream::http1(move |request| {
        let number = count.fetch_add(1, Relaxed) + 1;
        let field = |name: &str| request.headers().get(name).map(|it| it.to_str().unwrap());
        let text = format!("for {} {number}", field("x-who").unwrap());
        let (kind, body) = match (request.method().as_str(), field("x-stream")) {
            ("GET", _) => ("text/plain", text),
            (_, None) => (
                "application/json",
                format!(
                    r#"{{"choices":[{{"index":0,"finish_reason":"stop","message":{{"content":"{text}"}}}}]}}"#
                ),
            ),
            (_, Some(_)) => {
                let events = [
                    format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#),
                    r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#.to_owned(),
                    r#"{"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3}}"#.to_owned(),
                    "[DONE]".to_owned(),
                ];
                let lines = events.iter().map(|event| format!("data: {event}\n\n"));
                ("text/event-stream", lines.collect())
            }
        };
        let response = Response::builder().header("cache-control", "max-age=3600");
        let response = response.header("content-type", kind).body(full(body)).unwrap();
        async move { response }
    })
    .await;
    (upstream, asked)
}

fn text(upstream: &Upstream, server: &Server) -> String {
    format!(
        "[upstreams.origin]\ntargets = [\"http://{}\"]\n\
         [stores.shared]\nredis = \"{}\"\ntimeout = \"10s\"\n\
         [caches.pages]\nsecond_level = \"shared\"\n{AUTH}",
        upstream.address,
        server.url()
    )
}

/// Asks as a consumer: a path, or a question to a model.
async fn ask(gateway: &Gateway, who: &str, what: &str, is_stream: bool) -> Answer {
    let key = format!("Bearer {who}-key");
    let mut fields = vec![("authorization", &*key), ("x-who", who)];
    let asked = if what.starts_with('/') {
        request("GET", what, &fields, "")
    } else {
        fields.push(("content-type", "application/json"));
        if is_stream {
            fields.push(("x-stream", "yes"));
        }
        let message = format!(r#"[{{"role":"user","content":"{what}"}}]"#);
        let body =
            format!(r#"{{"model":"m","temperature":0,"stream":{is_stream},"messages":{message}}}"#);
        request("POST", "/v1/chat/completions", &fields, body)
    };
    let answer = Http1::connect(gateway.address).await.send(asked).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer
}

fn is_hit(answer: &Answer) -> bool {
    answer.header("cache-status").is_some_and(|it| it.contains("; hit"))
}

/// Asks something new until it is in the server, which it is not before the gateway knows what was purged.
async fn until_written(gateway: &Gateway) {
    let (began, before) = (Instant::now(), gateway.metric(STORED).await);
    while gateway.metric(STORED).await == before {
        let what = format!("/first/{}", began.elapsed().as_nanos());
        ask(gateway, "ada", &what, false).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert!(began.elapsed() < Duration::from_secs(30), "nothing is written");
    }
    // The last of them may still be on its way.
    let mut stored = -1.0;
    while stored != gateway.metric(STORED).await {
        stored = gateway.metric(STORED).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prediction_is_found_on_the_other_gateway_by_whom_it_is_for() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let ((upstream, asked), folder) = (origin().await, tempdir().unwrap());
        let text = text(&upstream, &server);
        let one = Gateway::run_up(folder.path(), &text).await;
        let other = Gateway::run_up(folder.path(), &text).await;
        until_written(&one).await;
        until_written(&other).await;
        for is_stream in [false, true] {
            let before = one.metric(STORED).await;
            let first = ask(&one, "ada", "hi", is_stream).await;
            one.until(STORED, |stored| stored > before).await;
            let before = asked.load(Relaxed);
            let again = ask(&other, "ada", "hi", is_stream).await;
            assert!(is_hit(&again), "{kind:?} {again:?}");
            assert_eq!(again.text(), first.text());
            assert_eq!(again.header("content-type"), first.header("content-type"));
            assert_eq!(asked.load(Relaxed), before);
            let others = ask(&other, "bob", "hi", is_stream).await;
            assert!(!is_hit(&others) && others.text().contains("for bob"), "{}", others.text());
        }
        // All of one tenant's, on both gateways and in the server.
        let gone = purge(&other, "tag=tenant:consumer%20ada").await;
        assert_eq!((&gone["purged"], &gone["second_level"]), (&2.into(), &"purged".into()));
        assert!(!is_hit(&ask(&other, "ada", "hi", false).await));
        assert!(is_hit(&ask(&other, "bob", "hi", false).await));
        let began = Instant::now();
        while is_hit(&ask(&one, "ada", "hi", true).await) {
            assert!(began.elapsed() < Duration::from_secs(20), "it is kept for ever");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_consumer_gets_the_answer_of_another_from_any_gateway() {
    let Some(server) = Server::start(Kind::Redis, &[]).await else { return };
    let ((upstream, asked), folder) = (origin().await, tempdir().unwrap());
    let text = text(&upstream, &server);
    let gateways =
        [Gateway::run_up(folder.path(), &text).await, Gateway::run_up(folder.path(), &text).await];
    until_written(&gateways[0]).await;
    until_written(&gateways[1]).await;
    // The same sequence each time (a multiplicative generator modulo 2^31 - 1).
    let mut seed = 20_261_130_u64;
    let mut choose = |count: usize| {
        seed = seed * 48_271 % 2_147_483_647;
        seed as usize % count
    };
    let mut hits = 0;
    for _ in 0..200 {
        let (gateway, who) = (&gateways[choose(2)], WHO[choose(3)]);
        match choose(20) {
            0 => drop(purge(gateway, &format!("tag=tenant:consumer%20{who}")).await),
            1 => drop(purge(gateway, "url=http://a.example/a").await),
            _ => {
                let what = ["/a", "/b", "hi", "ho"][choose(4)];
                let answer = ask(gateway, who, what, choose(2) == 0).await;
                assert!(answer.text().contains(&format!("for {who} ")), "{who}: {}", answer.text());
                hits += usize::from(is_hit(&answer));
            }
        }
    }
    assert!(hits > 50 && asked.load(Relaxed) > 20, "{hits} hits");
    for gateway in &gateways {
        let found = "gateway_cache_second_level_requests_total{cache=\"pages\",result=\"hit\"}";
        assert!(gateway.metric(found).await > 0.0, "none of these was found in the server");
    }
}
