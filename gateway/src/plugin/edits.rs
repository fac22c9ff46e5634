//! What plugins write into heads: edits of fields, and attributes.
//!
//! Owns the contract on their names and values: valid ones, none that frame the message or belong
//! to one connection, none without bounds. Reads them out of the guest's memory straight into the
//! form in which heads keep them: lifted as texts and parsed afterwards, each would be copied and
//! allocated twice. A breach is kept instead of the edits, so that it fails the plugin by name
//! and not as a trap. Must not know which head they are for.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue};

use super::Failure;
use super::bindings;
use crate::heads::{check_attribute_name, check_attribute_value};

mod lift;

pub(super) use lift::Guest;

/// Bytes of one value.
const MAX_VALUE: usize = 64 << 10;

/// A change of the fields of a head; its name and value are valid.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    /// One line in place of all of this name.
    Set(HeaderName, HeaderValue),
    /// One more line.
    Append(HeaderName, HeaderValue),
    /// No line of this name.
    Remove(HeaderName),
}

/// `list<field-edit>`: the edits, or how they break the contract (boxed, since outcomes are moved).
#[derive(Debug, Clone)]
pub(crate) struct Edits(Result<Vec<Edit>, Box<Failure>>);

/// `list<attribute>`: names and values in order, or how they break the contract. Their number is
/// not checked.
#[derive(Debug, Clone)]
pub(crate) struct Attributes(Result<Vec<Attribute>, Box<Failure>>);

impl Edit {
    /// The field.
    pub(crate) fn name(&self) -> &HeaderName {
        match self {
            Self::Set(name, _) | Self::Append(name, _) | Self::Remove(name) => name,
        }
    }

    /// Bytes of its name and value.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Set(name, value) | Self::Append(name, value) => name.as_str().len() + value.len(),
            Self::Remove(name) => name.as_str().len(),
        }
    }

    /// A copy that shares nothing: workers that counted references to the same bytes would wait for
    /// one another.
    pub(crate) fn unshared(&self) -> Self {
        let own = |value: &HeaderValue| {
            HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
        };
        match self {
            Self::Set(name, value) => Self::Set(name.clone(), own(value)),
            Self::Append(name, value) => Self::Append(name.clone(), own(value)),
            Self::Remove(name) => Self::Remove(name.clone()),
        }
    }
}

/// The name and the value of an attribute that a plugin may set.
pub(crate) type Attribute = (Cow<'static, str>, String);

impl Attributes {
    /// The attributes, if all can be set.
    pub(crate) fn checked(self) -> Result<Vec<Attribute>, Failure> {
        self.0.map_err(|breach| *breach)
    }
}

#[cfg(test)]
impl Attributes {
    pub(crate) fn none() -> Self {
        Self(Ok(Vec::new()))
    }
}

#[cfg(test)]
impl Edits {
    pub(crate) fn none() -> Self {
        Self(Ok(Vec::new()))
    }
}

impl Attributes {
    /// How many they are.
    pub(super) fn count(&self) -> usize {
        self.0.as_ref().map_or(0, Vec::len)
    }

    /// Bytes of their names and values.
    pub(super) fn bytes(&self) -> usize {
        let attributes = self.0.iter().flatten();
        attributes.map(|(name, value)| name.len() + value.len()).sum()
    }
}

impl Edits {
    /// How many they are.
    pub(super) fn count(&self) -> usize {
        self.0.as_ref().map_or(0, Vec::len)
    }

    /// Bytes of their names and values.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().flatten().map(Edit::bytes).sum()
    }

    /// The edits, if all are valid.
    pub(crate) fn checked(self) -> Result<Vec<Edit>, Failure> {
        self.0.map_err(|breach| *breach)
    }

    /// The lines of an answer.
    pub(crate) fn lines(fields: Vec<bindings::Field>) -> Result<Vec<Edit>, Failure> {
        let line = |field: bindings::Field| {
            let name = field_name(field.name.as_bytes())?;
            let value = field_value(&name, &field.value)?;
            Ok(Edit::Append(name, value))
        };
        fields.into_iter().map(line).collect()
    }
}

fn edit(edit: &bindings::FieldEdit) -> Result<Edit, Failure> {
    use bindings::FieldEdit::{Append, Remove, Set};
    Ok(match edit {
        Set(field) | Append(field) => {
            let name = field_name(field.name.as_bytes())?;
            let value = field_value(&name, &field.value)?;
            if matches!(edit, Set(_)) { Edit::Set(name, value) } else { Edit::Append(name, value) }
        }
        Remove(name) => Edit::Remove(field_name(name.as_bytes())?),
    })
}

/// Without spaces and tabs at its ends.
fn trim_blanks(value: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let Some(start) = value.iter().position(is_text) else { return b"" };
    let end = value.iter().rposition(is_text).unwrap_or(start);
    &value[start..=end]
}

fn field_value(name: &HeaderName, value: &[u8]) -> Result<HeaderValue, Failure> {
    // No value begins or ends so (RFC 9110 section 5.5), and over HTTP/2 it would be malformed.
    let value = trim_blanks(value);
    let valid = HeaderValue::from_bytes(value).ok().filter(|_| value.len() <= MAX_VALUE);
    valid.ok_or_else(|| {
        Failure::breach(format!("the value for the field `{name}` is not a valid field value"))
    })
}

