//! Whom a limit is for.

use gateway_plugin_sdk::testing::{self, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{ask, ask_from, configured, limiter, ten_a_minute};

/// Asks a limiter of one request in turn, and says which were let through.
fn passes(policy: Value, requests: impl IntoIterator<Item = RequestBuilder>) -> Vec<bool> {
    let mut once = policy;
    once["limit"] = json!(1);
    let harness = limiter(once);
    requests.into_iter().map(|request| ask(&harness, request).status() == 200).collect()
}

fn header(name: &str, value: &[u8]) -> RequestBuilder {
    testing::request().header(name, value)
}

fn attribute(name: &str, value: &str) -> RequestBuilder {
    testing::request().attribute(name, value)
}

#[test]
fn goes_by_the_address_of_the_client_if_no_key_is_given() {
    let addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.1"];
    let requests = addresses.map(|address| attribute("client.address", address));
    assert_eq!(passes(json!({}), requests), [true, true, false]);
}

#[test]
fn takes_the_addresses_of_one_ipv6_network_for_one_client() {
    let addresses = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"];
    let requests = addresses.map(|address| attribute("client.address", address));
    assert_eq!(passes(json!({}), requests), [true, false, true]);
}

#[test]
fn groups_ipv6_addresses_as_it_is_told() {
    let policy = ten_a_minute(json!({ "limit": 1 }));
    let harness = configured(json!({ "policies": [policy], "ipv6_prefix": 128 }));
    let addresses = ["2001:db8::1", "2001:db8::2", "2001:db8:0::1"];
    let statuses = addresses.map(|address| ask_from(&harness, address).status());
    assert_eq!(statuses, [200, 200, 429]);
}

#[test]
fn limits_all_together_by_an_empty_key() {
    let requests = ["192.0.2.1", "192.0.2.2"].map(|a| attribute("client.address", a));
    assert_eq!(passes(json!({ "key": [] }), requests), [true, false]);
}

#[test]
fn goes_by_a_header_by_an_attribute_and_by_a_claim() {
    let requests = [b"a", b"b", b"a"].map(|value| header("x-tenant", value));
    assert_eq!(passes(json!({ "key": ["header:X-Tenant"] }), requests), [true, true, false]);
    let requests = ["ada", "bob", "ada"].map(|value| attribute("consumer.id", value));
    assert_eq!(passes(json!({ "key": ["consumer.id"] }), requests), [true, true, false]);
    let requests = ["free", "paid", "free"].map(|v| attribute("consumer.claim.plan", v));
    assert_eq!(passes(json!({ "key": ["claim:plan"] }), requests), [true, true, false]);
}

#[test]
fn goes_by_the_combination_of_several_parts() {
    let key = json!({ "key": ["consumer.id", "route.name"] });
    let ask = |consumer, route| attribute("consumer.id", consumer).attribute("route.name", route);
    let requests = [ask("ada", "x"), ask("ada", "y"), ask("bob", "x"), ask("ada", "x")];
    assert_eq!(passes(key, requests), [true, true, true, false]);
}

#[test]
fn cannot_be_made_to_mix_up_values() {
    let key = json!({ "key": ["header:x-a", "header:x-b"] });
    let ask = |a: &[u8], b: &[u8]| header("x-a", a).header("x-b", b);
    let requests = [
        ask(b"ab", b"c"),
        ask(b"a", b"bc"),
        ask(b"a1:b", b"c"),
        ask(b"a", b"1:b1:c"),
        ask(b"-", b"-"),
        header("x-a", b"-"),
        header("x-b", b"-"),
        testing::request(),
    ];
    assert_eq!(passes(key, requests), [true; 8]);
}

#[test]
fn tells_long_and_binary_values_apart() {
    let long = |last: u8| [[b'a'; 4_000].as_slice(), &[last]].concat();
    let values = [long(b'1'), long(b'2'), long(b'1'), vec![0xff], vec![0xfe], vec![0xff]];
    let requests = values.map(|value| header("x-tenant", &value));
    let expected = [true, true, false, true, true, false];
    assert_eq!(passes(json!({ "key": ["header:x-tenant"] }), requests), expected);
}

#[test]
fn stays_within_the_longest_key_of_the_limiter() {
    let names: Vec<String> = (0..8).map(|n| format!("x-{n}-{}", "n".repeat(110))).collect();
    let key: Vec<String> = names.iter().map(|name| format!("header:{name}")).collect();
    let policy = json!({
        "key": key, "name": "n".repeat(64), "limit": 1, "window": "366d", "burst": 1,
    });
    let ask = || {
        let plain = testing::request();
        names.iter().fold(plain, |request, name| request.header(name, "v".repeat(8_000)))
    };
    assert_eq!(passes(policy, [ask(), ask()]), [true, false]);
}

#[test]
fn counts_those_without_a_value_together() {
    let key = json!({ "key": ["header:x-tenant"] });
    let requests = [testing::request(), header("x-tenant", b""), header("x-tenant", b"a")];
    assert_eq!(passes(key, requests), [true, false, true]);
}

#[test]
fn skips_a_policy_for_those_without_a_value_if_it_is_told() {
    let policies = json!([
        { "name": "tenant", "limit": 1, "window": "1m", "key": ["header:x-tenant"],
          "missing": "skip" },
        { "name": "all", "limit": 3, "window": "1m", "key": [] },
    ]);
    let harness = configured(json!({ "policies": policies }));
    let statuses = || ask(&harness, testing::request()).status();
    let skipped = ask(&harness, testing::request());
    assert_eq!(skipped.header("ratelimit"), Some(r#""all";r=2;t=20"#));
    assert_eq!(ask(&harness, header("x-tenant", b"a")).status(), 200);
    assert_eq!(ask(&harness, header("x-tenant", b"a")).status(), 429);
    assert_eq!([statuses(), statuses()], [200, 429]);
}

#[test]
fn shows_nothing_to_those_whom_no_policy_applies_to() {
    let harness = limiter(json!({ "key": ["header:x-tenant"], "missing": "skip" }));
    let answer = ask(&harness, testing::request());
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().is_empty(), "{:?}", answer.headers());
}

#[test]
fn refuses_those_without_a_value_if_it_is_told() {
    let harness = limiter(json!({ "key": ["header:x-tenant"], "missing": "refuse" }));
    let answer = ask(&harness, testing::request());
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("x-tenant"));
    let harness = limiter(json!({ "key": ["consumer.id"], "missing": "refuse" }));
    assert_eq!(ask(&harness, testing::request()).status(), 403);
}

#[test]
fn takes_nothing_from_other_policies_when_it_refuses_for_a_missing_value() {
    let harness = configured(json!({ "policies": [
        { "name": "all", "limit": 1, "window": "1m", "key": [] },
        { "name": "tenant", "limit": 1, "window": "1m", "key": ["header:x-tenant"],
          "missing": "refuse" },
    ]}));
    assert_eq!(ask(&harness, testing::request()).status(), 400);
    assert_eq!(ask(&harness, header("x-tenant", b"a")).status(), 200);
}
