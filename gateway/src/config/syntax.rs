//! Text to TOML tree, going on after each error.
//!
//! Owns the parser's words (they are made to name what is there) and the knowledge of which
//! errors are mere consequences of an earlier one.

use toml::Spanned;
use toml::de::{DeTable, Error};

use super::diagnostic::{Diagnostic, Severity};
use super::keys::ROOT;
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
    let mut errors = unseen(source, &mut text);
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

/// Takes what cannot be seen away from in front of headers: the keys below belong to them.
fn unseen(source: &Source, text: &mut String) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    let mut at = 0;
    for line in source.text().split_inclusive('\n') {
        let hidden = line.len() - front(line).len();
        if front(line).starts_with('[')
            && !line[..hidden].is_ascii()
            && let Some(error) = odd_character(source.text(), &(at..at))
        {
            errors.push(error);
            text.replace_range(at..at + hidden, &" ".repeat(hidden));
        }
        at += line.len();
    }
    errors
}

/// Whether the text is no TOML.
pub(super) fn is_broken(source: &Source) -> bool {
    !DeTable::parse_recoverable(source.text()).1.is_empty()
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
    let mut told_until = 0;
    for error in errors {
        let span = place(&error);
        if error.message() == "duplicate key" {
            // Whatever stands under a header that is there twice is there twice.
            if span.start < told_until {
                continue;
            }
            told_until = end_of_table(text, span.start).unwrap_or(0);
        }
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

/// Where the table of a header ends, together with those in it; `None` for a place that is in no header.
fn end_of_table(text: &str, place: usize) -> Option<usize> {
    let start = text[..place].rfind('\n').map_or(0, |newline| newline + 1);
    let name = |line: &str| -> Option<String> {
        let inner = line.trim().strip_prefix('[')?.split(']').next()?.trim_start_matches('[');
        Some(inner.split('.').map(str::trim).collect::<Vec<_>>().join("."))
    };
    let mut lines = text[start..].split_inclusive('\n');
    let own = name(lines.clone().next()?)?;
    let mut end = start + lines.next()?.len();
    for line in lines {
        let is_other =
            name(line).is_some_and(|other| other != own && !other.starts_with(&format!("{own}.")));
        if is_other {
            break;
        }
        end += line.len();
    }
    Some(end)
}

/// The parts of a text that an error leaves in the dark: the sections, from one header to the next, in
/// which an error stands, and all behind a value without an end.
pub(super) struct Doubtful {
    headers: Vec<usize>,
    sections: Vec<usize>,
    sound: usize,
    /// Whether no header and no value of several lines is broken, so that all tables are known.
    knows_tables: bool,
    /// Whether one of the sections is of a listener, whose name is a value in it.
    is_listener: bool,
    /// Whether the text has a table of the gateway at all: what any other text lacks says nothing.
    is_ours: bool,
}

impl Doubtful {
    pub(super) fn of(text: &str, broken: &Broken) -> Self {
        let mut headers = vec![0];
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if is_header(line) {
                headers.push(at);
            }
            at += line.len();
        }
        let mut doubtful = Self {
            headers,
            sections: Vec::new(),
            sound: broken.sound,
            knows_tables: broken.sound == text.len(),
            is_listener: false,
            is_ours: text.lines().any(|line| {
                let name = front(line).strip_prefix('[').map(|it| it.trim_start_matches('['));
                let name = name.and_then(|it| it.split([']', '.']).next()).map(str::trim);
                name.is_some_and(|name| ROOT.names().any(|known| known == name))
            }),
        };
        for span in broken.errors.iter().filter_map(|error| error.span.as_ref()) {
            let section = doubtful.section(span.start);
            doubtful.sections.push(section);
            // What is behind a broken header seems to be of the section before it.
            let line = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
            let header = doubtful.headers[section - 1];
            doubtful.is_listener |= text[header..].trim_start().starts_with("[[listeners");
            if front(&text[line..]).starts_with('[') {
                doubtful.knows_tables = false;
                let before = doubtful.section(line.saturating_sub(1));
                doubtful.sections.push(before);
            }
        }
        doubtful
    }

    /// Whether something with these places may not be what it seems to be.
    pub(super) fn touches(&self, places: &[Span]) -> bool {
        places
            .iter()
            .any(|span| span.end > self.sound || self.sections.contains(&self.section(span.start)))
    }

    /// Whether what an error says to be missing certainly is: it is missing in a section that is
    /// whole, and the name of no table is in the dark.
    pub(super) fn lacks(&self, error: &Diagnostic) -> bool {
        let place = error.span.as_ref().filter(|_| error.severity == Severity::Error);
        let is_listener = self.is_listener && error.message.starts_with("there is no listener");
        let is_whole = place.is_some_and(|span| !self.touches(std::slice::from_ref(span)));
        self.is_ours && self.knows_tables && is_whole && !is_listener
    }

    fn section(&self, offset: usize) -> usize {
        self.headers.partition_point(|header| *header <= offset)
    }
}

/// A line without what is in front of its first character of TOML: blanks, and what cannot be seen.
fn front(line: &str) -> &str {
    line.trim_start_matches(|c: char| c.is_whitespace() || !c.is_ascii())
}

/// Whether a line is `[header]` or `[[header]]`, or was meant to be.
fn is_header(line: &str) -> bool {
    let name = front(line).strip_prefix('[').map(|it| it.trim_start_matches('['));
    name.is_some_and(|it| {
        it.trim_start().starts_with(|c: char| c.is_ascii_alphabetic() || "_\"'".contains(c))
    }) && !line.contains(',')
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
    if let Some(diagnostic) = odd_character(source.text(), &span) {
        return diagnostic;
    }
    let written = source.text().get(span.clone()).unwrap_or_default();
    if let Some(diagnostic) = other_word(source.text(), &span) {
        return diagnostic;
    }
    match error.message() {
        "duplicate key" => {
            Diagnostic::error(span, format!("the key `{written}` is set twice in this table"))
                .label("the second")
        }
        message if message.starts_with("string values must be quoted") => {
            Diagnostic::error(span, "a string must be quoted")
                .help(format!("write `\"{written}\"`"))
        }
        message if message.contains("escape") && line_at(source.text(), &span).contains('\\') => {
            Diagnostic::error(span, message.to_owned()).help(
                "in `\"...\"` a backslash is written `\\\\`; in `'...'` every character is literal",
            )
        }
        message if message.starts_with("invalid basic string, expected `\"`") => {
            Diagnostic::error(span, "this string has no end").help("add the missing `\"`")
        }
        message if message.starts_with("invalid literal string, expected `'`") => {
            Diagnostic::error(span, "here should be a value, or the end of a string")
        }
        message => {
            let error = Diagnostic::error(span.clone(), message.to_owned());
            match key_of_yaml(source.text(), &span) {
                Some(help) => error.help(help),
                None => error,
            }
        }
    }
}

/// Characters that word processors and web pages put instead of those that were typed: what each
/// is, and what it should be.
const ODD: [(&str, &str, &str); 5] = [
    (
        "\u{201c}\u{201d}\u{201e}\u{201f}\u{ab}\u{bb}\u{ff02}",
        "a typographic quotation mark",
        "`\"`",
    ),
    (
        "\u{2018}\u{2019}\u{201a}\u{201b}\u{2032}\u{b4}\u{ff07}",
        "a typographic quotation mark",
        "`'`, or `\"`",
    ),
    (
        "\u{a0}\u{2002}\u{2003}\u{2007}\u{2009}\u{202f}\u{3000}",
        "a space of another kind",
        "a plain space",
    ),
    (
        "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{200e}\u{200f}\u{ad}",
        "a character that cannot be seen",
        "nothing",
    ),
    (
        "\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2212}\u{ff1d}\u{ff3b}\u{ff3d}\u{ff0c}\u{ff1a}",
        "a sign of another kind",
        "the plain one of the keyboard",
    ),
];

/// Letters of Cyrillic and Greek, each behind the Latin one that looks like it.
const TWINS: [&str; 32] = [
    "aа", "cс", "eе", "iі", "jј", "oоο", "pрρ", "sѕ", "xх", "yу", "hһ", "dԁ", "qԛ", "wԝ", "vν",
    "kк", "AАΑ", "BВΒ", "CС", "EЕΕ", "HНΗ", "IІΙ", "JЈ", "KКΚ", "MМΜ", "NΝ", "OОΟ", "PРΡ", "SЅ",
    "TТΤ", "XХΧ", "YУΥ",
];

fn twin(c: char) -> Option<char> {
    let found = TWINS.iter().find(|twins| !c.is_ascii() && twins.contains(c))?;
    found.chars().next()
}

/// The first character of the line that only looks like one of TOML, outside of strings and comments.
fn odd_character(text: &str, span: &Span) -> Option<Diagnostic> {
    let start = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next()?;
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => return None,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, c) => {
                let found = ODD.iter().find(|(all, ..)| all.contains(c));
                if let (None, Some(twin)) = (found, twin(c)) {
                    let place = start + at..start + at + c.len_utf8();
                    let code = u32::from(c);
                    let error = format!("this is a letter of another alphabet, U+{code:04X}");
                    let help = format!("write `{twin}`, which looks like it");
                    return Some(Diagnostic::error(place, error).help(help));
                }
                let Some((_, what, instead)) = found else { continue };
                let place = start + at..start + at + c.len_utf8();
                let code = u32::from(c);
                let error = Diagnostic::error(place, format!("this is {what}, U+{code:04X}"));
                return Some(
                    error.help(format!(
                        "write {instead} instead; an editor for plain text keeps it"
                    )),
                );
            }
            _ => {}
        }
    }
    None
}

