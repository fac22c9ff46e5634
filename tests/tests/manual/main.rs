//! What users are told: the README, the examples and the first-party plugins, as they are configured there.
//!
//! One program, since to link one takes longer than most of its modules run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent_serving;
mod caching;
mod example;
mod examples;
mod first_party;
mod grpc_web;
mod guarding;
mod mcp_serving;
mod model_embeddings;
mod model_faults;
mod model_groups;
mod model_guide;
mod model_places;
mod model_providers;
mod model_serving;
mod other_languages;
mod predictions;
mod predictions_alike;
mod readme;
