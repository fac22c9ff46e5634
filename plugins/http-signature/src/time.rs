//! Durations as the configuration writes them.
//!
//! Owns the notation. It reads no clock.

use std::time::Duration;

use crate::problems::{Pointer, Problems};

/// JSON Schema's pattern for a duration.
pub(crate) const DURATION: &str = "^([0-9]+(d|h|ms?|s))+$";

/// `60s`, `1m30s`, `500ms`: whole numbers with units.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    const NOTATION: &str = "is not a duration such as `60s` or `1m30s`";
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(NOTATION);
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit()).ok_or(NOTATION)?;
        let number: u64 = rest[..unit_at].parse().map_err(|_| NOTATION)?;
        let behind = &rest[unit_at..];
        let end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let milliseconds = match &behind[..end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(NOTATION),
        };
        let part = number.checked_mul(milliseconds).map(Duration::from_millis);
        total = part.and_then(|part| total.checked_add(part)).ok_or(NOTATION)?;
        rest = &behind[end..];
    }
    Ok(total)
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
