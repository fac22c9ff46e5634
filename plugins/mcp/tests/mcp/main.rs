//! What clients and servers see of the plugin, through the harness of the SDK.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod configuration;
mod requests;
mod support;
