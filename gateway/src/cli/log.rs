//! The log of the process.
//!
//! Owns its format and its filter: `GATEWAY_LOG`, such as `info`, `debug` or
//! `warn,plugin=debug` (the syntax of `tracing_subscriber`'s `EnvFilter`). Default `info`.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::LogFormat;

/// Starts the log, on standard error.
pub(super) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("GATEWAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
