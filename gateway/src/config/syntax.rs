//! Text to TOML tree, going on after each error.
//!
//! Owns the parser's words (they are made to name what stands there) and the knowledge of which
//! errors are mere consequences of an earlier one.

use toml::Spanned;
use toml::de::{DeTable, Error};

use super::diagnostic::Diagnostic;
use super::{Source, Span};

/// What could not be understood.
pub(super) struct Broken {
    /// Each with its place.
    pub(super) errors: Vec<Diagnostic>,
    /// Where the part ends that means what it seems to mean.
    pub(super) sound: usize,
}

/// Each costs another pass over the text, and a file with more of them is no configuration.
const MOST_DEAD_ENDS: usize = 50;

/// The text with blanks instead of the lines at which the parser would give up, and what was wrong
/// with them. Every other character keeps its place.
pub(super) fn without_dead_ends(source: &Source) -> (String, Vec<Diagnostic>) {
    let mut text = source.text().to_owned();
    let mut errors = Vec::new();
    while errors.len() < MOST_DEAD_ENDS {
        let Some(error) = dead_end(&text) else { break };
        let Some(span) = error.span() else { break };
        let start = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[span.start..].find('\n').map_or(text.len(), |at| span.start + at);
        if text[start..end].trim().is_empty() {
            break;
        }
        errors.push(diagnostic(source, &error, span));
        text.replace_range(start..end, &" ".repeat(end - start));
    }
    (text, errors)
}

/// A key without `=` is where the parser gives up.
fn dead_end(text: &str) -> Option<Error> {
    let (_, errors) = DeTable::parse_recoverable(text);
    errors.into_iter().find(|error| error.message().starts_with("key with no value"))
}

/// The tree as far as the text could be understood, and everything that could not.
pub(super) fn parse<'t>(
    source: &Source,
    text: &'t str,
    known: Vec<Diagnostic>,
) -> (Spanned<DeTable<'t>>, Broken) {
    let (tree, mut errors) = DeTable::parse_recoverable(text);
    let place = |error: &Error| {
        let span = error.span().unwrap_or(text.len()..text.len());
        let start = span.start.min(text.trim_end().len());
        start..span.end.max(start)
    };
    errors.sort_by_key(|error| place(error).start);
    let mut broken = Broken { errors: known, sound: text.len() };
    let mut last_line = 0;
    for error in errors {
        let span = place(&error);
        if let Some((diagnostic, start)) = unclosed(text, &error, &span) {
            broken.errors.retain(|known| known.span.as_ref().is_none_or(|span| span.start < start));
            broken.errors.push(diagnostic);
            broken.sound = start;
            break;
        }
        let line = source.position(span.start).line;
        // A second error in the same line is nearly always a consequence of the first.
        if line != last_line {
            broken.errors.push(diagnostic(source, &error, span));
        }
        last_line = line;
    }
    (tree, broken)
}

/// What an error message speaks of, how it is called, and how it begins and ends.
const ENCLOSED: [(&str, &str, &str, &str); 5] = [
    ("multi-line basic string", "string", "\"\"\"", "\"\"\""),
    ("multi-line literal string", "string", "'''", "'''"),
    ("array", "array", "[", "]"),
    ("inline table", "inline table", "{", "}"),
    ("key-value pairs", "inline table", "{", "}"),
];

/// A value of several lines without an end, and where it begins. The parser only notices that
/// what follows looks odd.
fn unclosed(text: &str, error: &Error, span: &Span) -> Option<(Diagnostic, usize)> {
    let speaks_of = |(words, ..): &&(&str, _, _, _)| error.message().contains(words);
    let (_, kind, open, close) = ENCLOSED.iter().find(speaks_of)?;
    let (before, behind) = text.split_at(span.start);
    if !behind.trim().is_empty() && !begins_an_entry(before, behind) {
        return None;
    }
    let is_value = |(at, _): &(usize, &str)| before[..*at].trim_end().ends_with('=');
    let (start, _) = before.rmatch_indices(open).find(is_value)?;
    let error = Diagnostic::error(start..start + open.len(), format!("this {kind} has no end"));
    Some((error.label("it begins here").help(format!("add the missing `{close}`")), start))
}

/// Whether a line begins here that looks like `key = value` or `[header]`.
fn begins_an_entry(before: &str, behind: &str) -> bool {
    let line = behind.lines().next().unwrap_or_default();
    let key = |(key, _): (&str, &str)| {
        let bare = |c: char| c.is_ascii_alphanumeric() || "-_.\"".contains(c);
        !key.trim().is_empty() && key.trim().chars().all(bare)
    };
    let header = line.starts_with('[') && line.trim_end().ends_with(']') && !line.contains(',');
    before.ends_with('\n') && (header || line.split_once('=').is_some_and(key))
}

fn diagnostic(source: &Source, error: &Error, span: Span) -> Diagnostic {
    let written = source.text().get(span.clone()).unwrap_or_default();
    match error.message() {
        "duplicate key" => {
            Diagnostic::error(span, format!("the key `{written}` stands twice in this table"))
                .label("the second")
        }
        message if message.starts_with("string values must be quoted") => {
            Diagnostic::error(span, "a string must be quoted")
                .help(format!("write `\"{written}\"`"))
        }
        message if message.starts_with("invalid basic string, expected `\"`") => {
            Diagnostic::error(span, "this string has no end").help("add the missing `\"`")
        }
        message if message.starts_with("invalid literal string, expected `'`") => {
            Diagnostic::error(span, "here should be a value, or the end of a string")
        }
        message => Diagnostic::error(span, message.to_owned()),
    }
}
