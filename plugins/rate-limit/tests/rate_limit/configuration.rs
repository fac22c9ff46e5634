//! What is refused as a configuration, and where.

use gateway_plugin_sdk::testing::Harness;
use rate_limit::RateLimit;
use serde_json::{Value, json};

use crate::support::ten_a_minute;

/// Where a configuration is refused, place by place.
fn refused_at(config: Value) -> Vec<String> {
    match Harness::<RateLimit>::new(config) {
        Ok(_) => Vec::new(),
        Err(error) => error.issues().iter().map(|issue| issue.pointer.clone()).collect(),
    }
}

fn policy_refused_at(changes: Value) -> Vec<String> {
    refused_at(json!({ "policies": [ten_a_minute(changes)] }))
}

#[test]
fn accepts_what_the_documentation_shows() {
    let accepted = refused_at(json!({
        "policies": [
            { "name": "burst", "limit": 10, "window": "1s", "burst": 20 },
            { "name": "daily", "limit": 10000, "window": "1d", "key": ["consumer.id"],
              "cost": { "header": "x-cost", "default": 1, "max": 100 }, "missing": "skip" },
        ],
        "headers": "both", "on_unavailable": "closed", "ipv6_prefix": 56, "dry_run": false,
    }));
    assert_eq!(accepted, Vec::<String>::new());
}

#[test]
fn points_at_each_fault_of_a_policy() {
    let cases = [
        (json!({ "name": "a b" }), "/policies/0/name"),
        (json!({ "name": "" }), "/policies/0/name"),
        (json!({ "name": "\"" }), "/policies/0/name"),
        (json!({ "limit": 1_000_000_000_000_000_u64 }), "/policies/0/limit"),
        (json!({ "limit": 2_000_000, "window": "1ms" }), "/policies/0/limit"),
        (json!({ "window": "1 minute" }), "/policies/0/window"),
        (json!({ "window": "0s" }), "/policies/0/window"),
        (json!({ "window": "400d" }), "/policies/0/window"),
        (json!({ "burst": 0 }), "/policies/0/burst"),
        (json!({ "burst": 10_000_000 }), "/policies/0/burst"),
        (json!({ "cost": 0 }), "/policies/0/cost"),
        (json!({ "cost": 11 }), "/policies/0/cost"),
        (json!({ "cost": {} }), "/policies/0/cost"),
        (json!({ "cost": { "header": "a", "attribute": "b" } }), "/policies/0/cost"),
        (json!({ "cost": { "header": "a", "max": 11 } }), "/policies/0/cost/max"),
        (json!({ "cost": { "header": "a", "default": 0 } }), "/policies/0/cost/default"),
        (json!({ "cost": { "header": "a", "max": 2, "default": 3 } }), "/policies/0/cost/default"),
        (json!({ "cost": { "header": "a b" } }), "/policies/0/cost/header"),
        (json!({ "key": ["client.address", "cookie:a b"] }), "/policies/0/key/1"),
        (json!({ "key": ["header:a b"] }), "/policies/0/key/0"),
        (json!({ "key": ["json:model"] }), "/policies/0/key/0"),
        (json!({ "plans": { "a": { "limit": 1 } }, "plan": "cookie:a" }), "/policies/0/plan"),
        (json!({ "key": ["a", "b", "c", "d", "e", "f", "g", "h", "i"] }), "/policies/0/key"),
        (json!({ "missing": "ignore" }), "/policies/0/missing"),
        (json!({ "per": "1m" }), "/policies/0/per"),
    ];
    for (changes, pointer) in cases {
        assert_eq!(policy_refused_at(changes.clone()), [pointer], "{changes}");
    }
}

#[test]
fn points_at_faults_beyond_a_single_policy() {
    let policy = || ten_a_minute(json!({}));
    assert_eq!(refused_at(json!({ "policies": [] })), ["/policies"]);
    let many: Vec<Value> =
        (0..17).map(|n| ten_a_minute(json!({ "name": format!("p{n}") }))).collect();
    assert_eq!(refused_at(json!({ "policies": many })), ["/policies"]);
    assert_eq!(refused_at(json!({ "policies": [policy(), policy()] })), ["/policies/1/name"]);
    let prefix = |bits: u8| refused_at(json!({ "policies": [policy()], "ipv6_prefix": bits }));
    let body = |bytes: u64| refused_at(json!({ "policies": [policy()], "max_body": bytes }));
    assert_eq!([body(0), body((64 << 20) + 1)], [["/max_body"], ["/max_body"]]);
    assert_eq!([prefix(0), prefix(129)], [["/ipv6_prefix"], ["/ipv6_prefix"]]);
    assert_eq!(refused_at(json!({ "policies": [policy()], "headers": "some" })), ["/headers"]);
}

#[test]
fn reports_all_faults_at_once() {
    let refused = refused_at(json!({
        "policies": [
            ten_a_minute(json!({ "limit": 1_000_000_000_000_000_u64, "window": "soon" })),
            ten_a_minute(json!({ "key": ["x:y"] })),
        ],
        "ipv6_prefix": 0,
    }));
    let mut sorted = refused;
    sorted.sort();
    assert_eq!(
        sorted,
        [
            "/ipv6_prefix",
            "/policies/0/limit",
            "/policies/0/window",
            "/policies/1/key/0",
            "/policies/1/name",
        ]
    );
}

#[test]
fn publishes_a_schema_that_names_every_key_and_default() {
    let schema: Value =
        serde_json::from_str(&Harness::<RateLimit>::config_schema()).expect("the schema is JSON");
    let keys = |schema: &Value| {
        let properties = schema["properties"].as_object().expect("a table");
        assert!(properties.values().all(|key| key["description"].is_string()), "{schema}");
        let mut keys: Vec<String> = properties.keys().cloned().collect();
        keys.sort();
        keys
    };
    let whole = [
        "concurrency",
        "dry_run",
        "exempt",
        "headers",
        "ipv6_prefix",
        "max_body",
        "on_unavailable",
        "policies",
    ];
    assert_eq!(keys(&schema), whole);
    let policy = &schema["$defs"]["PolicySpec"];
    let limit = &schema["$defs"]["ConcurrencySpec"];
    assert_eq!(
        keys(limit),
        [
            "key",
            "limit",
            "missing",
            "name",
            "priority",
            "queue",
            "share",
            "status",
            "wait",
            "wait_in_vain",
            "weight"
        ]
    );
    let all = [
        "algorithm",
        "burst",
        "cost",
        "key",
        "limit",
        "missing",
        "name",
        "plan",
        "plans",
        "settle",
        "time_zone",
        "window",
    ];
    assert_eq!(keys(policy), all);
    assert_eq!(policy["required"], json!(["name", "window"]));
    assert_eq!(policy["properties"]["key"]["default"], json!(["client.address"]));
    assert_eq!(schema["properties"]["ipv6_prefix"]["default"], 64);
}
