//! What the body of a request tells, where keys need it.
//!
//! Owns when a body is read, and finding values in it. The body is read past as a stream of JSON: nothing of it is
//! built but the values that are asked for. Must not know keys or limits.

use std::fmt;

use gateway_plugin_sdk::prelude::{Body, Interest, Request};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Longer pointers are a mistake.
const DEEPEST: usize = 16;

/// A JSON Pointer (RFC 6901) to something inside a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer {
    text: String,
    tokens: Vec<String>,
}

/// What is known of the body of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// There is none that can be read: none at all, one of another type, or with a coding.
    None,
    /// It says that it is longer than what is read.
    TooLarge,
    /// The values that were looked for, by the text of their pointers.
    Found(Vec<(String, Vec<u8>)>),
}

impl Pointer {
    /// Reads a pointer. The error says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!(
                "`{text}` is not a JSON Pointer: it begins with `/`, as in `json:/model`"
            ));
        };
        let token = |token: &str| {
            let rest = token.replace("~0", "").replace("~1", "");
            (!rest.contains('~')).then(|| token.replace("~1", "/").replace("~0", "~"))
        };
        let tokens: Option<Vec<String>> = path.split('/').map(token).collect();
        match tokens {
            None => Err(format!("`{text}`: a `~` in a JSON Pointer is written `~0`, a `/` `~1`")),
            Some(tokens) if tokens.len() > DEEPEST => {
                Err(format!("`{text}` is too deep: at most {DEEPEST} steps"))
            }
            Some(tokens) => Ok(Self { text: text.to_owned(), tokens }),
        }
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl Content {
    /// Asks for what says whether there is a body to be read.
    pub(crate) fn declare(interest: Interest) -> Interest {
        let names = ["content-type", "content-length", "content-encoding"];
        names.into_iter().fold(interest, Interest::header).attribute("request.has-body")
    }

    /// What the head of a request says about its body, if it says that there is nothing to be read.
    pub(crate) fn of_head(request: &Request, max_body: u64) -> Option<Self> {
        let has_body = request.attribute("request.has-body") != Some("false");
        let is_json = request.header_values("content-type").into_iter().any(is_json);
        if !has_body || !is_json || request.header("content-encoding").is_some() {
            return Some(Self::None);
        }
        let length = request.header("content-length").and_then(|text| text.parse::<u64>().ok());
        length.is_some_and(|length| length > max_body).then_some(Self::TooLarge)
    }

    /// Looks for values in a body. One that is not JSON as a whole has none.
    pub(crate) fn of_body<'a>(body: &Body, pointers: impl Iterator<Item = &'a Pointer>) -> Self {
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        for pointer in pointers {
            if found.iter().all(|(text, _)| *text != pointer.text)
                && let Some(value) = look(body.bytes(), &pointer.tokens)
            {
                found.push((pointer.text.clone(), value.into_bytes()));
            }
        }
        Self::Found(found)
    }

    /// The value that a pointer leads to.
    pub(crate) fn value(&self, pointer: &Pointer) -> Option<&[u8]> {
        let Self::Found(found) = self else { return None };
        found.iter().find(|(text, _)| *text == pointer.text).map(|(_, value)| value.as_slice())
    }
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

fn look(bytes: &[u8], tokens: &[String]) -> Option<String> {
    let mut document = serde_json::Deserializer::from_slice(bytes);
    let found = Step(tokens).deserialize(&mut document).ok()?;
    document.end().ok()?;
    found
}

/// The way that is left to a value.
#[derive(Clone, Copy)]
struct Step<'a>(&'a [String]);

impl Step<'_> {
    /// A value is at the end of the way only.
    fn end<E>(self, value: impl FnOnce() -> String) -> Result<Option<String>, E> {
        Ok(self.0.is_empty().then(value))
    }
}

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        self.end(|| value.to_string())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        self.end(|| value.to_string())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        self.end(|| value.to_string())
    }

    /// `1.0` and `1e0` are `1`: other ways to write a number are no way around its limit.
    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        self.end(|| value.to_string())
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        self.end(|| value.to_owned())
    }

    /// Of members with the same name the last counts, as most parsers have it.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.0.split_first() {
                Some((token, rest)) if *token == *name => {
                    found = map.next_value_seed(Step(rest))?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let wanted = self.0.split_first().and_then(|(token, rest)| Some((index(token)?, rest)));
        let mut found = None;
        for at in 0_usize.. {
            match wanted {
                Some((index, rest)) if index == at => {
                    match elements.next_element_seed(Step(rest))? {
                        Some(value) => found = value,
                        None => break,
                    }
                }
                _ if elements.next_element::<IgnoredAny>()?.is_none() => break,
                _ => {}
            }
        }
        Ok(found)
    }
}

/// The index of RFC 6901 section 4: digits without a leading zero.
fn index(token: &str) -> Option<usize> {
    let is_index = token == "0" || !token.starts_with(['0', '+']);
    is_index.then(|| token.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pointer: &str, json: &str) -> Option<String> {
        look(json.as_bytes(), &Pointer::parse(pointer).expect("a pointer").tokens)
    }

    #[test]
    fn finds_texts_numbers_and_truth_wherever_they_are() {
        let json = r#"{"a":[{"b~/":"x"},7],"b":{"c":true,"d":null},"é\u0041":-1}"#;
        assert_eq!(at("/a/0/b~0~1", json).as_deref(), Some("x"));
        assert_eq!(at("/a/1", json).as_deref(), Some("7"));
        assert_eq!(at("/b/c", json).as_deref(), Some("true"));
        assert_eq!(at("/éA", json).as_deref(), Some("-1"));
        for nothing in ["/b/d", "/b", "/a", "/a/2", "/a/01", "/a/+1", "/c", "/a/0/b~0~1/x", "/"] {
            assert_eq!(at(nothing, json), None, "{nothing}");
        }
    }

    #[test]
    fn takes_other_ways_to_write_a_value_for_the_same() {
        for same in ["1", "1.0", "1e0", "10E-1", "\"1\"", "\"\\u0031\""] {
            assert_eq!(
                at("/a", &format!("{{\"\\u0061\":{same}}}")).as_deref(),
                Some("1"),
                "{same}"
            );
        }
        assert_eq!(at("/a", r#"{"a":1,"a":2}"#).as_deref(), Some("2"));
        assert_eq!(at("/a", r#"{"a":1,"a":null}"#), None);
    }

    #[test]
    fn finds_nothing_in_what_is_not_json_as_a_whole() {
        for broken in ["", "{", r#"{"a":1"#, r#"{"a":1} x"#, r#"{"a":1,}"#, "a=1", "\"a\""] {
            assert_eq!(at("/a", broken), None, "{broken}");
        }
        let deep = format!("{{\"b\":{}1{},\"a\":1}}", "[".repeat(5_000), "]".repeat(5_000));
        assert_eq!(at("/a", &deep).as_deref(), Some("1"), "what is read past may be deep");
    }
}
