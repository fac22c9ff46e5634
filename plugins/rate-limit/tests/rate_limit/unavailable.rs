//! What becomes of requests while the limiter's store is out of reach.

use gateway_plugin_sdk::log::Level;
use gateway_plugin_sdk::testing::Harness;
use rate_limit::RateLimit;
use serde_json::{Value, json};

use crate::support::{ask_from, configured, statuses, ten_a_minute};

/// A limiter of one a minute, out of reach.
fn unavailable(config: Value) -> Harness<RateLimit> {
    let mut whole = json!({ "policies": [ten_a_minute(json!({ "limit": 1 }))], "headers": "both" });
    for (key, value) in config.as_object().expect("a table") {
        whole[key] = value.clone();
    }
    let harness = configured(whole);
    harness.limiter_unavailable(true);
    harness
}

#[test]
fn requests_go_on_uncounted_where_that_is_configured() {
    let harness = unavailable(json!({ "on_unavailable": "open" }));
    for _ in 0..3 {
        let answer = ask_from(&harness, "192.0.2.1");
        assert_eq!(answer.status(), 200);
        // Nothing is known of what is left, so nothing is told.
        assert!(answer.headers().is_empty(), "{:?}", answer.headers());
    }
    harness.limiter_unavailable(false);
    assert_eq!(statuses(&harness, 2), [200, 429], "those before were not charged");
}

#[test]
fn a_closed_limiter_refuses_with_503_until_it_is_back() {
    // As without `on_unavailable`.
    let harness = unavailable(json!({}));
    let refused = ask_from(&harness, "192.0.2.1");
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let problem: Value = refused.json();
    assert_eq!((&problem["status"], &problem["instance"]), (&json!(503), &json!("test-request")));
    harness.limiter_unavailable(false);
    assert_eq!(statuses(&harness, 2), [200, 429]);
}

#[test]
fn a_dry_run_refuses_nobody_even_when_closed() {
    let harness = unavailable(json!({ "on_unavailable": "closed", "dry_run": true }));
    assert_eq!(statuses(&harness, 2), [200, 200]);
}

#[test]
fn the_log_has_no_warning_for_each_request() {
    // Of that a store went the gateway warns, once.
    let harness = unavailable(json!({}));
    assert_eq!(statuses(&harness, 5), [503; 5]);
    assert!(harness.log().iter().all(|line| line.level < Level::Warn), "{:?}", harness.log());
}
