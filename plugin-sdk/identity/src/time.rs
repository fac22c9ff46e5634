//! Durations and dates as the configuration writes them.
//!
//! Owns the two notations. It reads no clock.

use std::time::Duration;

use crate::problems::{Pointer, Problems};

/// JSON Schema's pattern for [`duration`].
pub const DURATION: &str = gateway_plugin_sdk::duration::PATTERN;

/// `60s`, `1m30s`, `500ms`: numbers with units, from large to small.
///
/// # Errors
/// If it is none.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    let read = gateway_plugin_sdk::duration::parse(text);
    read.map_err(|_| "is not a duration such as `60s` or `1m30s`")
}

/// A duration of at most so long. What is wrong with it is noted, and the longest stands in its place.
pub fn at_most(text: &str, most: Duration, at: &Pointer, problems: &mut Problems) -> Duration {
    match duration(text) {
        Ok(time) if time <= most => time,
        Ok(_) => {
            problems.add(at, format!("is longer than {}, which is the most", shown(most)));
            most
        }
        Err(message) => {
            problems.add(at, message);
            most
        }
    }
}

/// `1h30m`: a duration as it is written, of whole seconds.
pub fn shown(time: Duration) -> String {
    let mut rest = time.as_secs();
    let mut text = String::new();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// `2027-01-31` or `2027-01-31T12:00:00+01:00` (RFC 3339 section 5.6), in seconds since 1970.
pub fn date(text: &str) -> Option<i64> {
    let (day, time) = match text.split_at_checked(10) {
        Some((day, "")) => (day, "00:00:00Z"),
        Some((day, rest)) => (day, rest.strip_prefix(['T', 't', ' '])?),
        None => return None,
    };
    Some(days(day)? * 86_400 + seconds(time)?)
}

/// Days since 1970-01-01 in the Gregorian calendar.
fn days(day: &str) -> Option<i64> {
    let (year, month, day) = (fixed(day, 0, 4)?, fixed(day, 5, 2)?, day_of(day)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // The year begins in March, so that the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468)
}

fn day_of(day: &str) -> Option<i64> {
    let dashes = day.as_bytes().get(4) == Some(&b'-') && day.as_bytes().get(7) == Some(&b'-');
    dashes.then(|| fixed(day, 8, 2))?
}

/// Seconds of `12:00:00.5+01:00` since the day's beginning in UTC.
fn seconds(time: &str) -> Option<i64> {
    let bytes = time.as_bytes();
    let (hour, minute, second) = (fixed(time, 0, 2)?, fixed(time, 3, 2)?, fixed(time, 6, 2)?);
    if bytes.get(2) != Some(&b':') || bytes.get(5) != Some(&b':') {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let zone = match time.get(8..)?.strip_prefix('.') {
        None => &time[8..],
        Some(fraction) => {
            let digits = fraction.find(|c: char| !c.is_ascii_digit())?;
            if digits == 0 {
                return None;
            }
            &fraction[digits..]
        }
    };
    Some(hour * 3_600 + minute * 60 + second - offset(zone)?)
}

/// Seconds by which a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes().first()? {
        b'Z' | b'z' if zone.len() == 1 => return Some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hour, minute) = (fixed(zone, 1, 2)?, fixed(zone, 4, 2)?);
    let valid = zone.len() == 6 && zone.as_bytes()[3] == b':' && hour < 24 && minute < 60;
    valid.then_some(sign * (hour * 3_600 + minute * 60))
}

/// A number of so many digits at a place.
fn fixed(text: &str, at: usize, digits: usize) -> Option<i64> {
    let digits = text.get(at..at + digits)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dates_and_date_times() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("2000-02-29"), Some(951_782_400));
        assert_eq!(date("2026-11-22T12:30:15Z"), Some(1_795_350_615));
        assert_eq!(date("2026-11-22T12:30:15.25+01:00"), Some(1_795_347_015));
        assert_eq!(date("2026-11-22T00:30:00-02:30"), Some(1_795_316_400));
    }

    #[test]
    fn refuses_what_is_no_date() {
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-00-01",
            "2027-02-29",
            "2026-11-31",
            "2026/11/22",
            "2026-11-22T12:30:15",
            "2026-11-22T24:00:00Z",
            "2026-11-22T12:30:15.Z",
            "2026-11-22T12:30:15+0100",
            "2026-11-22Tnoon",
            "never",
            "+026-11-22",
            "2026-11-22T12:30:15ZZ",
            "ééééé",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn reads_durations() {
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1_500)));
        assert_eq!(shown(Duration::from_secs(86_400)), "1d");
        assert_eq!(shown(Duration::from_secs(5_430)), "1h30m30s");
        assert_eq!(shown(Duration::ZERO), "0s");
        for text in ["", "60", "s", "1h1h", "60 s", "-1s", "1y", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
