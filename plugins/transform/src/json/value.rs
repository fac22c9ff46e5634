//! Values that the configuration puts into JSON bodies.
//!
//! Owns their reading (in order, any type) and their making with the values of an exchange. What
//! is constant is JSON text already when a request arrives.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::document::{Node, quoted};
use crate::config::ValueType;
use crate::template::{Direction, References, Template};
use crate::values::Values;

/// A value as it is in the configuration, its members in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ConfigValue {
    /// `null`, which only a configuration in JSON can hold.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number, as JSON text.
    Number(String),
    /// A string, whose `${...}` are filled in.
    Text(String),
    /// An array.
    Array(Vec<ConfigValue>),
    /// A table.
    Object(Vec<(String, ConfigValue)>),
}

/// A [`ConfigValue`], ready to be made.
#[derive(Debug)]
pub(crate) enum ValueTemplate {
    /// The same for every exchange: JSON text.
    Constant(String),
    /// A string, or what its text says.
    Text(Template, ValueType),
    Array(Vec<ValueTemplate>),
    /// Names as JSON text.
    Object(Vec<(String, ValueTemplate)>),
}

/// A text that was to be a number, a boolean or JSON and is not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WrongType(ValueType);

impl ValueTemplate {
    /// Prepares a value. `value_type` is what a string on the outside becomes.
    ///
    /// The error says what is wrong with the value and where inside it, as a JSON Pointer.
    pub(crate) fn parse(
        value: &ConfigValue,
        value_type: ValueType,
        direction: Direction,
        references: &mut References,
    ) -> Result<Self, (String, String)> {
        Ok(match value {
            ConfigValue::Null => Self::Constant("null".to_owned()),
            ConfigValue::Boolean(boolean) => Self::Constant(boolean.to_string()),
            ConfigValue::Number(number) => Self::Constant(number.clone()),
            ConfigValue::Text(text) => {
                let inside = |message| (String::new(), message);
                let template = Template::parse(text, direction, references).map_err(inside)?;
                match template.constant() {
                    Some(text) => Self::Constant(
                        value_type.read(text).map_err(|error| inside(error.to_string()))?,
                    ),
                    None => Self::Text(template, value_type),
                }
            }
            ConfigValue::Array(elements) => {
                let mut parsed = Vec::with_capacity(elements.len());
                for (index, element) in elements.iter().enumerate() {
                    let element = Self::parse(element, ValueType::String, direction, references);
                    parsed.push(element.map_err(|error| deeper(&index.to_string(), error))?);
                }
                Self::Array(parsed).folded()
            }
            ConfigValue::Object(members) => {
                let mut parsed = Vec::with_capacity(members.len());
                for (name, member) in members {
                    let member = Self::parse(member, ValueType::String, direction, references);
                    let member = member.map_err(|error| deeper(name, error))?;
                    parsed.push((quoted(name), member));
                }
                Self::Object(parsed).folded()
            }
        })
    }

    /// Makes the value; `None` if it leaves itself out.
    pub(crate) fn fill<'a>(&'a self, values: &Values) -> Result<Option<Node<'a>>, WrongType> {
        if let Self::Constant(text) = self {
            return Ok(Some(Node::raw(text.as_str())));
        }
        let mut out = String::new();
        Ok(self.write(values, &mut out)?.then(|| Node::raw(out)))
    }

    /// Appends the value as JSON text, unless it leaves itself out.
    fn write(&self, values: &Values, out: &mut String) -> Result<bool, WrongType> {
        match self {
            Self::Constant(text) => out.push_str(text),
            Self::Text(template, value_type) => match template.fill(values) {
                Some(text) => out.push_str(&value_type.read(&text)?),
                None => return Ok(false),
            },
            Self::Array(elements) => {
                let mut list = List::begin(out, '[');
                for element in elements {
                    list.item("", |out| element.write(values, out))?;
                }
                out.push(']');
            }
            Self::Object(members) => {
                let mut list = List::begin(out, '{');
                for (name, member) in members {
                    list.item(name, |out| member.write(values, out))?;
                }
                out.push('}');
            }
        }
        Ok(true)
    }

    /// Appends the indices of its references.
    pub(crate) fn references(&self, indices: &mut Vec<usize>) {
        match self {
            Self::Constant(_) => {}
            Self::Text(template, _) => indices.extend(template.indices()),
            Self::Array(elements) => elements.iter().for_each(|one| one.references(indices)),
            Self::Object(members) => members.iter().for_each(|(_, one)| one.references(indices)),
        }
    }

    /// One constant in place of a list of constants.
    fn folded(self) -> Self {
        let is_constant = match &self {
            Self::Array(elements) => elements.iter().all(|one| matches!(one, Self::Constant(_))),
            Self::Object(members) => {
                members.iter().all(|(_, one)| matches!(one, Self::Constant(_)))
            }
            Self::Constant(_) | Self::Text(..) => false,
        };
        let mut text = String::new();
        match is_constant.then(|| self.write(&Values::default(), &mut text)) {
            Some(Ok(true)) => Self::Constant(text),
            _ => self,
        }
    }
}

/// Writes a list whose items may leave themselves out, and their names and commas with them.
struct List<'o> {
    out: &'o mut String,
    is_empty: bool,
}

impl<'o> List<'o> {
    fn begin(out: &'o mut String, bracket: char) -> Self {
        out.push(bracket);
        Self { out, is_empty: true }
    }

