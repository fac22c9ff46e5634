//! The words of a text, and what kind of word each is.
//!
//! What is quoted and code is taken out first, since it counts letter by letter.

use crate::lists::{NO_CODE, is_in};

/// A text, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Text {
    /// What stands in quotes and in marks of code, and what looks like code.
    pub(crate) exact: Vec<String>,
    pub(crate) words: Vec<Word>,
    /// Whether it has letters of a script in which names have no capital letters.
    pub(crate) has_other_script: bool,
    /// Whether capital letters say nothing in it: all or none of its words have one.
    pub(crate) has_no_case: bool,
}

/// A word without what stands around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// As it was written.
    pub(crate) written: String,
    /// In lower case, without `'s`.
    pub(crate) lower: String,
    /// It begins a sentence.
    pub(crate) begins: bool,
}

impl Word {
    /// Whether it begins with a capital letter.
    pub(crate) fn is_capital(&self) -> bool {
        self.written.starts_with(char::is_uppercase)
    }

    /// Whether a capital letter stands in it, and not only before it.
    pub(crate) fn has_inner_capital(&self) -> bool {
        let base = self.written.trim_end_matches("'s").trim_end_matches("’s");
        base.chars().skip(1).any(char::is_uppercase)
    }

    pub(crate) fn has_digit(&self) -> bool {
        self.written.contains(|it: char| it.is_ascii_digit())
    }
}

impl Text {
    pub(crate) fn of(text: &str) -> Self {
        let mut read = Self::default();
        let plain = read.without_quotes(text);
        let mut begins = true;
        for piece in plain.split_whitespace() {
            let inner = trimmed(piece);
            let ends = piece.trim_end_matches(['"', '\'', ')', ']', '”', '’']);
            let ends = ends.ends_with(['.', '!', '?', ':']) || piece.ends_with('\u{1}');
            if inner.is_empty() {
                begins |= ends || piece.starts_with(['-', '*', '•']);
                continue;
            }
            if is_code(inner) {
                read.exact.push(inner.to_owned());
            } else {
                // Parts of a compound are words, and `e-mail` is `email`.
                for part in inner.split(['-', '–', '—', '/', '\u{1}']) {
                    read.add(part, begins);
                    begins = false;
                }
            }
            begins = ends;
        }
        read.has_other_script = plain.chars().any(is_of_other_script);
        let with_letters =
            || read.words.iter().filter(|word| word.written.starts_with(char::is_alphabetic));
        let capital = with_letters().filter(|word| word.is_capital()).count();
        let all = with_letters().count();
        let is_shouted =
            all > 1 && with_letters().all(|word| !word.written.contains(char::is_lowercase));
        read.has_no_case = is_shouted || (all >= 4 && capital * 10 > all * 7);
        read
    }

    fn add(&mut self, part: &str, begins: bool) {
        let part = trimmed(part);
        if part.is_empty() {
            return;
        }
        let lower = part.to_lowercase().replace('’', "'");
        let lower = lower
            .strip_suffix("'s")
            .filter(|base| !is_in("it that what there how where who let", base))
            .map(str::to_owned)
            .unwrap_or(lower);
        self.words.push(Word { written: part.to_owned(), lower, begins });
    }

    /// The text without what is quoted, which is noted.
    fn without_quotes(&mut self, text: &str) -> String {
        let mut plain = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = ' ';
        while let Some(first) = rest.chars().next() {
            let quoted = [
                ("```", "```"),
                ("`", "`"),
                ("\"", "\""),
                ("“", "”"),
                ("„", "“"),
                ("«", "»"),
                ("'", "'"),
                ("‘", "’"),
            ]
            .into_iter()
            .filter(|(open, _)| rest.starts_with(open))
            // An apostrophe opens nothing.
            .filter(|(open, _)| !matches!(*open, "'" | "‘") || !before.is_alphanumeric())
            .find_map(|(open, close)| {
                let inner = &rest[open.len()..];
                let end = if matches!(open, "'" | "‘") {
                    inner
                        .match_indices(close)
                        .map(|(at, _)| at)
                        .find(|at| !inner[at + close.len()..].starts_with(char::is_alphanumeric))?
                } else {
                    inner.find(close)?
                };
                Some((&inner[..end], &inner[end + close.len()..]))
            });
            match quoted {
                Some((inner, behind)) if !inner.trim().is_empty() => {
                    self.exact.push(inner.trim().to_owned());
                    plain.push(' ');
                    (rest, before) = (behind, ' ');
                }
                _ => {
                    // A new line begins a sentence, as far as names go.
                    if first == '\n' {
                        plain.push('\u{1}');
                    }
                    plain.push(first);
                    (rest, before) = (&rest[first.len_utf8()..], first);
                }
            }
        }
        plain
    }
}

