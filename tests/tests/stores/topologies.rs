//! Sentinels, clusters, TLS and users.

use std::time::Duration;

use gateway_tests::{tls, until};
use tempfile::tempdir;

use super::gateways::{Gateway, limit};
use super::server::{KINDS, Kind, Server, free_port};

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
         master = \"mymaster\"\ntimeout = \"2s\"\n{}",
        sentinel.port,
        limit("day", CLOSED, THREE)
    );
    let gateway = Gateway::run_up(folder.path(), &text).await;
    assert_eq!(gateway.statuses("/day", 2).await, [200, 200]);
    assert!(second.ask("INFO keyspace").contains("keys="), "it went over to the replica");
    first.kill();
    gateway.until("gateway_store_up", |up| up == 0.0).await;
    assert_eq!(gateway.statuses("/day", 1).await, [503]);
    gateway.until("gateway_store_up", |up| up == 1.0).await;
    assert_eq!(gateway.statuses("/day", 2).await, [200, 429], "what the replica knew holds");
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
    assert_eq!(gateway.said("cannot be had"), 1);
}
