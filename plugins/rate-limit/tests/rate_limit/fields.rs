//! What clients are told.

use std::time::Duration;

use gateway_plugin_sdk::testing;
use serde_json::{Value, json};

use crate::support::{ask_from, configured, limiter, statuses, ten_a_minute};

#[test]
fn tells_the_policy_and_what_is_left_on_an_admitted_response() {
    let harness = limiter(json!({}));
    let first = ask_from(&harness, "192.0.2.1");
    assert_eq!(first.header("ratelimit-policy"), Some(r#""burst";q=10;w=60"#));
    assert_eq!(first.header("ratelimit"), Some(r#""burst";r=9;t=6"#));
    assert_eq!(first.header("retry-after"), None);
    let second = ask_from(&harness, "192.0.2.1");
    assert_eq!(second.header("ratelimit"), Some(r#""burst";r=8;t=12"#));
}

#[test]
fn tells_the_policy_what_is_left_and_when_to_come_again_on_a_refusal() {
    let harness = limiter(json!({}));
    statuses(&harness, 10);
    harness.advance(Duration::from_millis(500));
    let refused = ask_from(&harness, "192.0.2.1");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""burst";q=10;w=60"#));
    assert_eq!(refused.header("ratelimit"), Some(r#""burst";r=0;t=6"#));
    assert_eq!(refused.header("retry-after"), Some("6"), "5.5 s, rounded up");
}

#[test]
fn answers_with_the_problem_type_of_the_draft() {
    let harness = limiter(json!({ "limit": 1 }));
    statuses(&harness, 1);
    let refused = ask_from(&harness, "192.0.2.1");
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let problem = refused.json::<Value>();
    let quota_exceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded";
    assert_eq!(problem["type"], quota_exceeded);
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["violated-policies"], json!(["burst"]));
    assert!(problem["title"].is_string() && problem["detail"].is_string());
}

#[test]
fn lists_all_policies_of_an_admitted_request() {
    let harness = configured(json!({ "policies": [
        { "name": "permin", "limit": 50, "window": "1m" },
        { "name": "perhr", "limit": 1000, "window": "1h", "burst": 200 },
        { "name": "fast", "limit": 100, "window": "500ms" },
    ]}));
    let answer = ask_from(&harness, "192.0.2.1");
    let policies = r#""permin";q=50;w=60, "perhr";q=1000;w=3600;gateway-burst=200, "fast";q=100"#;
    assert_eq!(answer.header("ratelimit-policy"), Some(policies));
    let left = r#""permin";r=49;t=2, "perhr";r=199;t=4, "fast";r=99;t=1"#;
    assert_eq!(answer.header("ratelimit"), Some(left));
}

#[test]
fn waits_for_the_slowest_of_the_violated_policies_and_for_no_other() {
    let harness = configured(json!({ "policies": [
        { "name": "second", "limit": 1, "window": "1s" },
        { "name": "minute", "limit": 1, "window": "1m" },
        { "name": "day", "limit": 1000, "window": "1d" },
    ]}));
    statuses(&harness, 1);
    let refused = ask_from(&harness, "192.0.2.1");
    assert_eq!(refused.header("ratelimit"), Some(r#""second";r=0;t=1, "minute";r=0;t=60"#));
    assert_eq!(refused.header("retry-after"), Some("60"));
}

#[test]
fn speaks_the_older_fields_if_it_is_told() {
    let policies = json!([
        ten_a_minute(json!({})),
        { "name": "tight", "limit": 2, "window": "10s" },
    ]);
    let harness = configured(json!({ "policies": policies, "headers": "legacy" }));
    let admitted = ask_from(&harness, "192.0.2.1");
    assert_eq!(admitted.header("ratelimit"), None);
    assert_eq!(admitted.header("x-ratelimit-limit"), Some("2"));
    assert_eq!(admitted.header("x-ratelimit-remaining"), Some("1"));
    assert_eq!(admitted.header("x-ratelimit-reset"), Some("5"));
    statuses(&harness, 1);
    let refused = ask_from(&harness, "192.0.2.1");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(refused.header("x-ratelimit-reset"), Some("5"));
}

#[test]
fn speaks_both_or_neither_if_it_is_told() {
    let with = |headers: &str| {
        let policy = ten_a_minute(json!({ "limit": 1 }));
        let harness = configured(json!({ "policies": [policy], "headers": headers }));
        [(); 2].map(|()| ask_from(&harness, "192.0.2.1"))
    };
    for answer in with("both") {
        assert!(answer.header("ratelimit").is_some());
        assert!(answer.header("x-ratelimit-limit").is_some());
    }
    let [admitted, refused] = with("off");
    assert!(admitted.headers().is_empty(), "{:?}", admitted.headers());
    assert_eq!(refused.header("ratelimit"), None);
    assert_eq!(refused.header("x-ratelimit-limit"), None);
    assert_eq!(refused.header("retry-after"), Some("60"));
}

#[test]
fn leaves_what_the_upstream_tells_beside_it() {
    let harness = limiter(json!({}));
    let mut exchange = harness.request(testing::request());
    exchange.response(testing::response().header("ratelimit", r#""upstream";r=1;t=1"#));
    let answer = exchange.answer().expect("the upstream answered");
    assert_eq!(answer.header_values("ratelimit"), [r#""upstream";r=1;t=1"#, r#""burst";r=9;t=6"#]);
}
