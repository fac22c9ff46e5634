//! The admin API: who may ask, what is answered, and what is never seen.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "admin_api/changes.rs"]
mod changes;
#[path = "admin_api/dashboard.rs"]
mod dashboard;
#[path = "admin_api/document.rs"]
mod document;
#[path = "admin_api/endpoints.rs"]
mod endpoints;
#[path = "admin_api/program.rs"]
mod program;
#[path = "admin_api/schemathesis.rs"]
mod schemathesis;
#[path = "admin_api/secrets.rs"]
mod secrets;
#[path = "admin_api/traffic.rs"]
mod traffic;
#[path = "admin_api/who.rs"]
mod who;
