//! Why a plugin is refused.
//!
//! Owns the form of a refusal, and where in the configuration its cause stands. Must not know what
//! is checked, nor how a configuration is rendered.

use crate::plugin::Failure;

/// Why a plugin cannot be loaded, and where that is in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadError {
    /// Where.
    pub(crate) place: SpanTarget,
    /// What is wrong.
    pub(crate) message: String,
    /// What the caret says.
    pub(crate) label: Option<Box<str>>,
    /// A fact that helps to understand.
    pub(crate) note: Option<Box<str>>,
    /// What would fix it.
    pub(crate) help: Option<String>,
}

/// A place in a plugin's table in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanTarget {
    /// `component`
    Component,
    /// A value: a JSON Pointer into `config`.
    Config(String),
    /// The key of a value: the pointer to the value.
    ConfigKey(String),
}

/// Refusals of one plugin that are reported, and bytes of each.
const MAX_TOLD: usize = 20;
const MAX_MESSAGE: usize = 2 << 10;

/// As many as anybody reads: a plugin may have thousands to say.
pub(super) fn few(mut errors: Vec<LoadError>) -> Vec<LoadError> {
    let more = errors.len().saturating_sub(MAX_TOLD);
    errors.truncate(MAX_TOLD);
    for error in &mut errors {
        if error.message.len() > MAX_MESSAGE {
            error.message.truncate(error.message.floor_char_boundary(MAX_MESSAGE));
            error.message.push_str("...");
        }
    }
    if more > 0 {
        errors.push(refused(format!("and {more} more errors in its configuration"), None));
    }
    errors
}

/// The component itself is the cause.
pub(super) fn refused(message: String, help: Option<String>) -> LoadError {
    LoadError { place: SpanTarget::Component, message, label: None, note: None, help }
}

/// It ran, and failed.
pub(super) fn failed(failure: &Failure) -> LoadError {
    let told = format!("it failed before its first request: {failure}");
    let (message, trace) = told.split_once('\n').unwrap_or((&told, ""));
    let trace: Vec<_> = trace.lines().map(str::trim_end).collect();
    let note = (!trace.is_empty()).then(|| trace.join("\n").into());
    LoadError { note, ..refused(message.to_owned(), None) }
}
