//! Keys from cookies and bodies.

use gateway_plugin_sdk::testing::{self, Outcome, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{ask, configured, limiter, ten_a_minute};

fn posted(body: &str) -> RequestBuilder {
    testing::request().method("POST").header("content-type", "application/json").body(body)
}

fn cookies(lines: &[&str]) -> RequestBuilder {
    lines.iter().fold(testing::request(), |request, line| request.header("cookie", *line))
}

/// The status codes under a limit of one request a minute with this key.
fn statuses(
    key: Value,
    missing: &str,
    requests: impl IntoIterator<Item = RequestBuilder>,
) -> Vec<u16> {
    let policy = ten_a_minute(json!({ "limit": 1, "key": key, "missing": missing }));
    let harness = configured(json!({ "policies": [policy], "max_body": 100 }));
    requests.into_iter().map(|request| ask(&harness, request).status()).collect()
}

#[test]
fn goes_by_a_cookie() {
    let requests = [
        cookies(&["sid=a"]),
        cookies(&["x=1; sid=b;y"]),
        cookies(&["x=1", "y; sid=a"]),
        cookies(&["sid=c; sid=a"]),
        cookies(&["SID=a"]),
        cookies(&["xsid=a", "sid="]),
    ];
    let expected = [200, 200, 429, 200, 200, 429];
    assert_eq!(statuses(json!(["cookie:sid"]), "shared", requests), expected);
    let refused = statuses(json!(["cookie:sid"]), "refuse", [cookies(&["a=b"])]);
    assert_eq!(refused, [400]);
}

#[test]
fn goes_by_a_value_of_the_body_and_combines_it() {
    let of = |consumer: &str, body: &str| posted(body).attribute("consumer.id", consumer);
    let requests = [
        of("ada", r#"{"model":"x"}"#),
        of("ada", r#"{"n":[1],"model":"y"}"#),
        of("bob", r#"{"model":"x"}"#),
        of("ada", r#"{ "model" : "\u0078" }"#),
        of("bob", r#"{"model":"y","model":"x"}"#),
    ];
    let key = json!(["consumer.id", "json:/model"]);
    assert_eq!(statuses(key, "shared", requests), [200, 200, 200, 429, 429]);
}

/// What is no JSON with a value there.
fn without_a_value() -> Vec<RequestBuilder> {
    let long = format!("{{\"model\":\"x\",\"a\":\"{}\"}}", "a".repeat(100));
    vec![
        testing::request(),
        posted(""),
        posted("{}"),
        posted("{\"model\":"),
        posted(r#"{"model":{}}"#),
        posted(r#"{"model":""}"#),
        testing::request().header("content-type", "text/plain").body(r#"{"model":"x"}"#),
        posted(r#"{"model":"x"}"#).header("content-encoding", "gzip"),
        posted(&long).header("content-length", long.len().to_string()),
    ]
}

#[test]
fn does_with_what_has_no_value_in_its_body_as_with_other_keys() {
    let key = || json!(["json:/model"]);
    let shared = statuses(key(), "shared", without_a_value());
    assert_eq!(shared[0], 200);
    assert!(shared[1..].iter().all(|status| *status == 429), "{shared:?}");
    let skipped = statuses(key(), "skip", without_a_value());
    assert!(skipped.iter().all(|status| *status == 200), "{skipped:?}");
    let mut refused = statuses(key(), "refuse", without_a_value());
    assert_eq!(refused.pop(), Some(413));
    assert!(refused.iter().all(|status| *status == 400), "{refused:?}");
}

#[test]
fn refuses_a_body_that_turns_out_too_long_but_not_in_a_dry_run() {
    let policy = || ten_a_minute(json!({ "key": ["json:/a"] }));
    let harness = configured(json!({ "policies": [policy()], "max_body": 5 }));
    let exchange = harness.request(posted(r#"{"a":1}"#));
    assert!(matches!(exchange.outcome(), Outcome::RequestTooLarge), "{:?}", exchange.outcome());
    let dry = json!({ "policies": [policy()], "max_body": 5, "dry_run": true });
    assert_eq!(ask(&configured(dry), posted(r#"{"a":1}"#)).status(), 200);
}

#[test]
fn charges_all_policies_when_the_body_is_there_and_none_that_refuses() {
    let harness = configured(json!({ "policies": [
        { "name": "all", "limit": 2, "window": "1m", "key": [] },
        { "name": "model", "limit": 1, "window": "1m", "key": ["json:/model"] },
    ]}));
    let statuses = [r#"{"model":1}"#, r#"{"model":1.0}"#, r#"{"model":2}"#, r#"{"model":3}"#]
        .map(|body| ask(&harness, posted(body)).status());
    assert_eq!(statuses, [200, 429, 200, 429]);
}

#[test]
fn takes_two_types_of_which_one_is_json_for_json() {
    let harness = limiter(json!({ "limit": 1, "key": ["json:/a"], "missing": "skip" }));
    let twice = || posted(r#"{"a":1}"#).header("content-type", "text/plain");
    assert_eq!([twice(), twice()].map(|it| ask(&harness, it).status()), [200, 429]);
}

#[test]
fn counts_slots_by_values_of_bodies() {
    let harness = configured(json!({ "concurrency": [
        { "name": "one", "limit": 1, "key": ["json:/model"] },
    ]}));
    let first = harness.request(posted(r#"{"model":"x"}"#));
    assert!(first.answer().is_none());
    assert_eq!(ask(&harness, posted(r#"{"model":"x"}"#)).status(), 429);
    assert_eq!(ask(&harness, posted(r#"{"model":"y"}"#)).status(), 200);
    drop(first);
    assert_eq!(ask(&harness, posted(r#"{"model":"x"}"#)).status(), 200);
}
