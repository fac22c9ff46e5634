//! From the text of a configuration to a configured plugin, and to the schema of the text.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_path_to_error::{Path, Segment};

use crate::ConfigError;

/// The configuration of a plugin that has none: anything in it is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Reads a configuration; an error names the place.
pub(crate) fn read<C: DeserializeOwned>(text: &str) -> Result<C, ConfigError> {
    let text = if is_unit::<C>() && is_empty_object(text) { "null" } else { text };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let config = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        ConfigError::at(pointer, without_position(error.into_inner().to_string()))
    })?;
    deserializer.end().map_err(|error| ConfigError::new(error.to_string()))?;
    Ok(config)
}

/// The JSON Schema (2020-12) of a configuration; empty if there is none.
pub(crate) fn schema<C: JsonSchema>() -> String {
    if size_of::<C>() == 0 {
        return String::new();
    }
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    generator.into_root_schema_for::<C>().to_value().to_string()
}

/// Whether the type takes `null` and carries nothing, as `()`: then `{}` is as good.
fn is_unit<C: DeserializeOwned>() -> bool {
    size_of::<C>() == 0 && serde_json::from_str::<C>("null").is_ok()
}

fn is_empty_object(text: &str) -> bool {
    text.trim()
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|inside| inside.trim().is_empty())
}

/// A JSON Pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => {}
        }
    }
    pointer
}

/// The text is made by the gateway from another document: its lines and columns help nobody
/// anything.
fn without_position(mut message: String) -> String {
    if let Some(start) = message.rfind(" at line ") {
        message.truncate(start);
    }
    message
}
