//! Typed reading of the TOML tree that continues after an error.
//!
//! Owns the step from TOML values to Rust values under the declared keys, and the list of what was
//! wrong. It must not know what any key is for.

mod table;
mod text;

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeInteger, DeValue};

pub(super) use table::Table;
pub(super) use text::Text;

use super::diagnostic::{Diagnostic, Severity};
use super::fill::{self, Notation, Sources};
use super::syntax::{Broken, Doubtful};
use super::{Source, Span};

/// A TOML value with its place.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// The context of reading, and the errors so far.
pub(super) struct Reading<'a> {
    pub(super) source: &'a Source,
    pub(super) sources: Sources<'a>,
    findings: RefCell<Vec<Finding>>,
    secrets: RefCell<Vec<(String, String)>>,
    files: RefCell<Vec<PathBuf>>,
}

struct Finding {
    diagnostic: Diagnostic,
    /// Whether it is about something missing, which a broken text may only seem to lack.
    absence: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        source: &'a Source,
        environment: &'a dyn Fn(&str) -> Option<OsString>,
    ) -> Self {
        Self {
            source,
            sources: Sources { environment, folder: source.folder() },
            findings: RefCell::default(),
            secrets: RefCell::default(),
            files: RefCell::default(),
        }
    }

    /// Notes a file that the configuration is made of, whether or not it can be read.
    pub(super) fn reads(&self, path: &Path) {
        let mut files = self.files.borrow_mut();
        if files.iter().all(|known| known != path) {
            files.push(path.to_owned());
        }
    }

    /// The files that were noted.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.files.borrow().clone()
    }

    /// Notes something wrong that is there.
    pub(super) fn report(&self, diagnostic: Diagnostic) {
        self.findings.borrow_mut().push(Finding { diagnostic, absence: false });
    }

    /// Notes something that is missing, not used or not found.
    pub(super) fn report_absence(&self, diagnostic: Diagnostic) {
        self.findings.borrow_mut().push(Finding { diagnostic, absence: true });
    }

    /// A value as messages may show it, when only the value is left of a string.
    pub(super) fn shown(&self, value: &str) -> String {
        let secrets = self.secrets.borrow();
        secrets.iter().fold(value.to_owned(), |shown, (secret, placeholder)| match &**secret {
            "" => shown,
            secret => shown.replace(secret, placeholder),
        })
    }

    /// Whether an error was noted.
    pub(super) fn failed(&self) -> bool {
        self.errors() > 0
    }

    /// How many errors were noted so far.
    pub(super) fn errors(&self) -> usize {
        let is_error = |it: &&Finding| it.diagnostic.severity == Severity::Error;
        self.findings.borrow().iter().filter(is_error).count()
    }

    /// The first error behind so many others, in words.
    pub(super) fn errors_from(&self, before: usize) -> Option<String> {
        let findings = self.findings.borrow();
        let is_error = |it: &&Finding| it.diagnostic.severity == Severity::Error;
        findings.iter().filter(is_error).nth(before).map(|it| it.diagnostic.message.clone())
    }

    /// What was found, and what was filled in.
    ///
    /// Where the text itself is broken, what seems to be missing may be where it is, and what else
    /// is wrong in a broken line is its consequence: neither is reported.
    pub(super) fn finish(
        self,
        broken: Broken,
        doubtful: &Doubtful,
    ) -> (Vec<Diagnostic>, Vec<(String, String)>) {
        let line = |diagnostic: &Diagnostic| {
            diagnostic.span.as_ref().map(|span| self.source.position(span.start).line)
        };
        let lines: Vec<_> = broken.errors.iter().map(line).collect();
        let consequence = |finding: &Finding| {
            let behind =
                finding.diagnostic.span.as_ref().is_some_and(|span| span.end > broken.sound);
            let is_missing = finding.absence && !doubtful.lacks(&finding.diagnostic);
            behind || is_missing || lines.contains(&line(&finding.diagnostic))
        };
        let mut told = broken.errors;
        let findings = self.findings.into_inner().into_iter();
        let findings: Vec<_> =
            findings.filter(|finding| lines.is_empty() || !consequence(finding)).collect();
        told.extend(findings.into_iter().map(|finding| finding.diagnostic));
        (told, self.secrets.into_inner())
    }

    /// A string with its placeholders filled in; anything else is an error.
    pub(super) fn text(&self, value: &Value<'_>, what: &str) -> Option<Text> {
        match value.get_ref() {
            DeValue::String(text) => self.fill(text, value.span(), Notation::Gateway),
            _ => {
                self.report(self.wrong_type(value, what, "a string"));
                None
            }
        }
    }

    /// Fills in a string that is at this place.
    pub(super) fn fill(&self, text: &str, span: Span, notation: Notation) -> Option<Text> {
        let written = Text::new(self.source, text, span);
        for file in fill::files(text) {
            self.reads(&self.sources.folder.join(file));
        }
        match fill::fill(text, &self.sources, notation) {
            Ok(filled) => {
                self.secrets.borrow_mut().extend(filled.secrets);
                Some(written.filled_with(filled.value))
            }
            Err(errors) => {
                for error in errors {
                    let diagnostic = Diagnostic::error(written.part(error.place), error.message);
                    self.report(error.help.into_iter().fold(diagnostic, Diagnostic::help));
                }
                None
            }
        }
    }

    /// The elements of an array; anything else is an error, with the array that was meant.
    pub(super) fn array<'v>(&self, value: &'v Value<'a>, what: &str) -> Option<&'v [Value<'a>]> {
        match value.get_ref() {
            DeValue::Array(items) => Some(items),
            other => {
                let error = self.wrong_type(value, what, "an array");
                let written = &self.source.text()[value.span()];
                let scalar = !matches!(other, DeValue::Table(_)) && !written.contains('\n');
                let error = if scalar { error.help(format!("write `[{written}]`")) } else { error };
                self.report(error);
                None
            }
        }
    }

    /// An error that says what was expected and what was found.
    pub(super) fn wrong_type(&self, value: &Value<'_>, what: &str, expected: &str) -> Diagnostic {
        let found = type_name(value.get_ref());
        Diagnostic::error(value.span(), format!("{what} must be {expected}, but this is {found}"))
            .label(format!("expected {expected}"))
    }
}

/// The type of a value with its article.
pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// An integer in 128 bits, so that ranges can be checked; `None` where even they are too few.
pub(super) fn integer(value: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(value.as_str(), value.radix()).ok()
}
