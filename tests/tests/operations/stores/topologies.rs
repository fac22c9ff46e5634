//! Sentinels, clusters, TLS and users.

use std::time::{Duration, Instant};

use gateway_tests::{tls, until};
use tempfile::tempdir;

use super::gateways::{Gateway, limit};
use super::keys::{add, done, run, statuses, text as keys, until as until_key};
use super::server::{ALL, KINDS, Kind, Server, free_port};

const CLOSED: &str = "{ store = \"shared\", on_store_error = \"closed\" }";
const THREE: &str = "{ name = \"day\", limit = 3, window = \"1d\", key = [] }, \
                     { name = \"hour\", limit = 100, window = \"1h\", key = [] }";

#[tokio::test]
async fn a_server_that_sentinels_replace_is_left_for_the_new_one() {
    let Some(mut first) = Server::start(Kind::Redis, &[]).await else { return };
    let port = first.port.to_string();
    let second = Server::start(Kind::Redis, &["--replicaof", "127.0.0.1", &port]).await.unwrap();
    until(|| second.ask("INFO replication").contains("master_link_status:up")).await;
    let sentinel = format!(
        "sentinel monitor mymaster 127.0.0.1 {port} 1\n\
         sentinel down-after-milliseconds mymaster 500\n\
         sentinel failover-timeout mymaster 3000\n"
    );
    let files = [("sentinel.conf", sentinel.as_str())];
    let sentinel = Server::start_with(Kind::Redis, free_port(), &files, &[]).await.unwrap();
    until(|| sentinel.ask("SENTINEL replicas mymaster").contains(&second.port.to_string())).await;
    let folder = tempdir().unwrap();
    let text = format!(
        "[stores.shared]\nredis = \"redis://127.0.0.1:{}\"\ntopology = \"sentinel\"\n\
         master = \"mymaster\"\ntimeout = \"2s\"\n{}{}",
        sentinel.port,
        limit("day", CLOSED, THREE),
        keys("shared")
    );
    let gateway = Gateway::run_up(folder.path(), &text).await;
    let secret = add(&gateway, "one", &[]);
    let other = add(&gateway, "two", &[]);
    assert_eq!(gateway.statuses("/day", 2).await, [200, 200]);
    until(|| is_replicated(&first)).await;
    first.kill();
    gateway.until("gateway_store_up", |up| up == 0.0).await;
    assert_eq!(gateway.statuses("/day", 1).await, [503]);
    assert_eq!(statuses(&gateway, "/any", &secret).await, [200], "keys are in memory");
    gateway.until("gateway_store_up", |up| up == 1.0).await;
    assert_eq!(gateway.statuses("/day", 2).await, [200, 429], "what the replica knew holds");
    is_changed_again(&gateway, &secret, &other).await;
    // One that begins after it has what the replica knew.
    let later = tempdir().unwrap();
    let later = Gateway::run_up(later.path(), &text).await;
    until_key(&later, &other, 200).await;
    assert_eq!(statuses(&later, "/any", &secret).await, [401]);
}

/// Whether all that a server knows is on its way to its replica no more.
fn is_replicated(server: &Server) -> bool {
    let all = server.ask("INFO replication");
    let after = |text: &'static str| all.split_once(text)?.1.split(['\r', ',']).next();
    let offset = after("master_repl_offset:");
    offset.is_some() && after(",offset=") == offset
}

