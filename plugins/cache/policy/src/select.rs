//! What answers a request: a stored response, one that must be confirmed first, or the origin
//! (RFC 9111 sections 4 and 5.2.1).

use crate::Millis;
use crate::conditional::FOR_THE_ORIGIN;
use crate::directives::RequestDirectives;
use crate::fields::Fields;
use crate::status::Forward;
use crate::store::Stored;

/// A request, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Its fields; at least those that caching reads and those that stored responses vary by.
    pub fields: Fields,
    /// What it says of caching. An operator may not let everybody say it: see [`RequestDirectives`].
    pub directives: RequestDirectives,
    /// Whether it is made in somebody's name, by `Authorization` or otherwise, so that the response may be for that one.
    pub has_credentials: bool,
    /// Whether the key is of one consumer, so that what is stored under it is for nobody else.
    pub owns_key: bool,
}

impl Request {
    /// A request with these fields.
    pub fn new(method: impl Into<String>, fields: Fields) -> Self {
        let directives = RequestDirectives::of(
            fields.text("cache-control").as_deref(),
            fields.text("pragma").as_deref(),
        );
        let has_credentials = fields.has("authorization");
        Self { method: method.into(), fields, directives, has_credentials, owns_key: false }
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Answer with this one of the stored responses: it is fresh.
    Fresh(usize),
    /// Answer with this one, although it is stale, and revalidate it beside that.
    Revalidating(usize),
    /// Answer with this one, although it is stale: the client accepts it.
    Stale(usize),
    /// Ask the origin whether this one is still right.
    Validate(usize, Forward),
    /// Ask the origin.
    Forward(Forward),
    /// Answer 504: the client wants nothing from the origin.
    Nothing,
}

/// Decides about a request for which these responses are stored under its key.
pub fn select(request: &Request, stored: &[Stored], now: Millis) -> Decision {
    let asks = &request.directives;
    let forward = |found: Option<usize>, why: Forward| match found {
        _ if asks.only_if_cached => Decision::Nothing,
        Some(at) => Decision::Validate(at, why),
        None => Decision::Forward(why),
    };
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Decision::Forward(Forward::Method);
    }
    if FOR_THE_ORIGIN.into_iter().any(|name| request.fields.has(name)) {
        return forward(None, Forward::Request);
    }
    // Of those that it selects, the one that was made last.
    let selected = stored.iter().enumerate().filter(|(_, one)| one.is_selected_by(&request.fields));
    let found = selected.max_by_key(|(at, one)| (one.generated, one.came, usize::MAX - at));
    let Some((at, one)) = found else {
        return forward(None, if stored.is_empty() { Forward::UriMiss } else { Forward::VaryMiss });
    };
    if asks.no_store {
        return forward(None, Forward::Request);
    }
    if asks.no_cache {
        return forward(Some(at), Forward::Request);
    }
    let (age, ttl) = (one.age(now), one.ttl(now));
    if one.no_cache {
        return forward(Some(at), Forward::Stale);
    }
    if ttl > 0 {
        // What does not change need not be asked for again by who only reloads.
        let is_too_old = !one.immutable && asks.max_age.is_some_and(|most| age > most || most == 0);
        let is_too_short = asks.min_fresh.is_some_and(|least| signed(least) > ttl);
        if is_too_old || is_too_short {
            return forward(Some(at), Forward::Request);
        }
        return Decision::Fresh(at);
    }
    let staleness = ttl.unsigned_abs();
    if asks.max_age.is_some() || asks.min_fresh.is_some() {
        return forward(Some(at), Forward::Stale);
    }
    if asks.max_stale.is_some_and(|most| staleness <= most) && !one.must_revalidate {
        return Decision::Stale(at);
    }
    if staleness < one.stale_while_revalidate {
        return Decision::Revalidating(at);
    }
    forward(Some(at), Forward::Stale)
}

/// Whether a stored response may be used in place of an error of the origin (RFC 5861 section 4).
pub fn may_stand_in(request: &Request, stored: &Stored, now: Millis) -> bool {
    let staleness = u64::try_from(-stored.ttl(now)).unwrap_or(0);
    if stored.no_cache || request.directives.no_cache || request.directives.no_store {
        return false;
    }
    let asked = request.directives.stale_if_error.filter(|_| !stored.must_revalidate);
    staleness <= stored.stale_if_error.max(asked.unwrap_or(0))
        && (stored.stale_if_error > 0 || asked.is_some())
}

/// Whether a response is an error that a stored one may stand in for.
pub fn is_error(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}

