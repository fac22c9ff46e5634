//! Reads JSON that others wrote and signed.
//!
//! Owns one rule that the usual reader lacks: an object that names a member twice is refused
//! (RFC 7519 section 4, RFC 8725 section 2.4), since two readers could take different ones.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

/// Reads an object without duplicate members, at any depth.
pub fn object(text: &[u8]) -> Option<Map<String, Value>> {
    read(text).ok()?
}

/// As [`object`]; `None` for another value.
///
/// # Errors
/// Where it stops being JSON, or has a member twice.
pub fn read(text: &[u8]) -> Result<Option<Map<String, Value>>, serde_json::Error> {
    Ok(match serde_json::from_slice(text)? {
        Unambiguous(Value::Object(members)) => Some(members),
        Unambiguous(_) => None,
    })
}

/// The part of a document that a claim's name points to: a member of the outermost object, or
/// what a JSON Pointer finds if the name begins with `/`.
pub fn claim<'v>(members: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    let Some(path) = name.strip_prefix('/') else {
        return members.get(name);
    };
    let (first, rest) = match path.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let value = members.get(&first.replace("~1", "/").replace("~0", "~"))?;
    match rest {
        // `pointer` wants the slash in front.
        Some(_) => value.pointer(&path[first.len()..]),
        None => Some(value),
    }
}

/// A value in which no object names a member twice.
struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnambiguousVisitor).map(Self)
    }
}

struct UnambiguousVisitor;

impl<'de> Visitor<'de> for UnambiguousVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unambiguous(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Unambiguous(value))) = members.next_entry::<String, _>()? {
            match object.entry(name) {
                Entry::Vacant(new) => _ = new.insert(value),
                Entry::Occupied(known) => {
                    let name: String = known.key().chars().take(64).collect();
                    return Err(de::Error::custom(format!("the member `{name}` is named twice")));
                }
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refuses_an_object_that_names_a_member_twice() {
        assert!(object(br#"{"a":1,"b":{"c":[{"d":null}]}}"#).is_some());
        assert!(object(br#"{"a":1,"a":1}"#).is_none());
        assert!(object(br#"{"a":1,"\u0061":2}"#).is_none());
        assert!(object(br#"{"b":[{"c":1,"c":2}]}"#).is_none());
    }

    #[test]
    fn refuses_what_is_no_object() {
        for text in ["", "[]", "1", "\"a\"", "{} {}", "{\"a\":1", "\u{feff}{}", "{\"a\":1e999}"] {
            assert!(object(text.as_bytes()).is_none(), "{text}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_none());
        let deep = format!("{}{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
        assert!(object(deep.as_bytes()).is_none());
    }

    #[test]
    fn finds_claims_by_name_and_by_pointer() {
        let document = json!({
            "sub": "s", "a/b": 1, "realm": { "roles": ["x", "y"] }, "https://e.org/plan": "pro",
        });
        let members = document.as_object().unwrap();
        assert_eq!(claim(members, "sub"), Some(&json!("s")));
        assert_eq!(claim(members, "/sub"), Some(&json!("s")));
        assert_eq!(claim(members, "/a~1b"), Some(&json!(1)));
        assert_eq!(claim(members, "/realm/roles/1"), Some(&json!("y")));
        assert_eq!(claim(members, "https://e.org/plan"), Some(&json!("pro")));
        assert_eq!(claim(members, "/realm/none"), None);
        assert_eq!(claim(members, "none"), None);
    }
}
