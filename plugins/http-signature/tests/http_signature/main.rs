//! The plugin as a whole, from its configuration to the request that goes on or the answer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod configuration;
mod hmac;
mod manual;
mod message;
mod once;
mod tools;
mod vectors;

use std::time::Duration;

use gateway_plugin_sdk::testing::{Exchange, Harness};
use http_signature::HttpSignature;
use serde_json::Value;

/// The time of all that is signed here: 2026-01-01T00:00:00Z.
const NOW: u64 = 1_767_225_600;

/// The configured plugin.
fn plugin(config: Value) -> Harness<HttpSignature> {
    let plugin = Harness::new(config);
    let plugin = plugin.unwrap_or_else(|error| panic!("the configuration is refused: {error}"));
    plugin.set_time(Duration::from_secs(NOW));
    plugin
}

/// Checks that a request passed, and as whom.
fn assert_admitted(exchange: &Exchange<'_, HttpSignature>, consumer: &str) {
    let answer = exchange.answer().map(|answer| (answer.status(), exchange.log()));
    assert_eq!(answer, None);
    assert_eq!(exchange.attribute("consumer.id").as_deref(), Some(consumer));
}

/// Checks that a request was refused with 401, and that the log has the reason, and the answer not.
fn assert_refused(exchange: &Exchange<'_, HttpSignature>, reason: &str) {
    let answer = exchange.answer().expect("the request is refused");
    assert_eq!(answer.status(), 401, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header_values("www-authenticate").len(), 1);
    assert!(answer.text().contains("A valid signature is needed."), "{}", answer.text());
    let log = exchange.log();
    assert!(log.iter().any(|line| line.message.contains(reason)), "{reason}: {log:?}");
    assert_eq!(exchange.attribute("consumer.id"), None);
}
