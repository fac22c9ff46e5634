//! Dates of HTTP (RFC 9110 section 5.6.7): the form of today and the two of the past.
//!
//! Letters may be of any case. Everything else is as it is written there: what is nearly a date is none.

use crate::Millis;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const LONG_DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Reads a date, as seconds since 1970. One before that is 0. `now` tells which century a year of two digits is of.
pub fn parse(text: &str, now: Millis) -> Option<u64> {
    let text = text.trim_matches([' ', '\t']).to_ascii_lowercase();
    fixed(&text).or_else(|| rfc850(&text, now)).or_else(|| asctime(&text))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn fixed(text: &str) -> Option<u64> {
    let (day_name, rest) = text.split_once(", ")?;
    is_short_day(day_name).then_some(())?;
    let mut parts = rest.split(' ');
    let day = number(parts.next()?, 2)?;
    let month = month(parts.next()?)?;
    let year = number(parts.next()?, 4)?;
    let time = time(parts.next()?)?;
    (parts.next() == Some("gmt") && parts.next().is_none()).then_some(())?;
    seconds(year, month, day, time)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &str, now: Millis) -> Option<u64> {
    let (day_name, rest) = text.split_once(", ")?;
    LONG_DAYS.contains(&day_name).then_some(())?;
    let mut parts = rest.split(' ');
    let mut date = parts.next()?.split('-');
    let day = number(date.next()?, 2)?;
    let month = month(date.next()?)?;
    let short = number(date.next()?, 2)?;
    date.next().is_none().then_some(())?;
    let time = time(parts.next()?)?;
    (parts.next() == Some("gmt") && parts.next().is_none()).then_some(())?;
    // More than 50 years ahead is the past.
    let this_year = year_of(now / 1000);
    let mut year = this_year / 100 * 100 + short;
    if year > this_year + 50 {
        year -= 100;
    }
    seconds(year, month, day, time)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<u64> {
    let (day_name, rest) = text.split_at_checked(4)?;
    is_short_day(day_name.strip_suffix(' ')?).then_some(())?;
    let (month_name, rest) = rest.split_at_checked(4)?;
    let month = month(month_name.strip_suffix(' ')?)?;
    let (day, rest) = rest.split_at_checked(3)?;
    let day = day.strip_suffix(' ')?;
    let day = match day.strip_prefix(' ') {
        Some(digit) => number(digit, 1)?,
        None => number(day, 2)?,
    };
    let (clock, year) = rest.split_once(' ')?;
    seconds(number(year, 4)?, month, day, time(clock)?)
}

fn is_short_day(name: &str) -> bool {
    DAYS.iter().any(|day| day.eq_ignore_ascii_case(name))
}

fn month(name: &str) -> Option<u64> {
    MONTHS.iter().position(|month| *month == name).and_then(|at| u64::try_from(at + 1).ok())
}

fn number(digits: &str, count: usize) -> Option<u64> {
    let is_number = digits.len() == count && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

fn time(text: &str) -> Option<u64> {
    let mut parts = text.split(':');
    let mut next = || number(parts.next()?, 2);
    let (hour, minute, second) = (next()?, next()?, next()?);
    let is_time = parts.next().is_none() && hour < 24 && minute < 60 && second <= 60;
    is_time.then_some(hour * 3600 + minute * 60 + second)
}

fn seconds(year: u64, month: u64, day: u64, time: u64) -> Option<u64> {
    let days = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let at = usize::try_from(month - 1).ok()?;
    (1..=days[at]).contains(&day).then_some(())?;
    if year < 1970 {
        return Some(0);
    }
    let before: u64 = days[..at].iter().sum();
    Some((days_to(year) + before + day - 1) * 86_400 + time)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// The days from 1970 to the first of a year.
fn days_to(year: u64) -> u64 {
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969)
}

fn year_of(seconds: u64) -> u64 {
    let days = seconds / 86_400;
    let mut year = 1970 + days / 366;
    while days_to(year + 1) <= days {
        year += 1;
    }
    year
}

/// Writes a date in the form of today.
pub fn format(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let year = year_of(seconds);
    let mut day = days - days_to(year);
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let weekday = DAYS[usize::try_from(days % 7).unwrap_or_default()];
    let mut name = MONTHS[month].to_owned();
    name[..1].make_ascii_uppercase();
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{weekday}, {:02} {name} {year:04} {hour:02}:{minute:02}:{second:02} GMT", day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_790_000_000_000;

    #[test]
    fn all_three_forms_are_read() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "sun, 06 NOV 1994 08:49:37 gMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text, NOW), Some(784_111_777), "{text}");
        }
        assert_eq!(parse("Thursday, 18-Aug-50 02:01:18 GMT", NOW), Some(2_544_400_878));
        assert_eq!(parse("Sun, 21 Nov 2286 04:46:39 GMT", NOW), Some(10_000_039_599));
        assert_eq!(parse("Mon, 01 Jan 1900 00:00:00 GMT", NOW), Some(0));
    }

    #[test]
    fn what_is_nearly_a_date_is_none() {
        for text in [
            "",
            "0",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 31 Feb 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:19 GMT",
        ] {
            assert_eq!(parse(text, NOW), None, "{text}");
        }
    }

    #[test]
    fn every_day_survives_writing_and_reading() {
        for day in 0..200_000_u64 {
            let at = day * 86_400 + day % 86_400;
            assert_eq!(parse(&format(at), NOW), Some(at), "{}", format(at));
        }
        assert_eq!(format(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
