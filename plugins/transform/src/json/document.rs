//! A JSON document that is parsed only where it is changed.
//!
//! Owns the tree. What no edit touches stays the text that came in, to the byte: numbers of any
//! size, escapes, white space and the order of members pass through unchanged, and cost no
//! allocation. Names and values inside are checked to be JSON once, when the document is read.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A value: text, or taken apart one level deep.
#[derive(Debug, Clone)]
pub(crate) enum Node<'a> {
    /// JSON text without white space around it.
    Raw(Cow<'a, str>),
    /// An object whose members can be changed.
    Object(Vec<(Key<'a>, Node<'a>)>),
    /// An array whose elements can be changed.
    Array(Vec<Node<'a>>),
}

/// The name of a member, as JSON text with its quotes.
#[derive(Debug, Clone)]
pub(crate) struct Key<'a>(Cow<'a, str>);

/// An edit that the document has no place for: its pointer leads through a string, a number or a
/// boolean, or past the end of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoPlace;

impl<'a> Node<'a> {
    /// Reads a document. All of it is checked.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice::<&RawValue>(body)
            .map(|raw| Self::Raw(Cow::Borrowed(raw.get())))
            .map_err(|error| error.to_string())
    }

    /// A value from text that is known to be JSON.
    pub(crate) fn raw(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Raw(text.into())
    }

    /// The value at a place, if there is one.
    pub(crate) fn find(&mut self, tokens: &[String]) -> Option<&mut Self> {
        tokens.iter().try_fold(self, |node, token| node.child(token))
    }

    /// The members' values or the elements; nothing for any other value.
    pub(crate) fn children(&mut self) -> Vec<&mut Self> {
        self.take_apart();
        match self {
            Self::Object(members) => members.iter_mut().map(|(_, value)| value).collect(),
            Self::Array(elements) => elements.iter_mut().collect(),
            Self::Raw(_) => Vec::new(),
        }
    }

    /// The member of this name or the element of this index. Where a name is twice the last
    /// one counts, as most readers have it, and the others go.
    pub(crate) fn child(&mut self, token: &str) -> Option<&mut Self> {
        self.take_apart();
        match self {
            Self::Object(members) => {
                let last = members.iter().rposition(|(key, _)| key.is(token))?;
                let mut at = 0;
                let mut before = 0;
                members.retain(|(key, _)| {
                    let keep = at >= last || !key.is(token);
                    before += usize::from(keep && at < last);
                    at += 1;
                    keep
                });
                members.get_mut(before).map(|(_, value)| value)
            }
            Self::Array(elements) => elements.get_mut(index(token)?),
            Self::Raw(_) => None,
        }
    }

    /// Puts a value at a place. Objects on the way that are missing, or `null`, are made; `-` and
    /// the index behind the last append to an array.
    pub(crate) fn set(&mut self, tokens: &[String], value: Self) -> Result<(), NoPlace> {
        *tokens.iter().try_fold(self, |node, token| node.child_to_set(token))? = value;
        Ok(())
    }

    /// Removes the member of this name or the element of this index, and says whether there was
    /// one.
    pub(crate) fn remove(&mut self, token: &str) -> bool {
        self.take_apart();
        match self {
            Self::Object(members) => {
                let before = members.len();
                members.retain(|(key, _)| !key.is(token));
                members.len() < before
            }
            Self::Array(elements) => match index(token) {
                Some(index) if index < elements.len() => {
                    elements.remove(index);
                    true
                }
                _ => false,
            },
            Self::Raw(_) => false,
        }
    }

    /// Gives a member another name, in its place; one that had this name goes. Says whether there
    /// was such a member.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> bool {
        if self.child(from).is_none() {
            return false;
        }
        let Self::Object(members) = self else {
            return false;
        };
        if from != to {
            members.retain(|(key, _)| !key.is(to));
        }
        for (key, _) in members.iter_mut().filter(|(key, _)| key.is(from)) {
            *key = Key::new(to);
        }
        true
    }

    /// Puts the value into an object, as its only member.
    pub(crate) fn wrap(&mut self, name: &str) {
        let inner = std::mem::replace(self, Self::raw("null"));
        *self = Self::Object(vec![(Key::new(name), inner)]);
    }

    /// Puts the member of this name instead of its object, and says whether there was one.
    pub(crate) fn unwrap_member(&mut self, name: &str) -> bool {
        let Some(inner) = self.child(name) else {
            return false;
        };
        let inner = std::mem::replace(inner, Self::raw("null"));
        *self = inner;
        true
    }

    /// Appends the document as text.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Raw(text) => out.push_str(text),
            Self::Object(members) => {
                out.push('{');
                for (position, (key, value)) in members.iter().enumerate() {
                    if position > 0 {
                        out.push(',');
                    }
                    out.push_str(&key.0);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
            Self::Array(elements) => {
                out.push('[');
                for (position, element) in elements.iter().enumerate() {
                    if position > 0 {
                        out.push(',');
                    }
                    element.write(out);
                }
                out.push(']');
            }
        }
    }

    fn child_to_set(&mut self, token: &str) -> Result<&mut Self, NoPlace> {
        if matches!(self, Self::Raw(text) if text == "null") {
            *self = Self::Object(Vec::new());
        }
        let is_missing = self.child(token).is_none();
        match self {
            Self::Object(members) if is_missing => {
                members.push((Key::new(token), Self::raw("null")));
            }
            Self::Array(elements) if token == "-" || index(token) == Some(elements.len()) => {
                elements.push(Self::raw("null"));
                let last = elements.len() - 1;
                return self.child(&last.to_string()).ok_or(NoPlace);
            }
            Self::Object(_) | Self::Array(_) | Self::Raw(_) => {}
        }
        self.child(token).ok_or(NoPlace)
    }

    /// Turns the text of an object or an array into its members or elements.
    fn take_apart(&mut self) {
        let Self::Raw(text) = self else {
            return;
        };
        if !text.starts_with(['{', '[']) {
            return;
        }
        *self = match std::mem::take(text) {
            Cow::Borrowed(text) => Self::one_level(text, Cow::Borrowed),
            Cow::Owned(text) => Self::one_level(&text, |part| Cow::Owned(part.to_owned())),
        };
    }

    fn one_level<'t>(text: &'t str, keep: impl Fn(&'t str) -> Cow<'a, str>) -> Self {
        const CHECKED: &str = "the document was checked when it was read";
        if text.starts_with('{') {
            let Members(members) = serde_json::from_str(text).expect(CHECKED);
            let member = |(key, value): (&'t RawValue, &'t RawValue)| {
                (Key(keep(key.get())), Self::Raw(keep(value.get())))
            };
            Self::Object(members.into_iter().map(member).collect())
        } else {
            let elements: Vec<&RawValue> = serde_json::from_str(text).expect(CHECKED);
            Self::Array(
                elements.into_iter().map(|element| Self::Raw(keep(element.get()))).collect(),
            )
        }
    }
}

