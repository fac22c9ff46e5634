//! Documents: files and remote texts that the gateway keeps current, and keys of issuers on top of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../plugins/auth/tests/auth/issuer.rs"]
#[allow(dead_code, reason = "it serves the plugin's own tests too")]
mod issuer;

#[path = "documents/configuration.rs"]
mod configuration;
#[path = "documents/keeping.rs"]
mod keeping;
#[path = "documents/keys.rs"]
mod keys;
#[path = "documents/recipes.rs"]
mod recipes;
#[path = "documents/support.rs"]
mod support;
