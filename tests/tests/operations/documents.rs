//! Documents: files and remote texts that the gateway keeps current, and keys of issuers on top of them.

#[path = "../../../plugins/auth/tests/auth/issuer.rs"]
#[allow(dead_code, reason = "it serves the plugin's own tests too")]
mod issuer;

mod configuration;
mod keeping;
mod keys;
mod last_good;
mod lists;
mod recipes;
mod support;
mod wrong_files;
