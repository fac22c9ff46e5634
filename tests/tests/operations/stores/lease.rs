//! Permits that gateways take ahead.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_tests::Http1;
use gateway_tests::client::request;
use tempfile::tempdir;

use super::gateways::{Gateway, flood, limit};
use super::server::{KINDS, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_asks_the_store_once_in_fifty_requests_and_admits_no_more_than_the_limit() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let url = server.url();
        let mut text = format!("[stores.shared]\nredis = \"{url}\"\ntimeout = \"10s\"\n");
        let leased = "{ store = \"shared\", on_store_error = \"closed\", lease = 50 }";
        text +=
            &limit("day", leased, "{ name = \"day\", limit = 2000, window = \"1d\", key = [] }");
        let mut gateways = Vec::new();
        for _ in 0..3 {
            gateways.push(Gateway::run_up(folder.path(), &text).await);
        }
        let all: Vec<_> = gateways.iter().collect();
        let counts = flood(&all, "/day", 60, 20).await;
        assert_eq!(counts.get(&200), Some(&1200), "{kind:?}: {counts:?}");
        let mut calls = 0.0;
        for gateway in &gateways {
            calls += gateway.metric("gateway_store_calls_total").await;
        }
        // 50 requests a call; a permit that waited for a second goes back, and costs another.
        assert!((12.0..=60.0).contains(&calls), "{kind:?}: {calls}");
        let counts = flood(&all, "/day", 60, 40).await;
        let admitted = 1200 + counts.get(&200).copied().unwrap_or(0);
        // What other gateways hold ahead is refused too early: two leases and three quarters, if requests waited.
        assert!((2000 - 3 * 138..=2000).contains(&admitted), "{kind:?}: {admitted}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_finds_no_permit_here_is_called_again_where_it_can_wait() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let url = server.url();
        let mut text = format!("[stores.shared]\nredis = \"{url}\"\ntimeout = \"10s\"\n");
        let leased = "{ store = \"shared\", on_store_error = \"closed\", lease = 50 }";
        let policies = "{ name = \"day\", limit = 400, window = \"1d\", key = [\"header:x-key\"] }";
        text += &limit("day", leased, policies);
        let gateway = Gateway::run_up(folder.path(), &text).await;
        let mut client = Http1::connect(gateway.address).await;
        let mut admitted = BTreeMap::new();
        // A busy key, whose permits are here, and keys between that were never seen.
        for index in 0..600 {
            let key = if index % 20 == 19 { format!("new{index}") } else { "busy".to_owned() };
            let answer = client.send(request("GET", "/day", &[("x-key", &key)], "")).await;
            *admitted.entry((key.starts_with("new"), answer.status())).or_insert(0) += 1;
        }
        // Each was charged once: of 570 of one key as many are admitted as the limit says.
        let expected = [((false, 200), 400), ((false, 429), 170), ((true, 200), 30)];
        assert_eq!(admitted, BTreeMap::from(expected), "{kind:?}");
        let failed = gateway.metric("gateway_plugin_failures_total").await;
        assert!(failed == 0.0, "{kind:?}: {failed}");
        let leased = gateway.metric("gateway_store_leased_total").await;
        assert!(leased > 400.0, "{kind:?}: {leased}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_the_question_of_another_waits_no_longer_than_for_the_store() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let url = server.url();
        let mut text = format!("[stores.shared]\nredis = \"{url}\"\ntimeout = \"800ms\"\n");
        let leased = "{ store = \"shared\", on_store_error = \"open\", lease = 50 }";
        text +=
            &limit("day", leased, "{ name = \"day\", limit = 2000, window = \"1d\", key = [] }");
        let gateway = Gateway::run_up(folder.path(), &text).await;
        server.pause();
        let asked = (0..6).map(|_| gateway.ask("/day", &[]));
        for (status, took) in futures_util::future::join_all(asked).await {
            assert_eq!(status, 200, "{kind:?}");
            // One after the other would take up to five times as long.
            assert!(took < Duration::from_millis(1600), "{kind:?}: {took:?}");
        }
        server.go_on();
    }
}
