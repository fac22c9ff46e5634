//! Durations as the configuration writes them.
//!
//! Owns the notation. It reads no clock.

use std::time::Duration;

use crate::problems::{Pointer, Problems};

/// JSON Schema's pattern for a duration.
pub(crate) const DURATION: &str = gateway_plugin_sdk::duration::PATTERN;

/// `60s`, `1m30s`, `500ms`: numbers with units, from large to small.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    let read = gateway_plugin_sdk::duration::parse(text);
    read.map_err(|_| "is not a duration such as `60s` or `1m30s`")
}

/// A duration of at most so long.
pub(crate) fn at_most(
    text: &str,
    most: Duration,
    at: &Pointer,
    problems: &mut Problems,
) -> Duration {
    match duration(text) {
        Ok(time) if time <= most => time,
        Ok(_) => {
            problems.add(at, format!("is longer than {} s", most.as_secs()));
            most
        }
        Err(message) => {
            problems.add(at, message);
            most
        }
    }
}
