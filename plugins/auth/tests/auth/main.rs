//! The plugin as a whole, from its configuration to the request that goes on or the answer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api_keys;
mod basic;
mod certificates;
mod configuration;
mod consumers;
mod documents;
mod hashes;
mod introspection;
mod issuer;
mod issuers;
mod jwt;
mod jwt_attacks;
mod manual;
mod served_keys;
mod sets;
mod tools;

use auth::Auth;
use gateway_plugin_sdk::testing::{Answer, Exchange, Harness};
use serde_json::Value;

/// The configured plugin.
fn plugin(config: Value) -> Harness<Auth> {
    Harness::new(config).unwrap_or_else(|error| panic!("the configuration is refused: {error}"))
}

/// The answer of a request that did not pass.
fn refusal<'e>(exchange: &'e Exchange<'_, Auth>) -> &'e Answer {
    exchange.answer().expect("the request is refused")
}

/// Checks that a request was refused, with which status and challenges.
fn assert_refused(exchange: &Exchange<'_, Auth>, status: u16, challenges: &[&str]) {
    let answer = refusal(exchange);
    assert_eq!(answer.status(), status, "{}", answer.text());
    assert_eq!(answer.header_values("www-authenticate"), challenges);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem: Value = answer.json();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["instance"], "test-request");
    assert_eq!(problem["message"], problem["detail"]);
}

/// Checks that a request passed, and as whom.
fn assert_admitted(exchange: &Exchange<'_, Auth>, consumer: &str) {
    let answer = exchange.answer().map(|answer| (answer.status(), exchange.log()));
    assert_eq!(answer, None);
    assert_eq!(exchange.attribute("consumer.id").as_deref(), Some(consumer));
}
