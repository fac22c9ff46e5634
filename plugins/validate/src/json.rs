//! JSON with numbers as they are written.
//!
//! Owns the reading of texts (RFC 8259), strictly: one value, no member twice, bounded depth. A reader that
//! took the first of two members and an upstream that takes the last would not mean the same.

mod number;

use std::collections::BTreeMap;

pub(crate) use number::Number;

use crate::memory::Room;

/// A value. The order is one of any kind, so that values can be sorted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

/// How deep arrays and objects may lie in each other.
pub(crate) const MAX_DEPTH: usize = 96;

/// What is wrong with a text, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) at: usize,
    pub(crate) message: &'static str,
}

/// Why a text is not read that may be right.
const NO_ROOM: &str = "the plugin's memory (`limits.memory`) has no room for more";

impl Malformed {
    /// Whether nothing is wrong with the text but that there is no memory for it.
    pub(crate) fn is_for_room(&self) -> bool {
        self.message == NO_ROOM
    }
}

impl Json {
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The value that a JSON Pointer leads to.
    pub(crate) fn pointer(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |value, token| {
            let name = token.replace("~1", "/").replace("~0", "~");
            match value {
                Self::Object(members) => members.get(&name),
                Self::Array(items) => items.get(name.parse::<usize>().ok()?),
                _ => None,
            }
        })
    }

    /// What a value takes in memory besides its text, at most: a place in a list, which grows by doubling and is moved
    /// then, or in a table that is half full.
    pub(crate) const PLACE: usize = 3 * (size_of::<String>() + size_of::<Self>());

    /// What a table takes besides its members: room for eleven from the first one on.
    pub(crate) const TABLE: usize = 12 * (size_of::<String>() + size_of::<Self>());

    /// Reads a text.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Malformed> {
        Self::parse_within(text, Room::default())
    }

    fn parse_within(text: &[u8], room: Room) -> Result<Self, Malformed> {
        let Ok(text) = str::from_utf8(text) else {
            return Err(Malformed { at: 0, message: "the text is not UTF-8" });
        };
        let mut reader = Reader { text, at: 0, room };
        reader.space();
        let value = reader.value(0)?;
        reader.space();
        if reader.at < text.len() {
            return Err(reader.fault("something follows the value"));
        }
        Ok(value)
    }
}

/// A name as a part of a JSON Pointer.
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    room: Room,
}

