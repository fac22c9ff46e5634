//! The configuration text and where things are in it.
//!
//! Owns reading the file and turning byte offsets into lines and columns. It must not know TOML.

mod secret;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::Span;

/// The configuration file: its path as the user gave it, and its text.
///
/// Spans kept in a [`Config`](super::Config) point into this text, so code that finds an error later
/// (a plugin that refuses its configuration, a port in use) can show the place.
#[derive(Clone)]
pub struct Source {
    path: PathBuf,
    text: String,
    filled: Vec<(String, String)>,
    /// What of those values is long enough to be a secret by itself.
    parts: Vec<(String, String)>,
    stand_ins: BTreeMap<PathBuf, PathBuf>,
    /// Where the lines begin, once somebody asks for many.
    lines: OnceLock<Vec<usize>>,
}

/// A place as people count: both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters (not bytes, not screen cells), from 1.
    pub column: usize,
}

/// The lines of a [`Source`].
#[derive(Debug)]
pub struct Positions<'s> {
    source: &'s Source,
    begins: &'s [usize],
}

impl Positions<'_> {
    /// As [`Source::position`].
    pub fn of(&self, offset: usize) -> Position {
        let offset = self.source.boundary(offset);
        let line = self.begins.partition_point(|begin| *begin <= offset);
        let begin = self.begins[line - 1];
        Position { line, column: self.source.text[begin..offset].chars().count() + 1 }
    }
}

impl Source {
    /// A source from text that is already in memory. A byte order mark in front is dropped.
    pub fn new(path: impl Into<PathBuf>, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let (filled, parts) = (Vec::new(), Vec::new());
        let (stand_ins, lines) = (BTreeMap::new(), OnceLock::new());
        Self { path: path.into(), text, filled, parts, stand_ins, lines }
    }

    /// Takes other component files instead of those that the text names, which need not exist
    /// then. Both are paths as [`Component::File`](super::Component::File) has them.
    #[must_use]
    pub fn with_stand_ins(self, stand_ins: BTreeMap<PathBuf, PathBuf>) -> Self {
        Self { stand_ins, ..self }
    }

    /// The component file to take for one that the text names.
    pub(super) fn instead_of(&self, component: PathBuf) -> PathBuf {
        self.stand_ins.get(&component).cloned().unwrap_or(component)
    }

    /// Reads the file. The error is one sentence for people, with an optional piece of advice.
    pub(super) fn read(path: &Path) -> Result<Self, (String, Option<String>)> {
        let shown = path.display();
        let bytes = read_bounded(path, MAX_FILE).map_err(|error| match error.kind() {
            ErrorKind::NotFound => (
                format!("the configuration file `{shown}` does not exist"),
                Some("name an existing file, or create this one".to_owned()),
            ),
            ErrorKind::IsADirectory => (
                format!("`{shown}` is a directory, not a configuration file"),
                Some(format!(
                    "name a file in it, such as `{}`",
                    path.join("gateway.toml").display()
                )),
            ),
            ErrorKind::FileTooLarge => (
                format!("`{shown}` has more than 16 MiB, and is no configuration file"),
                Some("name the TOML file with the `[[listeners]]`".to_owned()),
            ),
            _ => (format!("the configuration file `{shown}` cannot be read: {error}"), None),
        })?;
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            let help = format!("`iconv -f UTF-16 -t UTF-8 {shown} > NEW` converts it");
            return Err((format!("`{shown}` is text in UTF-16, and TOML is UTF-8"), Some(help)));
        }
        if bytes.contains(&0) {
            return Err((format!("`{shown}` is no text: it holds zero bytes"), None));
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Self::new(path, text)),
            Err(error) => {
                let line =
                    bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
                Err((
                    format!("`{shown}` is not UTF-8: line {} holds other bytes", line + 1),
                    Some("save the file as UTF-8".to_owned()),
                ))
            }
        }
    }

    /// The path as the user gave it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole text, without a byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The folder against which relative paths in the file are resolved.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Line and column of a byte offset; an offset past the end is the end.
    pub fn position(&self, offset: usize) -> Position {
        let before = &self.text[..self.boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The line of [`position`](Self::position), for who asks for that of many places.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.begins().partition_point(|begin| *begin <= offset)
    }

    /// Finds many places, each in a time that does not depend on the length of the text.
    pub fn positions(&self) -> Positions<'_> {
        Positions { source: self, begins: self.begins() }
    }

    /// Where lines begin.
    fn begins(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let behind = self.text.match_indices('\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(behind).collect()
        })
    }

    /// The words with every value of four bytes or more that a `${...}` filled in replaced by that
    /// `${...}`, and any run of sixteen bytes or more of one, wherever it begins: a message may quote a
    /// line of a file or half of a key.
    ///
    /// For words that come from elsewhere, such as a plugin's reason to refuse its configuration,
    /// before they are shown or logged.
    pub fn redact(&self, words: &str) -> String {
        let mut words = words.to_owned();
        for (value, placeholder) in &self.filled {
            words = words.replace(value, placeholder);
        }
        for (part, placeholder) in &self.parts {
            words = secret::without_runs(&words, part, placeholder);
        }
        words
    }

    /// Remembers what was filled in, longest first so that no value hides inside another.
    pub(super) fn remember_filled(&mut self, mut filled: Vec<(String, String)>) {
        // Shorter ones keep no secret, and their letters are in many words.
        filled.retain(|(value, _)| value.len() >= 4);
        filled.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        filled.dedup();
        self.parts = filled
            .iter()
            .flat_map(|(value, placeholder)| {
                secret::parts(value).into_iter().map(|part| (part, placeholder.clone()))
            })
            .collect();
        self.filled = filled;
    }

    /// The part of a span that lies on its first line, on character borders and inside the text;
    /// an empty span gets the character behind it.
    pub(super) fn on_first_line(&self, span: &Span) -> Span {
        let start = self.boundary(span.start);
        let end = self.boundary(span.end.max(span.start));
        let line_end =
            self.text[start..].find(['\r', '\n']).map_or(self.text.len(), |at| start + at);
        let one = self.text[start..].chars().next().map_or(0, char::len_utf8);
        start..end.max(start + one).min(line_end)
    }

    fn boundary(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }
}

