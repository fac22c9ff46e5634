//! Secrets: read by whom they were granted to, and shown to nobody.

use gateway::{BindError, Gateway};
use gateway_tests::client::request;
use gateway_tests::{Answer, Http1, Running, Setup, guests, log, until};

/// A gateway with `keeper` under this name.
fn keeper(name: &str, keys: &str, token: &str) -> Setup {
    let text = format!(
        "[secrets]\ntoken = \"${{env:TOKEN}}\"\nother = \"${{env:OTHER}}\"\n\
         [plugins.{name}]\ncomponent = \"./keeper.wasm\"\n{keys}\n\
         [[routes]]\nname = \"r\"\npaths = [\"/{{*rest}}\"]\nplugins = [\"{name}\"]\n\
         respond = {{ body = \"fine\" }}"
    );
    Setup::toml(&text, &[("TOKEN", &token), ("OTHER", &"the other one")])
}

async fn ask(gateway: &Running, fields: &[(&str, &str)]) -> Answer {
    Http1::connect(gateway.address).await.send(request("GET", "/", fields, "")).await
}

#[tokio::test]
async fn a_plugin_reads_the_secrets_that_it_was_granted_and_no_others() {
    let gateway = keeper("keeps", "secrets = [\"token\"]", "hunter2").start();
    let answer = ask(&gateway, &[("x-guess", "hunter2"), ("x-other", "other")]).await;
    assert_eq!(answer.header("x-secret"), Some("7 true"));
    assert_eq!(answer.header("x-other"), Some("none"));

    let both = keeper("keeps", "secrets = [\"token\", \"other\"]", "hunter2");
    gateway.handle.reload(both.config).unwrap();
    until_header(&gateway, &[("x-other", "other")], ("x-other", "there")).await;
}

#[tokio::test]
async fn a_reload_brings_the_new_secret() {
    let folder = tempfile::tempdir_in(guests::folder()).unwrap();
    let file = folder.path().join("token");
    let load = |value: &str| {
        std::fs::write(&file, format!("{value}\n")).unwrap();
        let text = format!("${{file:{}}}", file.display());
        let toml = format!(
            "[secrets]\ntoken = '{text}'\n[plugins.rotates]\ncomponent = \"./keeper.wasm\"\n\
             secrets = [\"token\"]\n[[routes]]\nname = \"r\"\npaths = [\"/\"]\n\
             plugins = [\"rotates\"]\nrespond = {{ body = \"fine\" }}"
        );
        Setup::toml(&toml, &[])
    };
    let gateway = load("first").start();
    let answer = ask(&gateway, &[("x-guess", "first")]).await;
    assert_eq!(answer.header("x-secret"), Some("5 true"));
    gateway.handle.reload(load("the second").config).unwrap();
    until_header(&gateway, &[("x-guess", "the second")], ("x-secret", "10 true")).await;
}

async fn until_header(gateway: &Running, fields: &[(&str, &str)], header: (&str, &str)) {
    gateway_tests::within(async {
        while ask(gateway, fields).await.header(header.0) != Some(header.1) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_plugin_says_does_not_show_its_secrets() {
    let gateway = keeper("tells", "secrets = [\"token\"]", "hunter2-tells").start();
    let answer = ask(&gateway, &[("x-tell", "1")]).await;
    until(|| log::said(answer.id()) == ["the token is <secret token>"]).await;
    assert!(log::lines(|line| format!("{line:?}").contains("hunter2-tells")).is_empty());
}

#[test]
fn a_refusal_that_repeats_the_secret_is_told_without_it() {
    let keys = "secrets = [\"token\"]\nconfig = { refuse = true }";
    let errors = Gateway::bind(keeper("refuses", keys, "hunter2").config).map(drop).unwrap_err();
    let [BindError::Plugin { message, .. }] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(message, "`<secret token>` is too simple");
}

#[test]
fn the_import_must_be_granted_by_naming_secrets() {
    let errors = Gateway::bind(keeper("bare", "", "hunter2").config).map(drop).unwrap_err();
    let [BindError::Plugin { message, help, .. }] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(message, "it imports what it was not granted: \"secrets\"");
    let words = "to grant it, write `secrets = [\"NAME\"]`, with the secrets that it may use, \
                 beside `component`";
    assert_eq!(help.as_deref(), Some(words));
}
