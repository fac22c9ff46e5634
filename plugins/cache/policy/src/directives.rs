//! The directives of `Cache-Control` (RFC 9111 section 5.2), of requests and of responses, and of the fields that are
//! meant for one kind of cache (RFC 9213).
//!
//! What is malformed errs towards less reuse: a lifetime that is no number, or two that differ, are a lifetime of 0.

use crate::MOST_SECONDS;
use crate::fields::{Fields, members, unquoted};
use crate::structured::{self, Member};

/// A directive that may name fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    is_all: bool,
    fields: Vec<String>,
}

impl Scope {
    /// Whether it is about all of the response.
    pub fn is_all(&self) -> bool {
        self.is_all
    }

    /// Whether it is there.
    pub fn is_any(&self) -> bool {
        self.is_all || !self.fields.is_empty()
    }

    /// The fields that it names, in lower case.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    fn add(&mut self, value: Option<&str>) {
        let names: Vec<_> =
            members(value.unwrap_or_default()).map(str::to_ascii_lowercase).collect();
        let is_list = !names.is_empty() && names.iter().all(|name| is_token(name));
        if is_list {
            self.fields.extend(names);
        } else {
            self.is_all = true;
        }
    }
}

/// What a response says of caching.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// `max-age`, in seconds.
    pub max_age: Option<u64>,
    /// `s-maxage`, in seconds.
    pub s_maxage: Option<u64>,
    /// `no-cache`.
    pub no_cache: Scope,
    /// `no-store`.
    pub no_store: bool,
    /// `private`.
    pub private: Scope,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
    /// `stale-while-revalidate` (RFC 5861), in seconds.
    pub stale_while_revalidate: Option<u64>,
    /// `stale-if-error` (RFC 5861), in seconds.
    pub stale_if_error: Option<u64>,
    /// Whether a quote is out of place, so that what is meant is anybody's guess: nothing is stored then.
    pub is_malformed: bool,
    /// Whether a field that is meant for this kind of cache said it: then `Expires` says nothing.
    pub is_targeted: bool,
}

impl ResponseDirectives {
    /// Reads the first of the fields `targets` that can be read, and otherwise `Cache-Control`.
    pub fn of(fields: &Fields, targets: &[String]) -> Self {
        let targeted = |name: &String| Self::targeted(&fields.value(name)?);
        targets
            .iter()
            .find_map(targeted)
            .unwrap_or_else(|| Self::plain(&fields.text("cache-control").unwrap_or_default()))
    }

    /// Reads `Cache-Control`.
    pub fn plain(text: &str) -> Self {
        let mut read = Self::default();
        for member in members(text) {
            // A quote that is out of place may hide where the next directive begins.
            read.is_malformed |= !is_quoted_properly(member);
            let (name, value) = split(member);
            read.see(&name, value.as_deref(), seconds);
        }
        read
    }

    /// Reads a targeted field, a dictionary; `None` if it is none, or empty.
    fn targeted(value: &[u8]) -> Option<Self> {
        let dictionary = structured::dictionary(value).filter(|members| !members.is_empty())?;
        let mut read = Self { is_targeted: true, ..Self::default() };
        for (name, member) in dictionary {
            let is_number = TAKES_SECONDS.contains(&name.as_str());
            match member {
                Member::Boolean(false) if !is_number => {}
                Member::Boolean(true) if !is_number => read.see(&name, None, |_| 0),
                Member::Integer(number) if is_number => {
                    let number = u64::try_from(number).unwrap_or(0).min(MOST_SECONDS);
                    read.see(&name, Some(""), |_| number);
                }
                // A lifetime that is none: the field cannot be relied on.
                _ if is_number => return None,
                Member::Text(text) if takes_fields(&name) => read.see(&name, Some(&text), |_| 0),
                Member::List(names) if takes_fields(&name) => {
                    read.see(&name, Some(&names.join(",")), |_| 0);
                }
                // With a value that it does not have, a directive still forbids, and does not allow.
                _ if name != "public" && name != "must-understand" => read.see(&name, None, |_| 0),
                _ => {}
            }
        }
        Some(read)
    }