/// Names that plugins wrote before: the same few come with every request, and parsing and
/// allocating each of them costs more than the field itself.
const MAX_KNOWN: usize = 256;
/// Longer names are not kept.
const MAX_KNOWN_NAME: usize = 64;

/// Keeps what was made of a name. Bounded by the two limits above.
struct Known<V>(RefCell<HashMap<&'static [u8], V, foldhash::fast::RandomState>>);

impl<V: Clone> Known<V> {
    fn new() -> Self {
        Self(RefCell::default())
    }

    fn get(&self, name: &[u8]) -> Option<V> {
        self.0.borrow().get(name).cloned()
    }

    /// Keeps a name for good, so that a copy of it counts no references; `None` if there is no
    /// room.
    fn keep(&self, name: &str, make: impl FnOnce(&'static str) -> V) -> Option<V> {
        let mut known = self.0.borrow_mut();
        if known.len() >= MAX_KNOWN || name.len() > MAX_KNOWN_NAME {
            return None;
        }
        let name: &'static str = Box::leak(Box::from(name));
        let value = make(name);
        known.insert(name.as_bytes(), value.clone());
        Some(value)
    }
}

thread_local! {
    static FIELD_NAMES: Known<HeaderName> = Known::new();
    static ATTRIBUTE_NAMES: Known<&'static str> = Known::new();
}

fn field_name(text: &[u8]) -> Result<HeaderName, Failure> {
    FIELD_NAMES.with(|known| {
        if let Some(known) = known.get(text) {
            return Ok(known);
        }
        let name = new_field_name(text)?;
        if text != name.as_str().as_bytes() {
            return Ok(name);
        }
        Ok(known.keep(name.as_str(), HeaderName::from_static).unwrap_or(name))
    })
}

fn new_field_name(text: &[u8]) -> Result<HeaderName, Failure> {
    let name = HeaderName::from_bytes(text).map_err(|_| {
        let shown: String = String::from_utf8_lossy(text).chars().take(64).collect();
        Failure::breach(format!("{shown:?} is not a valid field name"))
    })?;
    if is_framing(&name) {
        return Err(Failure::breach(format!("the field `{name}` is the gateway's to write")));
    }
    Ok(name)
}

/// Fields that frame a message or belong to one connection (RFC 9110 section 7.6.1).
fn is_framing(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

fn attribute(name: &str, value: &str) -> Result<Attribute, Failure> {
    let refuse = |refused| Failure::breach(format!("the attribute {name:?} is {refused}"));
    let name = ATTRIBUTE_NAMES.with(|known| {
        // Only names that were checked are known.
        if let Some(known) = known.get(name.as_bytes()) {
            return Ok(Cow::Borrowed(known));
        }
        check_attribute_name(name).map_err(refuse)?;
        let kept = known.keep(name, |name| name);
        Ok(kept.map_or_else(|| Cow::Owned(name.to_owned()), Cow::Borrowed))
    })?;
    check_attribute_value(value).map_err(refuse)?;
    Ok((name, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(name: &str, value: &[u8]) -> Result<Vec<Edit>, Failure> {
        Edits::lines(vec![bindings::Field { name: name.into(), value: value.into() }])
    }

    #[test]
    fn refuses_what_would_split_or_frame_a_message() {
        for (name, value) in [
            ("x", &b"a\r\nb: c"[..]),
            ("x", b"\0"),
            ("a b", b"c"),
            ("", b"c"),
            ("content-length", b"3"),
            ("Transfer-Encoding", b"chunked"),
            ("connection", b"x"),
            ("keep-alive", b"x"),
        ] {
            // Twice: what is refused must not become known.
            for _ in 0..2 {
                assert!(matches!(lines(name, value), Err(Failure::Breach(_))), "{name}");
            }
        }
        let large = vec![b'a'; MAX_VALUE + 1];
        assert!(lines("x", &large).is_err() && lines("x", &large[1..]).is_ok());
    }

    #[test]
    fn reads_a_name_in_any_case_before_and_after_it_is_known() {
        for name in ["X-Some-Name", "x-some-name", "X-Some-Name", "x-some-name"] {
            let edits = lines(name, b"a").expect("valid");
            let [Edit::Append(name, _)] = &edits[..] else { panic!("{edits:?}") };
            assert_eq!(name, "x-some-name");
        }
    }

    #[test]
    fn refuses_attributes_that_are_the_gateways_or_too_large() {
        for _ in 0..2 {
            assert!(attribute("consumer.id", "a").is_ok());
            assert!(attribute("route.name", "a").is_err());
            assert!(attribute("", "a").is_err());
            assert!(attribute(&"a".repeat(129), "a").is_err());
            assert!(attribute("consumer.id", &"a".repeat(8 << 10)).is_ok());
            assert!(attribute("consumer.id", &"a".repeat((8 << 10) + 1)).is_err());
        }
    }

    #[test]
    fn more_names_than_are_kept_are_still_read() {
        for index in 0..MAX_KNOWN * 2 {
            let name = format!("x-many-{index}");
            assert!(lines(&name, b"a").is_ok());
            assert_eq!(attribute(&name, "a").expect("valid").0, name);
        }
    }
}
