//! Places within a text of the configuration, such as an expression or a list of users.
//!
//! Owns the way from a line and a column, which a plugin's message names, to the bytes of the file: strings of TOML have
//! escapes, and may have several lines. Must not know what the text means.

use super::Span;

/// Where in the file the place is that a message names first, as `line 2, column 3`, `line 2` or `column 3`, in the string
/// that is written here. `None` where no place is named, or what is written here is not the whole text.
pub fn place(file: &str, string: &Span, message: &str) -> Option<Span> {
    let (line, column) = named(message)?;
    let written = file.get(string.clone())?;
    if written.contains("${") {
        return None;
    }
    let inner = inner(written)?;
    let (mut at, mut found) = ((1, 1), None);
    let mut end = inner.text.len();
    let mut rest = inner.text;
    while let Some(next) = next(rest, inner.has_escapes) {
        let here = inner.text.len() - rest.len();
        let is_there = at.0 == line && column.is_none_or(|column| at.1 >= column);
        if found.is_none() && is_there && !next.is_nothing {
            found = Some((here, next.length));
        }
        if next.is_newline {
            if at.0 == line {
                end = here;
                break;
            }
            at = (at.0 + 1, 1);
        } else if !next.is_nothing {
            at.1 += 1;
        }
        rest = &rest[next.length..];
    }
    let begin = string.start + inner.begin;
    match (column, found) {
        (Some(_), Some((here, length))) if here < end => Some(begin + here..begin + here + length),
        // Behind the last character of the line: what ends there lacks something.
        (Some(_), _) if at.0 == line => Some(begin + end..begin + end),
        (None, Some((here, _))) if here < end => {
            let text = inner.text.get(here..end)?;
            let blank = text.len() - text.trim_start().len();
            Some(begin + here + blank..begin + here + blank + text.trim().len())
        }
        _ => None,
    }
}

/// The file whose content is the whole text, if a placeholder is all that is written.
pub fn filled_from<'a>(file: &'a str, string: &Span) -> Option<&'a str> {
    let inner = inner(file.get(string.clone())?)?.text.trim();
    let path = inner.strip_prefix("${file:")?.strip_suffix('}')?;
    (!path.contains("${") && !path.is_empty()).then_some(path)
}

/// Line, and column if there is one, that a message names first.
fn named(message: &str) -> Option<(usize, Option<usize>)> {
    let behind = |word: &str| {
        let mut all = message.match_indices(word);
        let is_word = |at: usize| at == 0 || message[..at].ends_with([' ', '(']);
        all.find_map(|(at, _)| number(&message[at + word.len()..]).filter(|_| is_word(at)))
    };
    if let Some((line, rest)) = behind("line ") {
        let column = rest.strip_prefix(", column ").and_then(number);
        return Some((line, column.map(|(column, _)| column)));
    }
    behind("column ").map(|(column, _)| (1, Some(column)))
}

/// The number at the beginning, and the rest.
fn number(text: &str) -> Option<(usize, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

struct Inner<'a> {
    text: &'a str,
    /// Where it begins in what is written.
    begin: usize,
    has_escapes: bool,
}

/// What stands between the quotes.
fn inner(written: &str) -> Option<Inner<'_>> {
    for (quotes, has_escapes) in [("\"\"\"", true), ("'''", false), ("\"", true), ("'", false)] {
        let Some(text) = written.strip_prefix(quotes).and_then(|it| it.strip_suffix(quotes)) else {
            continue;
        };
        // A line that ends behind the opening quotes is none of the text.
        let first = match quotes.len() {
            3 if text.starts_with("\r\n") => 2,
            3 if text.starts_with('\n') => 1,
            _ => 0,
        };
        return Some(Inner { text: &text[first..], begin: quotes.len() + first, has_escapes });
    }
    None
}

/// How a character of the text is written.
struct Next {
    length: usize,
    is_newline: bool,
    /// No character at all: a line that goes on in the next one.
    is_nothing: bool,
}

fn next(rest: &str, has_escapes: bool) -> Option<Next> {
    let first = rest.chars().next()?;
    let plain = Next { length: first.len_utf8(), is_newline: first == '\n', is_nothing: false };
    if first == '\r' && rest.starts_with("\r\n") {
        return Some(Next { length: 2, is_newline: true, is_nothing: false });
    }
    if first != '\\' || !has_escapes {
        return Some(plain);
    }
    let of = |length: usize| Next {
        length: length.min(rest.len()),
        ..Next { is_newline: false, ..plain }
    };
    Some(match rest[1..].chars().next() {
        Some('n') => Next { is_newline: true, ..of(2) },
        Some('u') => of(6),
        Some('U') => of(10),
        Some('x') => of(4),
        Some(c) if c.is_whitespace() => {
            let behind = rest[1..].trim_start();
            Next { is_nothing: true, ..of(rest.len() - behind.len()) }
        }
        Some(c) => of(1 + c.len_utf8()),
        None => of(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(written: &str, message: &str) -> Option<String> {
        let file = format!("key = {written}\nother = 1\n");
        let found = place(&file, &(6..6 + written.len()), message)?;
        Some(format!("{}|{}", &file[6..found.start], &file[found]))
    }

    #[test]
    fn a_place_is_found_in_each_kind_of_string() {
        for (written, message, found) in [
            ("'a + b'", "column 5: x", "'a + |b"),
            ("\"a + b\"", "column 3: x", "\"a |+"),
            ("\"\\\"a\\\" + b\"", "column 5: x", "\"\\\"a\\\" |+"),
            ("'''\na\nb + c'''", "line 2, column 5: x", "'''\na\nb + |c"),
            ("'''a\nb + c'''", "line 2, column 5: x", "'''a\nb + |c"),
            ("\"a\\nb\"", "it is wrong at line 2, column 1: x", "\"a\\n|b"),
            ("\"\"\"\na\\\n   b\"\"\"", "column 2: x", "\"\"\"\na\\\n   |b"),
            ("'''\r\na\r\n  b c \r\n'''", "line 2: has no colon", "'''\r\na\r\n  |b c"),
            ("'ä + b'", "column 5: x", "'ä + |b"),
            ("'a +'", "column 4: it ends too soon", "'a +|"),
            ("'a +'", "column 9: it ends too soon", "'a +|"),
        ] {
            assert_eq!(shown(written, message).as_deref(), Some(found), "{written} {message}");
        }
    }

    #[test]
    fn no_place_is_made_up() {
        for (written, message) in [
            ("'a'", "it is wrong"),
            ("'a'", "outline 2: x"),
            ("'a'", "line 7: x"),
            ("12", "column 1: x"),
            ("\"${file:x}\"", "line 1: x"),
        ] {
            assert_eq!(shown(written, message), None, "{written} {message}");
        }
        let file = "a = \"${file:users.htpasswd}\"";
        assert_eq!(filled_from(file, &(4..file.len())), Some("users.htpasswd"));
        assert_eq!(filled_from("'x${file:a}'", &(0..12)), None);
    }
}
