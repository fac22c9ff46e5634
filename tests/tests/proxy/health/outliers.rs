//! Targets that do worse than the others of their upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use gateway_tests::client::{get, to};
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Running, Setup, Upstream, within};
use http::Response;

use super::{echo, lines, shown, start};

/// Sends requests over one connection until the target is ejected, and returns why.
async fn ejected(gateway: &Running, upstream: &str, target: &str) -> String {
    let mut client = Http1::connect(gateway.address).await;
    within(async {
        loop {
            for _ in 0..30 {
                client.send(to(gateway.address, get("/"))).await;
            }
            let health = shown(gateway, upstream, target).await;
            if health["state"] == "ejected" {
                return health["reason"].as_str().unwrap().to_owned();
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_whose_requests_fail_more_often_than_those_of_the_others_is_ejected() {
    let count = Arc::new(AtomicUsize::new(0));
    // Never two in a row.
    let flaky = Upstream::http1(move |_| {
        let status = if count.fetch_add(1, SeqCst).is_multiple_of(3) { 503 } else { 200 };
        async move { Response::builder().status(status).body(full("")).unwrap() }
    })
    .await;
    let ((one, first), (other, second)) = (echo().await, echo().await);
    let docs = include_str!("../../../../docs/upstreams.md");
    let example = docs.split_once("\n### Outliers\n").unwrap().1;
    let keys = example.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let keys = keys.lines().find(|line| line.starts_with("ejection")).unwrap();
    assert!(keys.contains("interval = \"5s\""), "{keys}");
    let keys = keys.replace("{ outliers", "{ time = \"1h\", max_time = \"1h\", outliers");
    let keys = keys
        .replace("interval = \"5s\", min_requests = 50", "interval = \"200ms\", min_requests = 20");
    let target = flaky.address.to_string();
    let gateway = start("flaky", [target.clone(), first.clone(), second.clone()], &keys, 1);
    assert_eq!(ejected(&gateway, "flaky", &target).await, "success_rate");
    let before = flaky.requests().len();
    for _ in 0..30 {
        assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
    }
    assert_eq!(flaky.requests().len(), before);
    assert!(one.requests().len() + other.requests().len() > 30);
    for well in [first, second] {
        assert_eq!(shown(&gateway, "flaky", &well).await["state"], "up");
    }
    assert_eq!(
        lines("flaky"),
        ["the target takes no requests for a while: it does worse than the others"]
    );
    let metrics = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let ejections = format!(
        "gateway_upstream_ejections_total{{upstream=\"flaky\",target=\"{target}\",reason=\"success_rate\"}} 1"
    );
    assert!(metrics.text().contains(&ejections), "{ejections}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_slower_than_the_others_is_ejected_and_comes_back() {
    let slow = Upstream::http1(|_| async {
        tokio::time::sleep(Duration::from_millis(40)).await;
        Response::new(full(""))
    })
    .await;
    let ((_one, first), (_other, second)) = (echo().await, echo().await);
    let keys = "ejection = { time = \"300ms\", outliers = { interval = \"200ms\", min_requests = 3, \
                min_targets = 3, success_rate = 0, latency = 300 } }";
    let target = slow.address.to_string();
    let gateway = start("slow", [target.clone(), first, second], keys, 1);
    assert_eq!(ejected(&gateway, "slow", &target).await, "latency");
    // One request after the time shows that it is there.
    super::becomes_by(&gateway, "slow", &target, "up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_and_by_a_rate_that_none_can_have_nobody_is_ejected() {
    let text = "[upstreams.a]\ntargets = [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]\n\
                ejection = { outliers = { min_targets = 3 } }\n\
                [[routes]]\nname = \"r\"\npaths = [\"/\"]\nupstream = \"a\"\n";
    let config = Setup::toml(text, &[]).config;
    let ejection = &config.upstreams[0].ejection;
    assert_eq!(ejection.outliers.as_ref().unwrap().success_rate, 190);
    assert!(gateway::config::Ejection::default().outliers.is_none());
}
