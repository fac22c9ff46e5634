//! What the gateway tells about itself.
//!
//! Owns the log lines of exchanges, and what is counted. Must not decide anything.

pub(crate) mod access_log;
pub(crate) mod metrics;
