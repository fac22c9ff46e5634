//! Why a plugin is refused.
//!
//! Owns the form of a refusal, and where in the configuration its cause stands. Must not know what
//! is checked, nor how a configuration is rendered.

use crate::plugin::Failure;

/// Why a plugin cannot be loaded, and where that stands in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadError {
    /// Where.
    pub(crate) place: Place,
    /// What is wrong.
    pub(crate) message: String,
    /// What the caret says.
    pub(crate) label: Option<Box<str>>,
    /// A fact that helps to understand.
    pub(crate) note: Option<Box<str>>,
    /// What would mend it.
    pub(crate) help: Option<String>,
}

/// A place in a plugin's table in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `component`
    Component,
    /// A value: a JSON Pointer into `config`.
    Config(String),
    /// The key of a value: the pointer to the value.
    ConfigKey(String),
}

/// The component itself is the cause.
pub(super) fn refused(message: String, help: Option<String>) -> LoadError {
    LoadError { place: Place::Component, message, label: None, note: None, help }
}

/// It ran, and failed.
pub(super) fn failed(failure: &Failure) -> LoadError {
    refused(format!("it failed before its first request: {failure}"), None)
}
