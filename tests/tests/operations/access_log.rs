//! Logs of requests: what a line says and what it never says, and how it comes to a file, to standard
//! output and to a syslog server, whatever happens to those.

mod files;
mod formats;
mod program;
mod readers;
mod support;
mod syslog;
