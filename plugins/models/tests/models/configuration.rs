//! What the plugin says of a wrong configuration.

use gateway_plugin_sdk::testing::Harness;
use models::Models;
use serde_json::{Value, json};

use super::support::config;

fn issues(config: Value) -> Vec<(String, String)> {
    let prepared = Harness::<Models>::prepare().secret("openai", "a").secret("anthropic", "b");
    let error = prepared.configure(config).err().expect("it is refused");
    let told = |issue: &gateway_plugin_sdk::ConfigIssue| {
        let help = issue.help.as_deref().unwrap_or_default();
        (issue.pointer.clone(), format!("{}: {help}", issue.message))
    };
    error.issues().iter().map(told).collect()
}

fn with(pointer: &str, value: Value) -> Value {
    let mut config = config();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).expect(pointer)[key] = value;
    config
}

#[test]
fn each_fault_has_its_place_and_says_what_to_write() {
    let cases = [
        (
            "/deployments/gpu/secret",
            json!("opnai"),
            "/deployments/gpu/secret",
            "secrets = [\"opnai\"]",
        ),
        ("/deployments/gpu/path", json!("v1"), "/deployments/gpu/path", "begins with `/`"),
        ("/defaults", json!({ "first_token": "500ms" }), "/defaults/first_token", "`1s` to `10m`"),
        ("/deployments/gpu/first_token", json!("11m"), "/deployments/gpu/first_token", "\"0s\""),
        ("/deployments/gpu/api_version", json!("1"), "/deployments/gpu/api_version", "azure"),
        (
            "/deployments/gpu/price",
            json!({ "input": "cheap" }),
            "/deployments/gpu/price/input",
            "0.15",
        ),
        (
            "/deployments/gpu/price",
            json!({ "batch": { "cache_reed": "1" } }),
            "/deployments/gpu/price/batch/cache_reed",
            "did you mean `cache_read`?",
        ),
        (
            "/deployments/gpu/price",
            json!({ "inptu": "1" }),
            "/deployments/gpu/price/inptu",
            "known",
        ),
        ("/deployments/gpu/price_name", json!("x"), "/deployments/gpu/price_name", "`prices`"),
        (
            "/deployments/gpu/concurrency",
            json!({ "limit": 1, "wait": "2h" }),
            "/deployments/gpu/concurrency/wait",
            "1h",
        ),
        (
            "/deployments/gpu/drain",
            json!({ "time": "1h" }),
            "/deployments/gpu/drain/time",
            "at most `10m`",
        ),
        (
            "/defaults",
            json!({ "drain": { "bytes": 0 } }),
            "/defaults/drain/bytes",
            "`time = \"0s\"` reads nothing",
        ),
        (
            "/models/mini/deployments",
            json!([{ "name": "hostd" }]),
            "/models/mini/deployments/0/name",
            "`hosted`",
        ),
        (
            "/models/mini/deployments",
            json!([{ "name": "hosted" }, { "name": "hosted" }]),
            "/models/mini/deployments/1/name",
            "already",
        ),
        (
            "/models/mini/deployments",
            json!([{ "name": "hosted", "weight": 0 }]),
            "/models/mini/deployments",
            "above 0",
        ),
        ("/models/mini/aliases", json!(["fast"]), "/models/mini/aliases/0", "already"),
        (
            "/models/mini/affinity",
            json!("cookie"),
            "/models/mini/affinity",
            "is `cookie`, which keeps no",
        ),
        (
            "/models/mini/affinity_load",
            json!(0.5),
            "/models/mini/affinity_load",
            "must be 1 to 100",
        ),
        ("/models/mini/affinity_load", json!(1.25), "/models/mini/affinity_load", "has none"),
        ("/models/mini/affinity", json!("header:a b"), "/models/mini/affinity", "is `header:a b`"),
        ("/models/mini/aliases", json!([""]), "/models/mini/aliases/0", "1 to 256"),
        ("/deployments/gpu/path", json!("/v1?x"), "/deployments/gpu/path", "letters"),
        (
            "/deployments/gpu/headers",
            json!({ "x-a": "b\r\nc: d" }),
            "/deployments/gpu/headers/x-a",
            "one line",
        ),
        (
            "/models/mini/keep_alive",
            json!("100ms"),
            "/models/mini/keep_alive",
            "must be `1s` to `1h`",
        ),
        ("/deployments/gpu/cool_down", json!("2h"), "/deployments/gpu/cool_down", "1h"),
        ("/models/mini/attempts", json!(9), "/models/mini/attempts", "1 to 8"),
        ("/prices", json!("table"), "/prices", "documents = [\"table\"]"),
    ];
    for (place, value, pointer, hint) in cases {
        let found = issues(with(place, value.clone()));
        let [(at, message)] = &found[..] else { panic!("{place} {value}: {found:?}") };
        assert!(at == pointer && message.contains(hint), "{place} {value}: {at}: {message}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let mut config = with("/deployments/gpu/path", json!("v1"));
    config["models"]["mini"]["affinity"] = json!("cookie");
    config["defaults"]["cool_down"] = json!("soon");
    assert_eq!(issues(config).len(), 3);
}
