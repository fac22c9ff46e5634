//! The examples of the README.

use std::time::Duration;

use gateway_plugin_sdk::http_client::HttpError;
use gateway_plugin_sdk::testing::Harness;
use oidc::Oidc;
use serde_json::Value;

use crate::provider::Provider;

/// The plugin is configured by each of them, with what the example grants it.
#[test]
fn every_example_of_the_readme_is_accepted() {
    let readme = include_str!("../../README.md");
    let examples: Vec<_> = readme.split("```toml\n").skip(1).collect();
    let mut configured = 0;
    for example in &examples {
        let (text, _) = example.split_once("```").unwrap();
        let parsed: Value = toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        for (name, plugin) in parsed["plugins"].as_object().unwrap() {
            if plugin["component"] != "oidc" {
                continue;
            }
            let list = |key: &str| {
                let list = plugin[key].as_array().cloned().unwrap_or_default();
                list.into_iter().map(|it| it.as_str().unwrap().to_owned())
            };
            let mut prepared = Harness::<Oidc>::prepare();
            for document in list("documents") {
                assert!(parsed["documents"].get(&document).is_some(), "{name}: {document}");
                prepared = prepared.document(document, Provider::discovery().to_string());
            }
            for secret in list("secrets") {
                assert!(parsed["secrets"].get(&secret).is_some(), "{name}: {secret}");
                prepared = prepared.secret(secret, "a secret that is long enough for all");
            }
            for upstream in list("upstreams") {
                assert!(parsed["upstreams"].get(&upstream).is_some(), "{name}: {upstream}");
                prepared = prepared.upstream(upstream, |_| Err(HttpError::Connect));
            }
            let plugin = prepared.configure(&plugin["config"]);
            plugin
                .unwrap_or_else(|error| panic!("{name}: {error}\n{text}"))
                .advance(Duration::ZERO);
            configured += 1;
        }
    }
    assert!(configured >= 2, "{configured}");
}

/// Every setting of the schema is in the README's tables.
#[test]
fn the_readme_names_every_setting() {
    let readme = include_str!("../../README.md");
    let schema: Value = serde_json::from_str(&Harness::<Oidc>::config_schema()).unwrap();
    let mut names: Vec<String> = Vec::new();
    let mut take = |properties: &Value, prefix: &str| {
        let properties = properties.as_object().unwrap();
        names.extend(properties.keys().map(|name| format!("| `{prefix}{name}` |")));
    };
    take(&schema["properties"], "");
    take(&schema["$defs"]["SessionConfig"]["properties"], "session.");
    take(&schema["$defs"]["LogoutConfig"]["properties"], "logout.");
    for name in names {
        let is_table = ["| `session` |", "| `logout` |"].contains(&&*name);
        assert!(is_table || readme.contains(&name), "{name}");
    }
}
