//! What a plugin declared, as an exchange has it.
//!
//! Owns the values that go with a call, by position, and the key under which its outcome may be kept. Must not call a plugin.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::heads::ExchangeView;
use crate::plugin::bindings::RequestHead;
use crate::plugin::{Interest, ReuseKey, values};

/// Writes what would arrive with a call.
pub(super) fn arrived(key: &mut ReuseKey, interest: &Interest, heads: &ExchangeView) {
    let request = &heads.request;
    key.push(interest.method.then(|| request.method.as_str().as_bytes()));
    key.push(interest.path.then(|| request.target.path().as_bytes()));
    key.push(request.target.query().filter(|_| interest.query).map(str::as_bytes));
    let joined = Joined::of(&request.headers, &interest.request_fields);
    joined.each(&request.headers, &interest.request_fields, |value| key.push(value));
    for name in &interest.attributes {
        key.push(heads.declared(name).as_deref().map(str::as_bytes));
    }
}

/// As many values as most plugins declare at most. More are put on the heap; room for more would be
/// moved with every call.
const FEW: usize = 4;

/// Up to so many fields are compared one by one.
const FEW_FIELDS: usize = 8;

/// What a plugin declared, as the head of a request has it.
pub(super) struct View<'a> {
    heads: &'a ExchangeView,
    interest: &'a Interest,
    joined: Joined,
    texts: SmallVec<[Option<Cow<'a, str>>; FEW]>,
}

impl<'a> View<'a> {
    pub(super) fn of(heads: &'a ExchangeView, interest: &'a Interest) -> Self {
        let joined = Joined::of(&heads.request.headers, &interest.request_fields);
        let texts = interest.attributes.iter().map(|name| heads.declared(name)).collect();
        Self { heads, interest, joined, texts }
    }

    pub(super) fn fields(&self) -> Values<'_> {
        self.joined.values(&self.heads.request.headers, &self.interest.request_fields)
    }

    pub(super) fn attributes(&self) -> SmallVec<[Option<&str>; FEW]> {
        self.texts.iter().map(Option::as_deref).collect()
    }

    pub(super) fn head<'b>(
        &'b self,
        fields: &'b [Option<&'b [u8]>],
        attributes: &'b [Option<&'b str>],
    ) -> RequestHead<'b> {
        let (request, interest) = (&self.heads.request, self.interest);
        RequestHead {
            method: interest.method.then(|| request.method.as_str()),
            path: interest.path.then(|| request.target.path()),
            query: request.target.query().filter(|_| interest.query),
            fields: values::Values(fields),
            attributes: values::Values(attributes),
        }
    }
}

/// The values of declared fields, by position.
type Values<'a> = SmallVec<[Option<&'a [u8]>; FEW]>;

/// Values of fields that are in several lines, joined as RFC 9110 section 5.3 has it. Nearly
/// always empty.
pub(super) struct Joined(SmallVec<[Option<Vec<u8>>; 0]>);

impl Joined {
    pub(super) fn of(headers: &HeaderMap, names: &[HeaderName]) -> Self {
        let mut joined = SmallVec::new();
        if headers.len() == headers.keys_len() {
            return Self(joined);
        }
        for (index, name) in names.iter().enumerate() {
            let mut lines = headers.get_all(name).iter();
            let (Some(first), Some(second)) = (lines.next(), lines.next()) else { continue };
            let mut value = first.as_bytes().to_vec();
            for line in std::iter::once(second).chain(lines) {
                value.extend_from_slice(b", ");
                value.extend_from_slice(line.as_bytes());
            }
            joined.resize_with(names.len(), || None);
            joined[index] = Some(value);
        }
        Self(joined)
    }

    /// The values of these fields, joined where there are several lines.
    pub(super) fn values<'a>(&'a self, headers: &'a HeaderMap, names: &[HeaderName]) -> Values<'a> {
        let mut values = Values::with_capacity(names.len());
        self.each(headers, names, |value| values.push(value));
        values
    }

    /// Hands over the value of each of them.
    #[inline]
    fn each<'a>(
        &'a self,
        headers: &'a HeaderMap,
        names: &[HeaderName],
        mut see: impl FnMut(Option<&'a [u8]>),
    ) {
        if !self.0.is_empty() || headers.len() > FEW_FIELDS || names.len() < 2 {
            for (index, name) in names.iter().enumerate() {
                let joined = self.0.get(index).and_then(Option::as_deref);
                see(joined.or_else(|| headers.get(name).map(HeaderValue::as_bytes)));
            }
            return;
        }
        // Nearly always there are few, and most of what a plugin declares is not there: lengths tell so already.
        let known: SmallVec<[_; FEW_FIELDS]> = headers.iter().collect();
        let bit = |name: &HeaderName| 1_u64 << (name.as_str().len() % 64);
        let lengths = known.iter().fold(0, |lengths, (name, _)| lengths | bit(name));
        for name in names {
            let value = match lengths & bit(name) {
                0 => None,
                _ => known.iter().find(|(known, _)| *known == name),
            };
            see(value.map(|(_, value)| value.as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_few_fields_are_those_of_many() {
        let names: Vec<_> =
            ["accept", "x-user", "x-uses", "x-none", "host"].map(HeaderName::from_static).into();
        for others in [0, FEW_FIELDS] {
            let mut headers = HeaderMap::new();
            for (name, value) in
                [("host", "h"), ("x-uses", "2"), ("x-user", "1"), ("accept", "a"), ("x-more", "m")]
            {
                headers.append(name, HeaderValue::from_static(value));
            }
            // Two lines of what is not declared do not join anything.
            headers.append("x-more", HeaderValue::from_static("n"));
            for number in 0..others {
                let name = HeaderName::try_from(format!("x-oth{number}")).expect("a name");
                headers.append(name, HeaderValue::from_static("other"));
            }
            let values = |headers: &HeaderMap| {
                let joined = Joined::of(headers, &names);
                let values = joined.values(headers, &names);
                let text =
                    |it: &Option<&[u8]>| it.map(|it| String::from_utf8_lossy(it).into_owned());
                values.iter().map(|it| text(it).unwrap_or_else(|| "-".into())).collect::<Vec<_>>()
            };
            assert_eq!(values(&headers), ["a", "1", "2", "-", "h"], "{others}");
            headers.append("accept", HeaderValue::from_static("b"));
            assert_eq!(values(&headers), ["a, b", "1", "2", "-", "h"], "{others}");
        }
    }
}