/// A set whose server was replaced is one that can be changed: the first key goes, the second stays.
async fn is_changed_again(gateway: &Gateway, secret: &str, other: &str) {
    let began = Instant::now();
    loop {
        let revoked = run(gateway, &["revoke", "partners", "one"]);
        let said = String::from_utf8_lossy(&revoked.stderr).into_owned();
        // An answer that was lost: it may have been done.
        if revoked.status.success() || said.contains("there is no key") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{said}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(statuses(gateway, "/any", secret).await, [401]);
    assert_eq!(statuses(gateway, "/any", other).await, [200]);
    done(gateway, &["rotate", "partners", "two", "--grace", "1h"]);
    assert_eq!(statuses(gateway, "/any", other).await, [200]);
}

/// Three masters with a third of the slots each, and a replica of each, in this order.
async fn cluster(kind: Kind) -> Option<Vec<Server>> {
    // The ports of the bus are 10,000 above.
    let options = [
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "1000",
        "--cluster-replica-validity-factor",
        "0",
    ];
    let mut nodes = Vec::new();
    for _ in 0..6 {
        let port = 20_000 + free_port() % 20_000;
        nodes.push(Server::start_with(kind, port, &[], &options).await?);
    }
    let mut identities = Vec::new();
    for (index, slots) in ["0 5460", "5461 10922", "10923 16383"].iter().enumerate() {
        assert!(nodes[index].ask(&format!("CLUSTER ADDSLOTSRANGE {slots}")).starts_with("+OK"));
        // Two with one epoch would have to find out which of them is which.
        let epoch = format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1);
        assert!(nodes[index].ask(&epoch).starts_with("+OK"));
        let identity = nodes[index].ask("CLUSTER MYID");
        identities.push(identity.lines().nth(1).unwrap().to_owned());
    }
    for node in &nodes[1..] {
        assert!(nodes[0].ask(&format!("CLUSTER MEET 127.0.0.1 {}", node.port)).starts_with("+OK"));
    }
    let knows_all = |node: &Server| {
        let known = node.ask("CLUSTER INFO");
        known.contains("cluster_known_nodes:6") && known.contains("cluster_slots_assigned:16384")
    };
    until(|| nodes.iter().all(knows_all)).await;
    for (node, identity) in nodes[3..].iter().zip(&identities) {
        until(|| node.ask(&format!("CLUSTER REPLICATE {identity}")).starts_with("+OK")).await;
    }
    let is_whole = |node: &Server| node.ask("CLUSTER INFO").contains("cluster_state:ok");
    until(|| nodes.iter().all(is_whole)).await;
    let is_copied = |node: &Server| node.ask("INFO replication").contains("master_link_status:up");
    until(|| nodes[3..].iter().all(is_copied)).await;
    Some(nodes)
}

/// The master of a key.
fn master_of(nodes: &[Server], key: &str) -> usize {
    let slot = nodes[0].ask(&format!("CLUSTER KEYSLOT {key}"));
    let slot: usize = slot.lines().next().unwrap().trim_start_matches(':').parse().unwrap();
    slot / 5_461
}

/// Limits and keys are on the nodes that their slots say, and on the replica once a master has died.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_keys_are_those_of_two_gateways_on_a_cluster_that_fails_over() {
    for kind in ALL {
        let Some(mut nodes) = cluster(kind).await else { continue };
        let set = master_of(&nodes, "gateway:{keys:partners}");
        // The limits of one plugin are beside the set, those of another are not.
        let name = |wanted: &dyn Fn(usize) -> bool| {
            let mut names = (0..100).map(|number| format!("day{number}"));
            names.find(|name| wanted(master_of(&nodes, &format!("gateway:{{{name}}}:")))).unwrap()
        };
        let (beside, apart) = (name(&|master| master == set), name(&|master| master != set));
        let folder = tempdir().unwrap();
        let urls = nodes[..3].iter().map(|node| format!("127.0.0.1:{}", node.port));
        let text = format!(
            "[stores.shared]\nredis = \"redis://{}\"\ntopology = \"cluster\"\ntimeout = \"2s\"\n{}{}{}",
            urls.collect::<Vec<_>>().join(","),
            limit(&beside, CLOSED, THREE),
            limit(&apart, CLOSED, THREE),
            keys("shared")
        );
        let one = Gateway::run_up(folder.path(), &text).await;
        let two = Gateway::run_up(folder.path(), &text).await;
        let (secret, other) = (add(&one, "one", &[]), add(&one, "two", &[]));
        until_key(&two, &secret, 200).await;
        let (beside, apart) = (format!("/{beside}"), format!("/{apart}"));
        for path in [&beside, &apart] {
            assert_eq!(one.statuses(path, 1).await, [200], "{kind:?}");
            assert_eq!(two.statuses(path, 1).await, [200]);
        }
        assert_eq!(two.statuses(&apart, 2).await, [200, 429], "one limit for both");
        until(|| is_replicated(&nodes[set])).await;
        nodes[set].kill();
        let began = Instant::now();
        let first = loop {
            let status = one.statuses(&beside, 1).await[0];
            if status != 503 {
                break status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "the replica takes over");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let began = Instant::now();
        let mut then = Vec::new();
        while then.last() != Some(&429) {
            then.extend(two.statuses(&beside, 1).await);
            assert!(began.elapsed() < Duration::from_secs(60), "{then:?}");
        }
        // One was left. A check whose answer was lost may have been counted.
        let admitted = then.iter().chain([&first]).filter(|status| **status == 200).count();
        assert!(admitted <= 1, "{kind:?}: {first} {then:?}");
        is_changed_again(&one, &secret, &other).await;
        until_key(&two, &secret, 401).await;
        assert_eq!(statuses(&two, "/any", &other).await, [200]);
    }
}

