//! Durations and sizes as people write them.
//!
//! Owns the two notations. Ranges belong to the keys.

use std::time::Duration;

/// Units of a duration, largest first, in milliseconds.
const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of a size, in bytes; the first that divides a number is the one to write it with.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// JSON Schema's pattern for [`duration`].
pub(super) const DURATION_PATTERN: &str = r"^([0-9]+(\.[0-9]+)?(d|h|ms?|s))+$";

/// JSON Schema's pattern for [`size`].
pub(super) const SIZE_PATTERN: &str = r"^[0-9]+ ?([KMGTkmgt][Ii]?)?[Bb]$";

/// `20ms`, `5s`, `1m30s`, `1.5h`: numbers with units, largest unit first.
///
/// Errors say what is wrong with the text, to follow "is not a duration: ".
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    const UNITS: &str = "its units are ms, s, m, h and d";
    let mut rest = text;
    let mut total = 0_u64;
    let mut units = DURATION_UNITS.as_slice();
    if rest.is_empty() {
        return Err("it is empty");
    }
    while !rest.is_empty() {
        let (number, behind) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, behind) = split(behind, |c| c.is_alphabetic() || c == 'µ');
        if number.is_empty() {
            return Err("it begins with a number");
        }
        if unit.is_empty() && behind.starts_with(char::is_whitespace) {
            return Err("there is a space between a number and its unit");
        }
        if unit.is_empty() {
            return Err("a number in it has no unit (ms, s, m, h or d)");
        }
        if !DURATION_UNITS.iter().any(|(name, _)| *name == unit) {
            return Err(UNITS);
        }
        let at = units.iter().position(|(name, _)| *name == unit);
        let at = at.ok_or("its units go from large to small, each once")?;
        let part = milliseconds(number, units[at].1).ok_or("its number does not fit")?;
        total = total.checked_add(part).ok_or("its number does not fit")?;
        units = &units[at + 1..];
        rest = behind;
    }
    Ok(Duration::from_millis(total))
}

fn milliseconds(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let digits = u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 6)?;
    let fraction = fraction.parse::<u64>().ok()?.checked_mul(unit)?;
    whole.checked_add(fraction / 10_u64.pow(digits))
}

/// `16MiB`, `64KB`, `512B`: a whole number and a unit, in either case, with or without a space.
///
/// Errors say what is wrong with the text, to follow "is not a size: ".
pub(super) fn size(text: &str) -> Result<u64, &'static str> {
    let (number, unit) = split(text, |c| c.is_ascii_digit());
    if number.is_empty() {
        return Err("it begins with a whole number");
    }
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    if unit.is_empty() {
        return Err("it has no unit (B, KiB, MiB, GiB, KB, MB, GB)");
    }
    if unit.len() == 1 && "kmgtKMGT".contains(unit) {
        return Err("its unit could mean two things (MiB or MB, say)");
    }
    let (_, factor) = SIZE_UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .ok_or("its units are B, KiB, MiB, GiB, TiB, KB, MB, GB and TB")?;
    let number = number.parse::<u64>().ok();
    number.and_then(|number| number.checked_mul(*factor)).ok_or("its number does not fit")
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// A size in the notation of [`size`].
pub(super) fn show_size(bytes: u64) -> String {
    let exact = SIZE_UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    let (name, unit) = exact.unwrap_or(&("B", 1));
    format!("{}{name}", bytes / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_as_people_say_them() {
        let read = |text| duration(text).map(|duration| duration.as_millis());
        assert_eq!(read("20ms"), Ok(20));
        assert_eq!(read("5s"), Ok(5_000));
        assert_eq!(read("1m30s"), Ok(90_000));
        assert_eq!(read("2h"), Ok(7_200_000));
        assert_eq!(read("1.5s"), Ok(1_500));
        assert_eq!(read("0s"), Ok(0));
        assert_eq!(read("1d2h3m4s5ms"), Ok(93_784_005));
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", "s", "5", "5 s", "5x", "5us", "30s1m", "1s1s", "-5s", "1.s", ".5s", "1e3s"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("5 s"), Err("there is a space between a number and its unit"));
        assert!(duration("99999999999999999999h").is_err());
        assert!(duration("1.12345678901234567890123s").is_err());
    }

    #[test]
    fn reads_sizes_as_people_say_them() {
        assert_eq!(size("16MiB"), Ok(16 << 20));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("64KB"), Ok(64_000));
        assert_eq!(size("64kb"), Ok(64_000));
        assert_eq!(size("10 MiB"), Ok(10 << 20));
        assert_eq!(size("512B"), Ok(512));
    }

    #[test]
    fn refuses_what_is_no_size() {
        for text in ["", "MiB", "5", "5M", "1.5GiB", "-1B", "5  MiB", "99999999999999TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn writes_sizes_as_it_reads_them() {
        for text in ["16MiB", "8KiB", "64KB", "513B", "4GiB"] {
            assert_eq!(size(text).map(show_size), Ok(text.to_owned()));
        }
    }
}
