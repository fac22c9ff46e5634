//! The admin API: who may ask, what is answered, and what is never seen.

mod changes;
mod dashboard;
mod document;
mod endpoints;
mod experiments;
mod models;
pub(crate) mod program;
mod schemathesis;
mod secrets;
mod traffic;
mod upstreams;
mod who;
