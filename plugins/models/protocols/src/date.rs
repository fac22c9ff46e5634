//! Dates in fields, as seconds since 1970.

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http(text: &str) -> Option<u64> {
    let rest = text.split_once(", ")?.1.strip_suffix(" GMT")?;
    let mut parts = rest.split(' ');
    let day = parts.next()?.parse().ok()?;
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = MONTHS.find(parts.next().filter(|name| name.len() == 3)?)? as u64 / 3 + 1;
    let year = parts.next()?.parse().ok()?;
    seconds(year, month, day, parts.next()?)
}

/// `2026-11-06T08:49:37Z`; fractions are left out.
pub(crate) fn rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = date.split('-').map(|part| part.parse().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    seconds(year, month, day, time.split('.').next()?)
}

fn seconds(year: u64, month: u64, day: u64, time: &str) -> Option<u64> {
    let mut parts = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March, so that a leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Seconds since 1970 as `2026-11-06T08:49:37Z`.
pub(crate) fn to_rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * shifted + 2) / 5 + 1, (shifted + 2) % 12 + 1);
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_are_seconds() {
        assert_eq!(super::http("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(super::rfc3339("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(super::rfc3339("2024-02-29T12:00:00.5Z"), Some(1_709_208_000));
        assert_eq!(super::http("yesterday"), None);
        for seconds in [0, 951_782_399, 951_782_400, 1_709_208_000, 4_102_444_799, 4_107_542_400] {
            assert_eq!(super::rfc3339(&super::to_rfc3339(seconds)), Some(seconds));
        }
    }
}
