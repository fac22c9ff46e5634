//! What clients and deployments see of the plugin, through the harness of the SDK.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bedrock;
mod choosing;
mod cohere;
mod configuration;
mod counting;
mod defaults;
mod dialects;
mod embeddings;
mod ends;
mod fail_over;
mod faults;
mod files;
mod groups;
mod outcomes;
mod passing;
mod regions;
mod silence;
mod support;
mod translating;
mod usage;
mod vertex;
