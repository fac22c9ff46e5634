//! API keys in Redis, which several gateways have.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::tempdir;

use super::gateways::Gateway;
use super::keys::{add, admin, done, run, statuses, text, until};
use super::server::{ALL, KINDS, Server};

fn store(server: &Server) -> String {
    format!("[stores.shared]\nredis = \"{}\"\ntimeout = \"2s\"\n", server.url()) + &text("shared")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_one_gateway_is_one_of_the_other() {
    for kind in ALL {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let (one, other) = (tempdir().unwrap(), tempdir().unwrap());
        let one = Gateway::run_up(one.path(), &store(&server)).await;
        let other = Gateway::run_up(other.path(), &store(&server)).await;
        let secret = add(&one, "one", &["--scope", "orders:read", "--claim", "tier=gold"]);
        assert_eq!(statuses(&one, "/any", &secret).await, [200], "at once where it was added");
        until(&other, &secret, 200).await;
        assert_eq!(statuses(&other, "/strict", &secret).await, [200]);
        // A second key of this identifier there is none, whoever adds it.
        let (status, _) =
            admin(&other, "POST", "/keys/partners", "{\"id\": \"one\", \"consumer\": \"a\"}").await;
        assert_eq!(status, 409);

        let (_, seen) = admin(&one, "GET", "/keys/partners/one", "").await;
        assert!(seen["last_used"].is_u64());
        let rotated = done(&other, &["rotate", "partners", "one", "--grace", "1h"]);
        until(&one, rotated.trim_end(), 200).await;
        assert_eq!(statuses(&one, "/any", &secret).await, [200]);
        done(&other, &["revoke", "partners", "one"]);
        assert_eq!(statuses(&other, "/any", &secret).await, [401], "at once where it was revoked");
        until(&one, &secret, 401).await;
        until(&one, rotated.trim_end(), 401).await;

        // One that comes later has what is there, and knows what others saw when they ended.
        let kept = add(&one, "kept", &[]);
        assert_eq!(statuses(&one, "/any", &kept).await, [200]);
        one.stop();
        let began = Instant::now();
        loop {
            let (status, seen) = admin(&other, "GET", "/keys/partners/kept", "").await;
            if status == 200 && seen["last_used"].is_u64() {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{seen}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let third = tempdir().unwrap();
        let third = Gateway::run_up(third.path(), &store(&server)).await;
        assert_eq!(statuses(&third, "/any", &kept).await, [200]);
        assert_eq!(statuses(&third, "/any", &secret).await, [401]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_change_at_once_lose_nothing() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let (one, other) = (tempdir().unwrap(), tempdir().unwrap());
        let one = Gateway::run_up(one.path(), &store(&server)).await;
        let other = Gateway::run_up(other.path(), &store(&server)).await;
        let from = |gateway: &Gateway, name: &'static str| {
            let address = gateway.admin;
            async move {
                let mut made = Vec::new();
                for index in 0..40 {
                    // The last twenty are wanted by both.
                    let id = if index < 20 {
                        format!("{name}-{index}")
                    } else {
                        format!("both-{index}")
                    };
                    let body = json!({ "id": id, "consumer": name }).to_string();
                    made.push((id, ask(address, "POST", "/keys/partners", body).await));
                }
                made
            }
        };
        let (ours, theirs) =
            tokio::join!(tokio::spawn(from(&one, "ours")), tokio::spawn(from(&other, "theirs")));
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        for ((id, one), (_, other)) in ours.iter().zip(&theirs).skip(20) {
            let mut both = [*one, *other];
            both.sort_unstable();
            assert_eq!(both, [200, 409], "{id}");
        }
        assert!(ours.iter().chain(&theirs).take(20).all(|(_, status)| *status == 200));
        // Each changes another fact of the same key, again and again.
        let change = |gateway: &Gateway, name: &'static str| {
            let address = gateway.admin;
            async move {
                for index in 0..20 {
                    let body = json!({ name: format!("{name}-{index}") }).to_string();
                    let status = ask(address, "PATCH", "/keys/partners/ours-0", body).await;
                    assert_eq!(status, 200);
                }
            }
        };
        let (note, group) =
            tokio::join!(tokio::spawn(change(&one, "note")), tokio::spawn(change(&other, "group")));
        note.unwrap();
        group.unwrap();
        let began = Instant::now();
        loop {
            let (_, page) = admin(&one, "GET", "/keys/partners?limit=1000", "").await;
            let (_, same) = admin(&other, "GET", "/keys/partners?limit=1000", "").await;
            if page == same && page["total"] == 60 {
                let (_, key) = admin(&one, "GET", "/keys/partners/ours-0", "").await;
                assert_eq!((&key["note"], &key["group"]), (&json!("note-19"), &json!("group-19")));
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{page} {same}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn ask(admin: std::net::SocketAddr, method: &str, target: &str, body: String) -> u16 {
    use gateway_tests::Http1;
    use gateway_tests::client::{request, to};
    let asked = request(method, target, &[("content-type", "application/json")], body);
    let mut client = Http1::connect(admin).await;
    client.send_within(to(admin, asked), Duration::from_secs(60)).await.status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_away_keys_stay_in_force_and_cannot_be_changed() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let gateway = Gateway::run_up(folder.path(), &store(&server)).await;
        let secret = add(&gateway, "one", &[]);
        assert_eq!(statuses(&gateway, "/any", &secret).await, [200]);
        server.pause();
        let began = Instant::now();
        while gateway.said("the keys `partners` stay in force") == 0 {
            assert!(began.elapsed() < Duration::from_secs(60));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(statuses(&gateway, "/any", &secret).await, [200]);
        let (status, problem) =
            admin(&gateway, "POST", "/keys/partners", "{\"consumer\": \"a\"}").await;
        assert_eq!(status, 503, "{problem}");
        assert_eq!(admin(&gateway, "DELETE", "/keys/partners/one", "").await.0, 503);
        assert_eq!(run(&gateway, &["rotate", "partners", "one"]).status.code(), Some(1));
        let (_, sets) = admin(&gateway, "GET", "/keys", "").await;
        assert!(sets["sets"][0]["failure"].is_string(), "{sets}");
        assert_eq!(statuses(&gateway, "/any", &secret).await, [200]);
        gateway.says("stay in force", 1).await;

        server.go_on();
        let began = Instant::now();
        while admin(&gateway, "GET", "/keys", "").await.1["sets"][0]["failure"].is_string() {
            assert!(began.elapsed() < Duration::from_secs(60));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        done(&gateway, &["revoke", "partners", "one"]);
        assert_eq!(statuses(&gateway, "/any", &secret).await, [401]);
        gateway.says("the keys `partners` can be had again", 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_the_keys_takes_none_out_of_force() {
    for kind in KINDS {
        let Some(mut server) = Server::start(kind, &[]).await else { continue };
        let folder = tempdir().unwrap();
        let gateway = Gateway::run_up(folder.path(), &store(&server)).await;
        let secret = add(&gateway, "one", &[]);
        server.kill();
        server.start_again().await;
        let began = Instant::now();
        loop {
            let (_, sets) = admin(&gateway, "GET", "/keys", "").await;
            let failure = sets["sets"][0]["failure"].as_str().unwrap_or_default();
            if failure.contains("has lost the keys") {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{sets}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(statuses(&gateway, "/any", &secret).await, [200]);
        assert_eq!(admin(&gateway, "DELETE", "/keys/partners/one", "").await.0, 503);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_keys_were_read_nobody_is_refused_for_good() {
    let Some(server) = Server::start(KINDS[0], &[]).await else { return };
    server.pause();
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &store(&server));
    let secret = "acme_live_somebody";
    assert_eq!(statuses(&gateway, "/any", secret).await, [503]);
    server.go_on();
    until(&gateway, secret, 401).await;
}
