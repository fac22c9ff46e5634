//! What the gateway tells about itself.
//!
//! Owns the log lines of exchanges. Must not decide anything.

pub(crate) mod access_log;
