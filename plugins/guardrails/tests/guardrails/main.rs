//! The plugin in the SDK's harness: what a model gets, and what a client gets back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod blocking;
mod configuration;
mod masking;
mod moderating;
mod support;
mod unreadable;
