//! How many connections a target has at a time, and what becomes of requests that wait for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use gateway_tests::client::Answer;
use gateway_tests::upstream::full;
use gateway_tests::{Http1, Running, Setup, Upstream, log, until};
use http::Response;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Answers each request when the gate lets it, and knows the most that it ever had at once.
async fn holding(gate: &Arc<Semaphore>, most: &Arc<AtomicUsize>) -> Upstream {
    let (gate, most) = (Arc::clone(gate), Arc::clone(most));
    let now = Arc::new(AtomicUsize::new(0));
    Upstream::http1(move |_| {
        let (gate, most, now) = (Arc::clone(&gate), Arc::clone(&most), Arc::clone(&now));
        async move {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            gate.acquire().await.unwrap().forget();
            now.fetch_sub(1, SeqCst);
            Response::new(full("here"))
        }
    })
    .await
}

fn start(name: &str, targets: &[&Upstream], more: &str, workers: usize) -> Running {
    let targets = targets.iter().map(|it| format!("\"http://{}\"", it.address));
    let targets = targets.collect::<Vec<_>>().join(", ");
    let text = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[upstreams.{name}]\ntargets = [{targets}]\n{more}\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nupstream = \"{name}\"\n"
    );
    Setup::toml(&text, &[]).workers(workers).start()
}

fn spawn(gateway: &Running) -> JoinHandle<Answer> {
    let address = gateway.address;
    tokio::spawn(async move { Http1::get(address, "/legacy/1").await })
}

async fn metric(gateway: &Running, series: &str) -> String {
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let line = page.text().lines().find_map(|line| line.strip_prefix(series)).map(str::trim);
    line.unwrap_or("none").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_connections_are_open_and_so_many_requests_wait() {
    let (gate, most) = (Arc::new(Semaphore::new(0)), Arc::default());
    let slow = holding(&gate, &most).await;
    let more = "connections = { max = 2, queue = 1, queue_time = \"10m\" }";
    let gateway = start("bounded", &[&slow], more, 2);
    let target = slow.address;
    let series = |name: &str, more: &str| {
        format!(
            "gateway_upstream_connections_{name}{{upstream=\"bounded\",target=\"{target}\"{more}}}"
        )
    };
    let first = [spawn(&gateway), spawn(&gateway)];
    until(|| slow.requests().len() == 2).await;
    let third = spawn(&gateway);
    gateway_tests::within(async {
        while metric(&gateway, &series("waiting", "")).await != "1" {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    let refused = spawn(&gateway).await.unwrap();
    assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("1")));
    assert_eq!(
        refused.problem()["detail"],
        "The upstream has more requests than it can serve at the moment."
    );
    let lines = log::of_request(refused.id());
    let cause = lines.iter().find(|line| !line.field("cause").is_empty()).unwrap();
    let expected = "it has 2 connections (`connections.max`), and 1 requests wait";
    assert!(cause.field("cause").contains(expected), "{}", cause.field("cause"));
    assert_eq!(metric(&gateway, &series("shed_total", ",reason=\"full\"")).await, "1");
    let failed = "gateway_requests_failed_total{";
    let page = Http1::admin(gateway.admin.unwrap(), "/metrics").await;
    let mut failed = page.text().lines().filter(|line| line.starts_with(failed));
    assert!(failed.any(|line| line.contains("upstream-full")), "the reason");
    gate.add_permits(3);
    for answer in first.into_iter().chain([third]) {
        assert_eq!(answer.await.unwrap().status(), 200);
    }
    assert_eq!((most.load(SeqCst), slow.requests().len()), (2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_gives_an_idle_connection_up_for_a_request_of_another() {
    let (gate, most) = (Arc::new(Semaphore::new(1000)), Arc::default());
    let server = holding(&gate, &most).await;
    let more = "connections = { max = 1, queue_time = \"10m\" }";
    let gateway = start("shared", &[&server], more, 4);
    for _ in 0..40 {
        assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
    }
    let all: Vec<_> = (0..40).map(|_| spawn(&gateway)).collect();
    for answer in all {
        assert_eq!(answer.await.unwrap().status(), 200);
    }
    assert_eq!(most.load(SeqCst), 1);
    assert!(server.connections() > 1, "more than one worker had requests");
    // It waits for that alone, and needs no place in a queue.
    let gateway = start("alone", &[&server], "connections = { max = 1, queue = 0 }", 4);
    for _ in 0..40 {
        assert_eq!(Http1::get(gateway.address, "/").await.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_with_a_free_connection_is_taken_before_anybody_waits() {
    let gate = Arc::new(Semaphore::new(0));
    let (one, other) =
        (holding(&gate, &Arc::default()).await, holding(&gate, &Arc::default()).await);
    let more = "connections = { max = 1, queue = 0 }\nbalance = \"consistent_hash\"";
    // One key: without a bound, all of them would go to one target.
    let gateway = start("next", &[&one, &other], more, 1);
    let first = spawn(&gateway);
    until(|| one.requests().len() + other.requests().len() == 1).await;
    let second = spawn(&gateway);
    until(|| one.requests().len() == 1 && other.requests().len() == 1).await;
    assert_eq!(spawn(&gateway).await.unwrap().status(), 503);
    gate.add_permits(2);
    assert_eq!((first.await.unwrap().status(), second.await.unwrap().status()), (200, 200));
    let shown = Http1::admin(gateway.admin.unwrap(), "/upstreams/next").await;
    assert!(!shown.text().contains("ejected"), "it is no failure of a target");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_turns_requests_away_that_waited_for_too_long() {
    let (gate, most) = (Arc::new(Semaphore::new(0)), Arc::default());
    let slow = holding(&gate, &most).await;
    let docs = include_str!("../../../docs/upstreams.md");
    let example = docs.split_once("\n## Connections\n").unwrap().1;
    let example = example.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let text = example.replace("10.0.0.1:9000", &slow.address.to_string());
    let gateway = Setup::toml(&text, &[]).workers(1).start();
    let first = [spawn(&gateway), spawn(&gateway)];
    until(|| slow.requests().len() == 2).await;
    let late = spawn(&gateway).await.unwrap();
    assert_eq!((late.status(), late.header("retry-after")), (503, Some("1")));
    // Whoever leaves while it waits has waited, and no more.
    let gone = spawn(&gateway);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    gone.abort();
    gate.add_permits(9);
    for answer in first {
        assert_eq!(answer.await.unwrap().status(), 200);
    }
    assert_eq!(spawn(&gateway).await.unwrap().status(), 200);
    assert_eq!(most.load(SeqCst), 2);
}
