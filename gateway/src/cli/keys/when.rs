//! Times as people write them on the command line.

use std::time::{SystemTime, UNIX_EPOCH};

use gateway::usage::parse_time;

const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

/// `90d`, `24h`, `30m`, `15s`: seconds.
pub(super) fn duration(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no time such as `90d`, `24h`, `30m` or `15s`");
    let (unit, factor) = UNITS.iter().find(|(unit, _)| text.ends_with(unit)).ok_or_else(wrong)?;
    let number = &text[..text.len() - unit.len()];
    let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    let number: Option<u64> = is_number.then(|| number.parse().ok()).flatten();
    number.and_then(|number| number.checked_mul(*factor)).ok_or_else(wrong)
}

/// A date, a date with a time, or a time from now: seconds since 1970.
pub(super) fn moment(text: &str) -> Result<u64, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    if let Some(minutes) = parse_time(text) {
        return u64::try_from(minutes * 60).map_err(|error| error.to_string());
    }
    let from_now = duration(text).map_err(|_| {
        format!(
            "`{text}` is no time: write `2027-01-31`, `2027-01-31T12:00` (UTC), or `90d` from now"
        )
    })?;
    Ok(now.saturating_add(from_now))
}

/// A date (its first second, UTC), or a date-time with a zone (RFC 3339): seconds since 1970.
pub(super) fn date(text: &str) -> Option<u64> {
    let at = match text.len() {
        10 => text
            .parse::<jiff::civil::Date>()
            .ok()?
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp(),
        _ => text.parse::<jiff::Timestamp>().ok()?,
    };
    u64::try_from(at.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_documents() {
        let seconds = [
            ("2027-01-31", Some(1_801_353_600)),
            ("2027-01-31T12:00:00Z", Some(1_801_396_800)),
            ("2027-01-31T13:00:00+01:00", Some(1_801_396_800)),
            ("2027-01-31T12:00", None),
            ("2027-02-30", None),
            ("1969-12-31", None),
            ("soon", None),
        ];
        for (text, at) in seconds {
            assert_eq!(date(text), at, "{text}");
        }
    }

    #[test]
    fn times_are_dates_or_from_now() {
        assert_eq!(moment("2026-11-28T09:30"), Ok(1_795_858_200));
        assert_eq!((duration("90d"), duration("15s")), (Ok(7_776_000), Ok(15)));
        assert!(moment("1h").is_ok_and(|at| at > 3_600));
        for wrong in ["", "d", "1", "1w", "-1d", "1.5h", "99999999999999999999d", "2026-13-01"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
