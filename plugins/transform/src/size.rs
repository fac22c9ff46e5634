//! Sizes as people write them.

use std::borrow::Cow;
use std::fmt;

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Visitor};

/// A number of bytes, at least 1: `4096` or `"4KiB"`, `"1MiB"`, `"16KB"`. The default is 1 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let unit = match text[end..].trim_start() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "KB" | "kB" => 1_000,
            "MB" => 1_000_000,
            _ => return None,
        };
        let number: u64 = text[..end].parse().ok()?;
        number.checked_mul(unit).filter(|bytes| *bytes > 0).map(Self)
    }
}

impl Default for Size {
    fn default() -> Self {
        Self(1 << 20)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SizeVisitor;
        impl Visitor<'_> for SizeVisitor {
            type Value = Size;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number of bytes, at least 1, or a size such as \"1MiB\"")
            }

            fn visit_u64<E: Error>(self, bytes: u64) -> Result<Size, E> {
                if bytes == 0 {
                    return Err(E::invalid_value(serde::de::Unexpected::Unsigned(0), &self));
                }
                Ok(Size(bytes))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
                Size::parse(text)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Size")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "string", "pattern": r"^0*[1-9][0-9]*\s*(B|KiB|MiB|KB|kB|MB)?$" },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_units() {
        for (json, bytes) in
            [("7", 7), ("\"7\"", 7), ("\"4KiB\"", 4096), ("\"2 MiB\"", 2 << 20), ("\"3kB\"", 3000)]
        {
            assert_eq!(serde_json::from_str::<Size>(json).unwrap(), Size(bytes), "{json}");
        }
        for json in
            ["0", "-1", "\"0KiB\"", "\"KiB\"", "\"4 kilo\"", "\"99999999999999999999\"", "1.5"]
        {
            assert!(serde_json::from_str::<Size>(json).is_err(), "{json}");
        }
    }
}
