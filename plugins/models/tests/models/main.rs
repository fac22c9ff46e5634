//! What clients and deployments see of the plugin, through the harness of the SDK.

mod choosing;
mod configuration;
mod fail_over;
mod passing;
mod support;
mod translating;
mod usage;
