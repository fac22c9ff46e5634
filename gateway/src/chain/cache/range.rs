//! One part of a stored body (RFC 9110 section 14).
//!
//! Owns which part a request asks for, and the head of the answer. Several parts at once are answered with all, which
//! a server may do.

use std::ops::Range;
use std::time::Duration;

use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
    EXPIRES, IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::body::Body;

/// What of a body is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selected {
    Whole,
    Part(Range<u64>),
    /// The part is behind the end.
    Nothing,
}

/// What a request asks for, of a body of this length.
pub(super) fn select(request: &HeaderMap, stored: &HeaderMap, length: u64) -> Selected {
    let mut lines = request.get_all(RANGE).iter();
    let (Some(range), None) = (lines.next(), lines.next()) else { return Selected::Whole };
    if !is_same(request.get(IF_RANGE), stored) {
        return Selected::Whole;
    }
    parse(range, length).unwrap_or(Selected::Whole)
}

/// Whether the condition on a range holds (RFC 9110 section 13.1.5).
fn is_same(condition: Option<&HeaderValue>, stored: &HeaderMap) -> bool {
    let Some(condition) = condition else { return true };
    if condition.as_bytes().ends_with(b"\"") {
        let is_strong = condition.as_bytes().starts_with(b"\"");
        return is_strong && stored.get(ETAG) == Some(condition);
    }
    let text = |name: HeaderName| stored.get(name).and_then(|value| value.to_str().ok());
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let (Some(modified), Some(sent)) =
        (text(LAST_MODIFIED).and_then(date), text(DATE).and_then(date))
    else {
        return false;
    };
    // Strong only if it could not change within the second (RFC 9110 section 8.8.2.2).
    let is_strong = sent.duration_since(modified).is_ok_and(|it| it >= Duration::from_secs(1));
    is_strong && condition.to_str().ok().and_then(date) == Some(modified)
}

/// `None` for what is no range of bytes, or for several.
fn parse(range: &HeaderValue, length: u64) -> Option<Selected> {
    let text = range.to_str().ok()?;
    let (unit, spec) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // One that is too large is behind every end.
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    if first.is_empty() {
        let suffix = number(last)?.min(length);
        return Some(if suffix == 0 { Selected::Nothing } else { part(length - suffix, length) });
    }
    let first: u64 = number(first)?;
    let end = if last.is_empty() { u64::MAX } else { number(last)? };
    if end < first {
        return None;
    }
    let end = end.saturating_add(1).min(length);
    Some(if first >= length { Selected::Nothing } else { part(first, end) })
}

fn part(start: u64, end: u64) -> Selected {
    Selected::Part(start..end)
}

impl Selected {
    /// Makes the head that of the part of a body of this length, and returns the part.
    pub(super) fn apply(self, response: &mut Response<Body>, length: u64) -> Range<u64> {
        let (status, range, part) = match self {
            Self::Whole => return 0..length,
            Self::Part(Range { start, end }) => {
                let range = format!("bytes {start}-{}/{length}", end - 1);
                (StatusCode::PARTIAL_CONTENT, range, start..end)
            }
            Self::Nothing => {
                // What is said of the whole is not said of this answer, which others would keep by it.
                for name in [
                    CACHE_CONTROL,
                    CONTENT_TYPE,
                    CONTENT_ENCODING,
                    CONTENT_LANGUAGE,
                    ETAG,
                    EXPIRES,
                    LAST_MODIFIED,
                ] {
                    response.headers_mut().remove(name);
                }
                (StatusCode::RANGE_NOT_SATISFIABLE, format!("bytes */{length}"), 0..0)
            }
        };
        *response.status_mut() = status;
        if let Ok(range) = HeaderValue::try_from(range) {
            response.headers_mut().insert(CONTENT_RANGE, range);
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(range: &str, condition: Option<&str>) -> Selected {
        let mut request = HeaderMap::new();
        request.insert(RANGE, range.parse().expect("a value"));
        if let Some(condition) = condition {
            request.insert(IF_RANGE, condition.parse().expect("a value"));
        }
        let mut stored = HeaderMap::new();
        stored.insert(ETAG, HeaderValue::from_static("\"a\""));
        stored.insert(DATE, HeaderValue::from_static("Wed, 21 Oct 2015 07:28:10 GMT"));
        stored.insert(LAST_MODIFIED, HeaderValue::from_static("Wed, 21 Oct 2015 07:28:00 GMT"));
        select(&request, &stored, 10)
    }

    #[test]
    fn selects_one_range_of_bytes() {
        for (range, selected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-4", part(2, 5)),
            ("bytes=8-", part(8, 10)),
            ("bytes=8-100", part(8, 10)),
            ("bytes=0-18446744073709551615", part(0, 10)),
            ("bytes=-3", part(7, 10)),
            ("bytes=-30", part(0, 10)),
            ("Bytes=2-4", part(2, 5)),
            ("bytes=10-", Selected::Nothing),
            ("bytes=99999999999999999999-", Selected::Nothing),
            ("bytes=-0", Selected::Nothing),
            ("bytes=4-2", Selected::Whole),
            ("bytes=0-1,3-4", Selected::Whole),
            ("bytes=+1-2", Selected::Whole),
            ("bytes=a-b", Selected::Whole),
            ("lines=0-1", Selected::Whole),
            ("bytes", Selected::Whole),
        ] {
            assert_eq!(asked(range, None), selected, "{range}");
        }
    }

    #[test]
    fn a_part_is_of_the_body_that_the_client_has() {
        let all = Selected::Whole;
        for (condition, selected) in [
            ("\"a\"", part(0, 2)),
            ("\"b\"", all),
            ("W/\"a\"", Selected::Whole),
            ("Wed, 21 Oct 2015 07:28:00 GMT", part(0, 2)),
            ("Wed, 21 Oct 2015 07:28:01 GMT", Selected::Whole),
            ("yesterday", Selected::Whole),
        ] {
            assert_eq!(asked("bytes=0-1", Some(condition)), selected, "{condition}");
        }
    }
}
