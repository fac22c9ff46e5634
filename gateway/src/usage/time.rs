//! Times of rows as people write them, in UTC.
//!
//! Owns the step between minutes since 1970 and the calendar (RFC 3339 without seconds).

use super::rows::DAY;

/// Days since 1970 of a date of the Gregorian calendar, which must be one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March put the leap day at the end.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The year, month and day of a day since 1970.
fn date(day: i64) -> (i64, i64, i64) {
    let from_march = day + 719_468;
    let era = from_march.div_euclid(146_097);
    let of_era = from_march.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// From 1 on.
pub(super) fn day_of_month(day: i64) -> i64 {
    date(day).2
}

/// The first day of the month that a day is in.
pub(super) fn first_of_month(day: i64) -> i64 {
    day - day_of_month(day) + 1
}

/// The first day of the month after the one that a day is in.
pub(super) fn first_of_next_month(day: i64) -> i64 {
    first_of_month(first_of_month(day) + 31)
}

/// `2026-11-28`
pub(super) fn show_day(day: i64) -> String {
    let (year, month, day) = date(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2026-11`
pub(super) fn show_month(day: i64) -> String {
    let (year, month, _) = date(day);
    format!("{year:04}-{month:02}")
}

/// `2026-11-28T09:30Z`
#[must_use]
pub fn show_minute(minute: i64) -> String {
    let (day, minute) = (minute.div_euclid(DAY), minute.rem_euclid(DAY));
    format!("{}T{:02}:{:02}Z", show_day(day), minute / 60, minute % 60)
}

/// A date, or a date and a time: minutes since 1970.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, time.strip_suffix('Z').unwrap_or(time)),
        None => (text, "00:00"),
    };
    let day = parse_date(date)?;
    let mut parts = time.split(':');
    let hour = number(parts.next()?, 2).filter(|hour| *hour < 24)?;
    let minute = number(parts.next()?, 2).filter(|minute| *minute < 60)?;
    let is_whole = parts.next().is_none_or(|seconds| seconds == "00") && parts.next().is_none();
    is_whole.then_some(day * DAY + hour * 60 + minute)
}

fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let (year, month) = (number(parts.next()?, 4)?, number(parts.next()?, 2)?);
    let day = number(parts.next()?, 2)?;
    let is_one = parts.next().is_none() && (1..=12).contains(&month) && year >= 1970;
    let found = is_one.then(|| days(year, month, day))?;
    // What is no day of its month comes out as one of the next.
    (show_day(found) == text).then_some(found)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let is_one = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_is_read_as_it_is_shown() {
        assert_eq!((show_day(0), show_day(20_785)), ("1970-01-01".into(), "2026-11-28".into()));
        for day in 0..80_000 {
            assert_eq!(parse(&show_day(day)), Some(day * DAY));
        }
    }

    #[test]
    fn every_month_begins_where_the_one_before_ends() {
        let mut first = 0;
        for _ in 0..2_500 {
            let next = first_of_next_month(first);
            assert!((28..=31).contains(&(next - first)) && day_of_month(next) == 1);
            assert!((first..next).all(|day| first_of_month(day) == first));
            first = next;
        }
        assert_eq!(show_month(20_785), "2026-11");
    }

    #[test]
    fn reads_times_of_the_day() {
        let noon = parse("2024-02-29").map(|day| day + 750);
        assert_eq!(parse("2024-02-29T12:30Z"), noon);
        assert_eq!(parse("2024-02-29 12:30"), noon);
        assert_eq!(parse("2024-02-29T12:30:00Z"), noon);
        assert_eq!(noon.map(show_minute), Some("2024-02-29T12:30Z".to_owned()));
    }

    #[test]
    fn refuses_what_is_no_time() {
        let texts = [
            "",
            "2026",
            "2026-11",
            "2026-13-01",
            "2026-02-29",
            "2026-00-10",
            "2026-11-31",
            "26-11-01",
            "2026-11-01T24:00",
            "2026-11-01T10",
            "2026-11-01T10:60",
            "2026-11-01T10:00:30",
            "2026-11-01T10:00+01:00",
            "1969-12-31",
            "2026-11-1",
            "now",
        ];
        for text in texts {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
