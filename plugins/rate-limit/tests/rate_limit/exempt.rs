//! Requests that no limit is for.

use gateway_plugin_sdk::testing::{self, Harness, RequestBuilder};
use rate_limit::RateLimit;
use serde_json::{Value, json};

use crate::support::{ask, configured, ten_a_minute};

fn exempting(exempt: Value) -> Harness<RateLimit> {
    configured(json!({
        "policies": [ten_a_minute(json!({ "limit": 1, "key": [] }))],
        "concurrency": [{ "name": "at-once", "limit": 1, "key": [] }],
        "exempt": exempt,
    }))
}

fn from(address: &str) -> RequestBuilder {
    testing::request().attribute("client.address", address)
}

#[test]
fn who_is_exempt_is_neither_counted_nor_told_of_limits() {
    let harness = exempting(json!({
        "client.address": ["10.0.0.0/8", "2001:db8::/32", "::1"],
        "consumer.id": ["monitoring", "billing"],
        "claim:plan": ["internal"],
        "route.name": ["health"],
    }));
    let exempt = [
        (from("10.1.2.3"), "client.address"),
        (from("::ffff:10.1.2.3"), "client.address"),
        (from("2001:db8:1::1%eth0"), "client.address"),
        (from("::1"), "client.address"),
        (from("192.0.2.1").attribute("consumer.id", "billing"), "consumer.id"),
        (from("192.0.2.1").attribute("consumer.claim.plan", "internal"), "consumer.claim.plan"),
        (from("192.0.2.1").attribute("route.name", "health"), "route.name"),
    ];
    // Some of them hold the slot that there would be.
    let mut held = Vec::new();
    for (request, by) in exempt {
        let exchange = harness.request(request);
        assert!(exchange.answer().is_none(), "{by}");
        assert_eq!(exchange.attribute("rate-limit.exempt").as_deref(), Some(by));
        held.push(exchange);
    }
    let mut first = harness.request(from("192.0.2.1"));
    assert!(first.answer().is_none(), "all of it is left");
    first.response(testing::response());
    assert_eq!(first.answer().unwrap().header("ratelimit"), Some("\"burst\";r=0;t=60"));
    assert_eq!(first.attribute("rate-limit.exempt"), None);
    drop(first);
    for request in [
        from("192.0.2.1"),
        from("11.0.0.1"),
        from("unix:"),
        testing::request(),
        from("192.0.2.1").attribute("consumer.id", "Monitoring"),
        // Anybody can write that.
        from("192.0.2.1").header("consumer.id", "monitoring"),
    ] {
        assert_eq!(ask(&harness, request).status(), 429);
    }
    let told = ask(&harness, from("10.1.2.3"));
    assert_eq!(
        (told.status(), told.header("ratelimit"), told.header("ratelimit-policy")),
        (200, None, None)
    );
}

#[test]
fn points_at_each_fault() {
    for (exempt, places) in [
        (json!({ "header:x-internal": ["1"] }), vec!["/exempt/header:x-internal"]),
        (
            json!({ "json:/a": ["1"], "cookie:c": ["1"] }),
            vec!["/exempt/cookie:c", "/exempt/json:~1a"],
        ),
        (
            json!({ "query:a": ["1"], "consumer.id": [] }),
            vec!["/exempt/consumer.id", "/exempt/query:a"],
        ),
        (
            json!({ "client.address": ["10.0.0.1/8", "10.0.0.1", "there"] }),
            vec!["/exempt/client.address/0", "/exempt/client.address/2"],
        ),
    ] {
        let config = json!({ "policies": [ten_a_minute(json!({}))], "exempt": exempt });
        let error = Harness::<RateLimit>::new(config).err().unwrap();
        let found: Vec<_> = error.issues().iter().map(|it| it.pointer.as_str()).collect();
        assert_eq!(found, places, "{error}");
    }
}

#[test]
fn says_what_was_meant_by_an_attribute_that_there_is_not() {
    let message = |name: &str| {
        let config = json!({ "policies": [ten_a_minute(json!({}))], "exempt": { name: ["::1"] } });
        let error = Harness::<RateLimit>::new(config).err()?;
        Some(error.issues()[0].message.clone())
    };
    for (name, meant) in [
        ("client.adress", "client.address"),
        ("client.ip-address", "client.address"),
        ("client_address", "client.address"),
        ("route.nmae", "route.name"),
        ("consumer_id", "consumer.id"),
        ("consumer.key_id", "consumer.key-id"),
    ] {
        let expected = format!("there is no attribute `{name}`; did you mean `{meant}`?");
        assert_eq!(message(name), Some(expected));
    }
    // Plugins set others.
    for name in ["consumer.claim.plan", "consumer.idp", "plan", "clients.address2"] {
        assert_eq!(message(name), None, "{name}");
    }
}
