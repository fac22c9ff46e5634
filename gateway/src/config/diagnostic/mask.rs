//! Which bytes of a file no message may show.
//!
//! Owns the reading of lines as far as that needs it: keys, and the strings and words behind them. It goes by letters and
//! not by the tree of TOML, since the lines that are shown are often those that are broken; and a document is shown as a
//! configuration is. Owns also which tables hold secrets under any key. Must not know which keys are those of secrets.

use std::ops::Range;

use crate::config::secret_names::{
    in_path, in_urls, is_secret_field, is_secret_key, names_secret, placeholders,
};

/// Tables in which every value is a secret, whatever its key.
const SECRET_TABLES: [&str; 2] = ["environment", "secrets"];
/// Tables with fields that the gateway itself sends.
const OUTGOING: [&str; 5] = ["documents", "events", "models", "traces", "upstreams"];

/// What the keys of a table say of their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// As everywhere.
    Plain,
    /// They are names of fields or parameters.
    Fields,
    /// They are names of fields that the gateway sends.
    OutgoingFields,
    /// All are secrets.
    Secrets,
}

/// A table or a list that is not closed yet.
struct Open {
    inside: Inside,
    /// Whether what stands here without a key is a secret: in a list.
    is_secret: bool,
}

/// The bytes of a text that may be secrets.
pub(super) fn hidden(text: &str) -> Vec<Range<usize>> {
    let mut scan = Scan {
        text,
        at: 0,
        found: Vec::new(),
        inside: Inside::Plain,
        section: String::new(),
        open: Vec::new(),
        key: None,
        dotted: None,
    };
    scan.run();
    // Those without quotes, as lists and comments have them.
    scan.found.extend(in_urls(text));
    scan.found
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    found: Vec<Range<usize>>,
    /// Of the table that a header opened.
    inside: Inside,
    /// The first name of that header.
    section: String,
    open: Vec<Open>,
    /// The last name of the key whose value comes next.
    key: Option<String>,
    /// What the names before it, with dots between them, say of it.
    dotted: Option<Inside>,
}

