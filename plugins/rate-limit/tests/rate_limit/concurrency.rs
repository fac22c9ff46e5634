//! Limits on requests at the same time.

use gateway_plugin_sdk::prelude::ConfigError;
use gateway_plugin_sdk::testing::{self, Harness};
use rate_limit::RateLimit;
use serde_json::{Value, json};

use crate::support::configured;

fn error(config: Value) -> ConfigError {
    match Harness::<RateLimit>::new(config) {
        Ok(_) => panic!("it is refused"),
        Err(error) => error,
    }
}

#[test]
fn as_many_are_under_way_as_may() {
    let harness = configured(json!({
        "concurrency": [{ "name": "gpu", "limit": 2, "key": [] }]
    }));
    let first = harness.request(testing::request());
    let mut second = harness.request(testing::request());
    assert!(first.answer().is_none() && second.answer().is_none());
    let third = harness.request(testing::request());
    let answer = third.answer().expect("refused");
    assert_eq!((answer.status(), answer.header("retry-after")), (429, Some("1")));
    let body = String::from_utf8(answer.body().to_vec()).expect("text");
    assert!(body.contains("There is no slot under gpu. All are in use."), "{body}");
    assert!(body.contains(r#""violated-policies":["gpu"]"#), "{body}");
    assert_eq!(third.attribute("rate-limit.violated").as_deref(), Some("gpu"));
    second.complete();
    assert!(harness.request(testing::request()).answer().is_none());
}

#[test]
fn a_refusal_says_when_a_slot_is_expected() {
    let harness = configured(json!({
        "concurrency": [{ "name": "gpu", "limit": 1, "key": [] }]
    }));
    let first = harness.request(testing::request());
    harness.advance(std::time::Duration::from_millis(6_500));
    drop(first);
    let _second = harness.request(testing::request());
    let third = harness.request(testing::request());
    assert_eq!(third.answer().expect("refused").header("retry-after"), Some("7"));
}

#[test]
fn each_consumer_has_its_own_and_who_is_none_may_be_left_out() {
    let harness = configured(json!({
        "concurrency": [{ "name": "each", "limit": 1, "key": ["consumer.id"], "missing": "skip" }]
    }));
    let of = |consumer| harness.request(testing::request().attribute("consumer.id", consumer));
    let _ada = of("ada");
    let _grace = of("grace");
    assert_eq!(of("ada").answer().expect("refused").status(), 429);
    let _nobody = harness.request(testing::request());
    assert!(harness.request(testing::request()).answer().is_none());
}

#[test]
fn a_request_that_has_no_slot_is_charged_to_nothing() {
    let harness = configured(json!({
        "policies": [{ "name": "minute", "limit": 2, "window": "1m" }],
        "concurrency": [{ "name": "gpu", "limit": 1, "key": [], "status": 503 }]
    }));
    let first = harness.request(testing::request().attribute("client.address", "192.0.2.1"));
    let second = harness.request(testing::request().attribute("client.address", "192.0.2.1"));
    assert_eq!(second.answer().expect("refused").status(), 503);
    drop((first, second));
    let third = harness.request(testing::request().attribute("client.address", "192.0.2.1"));
    assert!(third.answer().is_none(), "the second left its place");
    drop(third);
    let refused = harness.request(testing::request().attribute("client.address", "192.0.2.1"));
    assert_eq!(refused.answer().expect("refused").status(), 429);
    drop(refused);
    let other = harness.request(testing::request().attribute("client.address", "192.0.2.2"));
    assert!(other.answer().is_none(), "who was refused by a rate gave its slot back");
}

#[test]
fn one_whose_time_is_over_is_told_so() {
    let harness = configured(json!({
        "concurrency": [{ "name": "gpu", "limit": 1, "key": [], "queue": 5, "wait": "1s",
            "priority": { "header": "x-priority", "max": 9 }, "share": ["consumer.id"] }]
    }));
    let _first = harness.request(testing::request());
    let second = harness.request(testing::request().header("x-priority", "3"));
    let body = second.answer().expect("refused").body().to_vec();
    assert!(String::from_utf8_lossy(&body).contains("None was free in time."));
}

/// A slot is held for a minute here, and nobody waits that long.
#[test]
fn a_wait_that_would_be_in_vain_is_refused_at_once_unless_it_is_asked_for() {
    let waits = |in_vain: bool| {
        let harness = configured(json!({
            "concurrency": [{ "name": "gpu", "limit": 1, "key": [], "queue": 5, "wait": "10s",
                "wait_in_vain": in_vain }]
        }));
        let first = harness.request(testing::request());
        harness.advance(std::time::Duration::from_secs(60));
        drop(first);
        let _second = harness.request(testing::request());
        let third = harness.request(testing::request());
        let answer = third.answer().expect("refused");
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        (answer.header("retry-after").map(str::to_owned), body)
    };
    let (after, body) = waits(false);
    assert_eq!(after.as_deref(), Some("60"));
    assert!(body.contains("None is expected to be free in time."), "{body}");
    let (_, body) = waits(true);
    assert!(body.contains("None was free in time."), "{body}");
}

#[test]
fn a_limit_of_0_lets_none_through() {
    let harness = configured(json!({
        "concurrency": [{ "name": "none", "limit": 0, "key": [], "queue": 5, "status": 503 }]
    }));
    let refused = harness.request(testing::request());
    let answer = refused.answer().expect("refused");
    assert_eq!((answer.status(), answer.header("retry-after")), (503, None));
    let harness = configured(json!({
        "dry_run": true, "concurrency": [{ "name": "none", "limit": 0, "key": [] }]
    }));
    assert!(harness.request(testing::request()).answer().is_none());
}

#[test]
fn a_dry_run_refuses_nothing_and_says_what_it_would() {
    let harness = configured(json!({
        "dry_run": true,
        "concurrency": [{ "name": "gpu", "limit": 1, "key": [] }]
    }));
    let _first = harness.request(testing::request());
    let second = harness.request(testing::request());
    assert!(second.answer().is_none());
    assert!(second.log().iter().any(|line| line.message.contains("under gpu")));
    assert_eq!(second.attribute("rate-limit.violated").as_deref(), Some("gpu"));
}

#[test]
fn all_that_is_wrong_is_said_at_its_place() {
    let found = error(json!({
        "policies": [{ "name": "gpu", "limit": 1, "window": "1s" }],
        "concurrency": [
            { "name": "gpu", "limit": 1 },
            { "name": "b", "limit": 1, "queue": 20_000, "status": 500, "wait": "2h", "key": ["a b"] },
            { "name": "c", "limit": 1, "share": ["consumer.id"] },
            { "name": "d", "limit": 1, "queue": 1, "priority": { "default": 3 } },
            { "name": "e", "limit": 1, "queue": 1,
              "priority": { "header": "x-priority", "default": 3, "max": 2 } },
            { "name": "f", "limit": 1, "weight": { "attribute": "w" } },
            { "name": "g", "limit": 1, "queue": 1, "weight": { "attribute": "w" } },
            { "name": "h", "limit": 1, "queue": 1, "share": ["consumer.id"],
              "weight": { "attribute": "w", "default": 0 } },
        ]
    }));
    let places: Vec<_> = found.issues().iter().map(|issue| issue.pointer.as_str()).collect();
    assert_eq!(
        places,
        [
            "/concurrency/0/name",
            "/concurrency/1/queue",
            "/concurrency/1/status",
            "/concurrency/1/wait",
            "/concurrency/1/key/0",
            "/concurrency/2/share",
            "/concurrency/3/priority",
            "/concurrency/4/priority/default",
            "/concurrency/5/weight",
            "/concurrency/6/weight",
            "/concurrency/7/weight/default",
        ]
    );
    let in_vain = error(json!({
        "concurrency": [{ "name": "i", "limit": 1, "wait_in_vain": true }]
    }));
    assert_eq!(in_vain.issues()[0].pointer, "/concurrency/0/wait_in_vain");
    let neither = error(json!({}));
    assert!(neither.issues()[0].message.contains("or one limit under `concurrency`"));
}
