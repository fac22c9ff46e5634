//! Who used how much: what is recorded, kept, added up and reported, and what no trouble loses.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "usage/bounds.rs"]
mod bounds;
#[path = "usage/figures.rs"]
mod figures;
#[path = "usage/postgres.rs"]
mod postgres;
#[path = "usage/program.rs"]
mod program;
#[path = "usage/sqlite.rs"]
mod sqlite;
#[path = "usage/sums.rs"]
mod sums;
#[path = "usage/support.rs"]
mod support;
