//! Whether a response is kept (RFC 9111 section 3), and what is remembered of it.

use serde::{Deserialize, Serialize};

use crate::conditional::Validators;
use crate::directives::ResponseDirectives;
use crate::fields::Fields;
use crate::freshness::{self, Heuristic, Lifetime};
use crate::select::Request;
use crate::vary::{self, Vary};
use crate::{MOST_SECONDS, Millis};

/// What the operator decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// The fields that are read instead of `Cache-Control`, in order (RFC 9213), in lower case.
    pub targets: Vec<String>,
    /// How lifetimes are guessed; `None` is not at all.
    pub heuristic: Option<Heuristic>,
    /// The lifetime of a response with a status code that may be guessed for, and that does not say it, in seconds.
    pub default_ttl: Option<u64>,
    /// The lifetimes by status code of responses that do not say it, in seconds.
    pub status_ttl: Vec<(u16, u64)>,
    /// The longest lifetime, in seconds.
    pub max_ttl: Option<u64>,
    /// `stale-while-revalidate` of responses that do not say it, in seconds.
    pub stale_while_revalidate: u64,
    /// `stale-if-error` of responses that do not say it, in seconds.
    pub stale_if_error: u64,
    /// What becomes of `Set-Cookie`.
    pub set_cookie: SetCookie,
    /// For how many seconds a response that is stale is kept for its validators.
    pub keep_stale: u64,
}

/// What becomes of a response that sets a cookie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SetCookie {
    /// It is not stored: a cookie is of one client.
    #[default]
    Refuse,
    /// It is stored without the cookie.
    Remove,
    /// It is stored with the cookie, as RFC 9111 has it.
    Keep,
}

/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStored {
    /// The request's method.
    Method,
    /// `no-store` of the request.
    Request,
    /// A status code that is not final, or of a part.
    Status,
    /// Its directives cannot be read.
    Malformed,
    /// `no-store` of the response.
    NoStore,
    /// `private`.
    Private,
    /// The request had credentials, and the response is not said to be for all.
    Authorization,
    /// It sets a cookie.
    SetCookie,
    /// `Vary` is `*`, or too long.
    Vary,
    /// It would never be used: it is stale, and has no validator.
    Useless,
}

impl NotStored {
    /// A word for it, for `Cache-Status`.
    pub fn name(self) -> &'static str {
        match self {
            NotStored::Method => "method",
            NotStored::Request => "request-no-store",
            NotStored::Status => "status",
            NotStored::Malformed => "malformed",
            NotStored::NoStore => "no-store",
            NotStored::Private => "private",
            NotStored::Authorization => "authorization",
            NotStored::SetCookie => "set-cookie",
            NotStored::Vary => "vary",
            NotStored::Useless => "no-lifetime",
        }
    }
}

/// What is remembered of a stored response. Its fields and its body are the store's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// When it came, or was confirmed last.
    pub came: Millis,
    /// How old it was then, in milliseconds.
    pub initial_age: u64,
    /// For how long it is fresh from the beginning of its age, in seconds.
    pub lifetime: u64,
    /// When it was made, in seconds: its `Date`.
    pub generated: u64,
    /// Whether it needs a confirmation each time.
    pub no_cache: bool,
    /// Whether it must not be used when it is stale.
    pub must_revalidate: bool,
    /// Whether it does not change while it is fresh.
    pub immutable: bool,
    /// For how long it is used while it is revalidated, in seconds after it became stale.
    pub stale_while_revalidate: u64,
    /// For how long it is used in place of an error, in seconds after it became stale.
    pub stale_if_error: u64,
    /// Its validators.
    pub validators: Validators,
    /// The request fields that select it, with the normal form that they had.
    pub vary: Vec<(String, Option<Vec<u8>>)>,
}

/// A response that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storing {
    /// What is remembered.
    pub stored: Stored,
    /// Fields that are not stored.
    pub without: Vec<String>,
    /// For how many seconds from now it is of use.
    pub keep: u64,
}

impl Stored {
    /// As bytes, for the store.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// From the bytes of [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }

    /// How old it is, in seconds.
    pub fn age(&self, now: Millis) -> u64 {
        (self.initial_age + now.saturating_sub(self.came)) / 1000
    }

