//! The types of `wit/`, as the component model passes them.
//!
//! Owns the Rust shape of every record, variant and flag that crosses between gateway and plugin.
//! The shapes are checked against each component when it is loaded, so that a slip here refuses
//! to load rather than misreads. What goes in is borrowed, what comes out is owned. Must not hold
//! logic.

mod cache;
mod cryptography;
mod exchange;
mod hooks;
mod http_client;
mod limiter;
mod messages;
mod stores;

pub(crate) use self::cache::*;
pub(crate) use self::cryptography::*;
pub(crate) use self::exchange::*;
pub(crate) use self::hooks::*;
pub(crate) use self::http_client::*;
pub(crate) use self::limiter::*;
pub(crate) use self::messages::*;
pub(crate) use self::stores::*;

/// The version of `gateway:plugin` that this gateway speaks.
pub(crate) const VERSION: &str = "0.1.0";

/// The instance that a plugin exports, but for its version.
pub(crate) const HOOKS: &str = "gateway:plugin/hooks@";
