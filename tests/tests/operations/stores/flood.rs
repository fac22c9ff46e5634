//! What an attacker gains by making keys: nothing of anybody's limit, and no memory without bound.
//!
//! One request charges sixteen policies, and so makes sixteen keys.

use std::time::{Duration, Instant};

use gateway_tests::Http1;
use gateway_tests::client::request;
use tempfile::tempdir;
use tokio::task::JoinSet;

use super::gateways::{Gateway, limit};
use super::server::{ALL, Kind, Server};
use super::shared::store;

const POLICIES: usize = 16;
const CONNECTIONS: usize = 20;
/// More than 100,000 keys.
const REQUESTS: usize = 6_400;

fn policies() -> String {
    let policy = |index: usize| {
        let window = if index.is_multiple_of(2) { "" } else { ", algorithm = \"fixed\"" };
        format!(
            "{{ name = \"p{index}\", limit = 2, window = \"366d\", key = [\"header:x-who\"]{window} }}"
        )
    };
    (0..POLICIES).map(policy).collect::<Vec<_>>().join(", ")
}

/// Each request has a name that was never there. How many were admitted.
async fn flood(
    gateway: &Gateway,
    path: &'static str,
    round: &'static str,
    requests: usize,
) -> usize {
    let mut tasks = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let address = gateway.address;
        tasks.spawn(async move {
            let mut client = Http1::connect(address).await;
            let mut admitted = 0;
            for turn in 0..requests / CONNECTIONS {
                let who = format!("attacker-{round}-{connection}-{turn}");
                let answer = client.send(request("GET", path, &[("x-who", &who)], "")).await;
                admitted += usize::from(answer.status() == 200);
            }
            admitted
        });
    }
    tasks.join_all().await.into_iter().sum()
}

async fn asks(gateway: &Gateway, path: &str, who: &str) -> u16 {
    gateway.ask(path, &[("x-who", who)]).await.0
}

/// Bytes of memory that the process has.
fn memory(gateway: &Gateway) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.process())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

async fn is_limited_exactly(kind: Kind, choice: &str) {
    let options = ["--maxmemory-policy", "noeviction"];
    let Some(server) = Server::start(kind, &options).await else { return };
    let folder = tempdir().unwrap();
    let limiter = format!("{{ store = \"shared\", on_store_error = \"{choice}\" }}");
    let text = store(&server, "") + &limit("day", &limiter, &policies());
    let gateway = Gateway::run_up(folder.path(), &text).await;
    for status in [200, 200, 429] {
        assert_eq!(asks(&gateway, "/day", "victim").await, status);
    }
    assert_eq!(asks(&gateway, "/day", "half").await, 200);
    let before = (memory(&gateway), server.info("memory", "used_memory").parse::<usize>().unwrap());
    let most = before.1 + (6 << 20);
    assert!(server.ask(&format!("CONFIG SET maxmemory {most}")).starts_with("+OK"));
    let admitted = flood(&gateway, "/day", "first", REQUESTS).await;
    let refused = "gateway_store_calls_total{store=\"shared\",result=\"error\"}";
    assert!(gateway.metric(refused).await > 0.0, "{kind:?}: the server is full");
    match choice {
        // Those for which there was no room have no limit, or one of this gateway's own.
        "open" | "local" => assert_eq!(admitted, REQUESTS, "{kind:?}"),
        _ => assert!((1..REQUESTS).contains(&admitted), "{kind:?}: {admitted}"),
    }
    // Who is in the server is limited as ever, while there is no room.
    for _ in 0..7 {
        assert_eq!(asks(&gateway, "/day", "victim").await, 429, "{kind:?} {choice}");
    }
    assert_eq!(asks(&gateway, "/day", "half").await, 200, "{kind:?} {choice}");
    assert_eq!(asks(&gateway, "/day", "half").await, 429, "{kind:?} {choice}");
    assert_eq!(gateway.metric("gateway_store_up").await, 1.0, "it answers");
    gateway.says("is full", 1).await;
    assert_eq!(gateway.said("cannot be had"), 0, "{kind:?}");
    let used = server.info("memory", "used_memory").parse::<usize>().unwrap();
    assert!(used < most + (2 << 20), "{kind:?}: {used} of {most}");
    let grown = memory(&gateway).saturating_sub(before.0);
    assert!(grown < 96 << 20, "{kind:?}: {grown} bytes");
    // A gateway that begins now finds the server, and goes on with what it has.
    let other_folder = tempdir().unwrap();
    let other = Gateway::run_up(other_folder.path(), &text).await;
    assert_eq!(asks(&other, "/day", "victim").await, 429, "{kind:?} {choice}");
    // Room again: what was counted before is there, and new names are counted.
    assert!(server.ask("CONFIG SET maxmemory 0").starts_with("+OK"));
    assert_eq!(asks(&gateway, "/day", "victim").await, 429);
    for status in [200, 200, 429] {
        assert_eq!(asks(&gateway, "/day", "late").await, status, "{kind:?} {choice}");
    }
    let began = Instant::now();
    while gateway.said("has room again") == 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "{kind:?}");
        assert_eq!(asks(&gateway, "/day", "victim").await, 429);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((gateway.said("is full"), gateway.said("has room again")), (1, 1), "{kind:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_full_of_100000_keys_still_limits_whom_it_knows_and_others_locally() {
    for kind in ALL {
        is_limited_exactly(kind, "local").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_full_still_limits_whom_it_knows_whatever_becomes_of_others() {
    is_limited_exactly(Kind::Redis, "open").await;
    is_limited_exactly(Kind::Valkey, "closed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_100000_keys_fills_a_file_and_its_memory_no_further_than_their_bounds() {
    let folder = tempdir().unwrap();
    let text = "[stores.kept]\nfile = \"state.db\"\n".to_owned()
        + &limit("day", "\"kept\"", &policies())
            .replace("deadline = \"1s\"", "deadline = \"1s\", limiter = \"1MiB\"");
    let gateway = Gateway::run(folder.path(), &text);
    for status in [200, 200, 429] {
        assert_eq!(asks(&gateway, "/day", "victim").await, status);
    }
    let before = memory(&gateway);
    let admitted = flood(&gateway, "/day", "first", REQUESTS).await;
    // New names are refused too early once others have been given up.
    assert!((1..=REQUESTS).contains(&admitted), "{admitted}");
    assert!(gateway.metric("gateway_plugin_buckets_displaced_total").await > 0.0);
    assert_eq!(asks(&gateway, "/day", "victim").await, 429);
    let grown = memory(&gateway).saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
    let size = std::fs::metadata(folder.path().join("state.db")).unwrap().len();
    assert!(size < (REQUESTS * POLICIES * 128) as u64, "{size}");
    gateway.stop();
    let gateway = Gateway::run(folder.path(), &text);
    assert_eq!(asks(&gateway, "/day", "victim").await, 429, "a stop resets nobody");
    flood(&gateway, "/day", "second", 400).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    gateway.kill();
    let gateway = Gateway::run(folder.path(), &text);
    assert_eq!(asks(&gateway, "/day", "victim").await, 429, "nor a kill");
}