impl<'t> Scan<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn run(&mut self) {
        let mut is_at_begin = true;
        while let Some(next) = self.rest().chars().next() {
            let was_at_begin = is_at_begin;
            is_at_begin = is_at_begin && next.is_whitespace();
            match next {
                '\n' => {
                    is_at_begin = true;
                    self.at += 1;
                    if self.open.is_empty() {
                        self.is_over();
                    }
                }
                '#' => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                '[' if was_at_begin && self.key.is_none() && self.is_header() => self.header(),
                '[' | '{' => self.opens(next),
                ']' | '}' => {
                    self.open.pop();
                    self.is_over();
                    self.at += 1;
                }
                ',' => {
                    // In a list the next element is behind the same key.
                    self.is_over();
                    self.at += 1;
                }
                '"' | '\'' => self.string(next),
                _ if is_of_word(next) => self.word(),
                _ => self.at += next.len_utf8(),
            }
        }
    }

    /// Whether the line is one of a table, and not of a list that a broken line began.
    fn is_header(&mut self) -> bool {
        let line = self.rest().lines().next().unwrap_or_default();
        let line = line.split('#').next().unwrap_or_default().trim_end();
        let is_element = !self.open.is_empty()
            && line.strip_prefix('[').is_some_and(|rest| rest.starts_with(['"', '\'']));
        let is_header = line.ends_with(']') && !line.contains(['=', ',', '{']) && !is_element;
        if is_header {
            self.open.clear();
        }
        is_header
    }

    fn header(&mut self) {
        let line = self.rest().lines().next().unwrap_or_default();
        let names: Vec<&str> = line
            .split('#')
            .next()
            .unwrap_or_default()
            .trim()
            .trim_matches(['[', ']'])
            .split('.')
            .map(|name| name.trim().trim_matches(['"', '\'']))
            .collect();
        self.section = names.first().copied().unwrap_or_default().to_owned();
        self.inside = Inside::Plain;
        for name in names {
            self.inside = self.within(self.inside, name);
        }
        self.at += line.len();
    }

    /// What the keys say in a table of this name.
    fn within(&self, around: Inside, name: &str) -> Inside {
        if around == Inside::Secrets || SECRET_TABLES.contains(&name) {
            return Inside::Secrets;
        }
        let name = name.to_ascii_lowercase();
        match name.contains("headers") || name == "query" {
            true if OUTGOING.contains(&&*self.section) => Inside::OutgoingFields,
            true => Inside::Fields,
            false => Inside::Plain,
        }
    }

    fn around(&self) -> Inside {
        let table = self.open.last().map_or(self.inside, |open| open.inside);
        self.dotted.unwrap_or(table)
    }

    /// No value comes of the key that was last.
    fn is_over(&mut self) {
        (self.key, self.dotted) = (None, None);
    }

    /// Whether the value that comes is a secret.
    fn is_secret(&self) -> bool {
        match (&self.key, self.open.last()) {
            (Some(key), _) => match self.around() {
                Inside::Secrets => true,
                Inside::OutgoingFields => is_secret_field(key),
                Inside::Fields => names_secret(key),
                Inside::Plain => is_secret_key(key),
            },
            (None, Some(open)) => open.is_secret,
            (None, None) => false,
        }
    }

    fn opens(&mut self, with: char) {
        let is_secret = with == '[' && self.is_secret();
        let inside = match &self.key {
            Some(key) => self.within(self.around(), key),
            None => self.around(),
        };
        self.open.push(Open { inside, is_secret });
        self.is_over();
        self.at += 1;
    }

    /// A string: a key, or a value.
    fn string(&mut self, quote: char) {
        let triple = quote.to_string().repeat(3);
        let (inner, end) = if self.rest().starts_with(&triple) {
            let begin = self.at + 3;
            let length = self.text[begin..].find(&triple);
            let end = length.map_or(self.text.len(), |length| begin + length);
            (begin..end, (end + 3).min(self.text.len()))
        } else {
            let begin = self.at + 1;
            let end = begin + length_of(&self.text[begin..], quote);
            let is_closed = self.text[end..].starts_with(quote);
            (begin..end, end + usize::from(is_closed))
        };
        self.at = end;
        let text = &self.text[inner.clone()];
        // JSON has a colon where TOML has an equals sign.
        if !text.contains('\n') && self.names(text, &['=', ':', '.']) {
            return;
        }
        let is_path = self.key.as_deref() == Some("path") && OUTGOING.contains(&&*self.section);
        match self.is_secret() {
            true => self.hide(inner),
            false => {
                let mut within = in_urls(text);
                if is_path {
                    within.extend(in_path(text));
                }
                let place = |it: Range<usize>| inner.start + it.start..inner.start + it.end;
                self.found.extend(within.into_iter().map(place));
            }
        }
    }

    /// A word without quotes: a key, a number, or what a broken line has.
    fn word(&mut self) {
        let begin = self.at;
        let rest = self.rest();
        self.at += rest.find(|letter| !is_of_word(letter)).unwrap_or(rest.len());
        let word = &self.text[begin..self.at];
        // As YAML has it, of which documents are made too.
        if let (Some(name), None, true) =
            (word.strip_suffix(':'), &self.key, self.rest().starts_with([' ', '\n', '\r']))
        {
            self.key = Some(name.to_owned());
            return;
        }
        let is_key = self.key.is_none() && self.names(word, &['=', '.']);
        if !is_key && self.is_secret() && !matches!(word, "true" | "false") {
            // To the end of the line, or of the element: it has no quotes that would say where it ends.
            let ends: &[char] = if self.open.is_empty() { &['\n'] } else { &['\n', ',', '}', ']'] };
            let end = rest.find(ends).map_or(self.text.len(), |it| begin + it);
            self.at = end.max(self.at);
            self.hide(begin..self.at);
        }
    }

    /// Whether it names a value that follows one of these signs.
    fn names(&mut self, name: &str, signs: &[char]) -> bool {
        let rest = self.rest();
        let spaces = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let is_name = rest[spaces..].starts_with(signs);
        if is_name && rest[spaces..].starts_with('.') {
            self.dotted = Some(self.within(self.around(), name));
        } else if is_name {
            self.key = Some(name.to_owned());
        }
        self.at += if is_name { spaces + 1 } else { 0 };
        is_name
    }

    /// Hides a value, but for placeholders.
    fn hide(&mut self, place: Range<usize>) {
        let mut from = place.start;
        for known in placeholders(&self.text[place.clone()]) {
            self.found.push(from..place.start + known.start);
            from = place.start + known.end;
        }
        self.found.push(from..place.end);
    }
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || "_-+$/@:%&!?*~".contains(letter)
}

