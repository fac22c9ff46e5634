//! What the gateway tells about itself.
//!
//! Owns what is counted, and how lines of guests look in the log. Must not decide anything.

pub(crate) mod log_line;
pub(crate) mod metrics;
pub(crate) mod per_worker;
pub(crate) mod traffic;
