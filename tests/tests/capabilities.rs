//! What plugins may reach when they are granted it: metrics, secrets and upstreams.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "capabilities/http_client.rs"]
mod http_client;
#[path = "capabilities/in_a_gateway.rs"]
mod in_a_gateway;
#[path = "capabilities/metrics.rs"]
mod metrics;
#[path = "capabilities/secrets.rs"]
mod secrets;