impl Key<'_> {
    pub(crate) fn new(name: &str) -> Self {
        Self(Cow::Owned(quoted(name)))
    }

    fn is(&self, name: &str) -> bool {
        let inner = &self.0[1..self.0.len() - 1];
        if inner.contains('\\') {
            // A lone surrogate has no UTF-8 form, so no pointer can name it.
            return serde_json::from_str::<String>(&self.0).is_ok_and(|decoded| decoded == name);
        }
        inner == name
    }
}

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A name as text, and its value.
pub(crate) type Member<'a> = (String, &'a RawValue);

/// The members of a document that is an object, in order; `None` for any other.
pub(crate) fn members(json: &[u8]) -> Result<Option<Vec<Member<'_>>>, String> {
    let text = serde_json::from_slice::<&RawValue>(json).map_err(|error| error.to_string())?.get();
    if !text.starts_with('{') {
        return Ok(None);
    }
    let Members(members) = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let named = |(key, value): (&RawValue, _)| Some((serde_json::from_str(key.get()).ok()?, value));
    let named: Option<Vec<_>> = members.into_iter().map(named).collect();
    named.map(Some).ok_or_else(|| "the name of a member is no text".to_owned())
}

/// An array index (RFC 6901 section 4): digits without a leading zero.
fn index(token: &str) -> Option<usize> {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = token.len() > 1 && token.starts_with('0');
    if digits && !leading_zero { token.parse().ok() } else { None }
}

/// The members of an object as text, in order, repeated names too.
struct Members<'t>(Vec<(&'t RawValue, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(node: &Node<'_>) -> String {
        let mut out = String::new();
        node.write(&mut out);
        out
    }

    fn tokens(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn what_is_not_touched_stays_as_it_was_to_the_byte() {
        let body = br#"{"z":123456789012345678901234567890.10e+5 , "a" : [ 1.0,-0 ], "s":"\u00e9\ud800","x":{"y":1}}"#;
        let mut node = Node::parse(body).unwrap();
        node.set(&tokens(&["x", "y"]), Node::raw("2")).unwrap();
        assert_eq!(
            written(&node),
            r#"{"z":123456789012345678901234567890.10e+5,"a":[ 1.0,-0 ],"s":"\u00e9\ud800","x":{"y":2}}"#
        );
    }

    #[test]
    fn rejects_what_is_no_json_anywhere_inside() {
        for body in [&b""[..], b"{", b"{\"a\":}", b"[1,]", b"1 2", b"\"\xFF\"", b"{'a':1}", b"nul"]
        {
            assert!(Node::parse(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn survives_a_deeply_nested_document() {
        let body = [vec![b'['; 500_000], vec![b']'; 500_000]].concat();
        let mut node = Node::parse(&body).unwrap();
        assert!(node.find(&tokens(&["0", "0"])).is_some());
        assert_eq!(written(&node).len(), body.len());
    }

    #[test]
    fn the_last_of_repeated_names_counts_and_none_survives_a_removal() {
        let mut node = Node::parse(br#"{"a":1,"b":2,"\u0061":3,"c":4}"#).unwrap();
        node.set(&tokens(&["a"]), Node::raw("9")).unwrap();
        assert_eq!(written(&node), r#"{"b":2,"\u0061":9,"c":4}"#);
        let mut node = Node::parse(br#"{"a":1,"\u0061":3}"#).unwrap();
        assert!(node.remove("a"));
        assert_eq!(written(&node), "{}");
    }

    #[test]
    fn array_indices_have_no_leading_zero_or_sign() {
        let mut node = Node::parse(b"[1,2]").unwrap();
        for token in ["01", "+1", "-1", "2", "", "-", "x", "99999999999999999999999"] {
            assert!(node.child(token).is_none(), "{token}");
        }
        assert!(node.child("1").is_some());
    }
}
