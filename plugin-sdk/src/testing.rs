//! Tests of plugins: natively and without a gateway, and as components in one.
//!
//! A [`Harness`] configures a plugin as the gateway would, from JSON, and sends exchanges through
//! it. What the plugin does is judged by the rules that the gateway judges by: a change that
//! would be a breach of contract there fails the exchange here. Host calls are served by a host
//! of the harness's own: a key-value store, rate limits by GCRA, metrics and a log in memory, a clock
//! that moves only when the test [advances](Harness::advance) it, and real cryptography. Secrets, and
//! upstreams with the answers that they give, are [prepared](Harness::prepare) by the test.
//!
//! ```
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! struct Stamp;
//!
//! impl Plugin for Stamp {
//!     type Config = NoConfig;
//!     type Context = u32;
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         Ok(Self)
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_request().and_on_response()
//!     }
//!
//!     fn on_request(&self, request: &mut Request, length: &mut u32) -> Outcome {
//!         *length = request.path().len() as u32;
//!         Outcome::Next
//!     }
//!
//!     fn on_response(&self, response: &mut ResponseHead, length: &mut u32) -> Outcome {
//!         response.set_header("x-path-length", length.to_string());
//!         Outcome::Next
//!     }
//! }
//!
//! let harness = Harness::<Stamp>::new(serde_json::json!({})).unwrap();
//! let mut exchange = harness.request(testing::request().path("/orders"));
//! let answer = exchange.response(testing::response().status(200));
//! assert_eq!(answer.header("x-path-length"), Some("7"));
//! ```
//!
//! A [`Gateway`] is the same for the compiled component, in a gateway that runs for the test:
//! what [memory, time and grants](crate#the-life-of-a-plugin) allow is shown there. A test that is
//! written for any [`Host`] runs with [both](crate::test_both).
//!
//! Outside of a harness, host calls are served by a host of the thread's own, with an empty
//! exchange: parts of a plugin can be tested by themselves.

mod both;
pub(crate) mod cache;
pub(crate) mod calls;
mod contract;
pub(crate) mod cryptography;
mod documents;
mod exchange;
mod gateway;
mod harness;
pub(crate) mod host;
mod keys;
mod limiter;
mod message;
mod metrics;
pub(crate) mod quotas;
mod slots;
mod store;
mod usage;

pub use both::{Grants, Host, HostExchange};
pub use calls::Call;
pub use contract::Breach;
pub use exchange::{Exchange, Outcome};
pub use gateway::{Gateway, GatewayBuilder, GatewayExchange};
pub use harness::{Harness, Preparation};
pub use host::LogLine;
pub use message::{Answer, RequestBuilder, ResponseBuilder, SentRequest, request, response};
