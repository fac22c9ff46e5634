//! Plugins for the gateway, in Rust.
//!
//! A plugin is a type that implements [`Plugin`]: it reads its configuration once, says what it
//! wants to see of an exchange ([`Interest`]), and is then called with a view of each request or
//! response. [`register_plugin!`] makes the crate a WebAssembly component that the gateway loads.
//!
//! ```
//! use gateway_plugin_sdk::prelude::*;
//!
//! /// Which field says who is there.
//! #[derive(Deserialize, JsonSchema)]
//! pub struct Config {
//!     header: HeaderName,
//! }
//!
//! /// Greets by name.
//! pub struct Greet {
//!     header: HeaderName,
//! }
//!
//! impl Plugin for Greet {
//!     type Config = Config;
//!     type Context = ();
//!
//!     fn configure(config: Config) -> Result<Self, ConfigError> {
//!         Ok(Self { header: config.header })
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_request().header(&self.header)
//!     }
//!
//!     fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
//!         match request.header(&self.header) {
//!             Some(name) => {
//!                 let greeting = format!("hello {name}");
//!                 request.set_header("x-greeting", greeting);
//!                 Outcome::Next
//!             }
//!             None => Outcome::respond(Response::bad_request("who are you?")),
//!         }
//!     }
//! }
//!
//! register_plugin!(Greet);
//!
//! // Its test runs natively, without a gateway.
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! let harness = Harness::<Greet>::new(serde_json::json!({ "header": "x-name" })).unwrap();
//! let exchange = harness.request(testing::request().header("x-name", "Ada"));
//! assert_eq!(exchange.request().header("x-greeting"), Some("hello Ada"));
//!
//! let exchange = harness.request(testing::request());
//! assert_eq!(exchange.answer().unwrap().status(), 400);
//! ```
//!
//! # The life of a plugin
//!
//! The gateway keeps a pool of instances and hands each hook to any of them, so a plugin
//! remembers nothing about a request between two hooks: what must outlive a hook goes into
//! [`Plugin::Context`]. What must outlive a request goes into [`key_value`] or [`limiter`].
//!
//! # What a plugin may do
//!
//! [`attributes`], [`chunks`], [`clock`], [`digest`], [`drain`], [`exchange`], [`held_response`], [`keep_alive`],
//! [`log`] and [`random`] are always there.
//! [`attempts`], [`cache`], [`key_value`], [`limiter`], [`metrics`], [`password`], [`signature`], [`slots`] and [`usage`] must be granted in
//! the gateway's configuration, and so must each secret of [`secrets`], each document of [`documents`],
//! each set of [`keys`] and each upstream of [`http_client`]. A component imports only what its code calls.
//!
//! # The crate of a plugin
//!
//! `gateway plugin new NAME` makes one. Its crate types are `cdylib` (the component) and `rlib`
//! (native tests), and its manifest lists `serde` with the feature `derive` and `schemars`, which
//! the derived configuration names:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//!
//! [dependencies]
//! gateway-plugin-sdk = "0.1"
//! schemars = "1"
//! serde = { version = "1", features = ["derive"] }
//! ```
//!
//! The SDK brings an allocator that is made for hooks. A plugin that wants another turns the
//! feature `allocator` off (`default-features = false`).
//!
//! `gateway plugin build` builds the component.

#[cfg(all(target_family = "wasm", feature = "allocator"))]
mod allocator;
#[doc(hidden)]
pub mod arrived;
pub mod attempts;
pub mod attributes;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod bindings;
mod body;
pub mod cache;
pub mod chunks;
pub mod clock;
mod config_error;
mod configure;
mod context;
mod declared;
pub mod digest;
mod dispatch;
pub mod documents;
pub mod drain;
pub mod duration;
pub mod events;
pub mod exchange;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod export;
mod fields;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod head_hooks;
mod header_name;
pub mod held_response;
mod host;
pub mod http_client;
mod interest;
pub mod keep_alive;
pub mod key_value;
pub mod keys;
pub mod limiter;
pub mod log;
mod memo;
pub mod metrics;
mod names;
pub mod password;
mod plugin;
mod problem;
mod query;
pub mod random;
mod register;
mod request;
mod response;
mod response_head;
pub mod secrets;
pub mod signature;
pub mod slots;
pub mod source;
mod summary;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod usage;
#[doc(hidden)]
pub mod wire;

pub use body::{Body, Chunk};
pub use config_error::{ConfigError, ConfigIssue};
pub use configure::NoConfig;
pub use header_name::{HeaderName, InvalidHeaderName};
pub use interest::Interest;
pub use plugin::{ChunkOutcome, Outcome, Plugin};
pub use request::Request;
pub use response::Response;
pub use response_head::{RequestView, ResponseHead};
pub use summary::{Ending, Summary};
pub use wire::{BodyMode, Field};

pub use {schemars, serde, serde_json};

/// What nearly every plugin needs: `use gateway_plugin_sdk::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Body, BodyMode, Chunk, ChunkOutcome, ConfigError, HeaderName, Interest, NoConfig, Outcome,
        Plugin, Request, Response, ResponseHead, Summary, register_plugin,
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
}
