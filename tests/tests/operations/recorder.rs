//! The flight recorder: each exchange of interest is explained by what `[admin]` says of it.

mod debug;
mod explained;
mod program;
mod questions;
mod reasons;
mod support;