/// A value of another language: `True`, `yes`, `None`.
fn other_word(text: &str, span: &Span) -> Option<Diagnostic> {
    let is_letter = |c: char| c.is_ascii_alphabetic();
    let start = text[..span.start].trim_end_matches(is_letter).len();
    let length = text[start..].find(|c| !is_letter(c)).unwrap_or(text.len() - start);
    let word = &text[start..start + length];
    let is_value = text[..start].trim_end_matches(' ').ends_with(['=', '[', ',']);
    if !is_value || matches!(word, "true" | "false") {
        return None;
    }
    let place = start..start + length;
    let no_value = Diagnostic::error(place.clone(), format!("`{word}` is no value"));
    match word.to_ascii_lowercase().as_str() {
        lower @ ("true" | "false") => Some(no_value.help(format!("write `{lower}`"))),
        lower @ ("yes" | "no" | "on" | "off") => {
            let meant = matches!(lower, "yes" | "on");
            Some(no_value.help(format!("write `{meant}`, or `\"{word}\"` for a string")))
        }
        "none" | "null" | "nil" | "undefined" => {
            let error = Diagnostic::error(place, format!("TOML has no `{word}`"));
            Some(error.help("leave the key out"))
        }
        _ => None,
    }
}

/// The line in which a place is.
fn line_at<'t>(text: &'t str, span: &Span) -> &'t str {
    let start = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
    text[start..].lines().next().unwrap_or_default()
}

/// A key with a colon in an inline table.
fn key_of_json(line: &str) -> Option<&str> {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, '{' | ',') => {
                let rest = line[at + 1..].trim_start();
                let (key, _) = rest.split_once(':')?;
                let name = key.trim().trim_matches(['"', '\'']);
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
                if !name.is_empty() && name.chars().all(plain) && line[..at].contains('=') {
                    return Some(key.trim());
                }
            }
            _ => {}
        }
    }
    None
}

/// `key: value`, as YAML has it, and `{ key: value }`, as JavaScript has it.
fn key_of_yaml(text: &str, span: &Span) -> Option<String> {
    let line = line_at(text, span).trim();
    if let Some(key) = key_of_json(line) {
        return Some(format!("TOML writes `{{ {key} = ... }}`"));
    }
    let (key, value) = line.split_once(": ")?;
    let is_key =
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    is_key.then(|| format!("TOML writes `{key} = {}`", value.trim()))
}