/// Bytes to the closing quote, or to the end of the line where there is none.
fn length_of(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '\n' => return at,
            _ if is_escaped => is_escaped = false,
            '\\' if quote == '"' => is_escaped = true,
            _ if letter == quote => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for place in hidden(text) {
            let letters = bytes[place].iter_mut().filter(|byte| !byte.is_ascii_whitespace());
            letters.for_each(|byte| *byte = b'*');
        }
        String::from_utf8(bytes).expect("whole letters")
    }

    #[test]
    fn hides_what_stands_behind_the_names_of_secrets() {
        for (text, expected) in [
            ("password = \"hunter2\"", "password = \"*******\""),
            ("  'passwort' = 'hunter2' # why", "  'passwort' = '*******' # why"),
            ("a.b.secret = \"x\"\nkey = \"x\"", "a.b.secret = \"*\"\nkey = \"x\""),
            ("keys = [{ id = \"a\", digest = \"b\" }]", "keys = [{ id = \"a\", digest = \"*\" }]"),
            ("tokens = [\"a\",\n \"b\"]\nname = \"c\"", "tokens = [\"*\",\n \"*\"]\nname = \"c\""),
            ("htpasswd = \"\"\"\na:b\n\"\"\"\nx = 1", "htpasswd = \"\"\"\n***\n\"\"\"\nx = 1"),
            ("secret = \"a\\\"b\" # c", "secret = \"****\" # c"),
            ("token = 1234\nlimit = 5", "token = ****\nlimit = 5"),
            ("{ token = 1234, limit = 5 }", "{ token = ****, limit = 5 }"),
            ("headers.x-key = \"a\"\nx-key = \"b\"", "headers.x-key = \"*\"\nx-key = \"b\""),
            ("api_key = { header = \"x-key\" }", "api_key = { header = \"x-key\" }"),
            ("token = \"${env:A}\"", "token = \"${env:A}\""),
            ("token = \"Bearer ${env:A}x\"", "token = \"****** ${env:A}*\""),
            ("[secrets]\na = \"b\"\n[x]\na = \"b\"", "[secrets]\na = \"*\"\n[x]\na = \"b\""),
            ("environment = { A = \"b\" }\nA = \"b\"", "environment = { A = \"*\" }\nA = \"b\""),
            (
                "headers = { x-api-key = \"a\", b = \"c\" }",
                "headers = { x-api-key = \"*\", b = \"c\" }",
            ),
            (
                "[documents.d]\nheaders = { b = \"c\", accept = \"d\" }\npath = \"/k?t=e\"",
                "[documents.d]\nheaders = { b = \"*\", accept = \"d\" }\npath = \"/k?t=*\"",
            ),
            ("a = \"redis://u:p@h\"", "a = \"redis://***@h\""),
            ("10.0.0.1\nhttps://u:p@h # v:q@g", "10.0.0.1\nhttps://***@h # ***@g"),
            ("password: hunter2\nname: a", "password: *******\nname: a"),
            (
                "tokens = [\n [\"a\"]\n, \"b\"]\nname = \"c\"",
                "tokens = [\n [\"*\"]\n, \"*\"]\nname = \"c\"",
            ),
            ("{ \"token\": \"a\", \"b\": \"c\" }", "{ \"token\": \"*\", \"b\": \"c\" }"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn hides_it_in_lines_that_are_broken_too() {
        for (text, expected) in [
            ("password = \"hunter2\nname = \"a\"", "password = \"*******\nname = \"a\""),
            ("password = hunter2, it # is\nname = a", "password = ******** ** * **\nname = a"),
            ("tokens = [\"a\"\n[x]\nname = \"b\"", "tokens = [\"*\"\n[x]\nname = \"b\""),
            ("password=hunter\"2\nname = \"b\"", "password=********\nname = \"b\""),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
