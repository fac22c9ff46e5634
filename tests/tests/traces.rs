//! Distributed traces: the trace that a request is in, and the spans that a collector gets of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "traces/collector.rs"]
mod collector;
#[path = "traces/context.rs"]
mod context;
#[path = "traces/rotel.rs"]
mod rotel;
#[path = "traces/spans.rs"]
mod spans;
