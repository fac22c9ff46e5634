//! The plugin as a whole, between a browser with its cookies and a provider that signs with a real key.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod browser;
mod configuration;
#[path = "../../../auth/tests/auth/issuer.rs"]
#[allow(dead_code, reason = "it serves the tests of `auth`")]
mod issuer;
mod login;
mod logout;
mod manual;
mod provider;
mod session;
