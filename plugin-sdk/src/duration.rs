//! Durations as people write them in a configuration: `1m`, `1m30s`, `1.5h`.
//!
//! The notation is that of the gateway's own configuration. Which durations make sense is for the plugin to say.
//!
//! ```
//! use gateway_plugin_sdk::duration;
//! use std::time::Duration;
//!
//! assert_eq!(duration::parse("1m30s"), Ok(Duration::from_secs(90)));
//! assert!(duration::parse("90").is_err());
//! ```

use std::time::Duration;

/// The units, largest first, in nanoseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// JSON Schema's pattern for [`parse`].
pub const PATTERN: &str = r"^([0-9]+(\.[0-9]+)?(d|h|ms?|s))+$";

/// Reads a duration.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<Duration, &'static str> {
    let mut rest = text;
    let mut units = UNITS.as_slice();
    let mut total = 0_u64;
    if rest.is_empty() {
        return Err("it is empty");
    }
    while !rest.is_empty() {
        let (number, behind) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, behind) = split(behind, char::is_alphabetic);
        if number.is_empty() {
            return Err("each part begins with a number");
        }
        let at = units
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or("its units are d, h, m, s and ms, from large to small, each once")?;
        let part = nanoseconds(number, units[at].1).ok_or("its number cannot be read")?;
        total = total.checked_add(part).ok_or("it is too long")?;
        units = &units[at + 1..];
        rest = behind;
    }
    Ok(Duration::from_nanos(total))
}

fn nanoseconds(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 6)?;
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let fraction = u128::from(fraction.parse::<u64>().ok()?) * u128::from(unit);
    let fraction = u64::try_from(fraction / 10_u128.pow(digits)).ok()?;
    whole.checked_add(fraction)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_as_people_say_them() {
        let read = |text| parse(text).map(|duration| duration.as_millis());
        assert_eq!(read("1m"), Ok(60_000));
        assert_eq!(read("1m30s"), Ok(90_000));
        assert_eq!(read("1.5h"), Ok(5_400_000));
        assert_eq!(read("250ms"), Ok(250));
        assert_eq!(read("1d2h3m4s5ms"), Ok(93_784_005));
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", "m", "5", "5 s", "5x", "30s1m", "1s1s", "-5s", "1.s", ".5s", "1.5.5s"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("99999999999999999999h").is_err());
        assert!(parse("20000000000s").is_err());
    }
}
