//! Times and durations: how they are written, and what the calendar says of a time.
//!
//! Both are nanoseconds. Times go from the year 1 to the year 9999, as far as RFC 3339 can write them.

const SECOND: i128 = 1_000_000_000;
const DAY: i64 = 86_400;

/// 0001-01-01T00:00:00Z and the last nanosecond of 9999.
const FIRST: i128 = -62_135_596_800 * SECOND;
const LAST: i128 = 253_402_300_800 * SECOND - 1;

/// The longest duration, in seconds: what fits between any two times.
const MAX_SECONDS: i128 = 315_576_000_000;

pub(crate) fn is_time(nanoseconds: i128) -> bool {
    (FIRST..=LAST).contains(&nanoseconds)
}

pub(crate) fn is_duration(nanoseconds: i128) -> bool {
    nanoseconds.abs() <= MAX_SECONDS * SECOND
}

/// A time as clocks and calendars show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: i64,
    /// From 1.
    pub(crate) day: i64,
    /// From 0, which is the first of January.
    pub(crate) day_of_year: i64,
    /// From 0, which is Sunday.
    pub(crate) day_of_week: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    pub(crate) nanosecond: i64,
}

impl Civil {
    /// The time in a zone that is so many seconds ahead of UTC.
    pub(crate) fn new(nanoseconds: i128, offset: i64) -> Self {
        let seconds = i64::try_from(nanoseconds.div_euclid(SECOND)).unwrap_or(0) + offset;
        let nanosecond = i64::try_from(nanoseconds.rem_euclid(SECOND)).unwrap_or(0);
        let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let (year, month, day) = date(days);
        Self {
            year,
            month,
            day,
            day_of_year: days - days_before(year, 1, 1),
            day_of_week: (days + 4).rem_euclid(7),
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            nanosecond,
        }
    }
}

/// The date of a day, counted from 1970-01-01. Years begin in March here, so that the day that only some
/// years have is the last one.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The days from 1970-01-01 to a date.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Reads a time as RFC 3339 writes it.
pub fn time(text: &str) -> Option<i128> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let part = text.get(from..to)?;
        part.bytes().all(|it| it.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let sign = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|it| wanted.contains(it));
    let signs = [(4, &b"-"[..]), (7, b"-"), (10, b"Tt"), (13, b":"), (16, b":")];
    if !signs.iter().all(|(at, wanted)| sign(*at, wanted)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let days = days_before(year, month, day);
    let is_date = (1..=12).contains(&month) && date(days) == (year, month, day);
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|it: char| !it.is_ascii_digit())?;
            (fraction(&rest[..end])?, &rest[end..])
        }
        None => (0, rest),
    };
    let offset = match zone.as_bytes() {
        b"Z" | b"z" => 0,
        [b'+' | b'-', ..] => offset(zone)?,
        _ => return None,
    };
    let seconds = days * DAY + hour * 3600 + minute * 60 + second - offset;
    let nanoseconds = i128::from(seconds) * SECOND + fraction;
    is_time(nanoseconds).then_some(nanoseconds)
}

/// Nanoseconds of what stands behind the point.
fn fraction(digits: &str) -> Option<i128> {
    let count = u32::try_from(digits.len()).ok().filter(|count| (1..=9).contains(count))?;
    let number: i128 = digits.parse().ok()?;
    Some(number * 10_i128.pow(9 - count))
}

/// The seconds that a zone is ahead of UTC: `UTC`, `+02:00` or `-05:30`.
pub(crate) fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "UTC" | "Z") {
        return Some(0);
    }
    let (sign, clock) = match zone.as_bytes().first()? {
        b'+' => (1, &zone[1..]),
        b'-' => (-1, &zone[1..]),
        _ => (1, zone),
    };
    let (hours, minutes) = clock.split_once(':')?;
    let number = |part: &str, below: i64| -> Option<i64> {
        let is_number = part.len() == 2 && part.bytes().all(|it| it.is_ascii_digit());
        part.parse().ok().filter(|number| is_number && *number < below)
    };
    Some(sign * (number(hours, 24)? * 3600 + number(minutes, 60)? * 60))
}

/// Writes a time as RFC 3339 does, in UTC.
pub(crate) fn time_text(nanoseconds: i128) -> String {
    let it = Civil::new(nanoseconds, 0);
    let (date, time) = (
        format!("{:04}-{:02}-{:02}", it.year, it.month, it.day),
        format!("{:02}:{:02}:{:02}", it.hour, it.minute, it.second),
    );
    format!("{date}T{time}{}Z", fraction_text(it.nanosecond.unsigned_abs().into()))
}

fn fraction_text(nanoseconds: u128) -> String {
    if nanoseconds == 0 {
        return String::new();
    }
    let digits = format!("{nanoseconds:09}");
    format!(".{}", digits.trim_end_matches('0'))
}

/// Reads a duration: numbers with units, such as `90s`, `1h30m`, `1.5s`, `-250ms`.
pub(crate) fn duration(text: &str) -> Option<i128> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let (number, unit_and_more) = rest.split_at(end);
        let units = [
            ("ns", 1),
            ("us", 1000),
            ("ms", 1_000_000),
            ("s", SECOND),
            ("m", 60 * SECOND),
            ("h", 3600 * SECOND),
        ];
        let (unit, length) = units.into_iter().find(|(unit, _)| unit_and_more.starts_with(unit))?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() || whole.len() > 18 || part.len() > 18 {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let exponent = u32::try_from(part.len()).ok()?;
        let part: i128 = if part.is_empty() { 0 } else { part.parse().ok()? };
        sum += whole * length + part * length / 10_i128.pow(exponent);
        rest = &unit_and_more[unit.len()..];
    }
    let duration = sign * sum;
    is_duration(duration).then_some(duration)
}

/// Writes a duration in seconds.
pub(crate) fn duration_text(nanoseconds: i128) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let (seconds, rest) =
        (nanoseconds.unsigned_abs() / 1_000_000_000, nanoseconds.unsigned_abs() % 1_000_000_000);
    format!("{sign}{seconds}{}s", fraction_text(rest))
}
