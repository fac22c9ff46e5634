//! The time of a line, in UTC.
//!
//! Owns its three notations. A thread writes the same second once.

use std::cell::RefCell;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

thread_local! {
    /// The second that was written last, as `2026-11-28T20:47:16` and `28/Nov/2026:20:47:16 +0000`.
    static LAST: RefCell<(u64, [u8; 19], [u8; 26])> = const { RefCell::new((u64::MAX, [0; 19], [0; 26])) };
}

/// `2026-11-28T20:47:16.123Z` (RFC 3339)
pub(super) fn rfc3339(now: Duration, out: &mut Vec<u8>) {
    with_second(now, |date, _| out.extend_from_slice(date));
    let millis = now.subsec_millis();
    out.push(b'.');
    out.extend([100, 10, 1].map(|place| b'0' + (millis / place % 10) as u8));
    out.push(b'Z');
}

/// `28/Nov/2026:20:47:16 +0000`, as in the Common Log Format.
pub(super) fn common(now: Duration, out: &mut Vec<u8>) {
    with_second(now, |_, date| out.extend_from_slice(date));
}

/// `1795898836.123`
pub(super) fn unix(now: Duration, out: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _written = write!(out, "{}.{:03}", now.as_secs(), now.subsec_millis());
}

/// `20261128T204716.123Z`, for names of files.
pub(super) fn compact(now: Duration) -> String {
    let (year, month, day) = date(now.as_secs() / DAY);
    let of_day = now.as_secs() % DAY;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let millis = now.subsec_millis();
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{millis:03}Z")
}

fn with_second(now: Duration, write: impl FnOnce(&[u8; 19], &[u8; 26])) {
    LAST.with_borrow_mut(|(second, rfc3339, common)| {
        if *second != now.as_secs() {
            *second = now.as_secs();
            let (year, month, day) = date(*second / DAY);
            let of_day = *second % DAY;
            let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
            // The widths are those of the arrays until the year 10,000.
            let _fits = write!(
                &mut rfc3339[..],
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
            );
            let month = MONTHS[month as usize - 1];
            let _fits = write!(
                &mut common[..],
                "{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000"
            );
        }
        write(rfc3339, common);
    });
}

/// The date of a day since 1970.
fn date(day: u64) -> (u64, u64, u64) {
    // Years that begin in March put the leap day at the end.
    let from_march = day + 719_468;
    let (era, of_era) = (from_march / 146_097, from_march % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_known_times() {
        let text = |write: fn(Duration, &mut Vec<u8>), millis| {
            let mut out = Vec::new();
            write(Duration::from_millis(millis), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(rfc3339, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(rfc3339, 951_782_399_007), "2000-02-28T23:59:59.007Z");
        assert_eq!(text(common, 951_868_799_000), "29/Feb/2000:23:59:59 +0000");
        assert_eq!(text(common, 1_795_898_836_000), "28/Nov/2026:20:47:16 +0000");
        assert_eq!(text(unix, 1_795_898_836_042), "1795898836.042");
        assert_eq!(compact(Duration::from_millis(1_795_898_836_042)), "20261128T204716.042Z");
        let mut page = Vec::new();
        // The date of the system, for a day of each year.
        for year in 0..200 {
            page.clear();
            let at = Duration::from_secs(year * 31_556_952);
            rfc3339(at, &mut page);
            let parsed = httpdate::fmt_http_date(UNIX_EPOCH + at);
            let (day, rest) = (&parsed[5..7], &parsed[12..25]);
            assert_eq!(&page[8..10], day.as_bytes(), "{parsed}");
            assert_eq!(&page[..4], &rest.as_bytes()[..4], "{parsed}");
            assert_eq!(&page[11..19], &rest.as_bytes()[5..13], "{parsed}");
        }
    }
}
