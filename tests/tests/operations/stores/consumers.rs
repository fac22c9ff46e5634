//! The limits of a consumer: what is left of them, and a new start, by the admin API and the command.

use std::process::Command;

use aws_lc_rs::digest::{SHA256, digest};
use gateway_tests::client::to;
use gateway_tests::{Http1, binary, until};
use http::Method;
use serde_json::{Value, json};
use tempfile::tempdir;

use super::gateways::Gateway;
use super::server::{Kind, Server};
use super::shared::store;

/// Two consumers, with three requests a day each, and a second limit for all together.
fn text(limiter: &str) -> String {
    let keys = ["acme", "zenith"].map(|name| {
        let digest = digest(&SHA256, format!("key-of-{name}").as_bytes());
        let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{{ id = \"{name}\", consumer = \"{name}\", digest = \"sha256:{hex}\" }}")
    });
    format!(
        "[plugins.keys]\ncomponent = \"auth\"\n[plugins.keys.config.api_key]\nkeys = [{}]\n\
         [plugins.day]\ncomponent = \"rate-limit\"\n{limiter}limits = {{ deadline = \"1s\" }}\n\
         [plugins.day.config]\npolicies = [{{ name = \"day\", limit = 3, window = \"1d\", \
         key = [\"consumer.id\"] }}, {{ name = \"all\", limit = 1000, window = \"1d\", key = [] }}]\n\
         [[routes]]\nname = \"day\"\npaths = [\"/day\"]\nplugins = [\"keys\", \"day\"]\n\
         respond = {{ body = \"fine\" }}\n",
        keys.join(", ")
    )
}

async fn admin(gateway: &Gateway, method: Method, target: &str) -> (u16, Value) {
    let mut asked =
        to(gateway.admin, gateway_tests::client::request(method.as_str(), target, &[], ""));
    asked.headers_mut().insert("content-type", "application/json".parse().unwrap());
    let answer = Http1::connect(gateway.admin).await.send(asked).await;
    (answer.status(), serde_json::from_slice(&answer.body).unwrap())
}

async fn left(gateway: &Gateway, consumer: &str) -> Vec<u64> {
    let (status, answer) =
        admin(gateway, Method::GET, &format!("/limits?consumer={consumer}")).await;
    assert_eq!((status, &answer["consumer"]), (200, &json!(consumer)));
    let limits = answer["limits"].as_array().unwrap();
    let own = limits.iter().filter(|limit| limit["is_own"] == true);
    own.map(|limit| limit["remaining"].as_u64().unwrap()).collect()
}

/// What is left for all together.
async fn left_for_all(gateway: &Gateway) -> u64 {
    let (_, answer) = admin(gateway, Method::GET, "/limits?consumer=acme").await;
    let limits = answer["limits"].as_array().unwrap();
    let all = limits.iter().find(|limit| limit["is_own"] == false).unwrap();
    all["remaining"].as_u64().unwrap()
}

/// Used up, looked at, and given back.
async fn used_and_reset(gateway: &Gateway, is_shared: bool) {
    for status in [200, 200, 200, 429] {
        assert_eq!(gateway.ask("/day", &[("x-api-key", "key-of-acme")]).await.0, status);
    }
    assert_eq!(gateway.ask("/day", &[("x-api-key", "key-of-zenith")]).await.0, 200);
    assert_eq!((left(gateway, "acme").await, left(gateway, "zenith").await), (vec![0], vec![2]));
    assert!(left(gateway, "nobody").await.is_empty());
    let (_, answer) = admin(gateway, Method::GET, "/limits?consumer=acme&plugin=day").await;
    let limit = &answer["limits"][0];
    assert_eq!((&limit["limit"], &limit["burst"]), (&json!(3), &json!(3)), "{answer:#}");
    assert_eq!(
        (&limit["period_seconds"], &limit["is_shared"]),
        (&json!(86400.0), &json!(is_shared))
    );
    assert!(limit["full_in_seconds"].as_f64().unwrap() > 86_000.0);
    assert!(limit["key"].as_str().unwrap().contains("acme"), "{answer:#}");

    let before = left_for_all(gateway).await;
    assert!(before < 1000);
    let (status, answer) = admin(gateway, Method::POST, "/limits/reset?consumer=acme").await;
    assert_eq!(left_for_all(gateway).await, before, "a limit for all is nobody's own");
    assert_eq!((status, &answer["reset"]), (200, &json!(1)));
    // The log is read beside.
    until(|| !gateway.lines_with("action", "limits-reset").is_empty()).await;
    let audited = gateway.lines_with("action", "limits-reset");
    assert_eq!(audited.len(), 1, "it is in the audit log");
    assert_eq!(audited[0]["result"], "reset");
    assert_eq!((left(gateway, "acme").await, left(gateway, "zenith").await), (vec![3], vec![2]));
    for status in [200, 200, 200, 429] {
        assert_eq!(gateway.ask("/day", &[("x-api-key", "key-of-acme")]).await.0, status);
    }
    assert_eq!(gateway.ask("/day", &[("x-api-key", "key-of-zenith")]).await.0, 200);
}

#[tokio::test]
async fn limits_of_a_consumer_in_memory_are_looked_at_and_reset() {
    let folder = tempdir().unwrap();
    let gateway = Gateway::run(folder.path(), &text(""));
    used_and_reset(&gateway, false).await;
    for (target, status) in [
        ("/limits", 400),
        ("/limits?consumer=", 400),
        ("/limits?consumer=acme&of=day", 400),
        ("/limits?consumer=acme&plugin=none", 404),
    ] {
        assert_eq!(admin(&gateway, Method::GET, target).await.0, status, "{target}");
    }

    let url = format!("http://{}", gateway.admin);
    let run = |more: &[&str]| {
        let command = ["limits", "zenith", "--admin", &url];
        let output = Command::new(binary()).args(command).args(more).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = run(&[]);
    let head: Vec<_> = shown.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["plugin", "left", "of", "full", "in", "rate", "key"]);
    assert!(shown.contains(" 3 in 86400 s "), "{shown}");
    assert!(shown.contains("(others too)"), "{shown}");
    assert_eq!(run(&["--reset"]), "1 limit is whole again\n");
    assert_eq!(left(&gateway, "zenith").await, [3]);
}

#[tokio::test]
async fn limits_of_a_consumer_in_a_shared_store_are_looked_at_and_reset() {
    let Some(server) = Server::start(Kind::Redis, &[]).await else { return };
    let folder = tempdir().unwrap();
    let limiter = "limiter = { store = \"shared\", on_store_error = \"closed\" }\n";
    let gateway = Gateway::run_up(folder.path(), &(store(&server, "") + &text(limiter))).await;
    used_and_reset(&gateway, true).await;
    // Another gateway that shares the store counts with the same buckets.
    let folder = tempdir().unwrap();
    let other = Gateway::run_up(folder.path(), &(store(&server, "") + &text(limiter))).await;
    assert_eq!(other.ask("/day", &[("x-api-key", "key-of-acme")]).await.0, 429);
    assert_eq!(left(&other, "acme").await, [0]);
}
