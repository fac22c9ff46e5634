//! What a request costs.

use gateway_plugin_sdk::testing::{self, Exchange, Harness};
use rate_limit::RateLimit;
use serde_json::json;

use crate::support::{ask, configured, limiter, ten_a_minute};

#[test]
fn charges_more_for_a_fixed_cost() {
    let harness = limiter(json!({ "cost": 4 }));
    let statuses = [(); 3].map(|()| ask(&harness, testing::request()).status());
    assert_eq!(statuses, [200, 200, 429]);
}

#[test]
fn waits_for_the_whole_cost_to_flow_in() {
    let harness = limiter(json!({ "cost": 4 }));
    let answers = [(); 3].map(|()| ask(&harness, testing::request()));
    // Two are left of ten, so two more are needed, at one each six seconds.
    assert_eq!(answers[2].header("ratelimit"), Some(r#""burst";r=2;t=12"#));
    assert_eq!(answers[2].header("retry-after"), Some("12"));
}

#[test]
fn charges_what_a_header_or_an_attribute_says() {
    let harness = limiter(json!({ "cost": { "header": "X-Cost", "default": 2, "max": 6 } }));
    let left = |cost: &str| {
        let answer = ask(&harness, testing::request().header("x-cost", cost));
        answer.header("ratelimit").map(str::to_owned)
    };
    assert_eq!(left("3").as_deref(), Some(r#""burst";r=7;t=18"#));
    assert_eq!(left("many").as_deref(), Some(r#""burst";r=5;t=30"#), "the default");
    assert_eq!(left("0").as_deref(), Some(r#""burst";r=4;t=36"#), "never nothing");
    let refused = ask(&harness, testing::request().header("x-cost", "99999999999999999999"));
    assert_eq!(refused.header("ratelimit"), Some(r#""burst";r=4;t=12"#), "the maximum");

    let harness = limiter(json!({ "cost": { "attribute": "tokens" } }));
    let answer = ask(&harness, testing::request().attribute("tokens", "10"));
    assert_eq!(answer.header("ratelimit"), Some(r#""burst";r=0;t=60"#));
}

/// Settled by what the upstream says in `x-cost`; the estimate is 10.
fn settled(changes: serde_json::Value) -> Harness<RateLimit> {
    let mut policy = json!({
        "limit": 1_000, "window": "month", "cost": 10, "settle": { "response_header": "x-cost" },
    });
    for (key, value) in changes.as_object().expect("a table") {
        policy[key] = value.clone();
    }
    limiter(policy)
}

fn answer(mut exchange: Exchange<'_, RateLimit>, cost: u64) {
    exchange.response(testing::response().header("x-cost", cost.to_string()));
}

/// What is on its way at the same time, as much as is admitted.
fn as_many_as_fit(harness: &Harness<RateLimit>) -> Vec<Exchange<'_, RateLimit>> {
    let ask = || harness.request(testing::request());
    std::iter::from_fn(|| Some(ask()).filter(|it| it.answer().is_none())).collect()
}

#[test]
fn what_is_settled_and_what_is_reserved_are_never_over_the_limit_when_one_is_admitted() {
    let harness = settled(json!({ "settle": { "response_header": "x-cost", "learn": false } }));
    let mut numbers = 1_u64;
    let mut random = move |most: u64| {
        numbers = numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (numbers >> 33) % most
    };
    let (mut flying, mut settled, mut worst) = (Vec::new(), 0, 0);
    for _ in 0..20_000 {
        let exchange = harness.request(testing::request());
        if exchange.answer().is_none() {
            flying.push(exchange);
            assert!(settled + 10 * flying.len() as u64 <= 1_000, "{settled} {}", flying.len());
        }
        if random(3) == 0 && !flying.is_empty() {
            // Most cost nearly nothing and some a lot: what the others gave back must not hide that.
            let cost = if random(20) == 0 { 60 } else { 1 };
            let exchange = flying.swap_remove(random(flying.len() as u64) as usize);
            answer(exchange, cost);
            settled += cost;
            worst = worst.max(settled.saturating_sub(1_000));
        }
    }
    assert!(flying.is_empty() || settled + 10 * flying.len() as u64 >= 990, "{settled}");
    // Those that were on their way when it ran out are all that can pass it, each by its own error.
    assert!(worst <= 50 * 100, "{worst}");
}

#[test]
fn calls_that_all_cost_more_pass_a_quota_until_that_is_known_and_not_again() {
    let harness = settled(json!({ "limit": 100_000 }));
    for _ in 0..8 {
        answer(harness.request(testing::request()), 30);
    }
    let flying = as_many_as_fit(&harness);
    assert_eq!(flying.len(), (100_000 - 8 * 30) / 30, "each is taken for what they cost");
    flying.into_iter().for_each(|exchange| answer(exchange, 30));
    assert_eq!(ask(&harness, testing::request()).status(), 429);

    // Before anything is known, each of those that are on their way passes it by its own error.
    let harness = settled(json!({}));
    let flying = as_many_as_fit(&harness);
    assert_eq!(flying.len(), 100);
}

#[test]
fn one_call_at_a_time_passes_a_quota_by_one_error_at_most() {
    let harness = configured(json!({
        "policies": [ten_a_minute(json!({
            "limit": 100, "window": "month", "cost": 10, "key": [],
            "settle": { "response_header": "x-cost" },
        }))],
        "concurrency": [{ "name": "one", "limit": 1, "key": [] }],
    }));
    let mut used = 0;
    loop {
        let flying = as_many_as_fit(&harness);
        assert!(flying.len() <= 1);
        let Some(exchange) = flying.into_iter().next() else { break };
        answer(exchange, 90);
        used += 90;
    }
    assert!((100..=100 + 80).contains(&used), "{used}");
}

#[test]
fn an_estimate_is_an_upper_bound_where_it_is_not_to_be_passed() {
    let harness = settled(json!({ "cost": 90 }));
    let mut used = 0;
    while let flying @ [_, ..] = &mut as_many_as_fit(&harness)[..] {
        for exchange in flying {
            exchange.response(testing::response().header("x-cost", "37"));
            used += 37;
        }
    }
    assert!((1_000 - 90..=1_000).contains(&used), "{used}");
}
