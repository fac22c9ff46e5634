//! Distributed traces: the trace that a request is in, and the spans that a collector gets of it.

mod collector;
mod context;
mod rotel;
mod spans;
