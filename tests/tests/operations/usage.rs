//! Who used how much: what is recorded, kept, added up and reported, and what no trouble loses.

mod bounds;
mod figures;
mod postgres;
mod program;
mod sqlite;
mod sums;
mod support;
