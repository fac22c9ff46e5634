//! The JSON Schema (2020-12) that a component gives for its configuration, and a configuration
//! against it.
//!
//! Owns what a schema may say and the errors for a configuration that breaks it. A schema is written
//! by the author of the component, who may be careless or hostile: its size, its depth and the work
//! of a check are bounded, its patterns run in linear time, and nothing outside of it is looked up.
//! What this room does not know in a schema (`format`, `contains`, `dependentSchemas`,
//! `unevaluatedItems`, patterns with look-around) it does not check: the plugin itself still reads
//! its configuration afterwards. Must not know where a value is in a file, nor show one that
//! was filled in.

mod check;
mod embed;
mod messages;
mod peek;
mod sample;
mod soundness;
mod variants;

use std::collections::BTreeSet;

use serde_json::Value;

pub(crate) use embed::embedded;
pub(super) use messages::Fault;
pub(in crate::plugin) use sample::Variant;

/// Bytes of a schema, at most. Those of the first-party plugins have 3 to 12 thousand.
const MAX_TEXT: usize = 256 << 10;

/// Findings that are reported for one configuration, at most.
const MAX_FAULTS: usize = 50;

/// A schema that can be used.
#[derive(Debug, Clone)]
pub(super) struct Schema(Value);

impl Schema {
    /// Reads what `describe` returned; `None` if it is empty. The error is half a sentence about
    /// the schema.
    pub(super) fn read(text: &str) -> Option<Result<Self, String>> {
        if text.trim().is_empty() {
            return None;
        }
        Some(Self::parse(text))
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEXT {
            let (bytes, most) = (text.len(), MAX_TEXT >> 10);
            return Err(format!("is too large: {bytes} bytes, of at most {most} KiB"));
        }
        let schema: Value =
            serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
        soundness::check(&schema).map_err(|why| format!("is not valid: {why}"))?;
        Ok(Self(schema))
    }

    /// The schema itself.
    pub(super) fn into_value(self) -> Value {
        self.0
    }

    /// All that is wrong with a configuration. `filled` holds the JSON Pointers of the texts in
    /// which something was filled in. The error is half a sentence about the schema.
    pub(super) fn check(
        &self,
        config: &Value,
        filled: &BTreeSet<String>,
    ) -> Result<Vec<Fault>, String> {
        let mut faults = check::faults(&self.0, config, filled)
            .map_err(|check::Exhausted| "takes too much work to check".to_owned())?;
        let mut told = BTreeSet::new();
        faults.retain(|fault| told.insert((fault.pointer.clone(), fault.message.clone())));
        faults.truncate(MAX_FAULTS);
        Ok(faults)
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