    fn see(&mut self, name: &str, value: Option<&str>, seconds: impl Fn(Option<&str>) -> u64) {
        match name {
            "max-age" => once(&mut self.max_age, seconds(value)),
            "s-maxage" => once(&mut self.s_maxage, seconds(value)),
            "stale-while-revalidate" => once(&mut self.stale_while_revalidate, seconds(value)),
            "stale-if-error" => once(&mut self.stale_if_error, seconds(value)),
            "no-cache" => self.no_cache.add(value),
            "private" => self.private.add(value),
            "no-store" => self.no_store = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "immutable" => self.immutable = true,
            _ => {}
        }
    }

    /// Whether a response to a request with `Authorization` may be used for others (RFC 9111 section 3.5).
    pub fn shares_authorized(&self) -> bool {
        self.public || self.must_revalidate || self.s_maxage.is_some()
    }
}

/// The directives whose value is a number of seconds.
const TAKES_SECONDS: [&str; 4] =
    ["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"];

fn takes_fields(name: &str) -> bool {
    matches!(name, "no-cache" | "private")
}

/// What a request says of caching.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RequestDirectives {
    /// `max-age`, in seconds.
    pub max_age: Option<u64>,
    /// `max-stale`, in seconds; without a number it is for ever.
    pub max_stale: Option<u64>,
    /// `min-fresh`, in seconds.
    pub min_fresh: Option<u64>,
    /// `no-cache`, or `Pragma: no-cache` without a `Cache-Control`.
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
    /// `stale-if-error` (RFC 5861), in seconds.
    pub stale_if_error: Option<u64>,
}

impl RequestDirectives {
    /// Reads what a request says.
    pub fn of(cache_control: Option<&str>, pragma: Option<&str>) -> Self {
        let mut read = Self::default();
        let Some(text) = cache_control else {
            read.no_cache = members(pragma.unwrap_or_default())
                .any(|member| member.eq_ignore_ascii_case("no-cache"));
            return read;
        };
        for member in members(text) {
            let (name, value) = split(member);
            let value = value.as_deref();
            match name.as_str() {
                "max-age" => once(&mut read.max_age, seconds(value)),
                "max-stale" if value.is_none() => read.max_stale = Some(MOST_SECONDS),
                "max-stale" => once(&mut read.max_stale, seconds(value)),
                // What cannot be read asks for the freshest.
                "min-fresh" => read.min_fresh = Some(number(value).unwrap_or(MOST_SECONDS)),
                "stale-if-error" => once(&mut read.stale_if_error, seconds(value)),
                "no-cache" => read.no_cache = true,
                "no-store" => read.no_store = true,
                "only-if-cached" => read.only_if_cached = true,
                _ => {}
            }
        }
        read
    }
}

/// A name in lower case, and its value without quotes.
fn split(member: &str) -> (String, Option<String>) {
    match unquoted(member, b'=') {
        None => (member.to_ascii_lowercase(), None),
        Some(at) => (member[..at].to_ascii_lowercase(), Some(unquote(&member[at + 1..]))),
    }
}

fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return text.to_owned();
    };
    let (mut plain, mut chars) = (String::with_capacity(inner.len()), inner.chars());
    while let Some(char) = chars.next() {
        plain.extend(if char == '\\' { chars.next() } else { Some(char) });
    }
    plain
}

/// Whether all quotes are around the value of a directive.
fn is_quoted_properly(member: &str) -> bool {
    let Some(at) = member.find('"') else { return true };
    let is_value = at > 0 && member.as_bytes()[at - 1] == b'=';
    is_value && is_closed(&member[at + 1..])
}

/// Whether the first quote that is not escaped is the end.
fn is_closed(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => drop(chars.next()),
            '"' => return chars.as_str().is_empty(),
            _ => {}
        }
    }
    false
}

/// Two values that differ are the smaller lifetime that there is.
fn once(kept: &mut Option<u64>, seconds: u64) {
    *kept = Some(kept.map_or(seconds, |before| if before == seconds { seconds } else { 0 }));
}

/// A number of seconds. What is none is 0.
fn seconds(value: Option<&str>) -> u64 {
    number(value).unwrap_or(0)
}

fn number(value: Option<&str>) -> Option<u64> {
    let digits = value.filter(|digits| !digits.is_empty())?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().map_or(MOST_SECONDS, |number: u64| number.min(MOST_SECONDS)))
}

