//! `[secrets]`.
//!
//! Owns the secrets that plugins may be granted: their names, their values, and the refusal of one
//! that is written in the file itself. What is filled in is never shown.

use super::diagnostic::Diagnostic;
use super::names::Names;
use super::reader::{Reading, Table, Text};
use super::{Secret, Span};

/// The secrets of a file.
pub(super) struct Secrets {
    names: Names,
    values: Vec<Option<String>>,
    spans: Vec<Span>,
}

impl Secrets {
    /// Reads `[secrets]`. One that cannot be had keeps its name, so that no error says that it
    /// does not exist.
    pub(super) fn read(root: &Table<'_, '_>) -> Self {
        let entries = root.texts("secrets");
        let spans = entries.iter().map(|(name, _)| name.span.clone()).collect();
        let value = |(name, text): &(Text, Option<Text>)| value(root.reading, name, text.as_ref()?);
        let values = entries.iter().map(value).collect();
        let names = entries.into_iter().map(|(name, _)| Some(name)).collect();
        Self { names: Names::new(root.reading, "secret", names), values, spans }
    }

    /// The secret of a name that a plugin lists.
    pub(super) fn find(&self, reading: &Reading<'_>, name: &Text) -> Option<Secret> {
        let declaration = "`NAME = \"${env:VARIABLE}\"` under `[secrets]`";
        let found = self.names.find(reading, name, declaration)?;
        let value = self.values[found].clone()?;
        Some(Secret { name: name.value.clone(), value })
    }

    /// Warns of secrets that no plugin lists.
    pub(super) fn warn_of_unused(&self, reading: &Reading<'_>) {
        self.names.warn_of_unused(reading, "plugin", |index| self.spans[index].clone());
    }
}

fn value(reading: &Reading<'_>, name: &Text, text: &Text) -> Option<String> {
    if !text.is_secret() {
        let error = format!("the secret `{}` is written in the file itself", name.shown);
        reading.report(Diagnostic::secret(text.span.clone(), error).help(format!(
            "write `{0} = \"${{env:VARIABLE}}\"` or `{0} = \"${{file:PATH}}\"`",
            name.shown
        )));
        return None;
    }
    if text.value.is_empty() {
        let error = format!("the secret `{}` is empty", name.shown);
        reading.report(Diagnostic::error(text.span.clone(), error));
        return None;
    }
    Some(text.value.clone())
}
