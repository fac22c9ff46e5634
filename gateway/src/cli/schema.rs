//! `gateway schema`: the JSON Schema of the configuration, for editors.
//!
//! Owns what is said when the schema of a plugin cannot be had: the rest is printed nevertheless.

use std::path::Path;

use super::prepare::prepare;
use super::{LogFormat, Refused, print, report};

/// Prints the schema, with those of the plugins that a file names.
pub(super) fn schema(file: Option<&Path>, format: LogFormat) -> Result<(), Refused> {
    let prepared = file.map(prepare).transpose().map_err(|refusal| {
        report(&refusal.text(), format);
        Refused
    })?;
    let plugins = prepared.as_ref().map_or(&[][..], |prepared| &prepared.config.plugins);
    let (document, omissions) = gateway::schema(plugins);
    for omission in omissions {
        tracing::warn!(component = omission.component, "left out of the schema: {}", omission.why);
    }
    print(&format!("{document:#}\n"));
    Ok(())
}
