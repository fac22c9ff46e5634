//! What plugins may reach when they are granted it: metrics, secrets and upstreams.

mod http_client;
mod in_a_gateway;
mod metrics;
mod secrets;
