//! Plugins and components in a whole gateway: their hooks, what they may reach, and how they are loaded.
//!
//! One program, since to link one takes longer than most of its modules run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod arguments;
mod caches;
mod capabilities;
mod compiling;
mod components;
mod draining;
mod held;
mod hooks;
mod interface;
mod interleavings;
mod keep_alive;
mod kept;
mod loading;
mod preparing;
mod slots;
mod state;
mod wasip1;
