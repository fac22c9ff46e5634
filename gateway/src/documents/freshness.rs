//! How long until the next fetch.
//!
//! Owns the step from what a response says of its age (RFC 9111) to a time within the document's
//! bounds, the time after a failure, and that many gateways do not fetch at the same moment.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES};

use crate::config::RemoteDocument;

/// How long to wait after the first failure; twice as long after each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// How long at most.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// For how much longer a response is fresh, if it says so: by `max-age`, or else by `Expires`. `no-cache` and `no-store` say nothing here:
/// what they mean for a cache that answers others is no reason to ask for keys once a minute.
pub(super) fn left(headers: &HeaderMap) -> Option<Duration> {
    let fields = headers.get_all(CACHE_CONTROL).iter().filter_map(|field| field.to_str().ok());
    let directives = fields.flat_map(|field| field.split(',')).map(str::trim);
    let max_age =
        directives.filter_map(|directive| directive.split_once('=')).find_map(|(name, value)| {
            let is_max_age = name.trim().eq_ignore_ascii_case("max-age");
            is_max_age.then(|| value.trim().trim_matches('"').parse::<u32>().ok())?
        });
    let lifetime = max_age.map(|seconds| Duration::from_secs(seconds.into()));
    let lifetime = lifetime.or_else(|| until_expires(headers))?;
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse::<u32>().ok());
    Some(lifetime.saturating_sub(Duration::from_secs(age.unwrap_or(0).into())))
}

/// From the moment when a response was made, by its own clock, to its `Expires`. What is no date, such as `0`, is over.
fn until_expires(headers: &HeaderMap) -> Option<Duration> {
    let date = |name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?.trim()).ok();
    headers.get(EXPIRES)?;
    let made = date(DATE).unwrap_or_else(SystemTime::now);
    let end = date(EXPIRES).unwrap_or(made);
    Some(end.duration_since(made).unwrap_or_default())
}

/// After a fetch that brought a document, or said that it is the same.
pub(super) fn after_success(remote: &RemoteDocument, left: Option<Duration>) -> Duration {
    let whole = left.map_or(remote.refresh, |left| left.clamp(remote.min_refresh, remote.refresh));
    // Up to a tenth earlier.
    whole - part(whole / 10)
}

/// After so many failures, one after the other.
pub(super) fn after_failure(remote: &RemoteDocument, failures: u32) -> Duration {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let whole = FIRST_RETRY.saturating_mul(factor).min(LAST_RETRY).min(remote.refresh);
    whole / 2 + part(whole / 2)
}

/// A part of a time, by chance.
fn part(whole: Duration) -> Duration {
    let chance = getrandom::u32().unwrap_or(0);
    whole.mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(fields: &[(&'static str, &'static str)]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().expect("a value"));
        }
        left(&headers).map(|left| left.as_secs())
    }

    #[test]
    fn a_response_is_fresh_for_its_max_age_without_its_age() {
        assert_eq!(seconds(&[("cache-control", "public, max-age=600")]), Some(600));
        assert_eq!(seconds(&[("cache-control", "Max-Age = \"60\"")]), Some(60));
        assert_eq!(
            seconds(&[("cache-control", "no-cache"), ("cache-control", "max-age=5")]),
            Some(5)
        );
        assert_eq!(seconds(&[("cache-control", "max-age=60"), ("age", "50")]), Some(10));
        assert_eq!(seconds(&[("cache-control", "max-age=60"), ("age", "99")]), Some(0));
        let (made, end) = ("Sun, 22 Nov 2026 12:50:33 GMT", "Sun, 22 Nov 2026 13:00:33 GMT");
        assert_eq!(seconds(&[("date", made), ("expires", end)]), Some(600));
        assert_eq!(seconds(&[("date", made), ("expires", end), ("age", "60")]), Some(540));
        assert_eq!(seconds(&[("date", end), ("expires", made)]), Some(0));
        assert_eq!(seconds(&[("expires", made)]), Some(0), "by the clock here");
        assert_eq!(seconds(&[("expires", "0")]), Some(0));
        let both = [("cache-control", "max-age=5"), ("date", made), ("expires", end)];
        assert_eq!(seconds(&both), Some(5));
        for unsaid in ["no-store", "max-age", "max-age=x", "max-age=-1", "s-maxage=60"] {
            assert_eq!(seconds(&[("cache-control", unsaid)]), None, "{unsaid}");
        }
    }
}
