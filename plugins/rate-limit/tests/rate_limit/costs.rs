//! What a request costs.

use gateway_plugin_sdk::testing;
use serde_json::json;

use crate::support::{ask, limiter};

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
