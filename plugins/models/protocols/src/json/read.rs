//! The reader. A value is a slice of the text; members and elements are found by skipping.

use std::borrow::Cow;
use std::ops::Range;

use super::grammar::{DEPTH, next_item, space, string, unescape, value};

/// Why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The offset of the byte at which it stops being JSON.
    pub at: usize,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not JSON at byte {}", self.at)
    }
}

impl std::error::Error for Fault {}

/// A value as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The value that is the whole of `text` but white space around it.
    pub fn parse(text: &'a [u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(text).map_err(|error| Fault { at: error.valid_up_to() })?;
        let bytes = text.as_bytes();
        let start = space(bytes, 0);
        let end = value(bytes, start, DEPTH).map_err(|at| Fault { at })?;
        match space(bytes, end) == bytes.len() {
            true => Ok(Self(&text[start..end])),
            false => Err(Fault { at: space(bytes, end) }),
        }
    }

    /// The value without a check of its grammar, for reading single members of it in one pass:
    /// what is not JSON there has no members from that place on.
    pub fn unchecked(text: &'a [u8]) -> Option<Self> {
        std::str::from_utf8(text).ok().map(|text| Self(text.trim_ascii()))
    }

    /// The value that is the whole of `text`, which was checked.
    pub(crate) fn of_value(text: &'a str) -> Self {
        Self(text)
    }

    /// The members of these names, found in one pass; of several of one name the last.
    pub fn fields<const N: usize>(self, names: [&str; N]) -> [Option<Raw<'a>>; N] {
        let mut found = [None; N];
        for (key, value) in self.members() {
            if let Some(at) = names.iter().position(|name| key.is(name)) {
                found[at] = Some(value).filter(|value| !value.is_null());
            }
        }
        found
    }

    /// The text.
    pub fn text(self) -> &'a str {
        self.0
    }

    /// Where it lies in `body`, of which it must be a part.
    pub fn range_in(self, body: &[u8]) -> Range<usize> {
        let start = (self.0.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        start..start + self.0.len()
    }

    fn first(self) -> u8 {
        self.0.as_bytes().first().copied().unwrap_or(b'n')
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.first() == b'n'
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.first() == b'{'
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.first() == b'['
    }

    /// Whether it is a string.
    pub fn is_string(self) -> bool {
        self.first() == b'"'
    }

    /// The truth value.
    pub fn bool(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A whole number that is not negative; `12.0` counts as one.
    pub fn u64(self) -> Option<u64> {
        let (digits, rest) = self.0.split_once('.').unwrap_or((self.0, ""));
        rest.bytes().all(|byte| byte == b'0').then(|| digits.parse().ok())?
    }

    /// A whole number; `-1.0` counts as one.
    pub fn i64(self) -> Option<i64> {
        let (digits, rest) = self.0.split_once('.').unwrap_or((self.0, ""));
        rest.bytes().all(|byte| byte == b'0').then(|| digits.parse().ok())?
    }

    /// The text between the quotes of a string, with its escapes.
    pub fn escaped(self) -> Option<&'a str> {
        self.is_string().then(|| &self.0[1..self.0.len() - 1])
    }

    /// The text that a string stands for. Half of a surrogate pair becomes U+FFFD.
    pub fn str(self) -> Option<Cow<'a, str>> {
        self.escaped().map(Self::of_name)
    }

    /// The name that is written so between its quotes.
    pub(crate) fn of_name(escaped: &str) -> Cow<'_, str> {
        match escaped.contains('\\') {
            false => Cow::Borrowed(escaped),
            true => Cow::Owned(unescape(escaped)),
        }
    }

    /// Whether it is the string `text`.
    pub fn is(self, text: &str) -> bool {
        match self.escaped() {
            Some(inner) if inner == text => true,
            // An escape makes the text longer, and most names differ from the start.
            Some(inner) => {
                inner.len() > text.len() && inner.contains('\\') && unescape(inner) == text
            }
            None => false,
        }
    }

    /// The members of an object; none for another value.
    pub fn members(self) -> Members<'a> {
        let rest = if self.is_object() { self.0 } else { "" };
        Members { text: rest, at: 1 }
    }

    /// The elements of an array; none for another value.
    pub fn elements(self) -> Elements<'a> {
        let rest = if self.is_array() { self.0 } else { "" };
        Elements { text: rest, at: 1 }
    }

    /// The member of that name. Of several the last, as most parsers have it.
    pub fn get(self, name: &str) -> Option<Raw<'a>> {
        self.members().filter(|(key, _)| key.is(name)).last().map(|(_, value)| value)
    }

    /// The member of that name unless it is `null`.
    pub fn some(self, name: &str) -> Option<Raw<'a>> {
        self.get(name).filter(|value| !value.is_null())
    }

    /// The text of the string member of that name.
    pub fn text_of(self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.str()
    }

    /// The whole number of the member of that name.
    pub fn u64_of(self, name: &str) -> Option<u64> {
        self.get(name)?.u64()
    }
}

/// The members of an object in the order of the text.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Raw<'a>, Raw<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        let key = next_item(bytes, self.at)?;
        let key_end = string(bytes, key).ok()?;
        let start = space(bytes, space(bytes, key_end) + 1);
        let end = value(bytes, start, DEPTH).ok()?;
        self.at = end;
        Some((Raw(&self.text[key..key_end]), Raw(&self.text[start..end])))
    }
}

/// The elements of an array in the order of the text.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        let start = next_item(bytes, self.at)?;
        let end = value(bytes, start, DEPTH).ok()?;
        self.at = end;
        Some(Raw(&self.text[start..end]))
    }
}
