//! The reader. A value is a slice of the text; members and elements are found by skipping.

use std::borrow::Cow;
use std::ops::Range;

/// How deep values may lie in each other.
const DEPTH: u8 = 128;

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
        let inner = self.escaped()?;
        match inner.contains('\\') {
            false => Some(Cow::Borrowed(inner)),
            true => Some(Cow::Owned(unescape(inner))),
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

/// Where the next item of a well-formed object or array begins.
fn next_item(bytes: &[u8], at: usize) -> Option<usize> {
    let at = space(bytes, at);
    match bytes.get(at)? {
        b'}' | b']' => None,
        b',' => Some(space(bytes, at + 1)),
        _ => Some(at),
    }
}

/// The offset of the first byte from `at` on that is not white space.
pub(crate) fn space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The end of the value that begins at `at`, or where it is at fault.
fn value(bytes: &[u8], at: usize, depth: u8) -> Result<usize, usize> {
    let depth = depth.checked_sub(1).ok_or(at)?;
    let word = |text: &[u8]| match bytes[at..].starts_with(text) {
        true => Ok(at + text.len()),
        false => Err(at),
    };
    match bytes.get(at) {
        Some(b'"') => string(bytes, at),
        Some(b'{') => items(bytes, at, b'}', depth),
        Some(b'[') => items(bytes, at, b']', depth),
        Some(b't') => word(b"true"),
        Some(b'f') => word(b"false"),
        Some(b'n') => word(b"null"),
        _ => number(bytes, at),
    }
}

fn items(bytes: &[u8], at: usize, close: u8, depth: u8) -> Result<usize, usize> {
    let mut at = space(bytes, at + 1);
    if bytes.get(at) == Some(&close) {
        return Ok(at + 1);
    }
    loop {
        if close == b'}' {
            at = space(bytes, string(bytes, at)?);
            if bytes.get(at) != Some(&b':') {
                return Err(at);
            }
            at = space(bytes, at + 1);
        }
        at = space(bytes, value(bytes, at, depth)?);
        match bytes.get(at) {
            Some(b',') => at = space(bytes, at + 1),
            Some(byte) if *byte == close => return Ok(at + 1),
            _ => return Err(at),
        }
    }
}

fn number(bytes: &[u8], mut at: usize) -> Result<usize, usize> {
    let digits = |mut at: usize| {
        let start = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        if at > start { Ok(at) } else { Err(at) }
    };
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match bytes.get(at) {
        Some(b'0') => at + 1,
        _ => digits(at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = digits(at)?;
    }
    Ok(at)
}

/// The end of the string whose quote is at `at`, or where it is at fault.
pub(crate) fn string(bytes: &[u8], at: usize) -> Result<usize, usize> {
    if bytes.get(at) != Some(&b'"') {
        return Err(at);
    }
    let mut at = at + 1;
    loop {
        at = plain(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => match bytes.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                Some(b'u') => {
                    let digits = bytes.get(at + 2..at + 6).ok_or(at)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return Err(at);
                    }
                    at += 6;
                }
                _ => return Err(at),
            },
            _ => return Err(at),
        }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// The offset of the next quote, backslash or control character, eight bytes a step.
fn plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = zero(word ^ (ONES * 0x22));
        let slash = zero(word ^ (ONES * 0x5c));
        let hit = (control | quote | slash) & (ONES * 0x80);
        if hit != 0 {
            return at + hit.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(byte) = bytes.get(at) {
        if *byte < 0x20 || *byte == b'"' || *byte == b'\\' {
            break;
        }
        at += 1;
    }
    at
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = |at: usize| u32::from_str_radix(rest.get(at..at + 4)?, 16).ok();
        let mut taken = at + 2;
        match rest.as_bytes().get(at + 1) {
            Some(b'b') => out.push('\u{8}'),
            Some(b'f') => out.push('\u{c}'),
            Some(b'n') => out.push('\n'),
            Some(b'r') => out.push('\r'),
            Some(b't') => out.push('\t'),
            Some(b'u') => {
                let mut unit = code(at + 2).unwrap_or(0xfffd);
                taken += 4;
                let low = code(at + 8).filter(|_| rest[at + 6..].starts_with("\\u"));
                if let (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) = (unit, low) {
                    unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                    taken += 6;
                }
                out.push(char::from_u32(unit).unwrap_or('\u{fffd}'));
            }
            Some(other) => out.push(char::from(*other)),
            None => taken = rest.len(),
        }
        rest = &rest[taken..];
    }
    out + rest
}

/// Gives each member of a text, at any depth, without a check of the rest of the grammar: its
/// name as written and its value from the first byte on. For a string value also its length.
pub(crate) fn scan<'a>(text: &'a [u8], mut each: impl FnMut(&'a [u8], &'a [u8], Option<usize>)) {
    let mut at = 0;
    while let Some(quote) = memchr::memchr(b'"', &text[at..]) {
        let start = at + quote;
        let Ok(end) = string(text, start) else { return };
        at = end;
        if text.get(space(text, end)) != Some(&b':') {
            continue;
        }
        let first = space(text, space(text, end) + 1);
        let length = match text.get(first) {
            Some(b'"') => {
                let Ok(after) = string(text, first) else { return };
                at = after;
                Some(after - first - 2)
            }
            _ => None,
        };
        each(&text[start + 1..end - 1], &text[first.min(text.len())..], length);
    }
}
