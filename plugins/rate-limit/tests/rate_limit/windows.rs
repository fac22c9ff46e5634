//! Windows of the calendar and of a fixed length, plans, and what is settled.

use std::time::Duration;

use gateway_plugin_sdk::Ending;
use gateway_plugin_sdk::testing::{self, Harness, RequestBuilder};
use rate_limit::RateLimit;
use serde_json::{Value, json};

use crate::support::{ask, ask_from, configured, limiter, statuses};

fn left(harness: &Harness<RateLimit>, request: RequestBuilder) -> Option<String> {
    ask(harness, request).header("ratelimit").map(str::to_owned)
}

/// The clock of a harness begins with 2026.
#[test]
fn a_month_comes_back_at_its_end_and_tells_its_length() {
    let harness = limiter(json!({ "limit": 2, "window": "month" }));
    let first = ask(&harness, testing::request());
    assert_eq!(first.header("ratelimit-policy"), Some(r#""burst";q=2;w=2678400"#));
    assert_eq!(first.header("ratelimit"), Some(r#""burst";r=1;t=2678400"#));
    harness.advance(Duration::from_secs(31 * 86_400 - 1));
    assert_eq!(ask(&harness, testing::request()).status(), 200);
    let refused = ask(&harness, testing::request());
    assert_eq!((refused.status(), refused.header("retry-after")), (429, Some("1")));
    harness.advance(Duration::from_secs(1));
    let february = ask(&harness, testing::request());
    assert_eq!(february.header("ratelimit-policy"), Some(r#""burst";q=2;w=2419200"#));
    assert_eq!(february.header("ratelimit"), Some(r#""burst";r=1;t=2419200"#));
}

#[test]
fn a_day_ends_at_midnight_of_its_place() {
    let harness = limiter(json!({ "limit": 1, "window": "day", "time_zone": "Asia/Tokyo" }));
    assert_eq!(statuses(&harness, 2), [200, 429]);
    harness.advance(Duration::from_secs(15 * 3_600 - 1));
    assert_eq!(statuses(&harness, 1), [429]);
    harness.advance(Duration::from_secs(1));
    assert_eq!(statuses(&harness, 2), [200, 429]);
}

#[test]
fn a_fixed_window_comes_back_all_at_once() {
    let harness = limiter(json!({ "limit": 3, "algorithm": "fixed" }));
    assert_eq!(statuses(&harness, 4), [200, 200, 200, 429]);
    harness.advance(Duration::from_secs(59));
    assert_eq!(statuses(&harness, 1), [429]);
    harness.advance(Duration::from_secs(1));
    assert_eq!(statuses(&harness, 4), [200, 200, 200, 429]);
}

/// The clock begins with a minute.
#[test]
fn a_window_that_slides_comes_back_as_the_one_before_counts_less() {
    let harness = limiter(json!({ "limit": 10, "algorithm": "sliding" }));
    let first = ask_from(&harness, "192.0.2.1");
    assert_eq!(first.header("ratelimit-policy"), Some(r#""burst";q=10;w=60"#));
    assert_eq!(first.header("ratelimit"), Some(r#""burst";r=9;t=120"#));
    assert_eq!(statuses(&harness, 10).into_iter().filter(|status| *status == 200).count(), 9);
    let refused = ask_from(&harness, "192.0.2.1");
    assert_eq!((refused.status(), refused.header("retry-after")), (429, Some("66")));
    harness.advance(Duration::from_secs(65));
    assert_eq!(statuses(&harness, 1), [429]);
    harness.advance(Duration::from_secs(1));
    assert_eq!(statuses(&harness, 2), [200, 429]);
    harness.advance(Duration::from_secs(24));
    assert_eq!(statuses(&harness, 6), [200, 200, 200, 200, 429, 429], "half of ten, and one");
}

#[test]
fn what_slides_is_settled() {
    let harness = limiter(json!({
        "limit": 100, "cost": 10, "algorithm": "sliding", "settle": { "response_header": "x-tokens" },
    }));
    for (told, left) in [("3", 97), ("0", 97), ("25", 72)] {
        let mut exchange = harness.request(testing::request());
        exchange.response(testing::response().header("x-tokens", told));
        let field = left_without_asking(&harness);
        assert_eq!(field, left, "{told}");
    }
}

/// What is left, by a request that costs nothing in the end.
fn left_without_asking(harness: &Harness<RateLimit>) -> u64 {
    let mut exchange = harness.request(testing::request());
    exchange.response(testing::response().header("x-tokens", "0"));
    let field = exchange.answer().expect("it is answered").header("ratelimit").map(str::to_owned);
    let field = field.expect("it is told");
    let (_, rest) = field.split_once(";r=").expect("what is left");
    10 + rest.split(';').next().and_then(|it| it.parse::<u64>().ok()).expect("a number")
}

fn by_plan(policy: Value) -> Harness<RateLimit> {
    let mut policy = policy;
    policy["name"] = json!("p");
    policy["window"] = json!("day");
    policy["key"] = json!(["consumer.id"]);
    configured(json!({ "policies": [policy] }))
}

fn of(plan: &str) -> RequestBuilder {
    testing::request().attribute("consumer.id", "a").attribute("consumer.group", plan)
}

#[test]
fn each_plan_has_its_limit_and_others_have_none_to_use() {
    let plans =
        json!({ "pro": { "limit": 5 }, "free": { "limit": 2 }, "staff": { "limit": "unlimited" } });
    let harness = by_plan(json!({ "plans": plans }));
    assert_eq!(left(&harness, of("pro")).as_deref(), Some(r#""p";r=4;t=86400"#));
    assert_eq!(left(&harness, of("free")).as_deref(), Some(r#""p";r=1;t=86400"#));
    assert_eq!(left(&harness, of("staff")), None);
    let told = ask(&harness, of("free"));
    assert_eq!(told.header("ratelimit-policy"), Some(r#""p";q=2;w=86400"#));
    assert_eq!(ask(&harness, of("free")).status(), 429);
    assert_eq!(ask(&harness, of("other")).status(), 403);
    let none = testing::request().attribute("consumer.id", "a");
    assert_eq!(ask(&harness, none).status(), 403);
}

#[test]
fn others_have_the_limit_of_the_policy_and_a_claim_may_be_the_plan() {
    let plans = json!({ "pro": { "limit": 5 } });
    let harness = by_plan(json!({ "limit": 1, "plans": plans, "plan": "claim:tier" }));
    let of = |tier: &str| {
        let request = testing::request().attribute("consumer.id", "a");
        ask(&harness, request.attribute("consumer.claim.tier", tier)).status()
    };
    assert_eq!([of("x"), of("x"), of("pro"), of("pro"), of("y")], [200, 429, 200, 200, 429]);
}

#[test]
fn single_consumers_may_have_limits_of_their_own() {
    let plans = json!({ "acme": { "limit": 3 }, "internal": { "limit": "unlimited" } });
    let harness = by_plan(json!({ "limit": 1, "plans": plans, "plan": "consumer.id" }));
    let of = |consumer: &str| {
        let request = testing::request().attribute("consumer.id", consumer);
        ask(&harness, request).status()
    };
    assert_eq!([of("acme"), of("acme"), of("acme"), of("acme")], [200, 200, 200, 429]);
    assert_eq!([of("other"), of("other"), of("internal"), of("internal")], [200, 429, 200, 200]);
}

fn settled(settle: Value) -> Harness<RateLimit> {
    limiter(json!({ "limit": 100, "window": "month", "cost": 10, "settle": settle }))
}

fn used(harness: &Harness<RateLimit>) -> u64 {
    let field = left(harness, testing::request()).expect("it is told");
    let (_, rest) = field.split_once(";r=").expect("what is left");
    let left: u64 = rest.split(';').next().and_then(|it| it.parse().ok()).expect("a number");
    // The estimate of the question itself.
    100 - left - 10
}

#[test]
fn a_field_of_the_response_settles_the_estimate() {
    let harness = settled(json!({ "response_header": "X-Tokens" }));
    for (told, expected) in [("3", 3), ("0", 13), ("many", 33), ("25", 68)] {
        let mut exchange = harness.request(testing::request());
        exchange.response(testing::response().header("x-tokens", told));
        // Each question before was an estimate that stayed.
        assert_eq!(used(&harness), expected, "{told}");
    }
}

#[test]
fn a_number_in_json_settles_the_estimate() {
    let harness = settled(json!({ "json": "/usage/total_tokens" }));
    let answer = |kind: &str, body: &str| {
        let mut exchange = harness.request(testing::request());
        let response = testing::response().header("content-type", kind);
        exchange.response(response.body(body.to_owned()));
    };
    answer("application/json", r#"{"usage":{"total_tokens":2}}"#);
    assert_eq!(used(&harness), 2);
    answer("application/problem+json; charset=utf-8", r#"{"usage":{"total_tokens":2.5}}"#);
    assert_eq!(used(&harness), 15);
    answer("text/plain", r#"{"usage":{"total_tokens":2}}"#);
    assert_eq!(used(&harness), 35);
    answer("application/json", "no JSON");
    assert_eq!(used(&harness), 55);
}

#[test]
fn an_attribute_settles_the_estimate_at_the_end_whatever_the_end_is() {
    let harness = settled(json!({ "attribute": "cost" }));
    let mut exchange = harness.request(testing::request().attribute("cost", "4"));
    exchange.response(testing::response());
    exchange.complete();
    assert_eq!(used(&harness), 4);
    let mut exchange = harness.request(testing::request().attribute("cost", "5"));
    exchange.complete_as(Ending::ClientLeft);
    assert_eq!(used(&harness), 19);
    let mut exchange = harness.request(testing::request());
    exchange.complete_as(Ending::ClientLeft);
    assert_eq!(used(&harness), 39, "nothing was told");
}

#[test]
fn after_a_quiet_window_the_whole_quota_is_there_again_whatever_became_of_the_calls() {
    for algorithm in ["bucket", "fixed", "sliding"] {
        let harness = limiter(json!({
            "limit": 100_000, "window": "1m", "algorithm": algorithm,
            "cost": { "attribute": "estimate" }, "settle": { "attribute": "total" },
        }));
        let call = |total: Option<&str>| {
            let request = testing::request().attribute("estimate", "1000");
            match total {
                Some(total) => request.attribute("total", total),
                None => request,
            }
        };
        for _ in 0..3 {
            // As many as fit at once; a third is left by its client, some of those before any usage is known.
            let mut under_way = Vec::new();
            let mut admitted = 0;
            for number in 0..1000 {
                let told = [Some("990"), Some("1010"), None];
                let exchange = harness.request(call(told[number % 3]));
                if exchange.answer().is_none() {
                    admitted += 1;
                    under_way.push(exchange);
                }
            }
            assert_eq!(admitted, 100, "{algorithm}");
            for (number, exchange) in under_way.iter_mut().enumerate() {
                match number % 3 {
                    0 => exchange.complete_as(Ending::ClientLeft),
                    _ => {
                        exchange.response(testing::response());
                        exchange.complete()
                    }
                };
            }
            drop(under_way);
            // Two windows, since one that slides weighs the one before.
            harness.advance(Duration::from_secs(if algorithm == "sliding" { 120 } else { 60 }));
        }
    }
}

#[test]
fn what_is_wrong_with_a_window_a_plan_or_a_settlement_is_said_where_it_stands() {
    for (change, pointer, words) in [
        (
            json!({ "window": "month", "time_zone": "europe/berlin" }),
            "/policies/0/time_zone",
            "did you mean `Europe/Berlin`?",
        ),
        (json!({ "time_zone": "UTC" }), "/policies/0/time_zone", "only a window of the calendar"),
        (
            json!({ "window": "month", "algorithm": "fixed" }),
            "/policies/0/algorithm",
            "no algorithm",
        ),
        (json!({ "window": "month", "burst": 3 }), "/policies/0/burst", "only a bucket"),
        (json!({ "window": "fortnight" }), "/policies/0/window", "not a duration"),
        (
            json!({ "window": "hour", "limit": 9_000_000_000_000_u64 }),
            "/policies/0/limit",
            "nanosecond",
        ),
        (json!({ "limit": "unlimited" }), "/policies/0/limit", "leave the policy out"),
        (json!({ "plan": "consumer.group" }), "/policies/0/plan", "no `plans`"),
        (
            json!({ "plans": { "a": { "limit": 1_000_000_000_000_000_u64 } } }),
            "/policies/0/plans/a/limit",
            "not between",
        ),
        (json!({ "limit": 0, "burst": 5 }), "/policies/0/burst", "has no burst"),
        (json!({ "plans": { "a/b": { "limit": 1 } } }), "/policies/0/plans/a~1b", "neither"),
        (
            json!({ "plans": { "a": { "limit": 1 } }, "plan": "header:x" }),
            "/policies/0/plan",
            "clients write",
        ),
        (json!({ "plans": { "a": { "limit": 1 } }, "cost": 2 }), "/policies/0/cost", "never fit"),
        (json!({ "settle": {} }), "/policies/0/settle", "one of"),
        (json!({ "settle": { "json": "usage" } }), "/policies/0/settle/json", "JSON Pointer"),
    ] {
        let policy = crate::support::ten_a_minute(change.clone());
        let refused = Harness::<RateLimit>::new(json!({ "policies": [policy] }));
        let errors = refused.map(|_| ()).expect_err("it is refused").to_string();
        assert!(errors.contains(pointer) && errors.contains(words), "{change}: {errors}");
    }
}

/// Whatever the window, also with plans of which one has none, and a cost that is told.
#[test]
fn a_limit_of_0_lets_nothing_through() {
    for change in [
        json!({}),
        json!({ "algorithm": "fixed" }),
        json!({ "algorithm": "sliding" }),
        json!({ "window": "month" }),
        json!({ "cost": { "header": "x-cost" } }),
    ] {
        let mut policy = crate::support::ten_a_minute(change.clone());
        policy["limit"] = json!(0);
        let harness = crate::support::configured(json!({ "policies": [policy] }));
        let refused = harness.request(gateway_plugin_sdk::testing::request().header("x-cost", "0"));
        let answer = refused.answer().expect("refused");
        assert_eq!((answer.status(), answer.header("retry-after")), (429, None), "{change}");
        let told = answer.header("ratelimit").unwrap_or_default();
        assert!(told.contains(";r=0"), "{change}: {told}");
    }
}
