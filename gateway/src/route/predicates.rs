//! The predicates of a route that neither its host, its path nor a bit of a method decides.
//!
//! Owns header and query predicates and extension methods. They are tried only on routes whose
//! host and path match already; nothing here allocates while a request waits.

use http::{HeaderMap, HeaderName, Method};

use super::Query;
use super::methods::is_extension;
use crate::config::{RouteMatcher, ValuePattern};

/// Compiled predicates of one route.
#[derive(Debug)]
pub(super) struct Predicates {
    headers: Box<[(HeaderName, ValuePattern)]>,
    query: Box<[(String, ValuePattern)]>,
    extension_methods: Box<[Method]>,
}

impl Predicates {
    /// The predicates of a route, or none if host, path and standard methods say it all.
    pub(super) fn of_route(matcher: &RouteMatcher) -> Option<Self> {
        let extension = |method: &&Method| is_extension(method);
        let predicates = Self {
            headers: matcher.headers.clone().into(),
            query: matcher.query.clone().into(),
            extension_methods: matcher.methods.iter().filter(extension).cloned().collect(),
        };
        let empty = predicates.headers.is_empty()
            && predicates.query.is_empty()
            && predicates.extension_methods.is_empty();
        (!empty).then_some(predicates)
    }

    /// Whether the header and query predicates hold.
    pub(super) fn hold(&self, query: &Query<'_>) -> bool {
        let header =
            |(name, want): &(HeaderName, ValuePattern)| header_holds(query.headers, name, want);
        let parameter =
            |(name, want): &(String, ValuePattern)| parameter_holds(query.query, name, want);
        self.headers.iter().all(header) && self.query.iter().all(parameter)
    }

    pub(super) fn extension_methods(&self) -> &[Method] {
        &self.extension_methods
    }
}

/// Whether some field line of this name has this value.
pub(super) fn header_holds(headers: &HeaderMap, name: &HeaderName, want: &ValuePattern) -> bool {
    match want {
        ValuePattern::Present => headers.contains_key(name),
        ValuePattern::Exact(want) => {
            headers.get_all(name).iter().any(|value| value.as_bytes() == want.as_bytes())
        }
    }
}

/// Whether some parameter of this name in a raw query has this value.
pub(super) fn parameter_holds(query: Option<&str>, name: &str, want: &ValuePattern) -> bool {
    parameters(query).any(|(known, value)| {
        decodes_to(known, name)
            && match want {
                ValuePattern::Present => true,
                ValuePattern::Exact(want) => decodes_to(value, want),
            }
    })
}

/// Names and values of a raw query, still encoded (`application/x-www-form-urlencoded`).
pub(super) fn parameters(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Whether `encoded` means `plain`: `+` is a space, and a `%` that begins no escape is itself.
pub(super) fn decodes_to(encoded: &str, plain: &str) -> bool {
    if encoded.len() < plain.len() {
        return false;
    }
    decode(encoded.as_bytes()).eq(plain.bytes())
}

/// The bytes for which an encoded name or value stands.
pub(super) fn decode(encoded: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = encoded;
    std::iter::from_fn(move || {
        let (&first, tail) = rest.split_first()?;
        let escape = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        rest = if escape.is_some() { &tail[2..] } else { tail };
        Some(match (escape, first) {
            (Some((high, low)), _) => high << 4 | low,
            (None, b'+') => b' ',
            (None, other) => other,
        })
    })
}

fn hex(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn exact(value: &str) -> ValuePattern {
        ValuePattern::Exact(value.to_owned())
    }

    #[test]
    fn a_header_predicate_holds_when_any_field_line_equals_it() {
        let name = HeaderName::from_static("x-version");
        let mut headers = HeaderMap::new();
        assert!(!header_holds(&headers, &name, &ValuePattern::Present));
        headers.append(&name, HeaderValue::from_static("1"));
        headers.append(&name, HeaderValue::from_static("2"));
        assert!(header_holds(&headers, &name, &exact("2")));
        assert!(!header_holds(&headers, &name, &exact("3")));
        assert!(!header_holds(&headers, &name, &exact("1, 2")));
        assert!(header_holds(&headers, &name, &ValuePattern::Present));
    }

    #[test]
    fn a_query_predicate_compares_decoded_names_and_values() {
        let query = Some("a=1&a=2&na%6De=caf%C3%A9+au%20lait&flag&=x&%zz=%4");
        assert!(parameter_holds(query, "a", &exact("1")));
        assert!(parameter_holds(query, "a", &exact("2")));
        assert!(!parameter_holds(query, "a", &exact("12")));
        assert!(!parameter_holds(query, "a", &exact("")));
        assert!(parameter_holds(query, "name", &exact("café au lait")));
        assert!(parameter_holds(query, "flag", &exact("")));
        assert!(parameter_holds(query, "flag", &ValuePattern::Present));
        assert!(parameter_holds(query, "%zz", &exact("%4")));
        assert!(!parameter_holds(query, "missing", &ValuePattern::Present));
        assert!(!parameter_holds(None, "a", &ValuePattern::Present));
        assert!(!parameter_holds(Some("&&"), "", &ValuePattern::Present));
    }
}