/// Without marks around it.
fn trimmed(piece: &str) -> &str {
    let is_mark = |it: char| {
        !it.is_alphanumeric()
            && !matches!(
                it,
                '$' | '€'
                    | '£'
                    | '¥'
                    | '%'
                    | '°'
                    | '+'
                    | '#'
                    | '@'
                    | '/'
                    | '\\'
                    | '_'
                    | '-'
                    | '<'
                    | '>'
                    | '='
                    | '{'
                    | '}'
                    | '&'
                    | '|'
                    | '*'
                    | '^'
                    | '~'
            )
    };
    let piece = piece.trim_matches(is_mark);
    // A dash alone is a mark.
    if piece.chars().any(char::is_alphanumeric)
        || piece.contains(['$', '%', '€', '=', '<', '>', '+'])
    {
        piece.trim_matches(['*', '\u{1}'])
    } else {
        ""
    }
}

/// Whether a word counts letter by letter: paths, names of programs' things, addresses, options.
fn is_code(word: &str) -> bool {
    if is_in(NO_CODE, &word.to_lowercase()) {
        return false;
    }
    let is_number = word
        .starts_with(|it: char| it.is_ascii_digit() || matches!(it, '$' | '€' | '£' | '¥' | '+'))
        && !word.contains(['_', '\\', '@', '=', '<', '>', '{', '}']);
    if is_number && word.chars().filter(|it| it.is_alphabetic()).count() <= 4 {
        return false;
    }
    let has_inner_dot = word.char_indices().any(|(at, it)| {
        matches!(it, '.' | ':')
            && word[at + 1..].starts_with(char::is_alphanumeric)
            && word[..at].ends_with(char::is_alphanumeric)
    });
    let has_path = word.contains('/')
        && !word.split('/').all(|part| !part.is_empty() && part.chars().all(char::is_alphabetic));
    has_inner_dot
        || has_path
        || word.starts_with("--")
        || (word.starts_with('-') && word.len() <= 3)
        || word
            .contains(['_', '\\', '@', '=', '<', '>', '{', '}', '#', '(', '[', '&', '|', '^', '~'])
        || (word.ends_with('+') && word.len() > 1)
}

/// Whether a letter is of a script that has no capital letters.
fn is_of_other_script(it: char) -> bool {
    it.is_alphabetic()
        && it > '\u{2af}'
        && !it.is_lowercase()
        && !it.is_uppercase()
        && !is_mark_of_latin(it)
}

fn is_mark_of_latin(it: char) -> bool {
    matches!(it, '\u{2b0}'..='\u{2ff}' | 'ª' | 'º')
}

/// The stem of a word, as far as English makes forms of it by ends. Two words with one stem are taken for one word.
pub(crate) fn stem(word: &str) -> String {
    let mut stem = word;
    for end in ["ing", "edly", "ed", "ies", "es", "s"] {
        if let Some(base) = stem.strip_suffix(end).filter(|base| base.len() >= 3 && base.is_ascii())
        {
            if end == "s" && base.ends_with(['s', 'u', 'i']) {
                break;
            }
            stem = base;
            break;
        }
    }
    let stem = stem.strip_suffix(['e', 'y', 'i']).filter(|base| base.len() >= 3).unwrap_or(stem);
    let bytes = stem.as_bytes();
    let is_doubled =
        bytes.len() > 3 && bytes[bytes.len() - 1] == bytes[bytes.len() - 2] && stem.is_ascii();
    if is_doubled { stem[..stem.len() - 1].to_owned() } else { stem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_taken_apart() {
        let text = Text::of(
            "What's \"Foo Bar\" in `a.b()` and src/main.rs? John's e-mail: x@y.org, isn't it",
        );
        assert_eq!(text.exact, ["Foo Bar", "a.b()", "src/main.rs", "x@y.org"]);
        let words: Vec<_> = text.words.iter().map(|word| word.lower.as_str()).collect();
        assert_eq!(words, ["what's", "in", "and", "john", "e", "mail", "isn't", "it"]);
        assert!(text.words[3].begins && !text.words[2].begins);
        assert!(
            Text::of("HOW TO DO IT").has_no_case
                && Text::of("How To Reset My Password").has_no_case
        );
        assert!(!Text::of("how to do it in Rome").has_no_case);
        assert!(
            Text::of("天気は").has_other_script && !Text::of("Größe ñ é Москва").has_other_script
        );
    }

    #[test]
    fn forms_of_a_word_have_one_stem() {
        for (one, other) in [
            ("stopping", "stop"),
            ("enables", "enabled"),
            ("cities", "city"),
            ("boxes", "box"),
            ("planned", "plans"),
        ] {
            assert_eq!(stem(one), stem(other), "{one} {other}");
        }
        assert_ne!(stem("bus"), stem("bu"));
    }
}
