//! How the admin API shows stores.

use std::time::{Duration, Instant};

use gateway_tests::Http1;
use serde_json::{Value, json};
use tempfile::tempdir;

use super::gateways::{Gateway, limit};
use super::server::{KINDS, Server};

const POLICY: &str = "{ name = \"day\", limit = 10, window = \"1d\", key = [] }";

fn text(server: &Server) -> String {
    let shared = format!(
        "[stores.shared]\nredis = \"{}\"\npassword = \"${{env:PASSWORD}}\"\n",
        server.url()
    );
    let limiter = "{ store = \"shared\", on_store_error = \"open\" }";
    let stores = "[stores.kept]\nfile = \"state.db\"\n[stores.here]\n";
    let limits = [
        limit("far", limiter, POLICY),
        limit("day", "\"kept\"", POLICY),
        limit("brief", "\"here\"", POLICY),
    ];
    shared + stores + &limits.concat()
}

/// All stores, by their order in the file.
async fn stores(gateway: &Gateway) -> Vec<Value> {
    let answer = Http1::admin(gateway.admin, "/stores").await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert!(!answer.text().contains("secret"), "{}", answer.text());
    let answer: Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(answer["total"], 3);
    answer["stores"].as_array().unwrap().clone()
}

/// The store `shared`, once it is so.
async fn until(gateway: &Gateway, is: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let shared = stores(gateway).await.remove(0);
        if is(&shared) {
            return shared;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{shared:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_store_is_shown_up_then_away_with_the_reason_and_then_back() {
    for kind in KINDS {
        let Some(mut server) = Server::start(kind, &["--requirepass", "secret"]).await else {
            continue;
        };
        let folder = tempdir().unwrap();
        let gateway = Gateway::run(folder.path(), &text(&server));
        until(&gateway, |it| it["breaker"] == "closed" && it["connections"]["all"] == 2).await;
        for path in ["/far", "/day", "/brief"] {
            assert_eq!(gateway.statuses(path, 3).await, [200; 3]);
        }
        let up = stores(&gateway).await.remove(0);
        assert_eq!(
            (&up["kind"], &up["up"], &up["failure"]),
            (&json!("redis"), &json!(true), &Value::Null)
        );
        assert_eq!(up["servers"], json!([{ "address": format!("127.0.0.1:{}", server.port) }]));
        assert_eq!(up["plugins"], json!([{ "name": "far", "keeps": ["limits"] }]));
        assert_eq!((&up["buckets"], &up["waiting"]), (&Value::Null, &json!(0)));
        assert!(up["calls_total"]["answered"].as_u64() >= Some(3), "{up:#}");
        let others = stores(&gateway).await;
        let shown = |name: &str| others.iter().find(|it| it["name"] == name).unwrap().clone();
        let (kept, here) = (shown("kept"), shown("here"));
        assert_eq!(
            (&kept["kind"], &kept["up"], &kept["buckets"]),
            (&json!("file"), &json!(true), &json!(1))
        );
        assert!(
            kept["file"].as_str().unwrap().ends_with("state.db") && kept["changed_at"].is_u64()
        );
        assert_eq!(
            (&here["kind"], &here["up"], &here["buckets"]),
            (&json!("memory"), &json!(true), &json!(1))
        );
        assert_eq!((&here["calls_total"], &here["breaker"]), (&Value::Null, &Value::Null));

        server.kill();
        let away = until(&gateway, |it| it["breaker"] == "open").await;
        assert_eq!((&away["up"], &away["connections"]["usable"]), (&json!(false), &json!(0)));
        assert!(away["failure"].as_str().is_some_and(|why| !why.is_empty()), "{away:#}");
        assert!(away["changed_at"].as_u64() >= up["changed_at"].as_u64());
        assert_eq!(gateway.statuses("/far", 4).await, [200; 4]);
        let away = until(&gateway, |it| it["calls_total"]["away"].as_u64() >= Some(4)).await;
        assert_eq!(away["waiting"], 0);

        server.start_again().await;
        let back = until(&gateway, |it| it["breaker"] == "closed" && it["up"] == true).await;
        assert_eq!(back["failure"], Value::Null);
        // One that does not answer: what is asked of it waits.
        server.pause();
        let client = gateway.statuses("/far", 1);
        let (statuses, _) = tokio::join!(client, until(&gateway, |it| it["breaker"] == "open"));
        assert_eq!(statuses, [200], "done without");
        server.go_on();
        let back = until(&gateway, |it| it["breaker"] == "closed").await;
        assert!(back["calls_total"]["timeout"].as_u64() >= Some(1), "{back:#}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_the_password_is_said_and_the_password_is_not() {
    for kind in KINDS {
        let Some(server) = Server::start(kind, &["--requirepass", "another"]).await else {
            continue;
        };
        let folder = tempdir().unwrap();
        let gateway = Gateway::run(folder.path(), &text(&server));
        let away = until(&gateway, |it| it["up"] == false).await;
        let why = away["failure"].as_str().unwrap();
        assert!(why.to_lowercase().contains("password") || why.contains("WRONGPASS"), "{why}");
    }
}
