//! One limit for several gateways.

use std::collections::BTreeMap;

use tempfile::tempdir;

use super::gateways::{Gateway, flood, limit};
use super::server::{ALL, KINDS, Kind, Server};

/// A store, with patience: this machine may be slow, and a check without an answer counts as refused.
pub(crate) fn store(server: &Server, more: &str) -> String {
    format!("[stores.shared]\nredis = \"{}\"\ntimeout = \"10s\"\n{more}\n", server.url())
}

pub(crate) const CLOSED: &str = "{ store = \"shared\", on_store_error = \"closed\" }";
pub(crate) const THOUSAND: &str = "{ name = \"day\", limit = 1000, window = \"1d\", key = [] }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_gateways_admit_exactly_one_limit_out_of_10000_requests() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let text = store(&server, "") + &limit("day", CLOSED, THOUSAND);
        let mut gateways = Vec::new();
        for _ in 0..3 {
            gateways.push(Gateway::run_up(folder.path(), &text).await);
        }
        let counts = flood(&gateways.iter().collect::<Vec<_>>(), "/day", 250, 40).await;
        assert_eq!(counts, BTreeMap::from([(200, 1000), (429, 9000)]), "{kind:?}");
    }
}

#[tokio::test]
async fn several_policies_are_charged_together_or_not_at_all() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let policies = "{ name = \"wide\", limit = 5, window = \"1d\", key = [] }, \
                        { name = \"tight\", limit = 2, window = \"1d\", key = [\"header:x-who\"] }";
        let text = store(&server, "") + &limit("both", CLOSED, policies);
        let gateway = Gateway::run_up(folder.path(), &text).await;
        let mut statuses = Vec::new();
        for who in ["a", "a", "a", "a", "b", "b", "b", "c", "c"] {
            statuses.push(gateway.ask("/both", &[("x-who", who)]).await.0);
        }
        // What `tight` refused did not cost `wide` anything, which is at its end with the first of `c`.
        assert_eq!(statuses, [200, 200, 429, 429, 200, 200, 429, 200, 429], "{kind:?}");
        // One round trip for both.
        let calls =
            gateway.metric("gateway_store_calls_total{store=\"shared\",result=\"answered\"}");
        assert!((calls.await - 9.0).abs() < 0.1);
    }
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again_and_nothing_is_lost() {
    for kind in ALL {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let policy = "{ name = \"day\", limit = 3, window = \"1d\", key = [] }";
        let text = store(&server, "") + &limit("day", CLOSED, policy);
        let gateway = Gateway::run_up(folder.path(), &text).await;
        assert_eq!(gateway.statuses("/day", 2).await, [200, 200]);
        assert!(server.ask("SCRIPT FLUSH").starts_with("+OK"));
        assert_eq!(gateway.statuses("/day", 2).await, [200, 429], "{kind:?}");
    }
}

#[tokio::test]
async fn a_reload_resets_no_limit() {
    let Some(server) = Server::start(Kind::Redis, &[]).await else { return };
    let folder = tempdir().unwrap();
    let policy = "{ name = \"day\", limit = 3, window = \"1d\", key = [] }";
    let text = store(&server, "") + &limit("day", CLOSED, policy);
    let gateway = Gateway::run_up(folder.path(), &text).await;
    assert_eq!(gateway.statuses("/day", 2).await, [200, 200]);
    let file = folder.path().join("gateway.toml");
    let changed =
        std::fs::read_to_string(&file).unwrap().replace("body = \"fine\"", "body = \"new\"");
    let connections = server.info("stats", "total_connections_received");
    std::fs::write(&file, changed).unwrap();
    gateway.until("gateway_config_reloads_total{result=\"in_force\"}", |count| count == 1.0).await;
    assert_eq!(gateway.statuses("/day", 2).await, [200, 429]);
    // Those of `info` itself, and none of the gateway's.
    let since: usize = server.info("stats", "total_connections_received").parse().unwrap();
    assert_eq!(since - connections.parse::<usize>().unwrap(), 1, "connections are kept");
}

/// What the README of the plugin shows, on another port and with a smaller limit.
#[tokio::test]
async fn the_recipe_of_the_readme_limits_two_gateways_together() {
    let Some(server) = Server::start(Kind::Redis, &[]).await else { return };
    let readme = include_str!("../../../../plugins/rate-limit/README.md");
    let (_, section) = readme.split_once("## One limit for several gateways").unwrap();
    let (_, block) = section.split_once("```toml\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let recipe = block.replace("redis://127.0.0.1:6379", &server.url()).replace("10000", "3");
    assert_ne!(recipe, block);
    let route = "[[routes]]\nname = \"all\"\npaths = [\"/all\"]\nplugins = [\"limit\"]\n\
                 respond = { body = \"fine\" }\n";
    let folder = tempdir().unwrap();
    let text = recipe.replace("instances = 3", "instances = 3\ntimeout = \"10s\"") + route;
    let one = Gateway::run_up(folder.path(), &text).await;
    let other = Gateway::run_up(folder.path(), &text).await;
    assert_eq!(one.statuses("/all", 2).await, [200, 200]);
    assert_eq!(other.statuses("/all", 2).await, [200, 429]);
}