impl Reader<'_> {
    fn fault(&self, message: &'static str) -> Malformed {
        Malformed { at: self.at, message }
    }

    /// So many bytes are about to be taken.
    fn take(&mut self, bytes: usize) -> Result<(), Malformed> {
        if self.room.take(bytes) { Ok(()) } else { Err(self.fault(NO_ROOM)) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self, depth: usize) -> Result<Json, Malformed> {
        if depth > MAX_DEPTH {
            return Err(self.fault("arrays and objects lie too deep in each other"));
        }
        self.take(Json::PLACE)?;
        match self.peek() {
            Some(b'{') => {
                self.take(Json::TABLE)?;
                self.object(depth)
            }
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let words = [
                    ("null", Json::Null),
                    ("true", Json::Bool(true)),
                    ("false", Json::Bool(false)),
                ];
                for (word, value) in words {
                    if self.text[self.at..].starts_with(word) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.fault("a value is expected here"))
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, Malformed> {
        let mut members = BTreeMap::new();
        self.at += 1;
        self.space();
        if self.takes(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.fault("a member's name is expected here"));
            }
            let start = self.at;
            let name = self.string()?;
            self.space();
            if !self.takes(b':') {
                return Err(self.fault("`:` is expected here"));
            }
            self.space();
            let value = self.value(depth + 1)?;
            if members.insert(name, value).is_some() {
                return Err(Malformed { at: start, message: "the object has this member already" });
            }
            self.space();
            if self.takes(b'}') {
                return Ok(Json::Object(members));
            }
            if !self.takes(b',') {
                return Err(self.fault("`,` or `}` is expected here"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, Malformed> {
        let mut items = Vec::new();
        self.at += 1;
        self.space();
        if self.takes(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            self.space();
            if self.takes(b']') {
                return Ok(Json::Array(items));
            }
            if !self.takes(b',') {
                return Err(self.fault("`,` or `]` is expected here"));
            }
        }
    }

    fn string(&mut self) -> Result<String, Malformed> {
        self.at += 1;
        let mut plain = String::new();
        loop {
            let rest = &self.text[self.at..];
            let end = rest.bytes().position(|it| matches!(it, b'"' | b'\\' | 0..=0x1f));
            let Some(end) = end else { return Err(self.fault("the text does not end")) };
            // As it grows it is moved.
            self.take(2 * end)?;
            plain.push_str(&rest[..end]);
            self.at += end + 1;
            match rest.as_bytes()[end] {
                b'"' => return Ok(plain),
                b'\\' => plain.push(self.escaped()?),
                _ => return Err(self.fault("a control character is written as an escape")),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, Malformed> {
        let kind = self.peek();
        self.at += 1;
        Ok(match kind {
            Some(it @ (b'"' | b'\\' | b'/')) => char::from(it),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.fault("this is no escape")),
        })
    }

    fn unicode(&mut self) -> Result<char, Malformed> {
        let first = self.code()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or_else(|| self.fault("half a character"));
        }
        if !self.text[self.at..].starts_with("\\u") {
            return Err(self.fault("half a character"));
        }
        self.at += 2;
        let second = self.code()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(self.fault("half a character"));
        }
        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        char::from_u32(code).ok_or_else(|| self.fault("half a character"))
    }

    fn code(&mut self) -> Result<u32, Malformed> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|it| it.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += 4;
        code.ok_or(Malformed {
            at: self.at.saturating_sub(4),
            message: "four hexadecimal digits are expected here",
        })
    }

    fn number(&mut self) -> Result<Json, Malformed> {
        let rest = &self.text[self.at..];
        let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().position(|it| !is_part(it)).unwrap_or(rest.len());
        let number =
            Number::parse(&rest[..length]).ok_or_else(|| self.fault("this is no number"))?;
        self.at += length;
        Ok(Json::Number(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Json, Malformed> {
        Json::parse(text.as_bytes())
    }

    #[test]
    fn reads_what_json_is_and_nothing_else() {
        for text in
            ["null", " [1, {\"a\": [true, \"\\u00e9\\ud83d\\ude00\\n\"]}] ", "-0.5e-3", "{}", "[]"]
        {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
        }
        assert_eq!(parse("\"\\ud83d\\ude00\""), Ok(Json::Text("😀".into())));
        for text in [
            "",
            "nul",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "'a'",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "--1",
            "1 2",
            "\"\\x\"",
            "\"a",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\u00g0\"",
            "\"\t\"",
            "[1",
            "{\"a\"}",
            "{\"a\":1,\"a\":1}",
            "NaN",
            "\u{feff}1",
            "\"\\u+123\"",
            "\"\\u12",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
        let deep = |count: usize| "[".repeat(count) + &"]".repeat(count);
        assert!(parse(&deep(MAX_DEPTH)).is_ok());
        assert!(parse(&deep(100_000)).is_err());
    }

    #[test]
    fn reads_no_more_than_there_is_memory_for() {
        let within =
            |text: &str| Json::parse_within(text.as_bytes(), Room::by(|it| it < 200 << 10));
        let many = |what: &str, count: usize| format!("[{}0]", format!("{what},").repeat(count));
        assert!(within(&many("[1]", 500)).is_ok());
        for large in [many("0", 50_000), many("{}", 5_000), many("\"\\n\"", 50_000)] {
            assert!(within(&large).expect_err("it is large").is_for_room());
        }
        let long = format!("[1,\"{}\"]", "x".repeat(100 << 10));
        let found = within(&long).expect_err("it is long");
        assert_eq!((found.is_for_room(), found.at), (true, 4));
        assert!(!within("[").expect_err("it does not end").is_for_room());
    }

    #[test]
    fn pointers_lead_to_values() {
        let value = parse(r#"{"a/b": [{"~": 1}], "": 2}"#).unwrap();
        assert_eq!(value.pointer("/a~1b/0/~0"), Some(&Json::Number(Number::from(1))));
        assert_eq!(value.pointer("/"), Some(&Json::Number(Number::from(2))));
        assert_eq!(value.pointer(""), Some(&value));
        assert_eq!(
            (value.pointer("/x"), value.pointer("a"), value.pointer("/a~1b/1")),
            (None, None, None)
        );
    }
}
