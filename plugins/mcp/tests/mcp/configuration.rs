//! What is wrong in a configuration, and where.

use gateway_plugin_sdk::testing::Harness;
use mcp::Mcp;
use serde_json::{Value, json};

fn pointers(config: &Value) -> Vec<String> {
    match Harness::<Mcp>::new(config) {
        Ok(_) => Vec::new(),
        Err(error) => error.issues().iter().map(|issue| issue.pointer.clone()).collect(),
    }
}

#[test]
fn all_errors_are_told_at_their_places() {
    let resource =
        |uri: &str, server: &str| json!({ "uri": uri, "authorization_servers": [server] });
    for (config, wanted) in [
        (json!({}), vec![]),
        (json!({ "rules": [{}] }), vec!["/rules/0"]),
        (
            json!({ "rules": [{ "tools": ["a", "*b", ""], "deny_prompts": ["a*b"] }] }),
            vec!["/rules/0/tools/1", "/rules/0/tools/2", "/rules/0/deny_prompts/0"],
        ),
        (json!({ "pins": { "a/b": "sha256:12" } }), vec!["/pins/a~1b"]),
        (
            json!({ "origins": ["*", "example.com", "https://a/b"] }),
            vec!["/origins/1", "/origins/2"],
        ),
        (
            json!({ "resource": resource("api.example.com", "id") }),
            vec!["/resource/uri", "/resource/authorization_servers/0"],
        ),
        (json!({ "resource": resource("https://a/b?c", "https://id") }), vec!["/resource/uri"]),
        (
            json!({ "rules": [{ "tools": ["a"] }], "metric_names": ["a*b"] }),
            vec!["/metric_names/0"],
        ),
        (json!({ "tools": [] }), vec!["/tools"]),
    ] {
        assert_eq!(pointers(&config), wanted, "{config}");
    }
}
