//! What clients and deployments see of the plugin, through the harness of the SDK.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod choosing;
mod configuration;
mod fail_over;
mod passing;
mod support;
mod translating;
mod usage;