    /// In how many milliseconds it is a second older, from 1 to 1,000. All that depends on the time depends on that.
    pub fn until_older(&self, now: Millis) -> u64 {
        1000 - (self.initial_age + now.saturating_sub(self.came)) % 1000
    }

    /// For how many seconds it is still fresh; negative if it is not.
    pub fn ttl(&self, now: Millis) -> i64 {
        let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        signed(self.lifetime) - signed(self.age(now))
    }

    /// What tells it from the other responses of its key: the fields that select it.
    pub fn variant(&self) -> Vec<u8> {
        let bytes = postcard::to_allocvec(&self.vary).unwrap_or_default();
        if self.vary.is_empty() { Vec::new() } else { bytes }
    }

    /// Whether a request is the same in the fields that select it.
    pub fn is_selected_by(&self, request: &Fields) -> bool {
        self.vary
            .iter()
            .all(|(name, value)| vary::normal(name, request.value(name).as_deref()) == *value)
    }

    /// For how many seconds from now it is of use at all.
    pub fn keep(&self, rules: &Rules, now: Millis) -> u64 {
        let fresh = u64::try_from(self.ttl(now)).unwrap_or(0);
        let stale = self.stale_while_revalidate.max(self.stale_if_error);
        let confirmed = if self.validators.is_any() { rules.keep_stale } else { 0 };
        (fresh + stale.max(confirmed)).min(MOST_SECONDS)
    }
}

/// Whether a response to a request is stored, and how. `asked` is when the request was sent.
///
/// # Errors
/// Why it is not.
pub fn store(
    request: &Request,
    status: u16,
    response: &Fields,
    rules: &Rules,
    asked: Millis,
    now: Millis,
) -> Result<Storing, NotStored> {
    if request.method != "GET" {
        return Err(NotStored::Method);
    }
    if request.directives.no_store {
        return Err(NotStored::Request);
    }
    if !(200..600).contains(&status) || matches!(status, 205 | 206 | 304) {
        return Err(NotStored::Status);
    }
    let directives = ResponseDirectives::of(response, &rules.targets);
    if directives.is_malformed {
        return Err(NotStored::Malformed);
    }
    if directives.must_understand && !is_understood(status) {
        return Err(NotStored::Status);
    }
    if directives.no_store && !directives.must_understand {
        return Err(NotStored::NoStore);
    }
    if directives.private.is_all() {
        return Err(NotStored::Private);
    }
    if request.has_credentials && !request.owns_key && !directives.shares_authorized() {
        return Err(NotStored::Authorization);
    }
    let mut without = Vec::new();
    for scope in [&directives.private, &directives.no_cache] {
        without.extend(scope.fields().iter().cloned());
    }
    let sets_cookie = ["set-cookie", "set-cookie2"]
        .into_iter()
        .any(|name| response.has(name) && !without.iter().any(|other| other == name));
    match rules.set_cookie {
        SetCookie::Refuse if sets_cookie => return Err(NotStored::SetCookie),
        SetCookie::Remove if sets_cookie => {
            without.extend(["set-cookie".to_owned(), "set-cookie2".to_owned()]);
        }
        _ => {}
    }
    let stored = remember(request, status, response, &directives, rules, asked, now)?;
    without.extend(["age".to_owned(), "proxy-authenticate".to_owned()]);
    without.extend(["proxy-authentication-info".to_owned(), "proxy-authorization".to_owned()]);
    let keep = stored.keep(rules, now);
    if keep == 0 || (stored.no_cache && !stored.validators.is_any()) {
        return Err(NotStored::Useless);
    }
    Ok(Storing { stored, without, keep })
}

