//! What a `304` changes in a stored response (RFC 9111 sections 3.2 and 4.3.4).

use crate::Millis;
use crate::conditional::Validators;
use crate::directives::ResponseDirectives;
use crate::fields::Fields;
use crate::select::Request;
use crate::store::{Rules, Stored, remember};

/// Fields of a `304` that are not taken over: those of one connection, those that belong to the stored body, and those
/// that are never stored.
const NOT_TAKEN: [&str; 19] = [
    "age",
    "cache-status",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "set-cookie2",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
];

/// A stored response after it was confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshened {
    /// What is remembered now.
    pub stored: Stored,
    /// Fields that are stored in place of those of the same name.
    pub set: Fields,
    /// Names of fields that are stored no longer.
    pub remove: Vec<String>,
    /// Fields of the confirmation that are for who asked alone.
    pub own: Fields,
    /// For how many seconds from now it is of use; 0 if what is new must not be kept: then it answers this request alone.
    pub keep: u64,
}

/// Confirms a stored response by a `304`; `None` if that is about another one. `old` are the stored fields.
pub fn freshen(
    request: &Request,
    (stored, status, old): (&Stored, u16, &Fields),
    confirmation: &Fields,
    rules: &Rules,
    asked: Millis,
    now: Millis,
) -> Option<Freshened> {
    if !Validators::of(confirmation).confirms(&stored.validators) {
        return None;
    }
    let mut set = confirmation.clone();
    set.retain(|name| !NOT_TAKEN.contains(&name));
    // A lifetime of the confirmation is in place of all that the stored response said of it.
    let mut now_said = old.clone();
    now_said.retain(|name| !set.has(name) && name != "age");
    for (name, value) in set.iter().chain(confirmation.iter().filter(|(name, _)| *name == "age")) {
        now_said.push(name, value);
    }
    if !set.has("date") {
        now_said.remove("date");
    }
    let directives = ResponseDirectives::of(&now_said, &rules.targets);
    let mut fresh = remember(request, status, &now_said, &directives, rules, asked, now).ok()?;
    fresh.vary.clone_from(&stored.vary);
    // A confirmation repeats the directives of the response (RFC 9110 section 15.4.5). What it says to somebody with
    // credentials, or says to be private, is not for others, even if what it confirms is.
    let own_said = ResponseDirectives::of(confirmation, &rules.targets);
    let is_for_all = |said: &ResponseDirectives| {
        !said.private.is_any() && !said.is_malformed && (!said.no_store || said.must_understand)
    };
    let may_keep = is_for_all(&directives)
        && is_for_all(&own_said)
        && !request.directives.no_store
        && (!request.has_credentials || request.owns_key || own_said.shares_authorized());
    let keep = if may_keep { fresh.keep(rules, now) } else { 0 };
    let mut remove = Vec::new();
    for said in [&directives, &own_said] {
        remove.extend(said.no_cache.fields().iter().cloned());
    }
    remove.sort_unstable();
    remove.dedup();
    let mut own = confirmation.clone();
    own.retain(|name| name.starts_with("set-cookie") || remove.iter().any(|other| other == name));
    set.retain(|name| !remove.iter().any(|other| other == name));
    Some(Freshened { stored: fresh, set, remove, own, keep })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::store;

    const THEN: Millis = 1_790_000_000_000;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        lines.iter().copied().collect()
    }

    #[test]
    fn a_confirmation_is_a_new_beginning() {
        let rules = Rules { keep_stale: 60, ..Rules::default() };
        let request = Request::new("GET", fields(&[("x-a", "1")]));
        let head = [
            ("etag", "\"a\""),
            ("cache-control", "max-age=5"),
            ("x-old", "1"),
            ("x-new", "1"),
            ("content-length", "7"),
            ("vary", "x-a"),
        ];
        let old = fields(&head);
        let kept = store(&request, 200, &old, &rules, THEN, THEN).unwrap();
        let later = THEN + 20_000;
        let confirm = |lines: &[(&str, &str)]| {
            freshen(&request, (&kept.stored, 200, &old), &fields(lines), &rules, later, later)
        };
        let fresh = confirm(&[("etag", "\"a\""), ("x-new", "2"), ("content-length", "9")]).unwrap();
        assert_eq!((fresh.stored.age(later), fresh.stored.ttl(later), fresh.keep), (0, 5, 65));
        assert_eq!(fresh.set, fields(&[("etag", "\"a\""), ("x-new", "2")]));
        assert_eq!(fresh.stored.vary, kept.stored.vary);
        let longer = confirm(&[("cache-control", "max-age=50"), ("age", "10")]).unwrap();
        assert_eq!((longer.stored.age(later), longer.stored.ttl(later)), (10, 40));
        assert_eq!(confirm(&[("etag", "\"b\"")]), None);
        assert_eq!(confirm(&[("cache-control", "private, max-age=9")]).unwrap().keep, 0);
        let said = [
            ("cache-control", "max-age=9, no-cache=\"x-new\""),
            ("x-new", "2"),
            ("set-cookie", "a"),
        ];
        let fresh = confirm(&said).unwrap();
        assert_eq!(fresh.remove, ["x-new"]);
        assert_eq!(fresh.own, fields(&said[1..]));
    }
}
