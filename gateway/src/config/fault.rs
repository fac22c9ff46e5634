//! What is wrong inside a string, before anyone knows where the string is.
//!
//! Owns the step from a place in a pattern, URL or template to a place in the file, without
//! letting through what was filled in.

use std::ops::Range;

use super::diagnostic::Diagnostic;
use super::reader::{Reading, Text};

/// A fault in a string, with its place there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) place: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Fault {
    pub(super) fn new(place: Range<usize>, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Reading<'_> {
    /// Reports a fault at its place in the file.
    ///
    /// The words of a fault may quote the string. Where something was filled into it, they are
    /// replaced by a sentence that only says what the string should have been.
    pub(super) fn report_fault(&self, text: &Text, expected: &str, fault: Fault) {
        if text.is_secret() {
            let message = format!("`{}` is not {expected} once it is filled in", text.shown);
            return self.report(Diagnostic::error(text.span.clone(), message));
        }
        let error = Diagnostic::error(text.part(fault.place), fault.message);
        self.report(fault.help.into_iter().fold(error, Diagnostic::help));
    }

    /// The value of a string that parses; otherwise its fault is reported.
    pub(super) fn parsed<T>(
        &self,
        text: &Text,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        match parse(&text.value) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.report_fault(text, expected, fault);
                None
            }
        }
    }
}