/// Whether a request may have changed what it is about, so that a response that is no error to it makes what is
/// stored invalid (RFC 9111 section 4.4).
pub fn invalidates(method: &str, status: u16) -> bool {
    let is_safe = matches!(
        method,
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PROPFIND" | "REPORT" | "SEARCH" | "QUERY"
    );
    !is_safe && (200..400).contains(&status)
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Rules, store};

    const THEN: Millis = 1_790_000_000_000;

    fn kept(answered: &[(&str, &str)]) -> Stored {
        let request = Request::new("GET", [("x-a", "1")].into_iter().collect());
        let rules = Rules { keep_stale: 1000, ..Rules::default() };
        let answered = answered.iter().copied().collect();
        store(&request, 200, &answered, &rules, THEN, THEN).unwrap().stored
    }

    fn after(seconds: u64, stored: &Stored, asked: &[(&str, &str)]) -> Decision {
        let mut fields: Fields = asked.iter().copied().collect();
        fields.push("x-a", "1");
        let request = Request::new("GET", fields);
        select(&request, std::slice::from_ref(stored), THEN + seconds * 1000)
    }

    #[test]
    fn what_is_fresh_is_used_until_the_second_it_is_not() {
        let one = kept(&[("cache-control", "max-age=10"), ("etag", "\"a\"")]);
        assert_eq!(after(9, &one, &[]), Decision::Fresh(0));
        assert_eq!(after(10, &one, &[]), Decision::Validate(0, Forward::Stale));
    }

    #[test]
    fn a_request_may_want_less_and_more() {
        let one = kept(&[("cache-control", "max-age=10"), ("etag", "\"a\"")]);
        let asks = |seconds, text| after(seconds, &one, &[("cache-control", text)]);
        let request = Decision::Validate(0, Forward::Request);
        assert_eq!(asks(1, "no-cache"), request);
        assert_eq!(asks(0, "max-age=0"), request);
        assert_eq!(asks(5, "max-age=4"), request);
        assert_eq!(asks(5, "max-age=5"), Decision::Fresh(0));
        assert_eq!(asks(5, "min-fresh=6"), request);
        assert_eq!(asks(5, "min-fresh=5"), Decision::Fresh(0));
        assert_eq!(asks(15, "max-stale=5"), Decision::Stale(0));
        assert_eq!(asks(16, "max-stale=5"), Decision::Validate(0, Forward::Stale));
        assert_eq!(asks(5, "no-store"), Decision::Forward(Forward::Request));
        assert_eq!(asks(15, "only-if-cached"), Decision::Nothing);
        assert_eq!(asks(5, "only-if-cached"), Decision::Fresh(0));
        let one = kept(&[("cache-control", "max-age=10, immutable"), ("etag", "\"a\"")]);
        assert_eq!(after(1, &one, &[("cache-control", "max-age=0")]), Decision::Fresh(0));
        assert_eq!(after(1, &one, &[("cache-control", "no-cache")]), request);
    }

    #[test]
    fn what_is_stale_is_used_as_long_as_its_origin_allows() {
        let one =
            kept(&[("cache-control", "max-age=10, stale-while-revalidate=5, stale-if-error=7")]);
        assert_eq!(after(14, &one, &[]), Decision::Revalidating(0));
        assert_eq!(after(15, &one, &[]), Decision::Validate(0, Forward::Stale));
        let request = Request::new("GET", Fields::default());
        assert!(may_stand_in(&request, &one, THEN + 17_000));
        assert!(!may_stand_in(&request, &one, THEN + 18_000));
        let strict = kept(&[("cache-control", "max-age=10, must-revalidate"), ("etag", "\"a\"")]);
        assert_eq!(
            after(11, &strict, &[("cache-control", "max-stale")]),
            Decision::Validate(0, Forward::Stale)
        );
        let asks =
            Request::new("GET", [("cache-control", "stale-if-error=99")].into_iter().collect());
        assert!(!may_stand_in(&asks, &strict, THEN + 11_000));
        assert!(may_stand_in(&asks, &one, THEN + 18_000));
    }

    #[test]
    fn only_requests_that_are_the_same_where_it_matters_are_answered() {
        let one = kept(&[("cache-control", "max-age=10"), ("vary", "x-a")]);
        let other = Request::new("GET", [("x-a", "2")].into_iter().collect());
        let stored = [one];
        assert_eq!(select(&other, &stored, THEN), Decision::Forward(Forward::VaryMiss));
        assert_eq!(select(&other, &[], THEN), Decision::Forward(Forward::UriMiss));
        let post = Request::new("POST", other.fields.clone());
        assert_eq!(select(&post, &stored, THEN), Decision::Forward(Forward::Method));
        assert_eq!(
            after(1, &stored[0], &[("if-match", "\"x\"")]),
            Decision::Forward(Forward::Request)
        );
    }

    #[test]
    fn unsafe_requests_invalidate_unless_they_fail() {
        assert!(invalidates("POST", 200) && invalidates("M-SEARCH", 303));
        assert!(
            !invalidates("POST", 500) && !invalidates("GET", 200) && !invalidates("DELETE", 404)
        );
    }
}
