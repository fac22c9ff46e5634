//! A document that a plugin cannot read: the last one that it could is in force, over a reload too.

use std::path::Path;
use std::time::{Duration, Instant};

use gateway_tests::client::request;
use gateway_tests::{Http1, Running, Setup, log};

const TEXT: &str = r#"
[documents.flags]
file = "${env:FLAGS}"

[plugins.flags]
component = "flags"
documents = ["flags"]
limits = { deadline = "1s" }
config.set = [{ flag = "stage", header = "x-stage", default = "none" }]

[plugins.shows]
component = "transform"
limits = { deadline = "1s" }
config.response.headers.set = { x-stage = "${request.header.x-stage}" }

[[routes]]
name = "r"
paths = ["/"]
plugins = ["flags", "shows"]
respond = { body = "ok" }
"#;

fn write(file: &Path, variant: &str) {
    let text = format!(
        "{{ \"flags\": {{ \"stage\": {{\n \"state\": \"ENABLED\",\n \"variants\": {{ \"one\": \"one\", \"two\": \"two\" }},\n \
         \"defaultVariant\": {variant} }} }} }}"
    );
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, file).unwrap();
}

async fn stage(gateway: &Running) -> String {
    let answer = Http1::connect(gateway.address).await.send(request("GET", "/", &[], "")).await;
    assert_eq!(answer.status(), 200);
    answer.header("x-stage").unwrap().to_owned()
}

#[tokio::test]
async fn a_wrong_document_changes_nothing_over_a_reload_either() {
    log::listen();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last-good.json");
    write(&file, "\"one\"");
    let shown = file.to_str().unwrap().to_owned();
    let setup = |more: &str| Setup::toml(&format!("{TEXT}{more}"), &[("FLAGS", &shown)]).workers(1);
    let gateway = setup("").start();
    assert_eq!(stage(&gateway).await, "one");
    write(&file, "\"two\"");
    let began = Instant::now();
    while stage(&gateway).await == "one" {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    write(&file, "\"three\"");
    let told = |line: &log::Line| {
        let text = &line.message;
        text.contains("cannot be read") && text.contains("last-good.json:4:20\n")
    };
    let began = Instant::now();
    while log::lines(told).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10), "nothing is told");
        assert_eq!(stage(&gateway).await, "two");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let told = log::lines(told);
    let text = "4 |  \"defaultVariant\": \"three\" } } }\n  |                    ^^^^^^^";
    assert!(told.len() == 1 && told[0].message.contains(text), "{told:?}");
    // All plugins are made anew.
    let (handle, next) = (
        gateway.handle.clone(),
        setup("[upstreams.other]\ntargets = [\"http://127.0.0.1:1\"]\n").config,
    );
    tokio::task::spawn_blocking(move || handle.reload(next).map(drop).unwrap()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(stage(&gateway).await, "two", "what was in force stays");
    }
    write(&file, "\"one\"");
    let began = Instant::now();
    while stage(&gateway).await == "two" {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(stage(&gateway).await, "one");
}

#[tokio::test]
async fn a_file_that_is_gone_keeps_no_other_change_from_being_put_in_force() {
    log::listen();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("goes.json");
    write(&file, "\"one\"");
    let shown = file.to_str().unwrap().to_owned();
    let setup = |more: &str| Setup::toml(&format!("{TEXT}{more}"), &[("FLAGS", &shown)]).workers(1);
    let gateway = setup("").start();
    assert_eq!(stage(&gateway).await, "one");
    std::fs::remove_file(&file).unwrap();
    let more = "[[routes]]\nname = \"new\"\npaths = [\"/new\"]\nrespond = { body = \"new\" }\n";
    let (handle, next) = (gateway.handle.clone(), setup(more).config);
    tokio::task::spawn_blocking(move || handle.reload(next).map(drop).unwrap()).await.unwrap();
    assert_eq!(Http1::get(gateway.address, "/new").await.text(), "new");
    assert_eq!(stage(&gateway).await, "one", "the last one is kept");
    // Another file is another document, and nobody knows what it says.
    let other = folder.path().join("none.json").to_str().unwrap().to_owned();
    let next = Setup::toml(TEXT, &[("FLAGS", &other)]).workers(1).config;
    let handle = gateway.handle.clone();
    let refused = tokio::task::spawn_blocking(move || handle.reload(next).map(drop)).await.unwrap();
    assert!(format!("{:?}", refused.unwrap_err()).contains("does not exist"));
    assert_eq!(stage(&gateway).await, "one");
    write(&file, "\"two\"");
    let began = Instant::now();
    while stage(&gateway).await == "one" {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    // Nothing but space, as what is left of a list that was cut off.
    let new = file.with_extension("new");
    std::fs::write(&new, "\n").unwrap();
    std::fs::rename(&new, &file).unwrap();
    let told = |line: &log::Line| line.message.contains("and is empty: before it had");
    let began = Instant::now();
    while log::lines(told).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10), "nothing is told");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