/// What is remembered of a response, whether it may be stored or not.
pub(crate) fn remember(
    request: &Request,
    status: u16,
    response: &Fields,
    directives: &ResponseDirectives,
    rules: &Rules,
    asked: Millis,
    now: Millis,
) -> Result<Stored, NotStored> {
    let Vary::Names(names) = Vary::of(response) else { return Err(NotStored::Vary) };
    let found = freshness::lifetime(status, response, directives, rules.heuristic, now);
    let is_silent = found == Lifetime::Unknown;
    let by_status = rules.status_ttl.iter().find(|(other, _)| *other == status);
    let by_default = rules.default_ttl.filter(|_| freshness::is_heuristic(status));
    let lifetime = match found {
        Lifetime::Explicit(seconds) => Some(seconds),
        _ if by_status.is_some() => by_status.map(|(_, seconds)| *seconds),
        Lifetime::Heuristic(seconds) => Some(seconds),
        Lifetime::Unknown => by_default,
    };
    if is_silent && lifetime.is_none() && status != 200 {
        // A validator alone makes only a whole representation worth keeping.
        return Err(NotStored::Useless);
    }
    let cap = rules.max_ttl.unwrap_or(MOST_SECONDS);
    let must_revalidate = directives.must_revalidate || directives.proxy_revalidate;
    // `s-maxage` forbids what is stale too, but where the same response allows it by name.
    let forbids_stale = |said: Option<u64>| {
        must_revalidate
            || directives.no_cache.is_all()
            || (directives.s_maxage.is_some() && said.is_none())
    };
    let stale = |said: Option<u64>, default: u64| {
        if forbids_stale(said) { 0 } else { said.unwrap_or(default) }
    };
    let select = |name: String| {
        let value = vary::normal(&name, request.fields.value(&name).as_deref());
        (name, value)
    };
    Ok(Stored {
        came: now,
        initial_age: freshness::initial_age(response, asked, now),
        lifetime: lifetime.unwrap_or(0).min(cap),
        generated: freshness::generated(response, now),
        no_cache: directives.no_cache.is_all(),
        must_revalidate: must_revalidate || directives.s_maxage.is_some(),
        immutable: directives.immutable,
        stale_while_revalidate: stale(
            directives.stale_while_revalidate,
            rules.stale_while_revalidate,
        ),
        stale_if_error: stale(directives.stale_if_error, rules.stale_if_error),
        validators: Validators::of(response),
        vary: names.into_iter().map(select).collect(),
    })
}

