//! How much is let through.

use std::time::Duration;

use gateway_plugin_sdk::testing;
use serde_json::{Value, json};

use crate::support::{ask, ask_from, configured, limiter, statuses, ten_a_minute};

#[test]
fn lets_ten_through_in_a_minute_and_refuses_the_eleventh() {
    let harness = limiter(json!({}));
    assert_eq!(statuses(&harness, 10), [200; 10]);
    assert_eq!(statuses(&harness, 3), [429; 3]);
}

#[test]
fn lets_one_more_through_each_time_one_has_flowed_in() {
    let harness = limiter(json!({}));
    statuses(&harness, 10);
    harness.advance(Duration::from_millis(5_999));
    assert_eq!(statuses(&harness, 1), [429]);
    harness.advance(Duration::from_millis(1));
    assert_eq!(statuses(&harness, 2), [200, 429]);
    harness.advance(Duration::from_secs(60));
    assert_eq!(statuses(&harness, 11), [[200; 10].as_slice(), &[429]].concat());
}

#[test]
fn admits_whoever_waits_as_long_as_it_is_told() {
    let harness = limiter(json!({ "limit": 7, "window": "10s" }));
    statuses(&harness, 7);
    for _ in 0..20 {
        let refused = ask_from(&harness, "192.0.2.1");
        assert_eq!(refused.status(), 429);
        let wait = refused.header("retry-after").expect("a wait").parse().expect("seconds");
        harness.advance(Duration::from_secs(wait));
        while ask_from(&harness, "192.0.2.1").status() == 200 {}
    }
}

#[test]
fn lets_a_burst_through_that_is_smaller_or_larger_than_the_limit() {
    let small = limiter(json!({ "burst": 2 }));
    assert_eq!(statuses(&small, 3), [200, 200, 429]);
    let large = limiter(json!({ "burst": 12 }));
    assert_eq!(statuses(&large, 13), [[200; 12].as_slice(), &[429]].concat());
    large.advance(Duration::from_secs(60));
    assert_eq!(statuses(&large, 11), [[200; 10].as_slice(), &[429]].concat());
}

#[test]
fn charges_no_policy_when_one_of_them_refuses() {
    let harness = configured(json!({ "policies": [
        { "name": "second", "limit": 1, "window": "1s" },
        { "name": "day", "limit": 5, "window": "1d" },
    ]}));
    assert_eq!(statuses(&harness, 4), [200, 429, 429, 429]);
    let mut admitted = 1;
    for _ in 0..10 {
        harness.advance(Duration::from_secs(1));
        admitted += statuses(&harness, 3).iter().filter(|status| **status == 200).count();
    }
    assert_eq!(admitted, 5, "the refused ones took nothing from the day");
}

#[test]
fn names_exactly_the_policies_that_had_no_room() {
    let harness = configured(json!({ "policies": [
        { "name": "second", "limit": 2, "window": "1s" },
        { "name": "day", "limit": 2, "window": "1d" },
        { "name": "year", "limit": 100, "window": "365d" },
    ]}));
    statuses(&harness, 2);
    let both = ask_from(&harness, "192.0.2.1").json::<Value>();
    assert_eq!(both["violated-policies"], json!(["second", "day"]));
    harness.advance(Duration::from_secs(1));
    let day = ask_from(&harness, "192.0.2.1").json::<Value>();
    assert_eq!(day["violated-policies"], json!(["day"]));
}

#[test]
fn only_counts_and_logs_in_a_dry_run() {
    let policy = ten_a_minute(json!({ "limit": 1 }));
    let harness = configured(json!({ "policies": [policy], "dry_run": true, "headers": "both" }));
    for _ in 0..3 {
        let answer = ask_from(&harness, "192.0.2.1");
        assert_eq!(answer.status(), 200);
        assert!(answer.headers().is_empty(), "{:?}", answer.headers());
    }
    let lines = harness.log();
    let refusals = lines.iter().filter(|line| line.message.contains("would refuse")).count();
    assert_eq!(refusals, 2);
    assert!(lines[0].message.contains("burst"));
}

#[test]
fn refuses_nobody_for_a_missing_value_in_a_dry_run() {
    let policy = ten_a_minute(json!({ "key": ["header:x-tenant"], "missing": "refuse" }));
    let harness = configured(json!({ "policies": [policy], "dry_run": true }));
    assert_eq!(statuses(&harness, 1), [200]);
    assert!(harness.log()[0].message.contains("x-tenant"));
}

#[test]
fn tells_later_plugins_and_the_log_which_policies_were_violated() {
    let harness = limiter(json!({ "limit": 1 }));
    statuses(&harness, 1);
    let exchange = harness.request(testing::request().attribute("client.address", "192.0.2.1"));
    assert_eq!(exchange.attribute("rate-limit.violated").as_deref(), Some("burst"));
    let answer = ask(&harness, testing::request().attribute("client.address", "192.0.2.9"));
    assert_eq!(answer.status(), 200);
}
