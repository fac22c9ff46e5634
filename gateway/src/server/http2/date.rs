//! The `Date` of responses (RFC 9110 section 6.6.1), which hyper writes over HTTP/1.1 alone.
//!
//! Owns one value for each thread, made again once a second.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;

thread_local! {
    static NOW: RefCell<(u64, Option<HeaderValue>)> = const { RefCell::new((0, None)) };
}

/// The time of day. None on a clock that is not in the years of HTTP.
pub(super) fn now() -> Option<HeaderValue> {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    NOW.with_borrow_mut(|(known, value)| {
        if *known != second || value.is_none() {
            let date = httpdate::fmt_http_date(now);
            *value = HeaderValue::from_maybe_shared(bytes::Bytes::from(date)).ok();
            *known = second;
        }
        value.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_time_of_day_and_shared_within_a_second() {
        let now = now().expect("a clock");
        let said = httpdate::parse_http_date(now.to_str().expect("text")).expect("a date");
        let off = SystemTime::now().duration_since(said).expect("not in the future");
        assert!(off.as_secs() <= 1, "{off:?}");
    }
}
