//! Sets of changes to responses, and the status codes that they are for.
//!
//! Owns two notations that derived code cannot read with errors at their places: one set or a list of
//! them, and a code, a class or a range of codes.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::ResponseSpec;

/// One set of changes, or several.
#[derive(Debug)]
pub(crate) enum ResponseSpecs {
    One(Box<ResponseSpec>),
    Many(Vec<ResponseSpec>),
}

impl ResponseSpecs {
    /// The sets in order, each with the pointer to it.
    pub(crate) fn list(&self) -> impl Iterator<Item = (String, &ResponseSpec)> {
        let (one, many) = match self {
            Self::One(one) => (Some(("/response".to_owned(), one.as_ref())), &[][..]),
            Self::Many(many) => (None, many.as_slice()),
        };
        let many = many.iter().enumerate().map(|(at, spec)| (format!("/response/{at}"), spec));
        one.into_iter().chain(many)
    }
}

impl Default for ResponseSpecs {
    fn default() -> Self {
        Self::One(Box::default())
    }
}

impl<'de> Deserialize<'de> for ResponseSpecs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = ResponseSpecs;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a table or a list of tables")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let spec = ResponseSpec::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ResponseSpecs::One(Box::new(spec)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(ResponseSpecs::Many)
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl JsonSchema for ResponseSpecs {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("ResponseSpecs")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<ResponseSpec>();
        json_schema!({
            "anyOf": [one, { "type": "array", "minItems": 1, "items": one }],
        })
    }
}

/// Status codes, 200 to 599: `404`, `"404"`, `"4xx"` or `"500-503"`.
#[derive(Debug)]
pub(crate) struct StatusCodes(String);

impl StatusCodes {
    /// The codes. The error says what is wrong, in a sentence.
    pub(crate) fn range(&self) -> Result<RangeInclusive<u16>, String> {
        let text = self.0.as_str();
        let code = |text: &str| {
            text.parse().ok().filter(|code| text.len() == 3 && (200..=599).contains(code))
        };
        let range = match (text.as_bytes(), text.split_once('-')) {
            ([class @ b'2'..=b'5', b'x', b'x'], _) => {
                let first = u16::from(class - b'0') * 100;
                Some(first..=first + 99)
            }
            (_, Some((first, last))) => {
                code(first).zip(code(last)).map(|(first, last)| first..=last)
            }
            (_, None) => code(text).map(|code| code..=code),
        };
        range.filter(|range| !range.is_empty()).ok_or_else(|| {
            format!("`{text}` is no status code: write `404`, `\"4xx\"` or `\"500-503\"`")
        })
    }
}

impl<'de> Deserialize<'de> for StatusCodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Codes;
        impl Visitor<'_> for Codes {
            type Value = StatusCodes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a status code, a class such as \"4xx\", or \"500-503\"")
            }

            fn visit_u64<E: Error>(self, code: u64) -> Result<StatusCodes, E> {
                Ok(StatusCodes(code.to_string()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<StatusCodes, E> {
                Ok(StatusCodes(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Codes)
    }
}

impl JsonSchema for StatusCodes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("StatusCodes")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 200, "maximum": 599 },
                { "type": "string", "pattern": r"^([2-5]xx|[2-5][0-9]{2}(-[2-5][0-9]{2})?)$" },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_codes_classes_and_ranges() {
        let range = |text: &str| StatusCodes(text.to_owned()).range();
        assert_eq!(range("404"), Ok(404..=404));
        assert_eq!(range("4xx"), Ok(400..=499));
        assert_eq!(range("500-503"), Ok(500..=503));
        for text in ["", "99", "199", "600", "1xx", "6xx", "4XX", "4x", "503-500", "500-", "+404"] {
            assert!(range(text).is_err(), "{text}");
        }
    }
}
