//! Numbers of the plugin's own, added up with what the gateway records of each exchange: by minute,
//! route, consumer, class of status and upstream. Granted as `usage`.
//!
//! They become columns of `gateway usage`. Where the gateway's configuration has no `[usage]`, nothing
//! is kept and nothing fails.
//!
//! ```
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::testing::{self, Harness};
//! use gateway_plugin_sdk::usage;
//!
//! struct Count;
//!
//! impl Plugin for Count {
//!     type Config = NoConfig;
//!     type Context = ();
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         Ok(Self)
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_response().response_header("x-tokens")
//!     }
//!
//!     fn on_response(&self, response: &mut ResponseHead, _: &mut ()) -> Outcome {
//!         let tokens = response.header("x-tokens").and_then(|it| it.parse().ok()).unwrap_or(0);
//!         usage::add("tokens", tokens);
//!         // 0.0000015 dollars each: fractions are counted in a smaller unit.
//!         usage::add("cost_usd_nanos", tokens * 1_500);
//!         Outcome::Next
//!     }
//! }
//!
//! let harness = Harness::<Count>::new(NoConfig {}).unwrap();
//! let mut exchange = harness.request(testing::request().path("/v1/messages"));
//! exchange.response(testing::response().header("x-tokens", "100"));
//! assert_eq!(harness.usage("tokens"), 100);
//! assert_eq!(harness.usage("cost_usd_nanos"), 150_000);
//! ```
//!
//! # Names and amounts
//!
//! A name is a lower-case letter, then lower-case letters, digits and `_`, at most 64 bytes, and none of
//! the gateway's own columns, such as `requests` or `consumer`. One that breaks these rules fails the
//! hook, and so does a call outside of an exchange, such as in `configure`.
//!
//! Amounts are whole, so that sums are exact: the unit belongs into the name. One below zero takes back.
//! Amounts and sums are held within 2^53 - 1 both ways.
//!
//! # Bounds
//!
//! An exchange has at most 16 names, and a gateway 64. What is added under more is dropped, and the
//! gateway's log says so once. So do not make a name of what a client can choose.

use crate::host;

/// Adds to the number of this name, in any hook of an exchange.
///
/// # Panics
/// If the name breaks the rules.
pub fn add(name: &str, amount: i64) {
    host::usage_add(name, amount);
}

/// Adds to several numbers, names and amounts, in one call of the gateway.
///
/// # Panics
/// If a name breaks the rules.
pub fn add_all(amounts: &[(&str, i64)]) {
    host::usage_add_all(amounts);
}

/// In `on_complete`: what was added to this exchange so far, by name, by all plugins that were called before. Those are the
/// ones behind this one, and the other hooks of those before it. Empty in any other hook, and without `[usage]`.
#[must_use]
pub fn added() -> Vec<(String, i64)> {
    host::usage_added()
}
