//! The configuration of a plugin, held against the schema that its component carries.
//!
//! Owns what becomes of a broken schema, and of each fault that a sound one finds. Must not know
//! how a schema is read, nor how a configuration is rendered.

use super::refusal::{LoadError, SpanTarget, refused};
use crate::config;
use crate::plugin::bindings::Description;
use crate::plugin::schema::{Fault, Schema};

/// Holds a configuration against the schema of its component. What is wrong with the schema is
/// its author's fault and a warning: the plugin still reads its configuration.
pub(super) fn conform(
    description: &Description,
    config: &config::Plugin,
    warnings: &mut Vec<LoadError>,
) -> Result<(), Vec<LoadError>> {
    let Ok(value) = serde_json::from_str(&config.config) else { return Ok(()) };
    let Some(schema) = Schema::read(&description.config_schema) else { return Ok(()) };
    match schema.and_then(|schema| schema.check(&value, &config.config_filled)) {
        Ok(faults) if faults.is_empty() => Ok(()),
        Ok(faults) => Err(faults.into_iter().map(LoadError::from).collect()),
        Err(why) => {
            let message = format!("the configuration schema of its component {why}");
            let note = "the plugin alone checks its configuration; the author of the component \
                        can mend the schema";
            warnings.push(LoadError { note: Some(note.into()), ..refused(message, None) });
            Ok(())
        }
    }
}

impl From<Fault> for LoadError {
    fn from(fault: Fault) -> Self {
        let Fault { pointer, at_key, message, label, note, help } = fault;
        let place =
            if at_key { SpanTarget::ConfigKey(pointer) } else { SpanTarget::Config(pointer) };
        let (label, note) = (label.map(Into::into), note.map(Into::into));
        Self { place, message, label, note, help }
    }
}