/// Whether the requirements of a status code for caches are known here (`must-understand`).
fn is_understood(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 302 | 303 | 307 | 308)
        || matches!(status, 400 | 404 | 405 | 410 | 414 | 451 | 500 | 501 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_790_000_000_000;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        lines.iter().copied().collect()
    }

    fn rules() -> Rules {
        Rules { keep_stale: 60, targets: vec!["cdn-cache-control".into()], ..Rules::default() }
    }

    fn of(
        asked: &[(&str, &str)],
        status: u16,
        answered: &[(&str, &str)],
    ) -> Result<Storing, NotStored> {
        let request = Request::new("GET", fields(asked));
        store(&request, status, &fields(answered), &rules(), NOW, NOW)
    }

    fn why(asked: &[(&str, &str)], status: u16, answered: &[(&str, &str)]) -> Option<NotStored> {
        of(asked, status, answered).err()
    }

    #[test]
    fn what_is_for_one_is_not_stored() {
        let aged = ("cache-control", "max-age=9");
        assert_eq!(why(&[], 200, &[aged]), None);
        let told = ("authorization", "Bearer x");
        assert_eq!(why(&[told], 200, &[aged]), Some(NotStored::Authorization));
        for shared in ["public, max-age=9", "s-maxage=9", "max-age=9, must-revalidate"] {
            assert_eq!(why(&[told], 200, &[("cache-control", shared)]), None, "{shared}");
        }
        let targeted = [("cdn-cache-control", "max-age=9"), ("cache-control", "public")];
        assert_eq!(why(&[told], 200, &targeted), Some(NotStored::Authorization));
        let private = [("cache-control", "private, max-age=9")];
        assert_eq!(why(&[], 200, &private), Some(NotStored::Private));
        assert_eq!(why(&[], 200, &[aged, ("set-cookie", "a=b")]), Some(NotStored::SetCookie));
        assert_eq!(why(&[], 200, &[aged, ("vary", "*")]), Some(NotStored::Vary));
        assert_eq!(why(&[], 200, &[("cache-control", "no-store")]), Some(NotStored::NoStore));
        assert_eq!(why(&[("cache-control", "no-store")], 200, &[aged]), Some(NotStored::Request));
    }

    #[test]
    fn fields_for_one_are_left_out() {
        let said = [
            ("cache-control", "max-age=9, private=\"x-user\", no-cache=\"Set-Cookie\""),
            ("set-cookie", "a"),
        ];
        let kept = of(&[], 200, &said).unwrap();
        assert!(["x-user", "set-cookie"].iter().all(|name| kept.without.contains(&(*name).into())));
        let request = Request::new("GET", Fields::default());
        let answered = fields(&[("cache-control", "max-age=9"), ("set-cookie", "a")]);
        let rules = Rules { set_cookie: SetCookie::Remove, ..rules() };
        let kept = store(&request, 200, &answered, &rules, NOW, NOW).unwrap();
        assert!(kept.without.contains(&"set-cookie".into()));
    }

    #[test]
    fn a_status_that_is_not_understood_is_not_stored_where_that_matters() {
        let said = [("cache-control", "max-age=9, no-store, must-understand")];
        assert_eq!(why(&[], 200, &said), None);
        assert_eq!(why(&[], 599, &said), Some(NotStored::Status));
        assert_eq!(why(&[], 599, &[("cache-control", "max-age=9")]), None);
        assert_eq!(why(&[], 206, &[("cache-control", "max-age=9")]), Some(NotStored::Status));
    }

    #[test]
    fn what_would_never_be_used_is_not_stored() {
        assert_eq!(why(&[], 200, &[]), Some(NotStored::Useless));
        assert_eq!(why(&[], 200, &[("cache-control", "max-age=0")]), Some(NotStored::Useless));
        assert_eq!(
            why(&[], 200, &[("cache-control", "no-cache, max-age=9")]),
            Some(NotStored::Useless)
        );
        assert_eq!(why(&[], 200, &[("etag", "\"a\"")]), None);
        assert_eq!(why(&[], 403, &[("etag", "\"a\"")]), Some(NotStored::Useless));
    }

    #[test]
    fn lifetimes_of_operators_are_for_responses_that_say_none() {
        let request = Request::new("GET", Fields::default());
        let rules = Rules {
            default_ttl: Some(7),
            status_ttl: vec![(404, 3), (502, 2)],
            max_ttl: Some(100),
            ..rules()
        };
        let of = |status: u16, answered: &[(&str, &str)]| {
            store(&request, status, &fields(answered), &rules, NOW, NOW)
                .map(|kept| kept.stored.lifetime)
        };
        assert_eq!(of(200, &[]), Ok(7));
        assert_eq!(of(404, &[]), Ok(3));
        assert_eq!(of(502, &[]), Ok(2));
        assert_eq!(of(403, &[]), Err(NotStored::Useless));
        assert_eq!(of(404, &[("cache-control", "max-age=50")]), Ok(50));
        assert_eq!(of(200, &[("cache-control", "max-age=500")]), Ok(100));
    }

    #[test]
    fn what_is_stale_is_used_only_where_it_may() {
        let stale = |text: &str| {
            let kept = of(&[], 200, &[("cache-control", text)]).unwrap().stored;
            (kept.stale_while_revalidate, kept.stale_if_error, kept.must_revalidate)
        };
        assert_eq!(stale("max-age=1, stale-while-revalidate=5, stale-if-error=6"), (5, 6, false));
        assert_eq!(stale("max-age=1, must-revalidate, stale-while-revalidate=5"), (0, 0, true));
        assert_eq!(stale("s-maxage=1, stale-while-revalidate=5"), (5, 0, true));
    }

    #[test]
    fn what_is_remembered_survives_as_bytes() {
        let kept =
            of(&[("x-a", "1")], 200, &[("cache-control", "max-age=9"), ("vary", "x-a, x-b")]);
        let kept = kept.unwrap().stored;
        assert_eq!(Stored::from_bytes(&kept.to_bytes()), Some(kept.clone()));
        assert!(kept.is_selected_by(&fields(&[("x-a", " 1 ")])));
        assert!(!kept.is_selected_by(&fields(&[("x-a", "1"), ("x-b", "")])));
        assert_eq!(Stored::from_bytes(b"\xff\xff"), None);
    }
}
