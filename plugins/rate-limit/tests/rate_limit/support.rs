//! One way to ask: through the plugin to an upstream that always answers 200, and back.

use gateway_plugin_sdk::testing::{self, Answer, Harness, RequestBuilder};
use rate_limit::RateLimit;
use serde_json::{Value, json};

/// A limiter of one policy of ten a minute, with these keys in its place or added.
pub(crate) fn limiter(policy: Value) -> Harness<RateLimit> {
    configured(json!({ "policies": [ten_a_minute(policy)] }))
}

/// The policy `burst` of ten a minute, with these keys in its place or added.
pub(crate) fn ten_a_minute(changes: Value) -> Value {
    let mut policy = json!({ "name": "burst", "limit": 10, "window": "1m" });
    for (key, value) in changes.as_object().expect("a table of changes") {
        policy[key] = value.clone();
    }
    policy
}

/// A limiter with this configuration.
pub(crate) fn configured(config: Value) -> Harness<RateLimit> {
    Harness::new(config).expect("the configuration is valid")
}

/// What the client is sent.
pub(crate) fn ask(harness: &Harness<RateLimit>, request: RequestBuilder) -> Answer {
    let mut exchange = harness.request(request);
    if exchange.answer().is_none() {
        exchange.response(testing::response());
    }
    exchange.answer().expect("the upstream or the plugin answered").clone()
}

/// What the client at this address is sent.
pub(crate) fn ask_from(harness: &Harness<RateLimit>, address: &str) -> Answer {
    ask(harness, testing::request().attribute("client.address", address))
}

/// The status codes of this many requests from one client.
pub(crate) fn statuses(harness: &Harness<RateLimit>, requests: usize) -> Vec<u16> {
    (0..requests).map(|_| ask_from(harness, "192.0.2.1").status()).collect()
}