pub(crate) fn is_token(text: &str) -> bool {
    let is_in = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_malformed_errs_towards_less_reuse() {
        let age = |text: &str| ResponseDirectives::plain(text).max_age;
        assert_eq!(age("max-age=3600"), Some(3600));
        assert_eq!(age("MAX-AGE=\"3600\""), Some(3600));
        assert_eq!(age("max-age=003600"), Some(3600));
        assert_eq!(age("max-age=99999999999999999999999"), Some(MOST_SECONDS));
        for text in
            ["max-age", "max-age=", "max-age='3600'", "max-age=3600.0", "max-age=-1", "max-age= 9"]
        {
            assert_eq!(age(text), Some(0), "{text}");
        }
        assert_eq!(age("max-age =3600"), None);
        assert_eq!(age("max-age=1, max-age=2"), Some(0));
        assert_eq!(age("max-age=2, max-age=2"), Some(2));
        assert_eq!(age("extension=\"max-age=3600\", max-age=1"), Some(1));
        assert_eq!(age("extension=\"max-age=3600"), None);
        let forbids = |text: &str| ResponseDirectives::plain(text).is_malformed;
        for text in ["a=\"max-age=3600", "\", private=\"x\"", "a\"b\"", "a=\"b\"c", "\"a\""] {
            assert!(forbids(text), "{text}");
        }
        assert!(!forbids("a=\"b, \\\"c\", d=\"\""));
    }

    #[test]
    fn directives_about_fields_are_about_those_fields() {
        let read = ResponseDirectives::plain("private=\"X-A, x-b\", no-cache=x-c");
        assert_eq!(read.private.fields(), ["x-a", "x-b"]);
        assert_eq!(read.no_cache.fields(), ["x-c"]);
        for text in
            ["private", "private=", "private=\"\"", "private=\"a b\"", "private=\"a\", private"]
        {
            let private = ResponseDirectives::plain(text).private;
            assert!(private.is_all() && private.is_any(), "{text}");
        }
        assert!(ResponseDirectives::plain("no-store=\"x\"").no_store);
    }

    #[test]
    fn a_targeted_field_stands_in_place_of_the_others() {
        let of = |lines: &[(&str, &str)]| {
            let fields = lines.iter().copied().collect();
            ResponseDirectives::of(
                &fields,
                &["own-cache-control".into(), "cdn-cache-control".into()],
            )
        };
        let plain = ("cache-control", "no-store");
        let read = of(&[plain, ("cdn-cache-control", "foobar, max-age=99999999999")]);
        assert_eq!(
            (read.max_age, read.no_store, read.is_targeted),
            (Some(MOST_SECONDS), false, true)
        );
        for broken in ["", "max-age=10, &&&&", "max-age=\"10\"", "max-age=1.5", "Max-Age=10"] {
            let read = of(&[plain, ("cdn-cache-control", broken)]);
            assert!(read.no_store && !read.is_targeted, "{broken}");
        }
        let both =
            [("cdn-cache-control", "max-age=1"), ("own-cache-control", "private=(\"a\" \"b\")")];
        let read = of(&both);
        assert_eq!(read.max_age, None);
        assert_eq!(read.private.fields(), ["a", "b"]);
        assert!(of(&[("cdn-cache-control", "no-store=?0, private")]).private.is_all());
        let read = of(&[
            ("cdn-cache-control", "a=\"public\", public=1, no-store=1"),
            ("cache-control", "public"),
        ]);
        assert!(read.no_store && !read.public);
    }

    #[test]
    fn requests_say_what_they_accept() {
        let of = |text| RequestDirectives::of(Some(text), Some("no-cache"));
        assert!(!of("nothing").no_cache);
        assert_eq!(of("max-stale").max_stale, Some(MOST_SECONDS));
        assert_eq!(of("max-stale=x").max_stale, Some(0));
        assert_eq!(of("min-fresh=x").min_fresh, Some(MOST_SECONDS));
        assert_eq!(of("max-age=5, only-if-cached").max_age, Some(5));
        assert!(RequestDirectives::of(None, Some("x, No-Cache")).no_cache);
    }
}
