//! A string of the file, with its place and without its secrets.
//!
//! Owns what may be shown of a string. Messages take [`Text::shown`], never [`Text::value`].

use std::ops::Range;

use crate::config::{Source, Span};

/// A string as the gateway uses it and as messages may show it.
#[derive(Debug, Clone)]
pub(in crate::config) struct Text {
    /// With everything filled in.
    pub(in crate::config) value: String,
    /// As in the file, with placeholders.
    pub(in crate::config) shown: String,
    /// With its quotes.
    pub(in crate::config) span: Span,
    /// Where its first character stands, if the file has it letter by letter.
    inner: Option<usize>,
    secret: bool,
}

impl Text {
    pub(super) fn new(source: &Source, text: &str, span: Span) -> Self {
        let written = source.text().get(span.clone()).unwrap_or_default();
        let quoted = written.len() == text.len() + 2;
        let inner = if written == text {
            Some(span.start)
        } else if quoted && written.get(1..=text.len()) == Some(text) {
            Some(span.start + 1)
        } else {
            None
        };
        Self { value: text.to_owned(), shown: text.to_owned(), span, inner, secret: false }
    }

    pub(super) fn filled_with(mut self, value: String) -> Self {
        self.secret = value != self.shown;
        self.value = value;
        self
    }

    /// Whether a part of it was filled in.
    pub(in crate::config) fn is_secret(&self) -> bool {
        self.secret
    }

    /// The place of a part of the value, or of the whole where that is not known.
    pub(in crate::config) fn part(&self, part: Range<usize>) -> Span {
        match self.inner {
            Some(start) if !self.secret => start + part.start..start + part.end,
            _ => self.span.clone(),
        }
    }
}