#[tokio::test]
async fn the_keys_of_a_check_are_in_one_slot_of_a_cluster() {
    for kind in KINDS {
        let cluster = ["--cluster-enabled", "yes"];
        // The ports of the bus are 10,000 above.
        let port = 20_000 + free_port() % 20_000;
        let Some(server) = Server::start_with(kind, port, &[], &cluster).await else { continue };
        assert!(server.ask("CLUSTER ADDSLOTSRANGE 0 16383").starts_with("+OK"));
        until(|| server.ask("CLUSTER INFO").contains("cluster_state:ok")).await;
        let folder = tempdir().unwrap();
        let text = format!(
            "[stores.shared]\nredis = \"{}\"\ntopology = \"cluster\"\ntimeout = \"2s\"\n{}",
            server.url(),
            limit("day", CLOSED, THREE)
        );
        let gateway = Gateway::run_up(folder.path(), &text).await;
        assert_eq!(gateway.statuses("/day", 4).await, [200, 200, 200, 429], "{kind:?}");
    }
}

#[tokio::test]
async fn a_server_over_tls_with_a_user_serves_who_has_the_password() {
    let (certificate, key) = tls::pem(&["localhost"]);
    let files = [("cert.pem", certificate.as_str()), ("key.pem", key.as_str())];
    let (plain, secure) = (free_port(), free_port().to_string());
    let options = [
        "--tls-port",
        &secure,
        "--tls-cert-file",
        "cert.pem",
        "--tls-key-file",
        "key.pem",
        "--tls-ca-cert-file",
        "cert.pem",
        "--tls-auth-clients",
        "no",
    ];
    let Some(server) = Server::start_with(Kind::Redis, plain, &files, &options).await else {
        return;
    };
    let user = "ACL SETUSER gateway on >secret ~gateway:* +@all -@dangerous";
    assert!(server.ask(user).starts_with("+OK"));
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), &certificate).unwrap();
    let text = format!(
        "[stores.shared]\nredis = \"rediss://localhost:{secure}\"\nusername = \"gateway\"\n\
         password = \"${{env:PASSWORD}}\"\nca = \"ca.pem\"\ntimeout = \"2s\"\n{}",
        limit("day", CLOSED, THREE)
    );
    let gateway = Gateway::run_up(folder.path(), &text).await;
    assert_eq!(gateway.statuses("/day", 4).await, [200, 200, 200, 429]);
    drop(gateway);
    // Another user's password.
    assert!(server.ask("ACL SETUSER gateway resetpass >other").starts_with("+OK"));
    let gateway = Gateway::run(folder.path(), &text);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(gateway.statuses("/day", 1).await, [503]);
    gateway.says("cannot be had", 1).await;
}
