//! API keys and networks in documents: a change is in force without a reload, and a wrong one changes nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use gateway_tests::client::request;
use gateway_tests::{Http1, Running, Setup, log};
use serde_json::json;

const TEXT: &str = r#"
[documents.partners]
file = "${env:PARTNERS}"

[documents.drop]
file = "${env:DROP}"

[plugins.partners]
component = "auth"
documents = ["partners"]
limits = { deadline = "1s" }
config.api_key = { header = "x-api-key", document = "partners" }

[plugins.drop]
component = "ip"
documents = ["drop"]
limits = { deadline = "1s" }
config.deny_documents = ["drop"]

[[routes]]
name = "keys"
paths = ["/keys"]
plugins = ["partners"]
respond = { body = "ok" }

[[routes]]
name = "ip"
paths = ["/ip"]
plugins = ["drop"]
respond = { body = "ok" }
"#;

fn write(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, file).unwrap();
}

fn key(id: &str, secret: &str) -> String {
    let digest = digest(&SHA256, secret.as_bytes());
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}\n", json!({ "id": id, "consumer": "acme", "digest": format!("sha256:{digest}") }))
}

async fn ask(gateway: &Running, path: &str, key: &str) -> u16 {
    let sent = request("GET", path, &[("x-api-key", key)], "");
    Http1::connect(gateway.address).await.send(sent).await.status()
}

async fn until(gateway: &Running, path: &str, key: &str, status: u16) {
    let began = Instant::now();
    while ask(gateway, path, key).await != status {
        assert!(began.elapsed() < gateway_tests::PATIENCE, "{path} {key}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn told(part: &str) {
    let began = Instant::now();
    while log::lines(|line| line.message.contains(part)).is_empty() {
        assert!(began.elapsed() < gateway_tests::PATIENCE, "nobody says {part}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn keys_and_networks_of_documents_change_without_a_reload() {
    log::listen();
    let folder = tempfile::tempdir().unwrap();
    let (keys, networks) = (folder.path().join("partners.jsonl"), folder.path().join("drop.txt"));
    write(&keys, &key("first", "one"));
    write(&networks, "; nobody yet\n");
    let files: [(&str, &dyn std::fmt::Display); 2] =
        [("PARTNERS", &keys.display()), ("DROP", &networks.display())];
    let gateway = Setup::toml(TEXT, &files).workers(1).start();
    for _ in 0..3 {
        assert_eq!(ask(&gateway, "/keys", "one").await, 200);
        assert_eq!(ask(&gateway, "/keys", "two").await, 401);
        assert_eq!(ask(&gateway, "/ip", "").await, 200);
    }
    // One more, and then the first is taken away, although what came of it is kept.
    write(&keys, &(key("first", "one") + &key("second", "two")));
    until(&gateway, "/keys", "two", 200).await;
    assert_eq!(ask(&gateway, "/keys", "one").await, 200);
    write(&keys, &key("second", "two"));
    until(&gateway, "/keys", "one", 401).await;
    assert_eq!(ask(&gateway, "/keys", "two").await, 200);
    write(&keys, &(key("third", "three") + &key("third", "four")));
    // It is read when somebody asks.
    let began = Instant::now();
    let is_told = |line: &log::Line| line.message.contains("is that of the key in line 1");
    while log::lines(is_told).is_empty() {
        assert_eq!(ask(&gateway, "/keys", "two").await, 200, "the ones before stay in force");
        assert!(began.elapsed() < gateway_tests::PATIENCE);
    }
    assert_eq!(ask(&gateway, "/keys", "three").await, 401);
    let lines = log::lines(is_told);
    assert!(lines.len() == 1 && lines[0].message.contains("line 2: `id`"), "{lines:?}");
    assert!(!lines[0].message.contains("sha256"), "no line is shown: {lines:?}");

    write(&networks, "127.0.0.0/8 ; here\n");
    until(&gateway, "/ip", "", 403).await;
    write(&networks, "127.0.0.0/8\n10.0.0.1/8\n");
    while log::lines(|line| line.message.contains("drop.txt:2:1\n")).is_empty() {
        assert_eq!(ask(&gateway, "/ip", "").await, 403);
    }
    told("the network is 10.0.0.0/8").await;
    write(&networks, "10.0.0.0/8\n");
    until(&gateway, "/ip", "", 200).await;
}