/// Bytes of a configuration file, and of each file that it names, at most.
pub(super) const MAX_FILE: u64 = 16 << 20;

/// The bytes of a file, of which some never end (`/dev/zero`).
pub(super) fn read_bounded(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

impl std::fmt::Debug for Source {
    /// Leaves out what was filled in: it is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters_from_one() {
        let source = Source::new("a.toml", "ä = 1\r\n\tß = 2\n");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        let two = source.text().find('2').expect("it is there");
        assert_eq!(source.position(two), Position { line: 2, column: 6 });
        assert_eq!(source.position(9999), Position { line: 3, column: 1 });
        let positions = source.positions();
        for offset in [0, 1, two, 7, 8, source.text().len(), 9999] {
            assert_eq!(positions.of(offset), source.position(offset), "{offset}");
        }
    }

    #[test]
    fn drops_a_byte_order_mark() {
        assert_eq!(Source::new("a.toml", "\u{feff}a = 1").text(), "a = 1");
    }

    #[test]
    fn cuts_a_span_at_the_end_of_its_first_line() {
        let source = Source::new("a.toml", "[[routes]]\r\nname = 1\n");
        assert_eq!(source.on_first_line(&(0..20)), 0..10);
        assert_eq!(source.on_first_line(&(500..600)), 21..21);
    }

    #[test]
    fn takes_filled_values_out_of_foreign_words() {
        let mut source = Source::new("a.toml", "");
        let pair = |value: &str, name: &str| (value.to_owned(), name.to_owned());
        source.remember_filled(vec![pair("hunt", "${env:A}"), pair("hunter2", "${env:B}")]);
        assert_eq!(source.redact("`hunter2` is too short"), "`${env:B}` is too short");
        assert!(!format!("{source:?}").contains("hunter2"));
    }

    #[test]
    fn takes_parts_of_filled_values_out_of_foreign_words() {
        let mut source = Source::new("a.toml", "");
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END PRIVATE KEY-----";
        source.remember_filled(vec![(key.to_owned(), "${env:KEY}".to_owned())]);
        assert_eq!(source.redact("`MIIEvQIBADANBgkqhkiG9w0B`"), "`${env:KEY}`");
        assert_eq!(source.redact("at EvQIBADANBgkqhki, and"), "at ${env:KEY}, and");
        let about = "the section `PRIVATE KEY` has no line `-----END PRIVATE KEY-----`";
        assert_eq!(source.redact(about), about);
    }

    #[test]
    fn reads_no_file_without_end() {
        let (message, _) = Source::read(Path::new("/dev/zero")).expect_err("refused");
        assert!(message.contains("more than 16 MiB"), "{message}");
    }
}
