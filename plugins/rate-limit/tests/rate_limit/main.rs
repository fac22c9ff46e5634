//! What clients see of the plugin, through the harness of the SDK.

mod bodies;
mod concurrency;
mod configuration;
mod costs;
mod exempt;
mod fields;
mod keys;
mod limits;
mod support;
mod unavailable;
mod windows;
