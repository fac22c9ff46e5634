//! The flight recorder: each exchange of interest is explained by what `[admin]` says of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "recorder/debug.rs"]
mod debug;
#[path = "recorder/explained.rs"]
mod explained;
#[path = "recorder/program.rs"]
mod program;
#[path = "recorder/questions.rs"]
mod questions;
#[path = "recorder/support.rs"]
mod support;
