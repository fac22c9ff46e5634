//! How long a response is fresh, and how old it is (RFC 9111 section 4.2).

use crate::directives::ResponseDirectives;
use crate::fields::{Fields, members};
use crate::{MOST_SECONDS, Millis, date};

/// How a lifetime was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// The response says it, in seconds.
    Explicit(u64),
    /// It was guessed from its age, in seconds.
    Heuristic(u64),
    /// The response does not say it.
    Unknown,
}

/// How lifetimes are guessed, where a response does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heuristic {
    /// So many hundredths of the time since it was last modified.
    pub percent: u64,
    /// At most so many seconds.
    pub most: u64,
}

/// The lifetime of a response that came now.
pub fn lifetime(
    status: u16,
    fields: &Fields,
    directives: &ResponseDirectives,
    heuristic: Option<Heuristic>,
    now: Millis,
) -> Lifetime {
    if let Some(seconds) = directives.s_maxage.or(directives.max_age) {
        return Lifetime::Explicit(seconds);
    }
    let generated = generated(fields, now);
    if !directives.is_targeted && fields.has("expires") {
        // One that cannot be read is in the past.
        let expires = fields.text("expires").and_then(|text| date::parse(&text, now));
        return Lifetime::Explicit(expires.map_or(0, |at| at.saturating_sub(generated)));
    }
    let may_guess = is_heuristic(status) || directives.public;
    let modified = last_modified(fields, now);
    match (heuristic, modified) {
        (Some(heuristic), Some(modified)) if may_guess => {
            let guess = generated.saturating_sub(modified) * heuristic.percent / 100;
            Lifetime::Heuristic(guess.min(heuristic.most))
        }
        _ => Lifetime::Unknown,
    }
}

/// Whether a response says itself how long it is fresh.
pub fn is_explicit(fields: &Fields, targets: &[String], now: Millis) -> bool {
    let directives = ResponseDirectives::of(fields, targets);
    matches!(lifetime(200, fields, &directives, None, now), Lifetime::Explicit(seconds) if seconds > 0)
}

/// When the response was made, in seconds: its `Date`, or now.
pub fn generated(fields: &Fields, now: Millis) -> u64 {
    let said = fields.text("date").and_then(|text| date::parse(&text, now));
    said.unwrap_or(now / 1000)
}

/// `Last-Modified`, in seconds.
pub fn last_modified(fields: &Fields, now: Millis) -> Option<u64> {
    fields.text("last-modified").and_then(|text| date::parse(&text, now))
}

/// Whether a lifetime may be guessed for a status code (RFC 9110 section 15.1).
pub fn is_heuristic(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// How old a response was when it came, in milliseconds: the `corrected_initial_age` of RFC 9111 section 4.2.3.
pub fn initial_age(fields: &Fields, asked: Millis, came: Millis) -> u64 {
    let apparent = (came / 1000).saturating_sub(generated(fields, came)) * 1000;
    let delay = came.saturating_sub(asked);
    apparent.max(age_value(fields) * 1000 + delay)
}

/// The `Age` field, in seconds: the first member of it, as others have read it for long. What is no number is 0.
fn age_value(fields: &Fields) -> u64 {
    let text = fields.text("age").unwrap_or_default();
    let Some(first) = members(&text).next() else { return 0 };
    // Digits before a parameter that no age has are still an age: the older reading is the safe one.
    let digits = first.split(';').next().unwrap_or_default().trim_end();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    digits.parse().map_or(MOST_SECONDS, |seconds: u64| seconds.min(MOST_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_790_000_000_500;

    fn of(lines: &[(&str, String)]) -> Lifetime {
        let fields: Fields = lines.iter().map(|(name, value)| (*name, value.clone())).collect();
        let directives = ResponseDirectives::of(&fields, &["cdn-cache-control".into()]);
        let heuristic = Some(Heuristic { percent: 10, most: 86_400 });
        lifetime(200, &fields, &directives, heuristic, NOW)
    }

    fn at(offset: i64) -> String {
        date::format((NOW / 1000).saturating_add_signed(offset))
    }

    #[test]
    fn what_is_said_for_shared_caches_comes_first() {
        let control = |text: &str| ("cache-control", text.to_owned());
        let expires = ("expires", at(77));
        assert_eq!(of(&[control("max-age=5, s-maxage=9"), expires.clone()]), Lifetime::Explicit(9));
        assert_eq!(of(&[control("max-age=5"), expires.clone()]), Lifetime::Explicit(5));
        assert_eq!(of(&[control("public"), expires.clone()]), Lifetime::Explicit(77));
        assert_eq!(of(&[("date", at(-10)), expires.clone()]), Lifetime::Explicit(87));
        assert_eq!(of(&[("expires", "0".to_owned())]), Lifetime::Explicit(0));
        let targeted = ("cdn-cache-control", "public".to_owned());
        assert_eq!(of(&[targeted, expires]), Lifetime::Unknown);
    }

    #[test]
    fn what_is_not_said_is_guessed_by_age() {
        assert_eq!(of(&[("last-modified", at(-1000))]), Lifetime::Heuristic(100));
        assert_eq!(of(&[("last-modified", at(-100_000_000))]), Lifetime::Heuristic(86_400));
        assert_eq!(of(&[]), Lifetime::Unknown);
        let fields = [("last-modified", at(-1000))].into_iter().collect();
        let none = ResponseDirectives::default();
        let heuristic = Some(Heuristic { percent: 10, most: 86_400 });
        assert_eq!(lifetime(403, &fields, &none, heuristic, NOW), Lifetime::Unknown);
    }

    #[test]
    fn the_age_is_the_older_of_two_readings() {
        let age = |lines: &[(&str, String)]| {
            let fields = lines.iter().map(|(name, value)| (*name, value.clone())).collect();
            initial_age(&fields, NOW - 2000, NOW)
        };
        assert_eq!(age(&[]), 2000);
        assert_eq!(age(&[("age", "30".to_owned())]), 32_000);
        assert_eq!(age(&[("date", at(-90)), ("age", "30".to_owned())]), 90_000);
        for (text, seconds) in
            [("7200, 0", 7200), ("0, 7200", 0), ("abc", 0), ("-1", 0), ("7.0", 0), ("9;a=b", 9)]
        {
            assert_eq!(age(&[("age", text.to_owned())]), seconds * 1000 + 2000, "{text}");
        }
        assert_eq!(age(&[("age", "9".repeat(30))]), MOST_SECONDS * 1000 + 2000);
    }
}