    fn item(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut String) -> Result<bool, WrongType>,
    ) -> Result<(), WrongType> {
        let before = self.out.len();
        if !self.is_empty {
            self.out.push(',');
        }
        if !name.is_empty() {
            self.out.push_str(name);
            self.out.push(':');
        }
        if write(self.out)? {
            self.is_empty = false;
        } else {
            self.out.truncate(before);
        }
        Ok(())
    }
}

impl ValueType {
    /// JSON text of this type from a filled-in text.
    fn read(self, text: &str) -> Result<String, WrongType> {
        let is_right = |json: &str| match self {
            Self::Number => json.starts_with(|first: char| first == '-' || first.is_ascii_digit()),
            Self::Boolean => json == "true" || json == "false",
            Self::String | Self::Json => true,
        };
        if self == Self::String {
            return Ok(quoted(text));
        }
        match serde_json::from_str::<&serde_json::value::RawValue>(text) {
            Ok(json) if is_right(json.get()) => Ok(json.get().to_owned()),
            _ => Err(WrongType(self)),
        }
    }
}

impl fmt::Display for WrongType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.0 {
            ValueType::String => "the text is not a string",
            ValueType::Number => "the text is not a number as JSON writes it",
            ValueType::Boolean => "the text is neither `true` nor `false`",
            ValueType::Json => "the text is not JSON",
        })
    }
}

fn deeper(name: &str, (pointer, message): (String, String)) -> (String, String) {
    (format!("/{}{pointer}", name.replace('~', "~0").replace('/', "~1")), message)
}

impl<'de> Deserialize<'de> for ConfigValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = ConfigValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<ConfigValue, E> {
        Ok(ConfigValue::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<ConfigValue, E> {
        Ok(ConfigValue::Boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<ConfigValue, E> {
        Ok(ConfigValue::Number(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<ConfigValue, E> {
        Ok(ConfigValue::Number(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<ConfigValue, E> {
        match serde_json::Number::from_f64(value) {
            Some(number) => Ok(ConfigValue::Number(number.to_string())),
            None => Err(E::custom("JSON has no such number")),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<ConfigValue, E> {
        Ok(ConfigValue::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ConfigValue, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(ConfigValue::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ConfigValue, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(ConfigValue::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str, value_type: ValueType) -> Result<ValueTemplate, (String, String)> {
        let value: ConfigValue = serde_json::from_str(json).unwrap();
        let mut references = References::default();
        ValueTemplate::parse(&value, value_type, Direction::Request, &mut references)
    }

    fn made(
        json: &str,
        value_type: ValueType,
        values: &[Option<&str>],
    ) -> Result<String, WrongType> {
        let template = parse(json, value_type).unwrap();
        let values = Values::of(values.iter().map(|value| value.map(str::to_owned)).collect());
        let node = template.fill(&values)?;
        let mut out = String::new();
        if let Some(node) = node {
            node.write(&mut out);
        }
        Ok(out)
    }

    #[test]
    fn a_constant_is_text_already_and_keeps_its_order() {
        let value = r#"{"z":1,"a":[true,null,"x\"y",1.5],"e":{},"f":[]}"#;
        let template = parse(value, ValueType::String).unwrap();
        assert!(matches!(template, ValueTemplate::Constant(text) if text == value));
    }

    #[test]
    fn fills_in_strings_and_escapes_what_it_fills_in() {
        let value = r#"{"a":"<${capture.a}>","b":["${capture.b|none}"]}"#;
        let made = made(value, ValueType::String, &[Some("q\"\n\\"), None]).unwrap();
        assert_eq!(made, r#"{"a":"<q\"\n\\>","b":["none"]}"#);
    }

    #[test]
    fn leaves_members_and_elements_out_with_their_commas() {
        let value = r#"{"a":"${capture.a?}","b":1,"c":"${capture.c?}","d":["${capture.a?}","x"]}"#;
        assert_eq!(
            made(value, ValueType::String, &[None, None]).as_deref(),
            Ok(r#"{"b":1,"d":["x"]}"#)
        );
        assert_eq!(made(r#""${capture.a?}""#, ValueType::String, &[None]).as_deref(), Ok(""));
    }

    #[test]
    fn makes_numbers_booleans_and_json_of_text_and_refuses_what_they_are_not() {
        let text = r#""${capture.a}""#;
        let made = |value_type, value| made(text, value_type, &[Some(value)]);
        assert_eq!(
            made(ValueType::Number, "123456789012345678901").as_deref(),
            Ok("123456789012345678901")
        );
        assert_eq!(made(ValueType::Boolean, "true").as_deref(), Ok("true"));
        assert_eq!(made(ValueType::Json, "[1, null]").as_deref(), Ok("[1, null]"));
        for (value_type, value) in [
            (ValueType::Number, "1,\"admin\":true"),
            (ValueType::Number, "\"1\""),
            (ValueType::Number, ""),
            (ValueType::Number, "01"),
            (ValueType::Boolean, "yes"),
            (ValueType::Json, "{"),
        ] {
            assert_eq!(made(value_type, value), Err(WrongType(value_type)), "{value}");
        }
    }

    #[test]
    fn says_where_inside_a_value_the_fault_is() {
        let (pointer, message) =
            parse(r#"{"a/b":["x","${nothing}"]}"#, ValueType::String).unwrap_err();
        assert_eq!(pointer, "/a~1b/1");
        assert!(message.contains("is not known"), "{message}");
        let (_, message) = parse(r#""12x""#, ValueType::Number).unwrap_err();
        assert!(message.contains("not a number"), "{message}");
    }
}
