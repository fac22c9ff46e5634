//! How long a provider asks to wait: fields of the head, and details of Google's errors.

use crate::json::Raw;

/// Longer waits than this are of no use to anybody who waits: a day.
const MOST: u64 = 24 * 3600 * 1000;

/// From the head: `retry-after-ms`, `retry-after`, and if the error is one that waiting ends the
/// latest reset of a limit that is used up.
pub(super) fn of_fields<'h>(
    header: &dyn Fn(&str) -> Option<&'h str>,
    now: u64,
    waits: bool,
) -> Option<u64> {
    let exact = header("retry-after-ms").and_then(|value| millis(value.trim(), 0));
    let after = || {
        let value = header("retry-after")?.trim();
        millis(value, 3)
            .or_else(|| Some(crate::date::http(value)?.saturating_sub(now).saturating_mul(1000)))
    };
    let reset = |kind: &str| {
        let left = header(&format!("x-ratelimit-remaining-{kind}"));
        if left.is_some_and(|left| left.trim() != "0") {
            return None;
        }
        duration(header(&format!("x-ratelimit-reset-{kind}"))?.trim())
    };
    let anthropic = |kind: &str| {
        let left = header(&format!("anthropic-ratelimit-{kind}-remaining"))?;
        let until = header(&format!("anthropic-ratelimit-{kind}-reset"))?.trim();
        let until = crate::date::rfc3339(until).filter(|_| left.trim() == "0")?;
        Some(until.saturating_sub(now).saturating_mul(1000))
    };
    let resets = || {
        let kinds = ["requests", "tokens", "input-tokens", "output-tokens"];
        let of_anthropic = kinds.into_iter().filter_map(anthropic).max();
        reset("requests").max(reset("tokens")).max(of_anthropic).filter(|_| waits)
    };
    exact.or_else(after).or_else(resets).map(|wait| wait.min(MOST))
}

/// From the details of an error: `RetryInfo` has `"retryDelay": "12.5s"`.
pub(super) fn of_details(error: Raw<'_>) -> Option<u64> {
    let details = error.some("details")?.elements();
    let delay = details.filter_map(|detail| detail.text_of("retryDelay")).last()?;
    duration(&delay).map(|wait| wait.min(MOST))
}

/// A decimal number of units as milliseconds: `scale` 3 for seconds, 0 for milliseconds.
fn millis(text: &str, scale: usize) -> Option<u64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(rest) {
        return None;
    }
    let mut digits: String = whole.to_owned();
    digits.extend(rest.chars().chain(std::iter::repeat('0')).take(scale));
    digits.parse().ok()
}

/// A duration with units: `6m0s`, `1.2s`, `90ms`, `1h3m`. A bare number is seconds.
fn duration(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(end);
        let unit_end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_end);
        let in_seconds = |factor: u64| Some(millis(number, 3)?.saturating_mul(factor));
        sum = sum.saturating_add(match unit {
            "ms" => millis(number, 0)?,
            "s" | "" => in_seconds(1)?,
            "m" => in_seconds(60)?,
            "h" => in_seconds(3600)?,
            "d" => in_seconds(86_400)?,
            _ => return None,
        });
        rest = behind;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::{duration, of_fields};

    #[test]
    fn durations_with_units() {
        for (text, expected) in [
            ("1s", Some(1000)),
            ("6m0s", Some(360_000)),
            ("90ms", Some(90)),
            ("1.25s", Some(1250)),
            ("1h3m", Some(3_780_000)),
            ("7", Some(7000)),
            ("", None),
            ("soon", None),
            ("3x", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn the_most_exact_field_holds() {
        let wait = |fields: &[(&str, &'static str)]| {
            let header = |name: &str| fields.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
            of_fields(&header, 1_000_000_000, true)
        };
        assert_eq!(wait(&[("retry-after-ms", "1500"), ("retry-after", "9")]), Some(1500));
        assert_eq!(wait(&[("retry-after", "0")]), Some(0));
        assert_eq!(wait(&[("retry-after", "1.5")]), Some(1500));
        assert_eq!(wait(&[("retry-after", "Sun, 09 Sep 2001 01:46:50 GMT")]), Some(10_000));
        assert_eq!(wait(&[("retry-after", "99999999")]), Some(86_400_000));
        let limits = [
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "20s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "3s"),
        ];
        assert_eq!(wait(&limits), Some(3000));
        let limits = [
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2001-09-09T01:46:47Z"),
        ];
        assert_eq!(wait(&limits), Some(7000));
        assert_eq!(wait(&[]), None);
    }
}
