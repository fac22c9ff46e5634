//! What is wrong with a configuration, for people and for machines.
//!
//! Owns the shape of one finding and of all of them together. Rendering is in the module below; it
//! must not know which checks exist.

mod mask;
mod render;

use std::sync::Arc;

use super::{Source, Span};

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration runs, but probably not as intended.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// One sentence without a full stop.
    pub message: String,
    /// Where it is; `None` for the file as a whole.
    pub span: Option<Span>,
    /// What the caret says.
    pub label: Option<String>,
    /// Other places that matter, each with what it has to do with this.
    pub related: Vec<(Span, String)>,
    /// Facts that help to understand.
    pub notes: Vec<String>,
    /// What to do about it.
    pub help: Vec<String>,
    /// What no message may show, of its own line or of others, such as a secret in the file.
    pub hidden: Option<Span>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, Some(span), message.into())
    }

    /// A warning at a place.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, Some(span), message.into())
    }

    /// An error of the file as a whole.
    pub fn file_error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, None, message.into())
    }

    fn new(severity: Severity, span: Option<Span>, message: String) -> Self {
        let message = message.replace('\r', "\\r").replace('\n', "\\n");
        Self {
            severity,
            message,
            span,
            label: None,
            related: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
            hidden: None,
        }
    }

    /// An error at a secret that no line shows.
    pub fn secret(span: Span, message: impl Into<String>) -> Self {
        Self { hidden: Some(span.clone()), ..Self::error(span, message) }
    }

    /// Sets what the caret says.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds another place and what it has to do with this.
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// Adds a fact.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds a piece of advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds `did you mean` where there is a suggestion.
    pub fn did_you_mean(self, suggestion: Option<&str>) -> Self {
        match suggestion {
            Some(suggestion) => self.help(format!("did you mean `{suggestion}`?")),
            None => self,
        }
    }
}

/// Findings about one file, in the order of the file.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    source: Arc<Source>,
    list: Vec<Diagnostic>,
    /// Errors and warnings that there are besides.
    untold: [usize; 2],
}

impl Diagnostics {
    /// No findings yet.
    pub fn new(source: Arc<Source>) -> Self {
        Self { source, list: Vec::new(), untold: [0; 2] }
    }

    /// Counts a finding that nobody is shown: there are too many.
    pub(crate) fn leave_out(&mut self, severity: Severity) {
        self.untold[severity as usize] += 1;
    }

    /// Adds a finding, behind those that are before it in the file.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let place = |diagnostic: &Diagnostic| diagnostic.span.as_ref().map(|span| span.start);
        let at = self.list.partition_point(|earlier| place(earlier) <= place(&diagnostic));
        self.list.insert(at, diagnostic);
    }

    /// The file that they are about.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// All of them, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.untold[Severity::Error as usize] > 0
            || self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, iter: T) {
        for diagnostic in iter {
            self.push(diagnostic);
        }
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::fmt::Display for Diagnostics {
    /// As [`Diagnostics::render`] without colours.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
