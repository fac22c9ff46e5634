//! Logs of requests: what a line says and what it never says, and how it comes to a file, to standard
//! output and to a syslog server, whatever happens to those.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "access_log/files.rs"]
mod files;
#[path = "access_log/formats.rs"]
mod formats;
#[path = "access_log/program.rs"]
mod program;
#[path = "access_log/readers.rs"]
mod readers;
#[path = "access_log/support.rs"]
mod support;
#[path = "access_log/syslog.rs"]
mod syslog;
