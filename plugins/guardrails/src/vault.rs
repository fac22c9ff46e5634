//! What was masked in a request, and its placeholders: `[EMAIL_1]` for the first address, wherever it stands.
//!
//! Owns how placeholders look and how they are found again. Kept with the exchange, and nowhere else.

use std::cell::RefCell;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The most that is kept, in bytes. What is masked beyond that is not put back.
const MOST: usize = 256 << 10;
/// The longest placeholder: a name of 32 letters, a number, brackets.
const LONGEST: usize = 48;

/// Placeholders and values, each with a NUL behind it: every hook of a stream reads it, and most look for nothing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Vault(String);

impl Vault {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut texts = self.0.split('\0');
        std::iter::from_fn(move || Some((texts.next()?, texts.next()?)))
    }

    /// The placeholder of a value: the same for the same value, and one that the request does not have itself.
    /// `None` if there is no room.
    pub(crate) fn placeholder(
        &mut self,
        detector: &str,
        value: &str,
        request: &Request<'_>,
    ) -> Option<String> {
        let name = label(detector);
        let known =
            self.entries().find(|(placeholder, of)| *of == value && of_label(placeholder, &name));
        if let Some((placeholder, _)) = known {
            return Some(placeholder.to_owned());
        }
        if value.contains('\0') || self.0.len() + value.len() + LONGEST > MOST {
            return None;
        }
        let taken = self.entries().filter(|(placeholder, _)| of_label(placeholder, &name)).count();
        let numbers = taken + 1..;
        let placeholder = numbers.map(|number| format!("[{name}_{number}]")).find(|it| {
            self.entries().all(|(placeholder, _)| placeholder != it) && !request.has(&name, it)
        })?;
        for text in [&placeholder, value] {
            self.0.push_str(text);
            self.0.push('\0');
        }
        Some(placeholder)
    }

    /// Gives each placeholder in a text with its value. Returns from where on more is needed.
    pub(crate) fn find(
        &self,
        text: &str,
        is_end: bool,
        mut each: impl FnMut(Range<usize>, &str),
    ) -> usize {
        if self.is_empty() {
            return text.len();
        }
        for (at, _) in text.match_indices('[') {
            let rest = &text[at..];
            let is_part =
                |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'-';
            let length = 1 + rest.bytes().skip(1).take(LONGEST).take_while(is_part).count();
            if length == rest.len() {
                let known = |(placeholder, _): (&str, &str)| {
                    placeholder.get(..length).is_some_and(|start| start.eq_ignore_ascii_case(rest))
                };
                if !is_end && self.entries().any(known) {
                    return at;
                }
            } else if rest.as_bytes()[length] == b']' {
                let written = &rest[..=length];
                // Models do not always keep the case.
                let value = self.entries().find(|(known, _)| known.eq_ignore_ascii_case(written));
                if let Some((_, value)) = value {
                    each(at..at + length + 1, value);
                }
            }
        }
        text.len()
    }
}

/// The request in which values are masked.
pub(crate) struct Request<'a> {
    text: &'a str,
    /// Labels of placeholders that it may have itself, and whether it does: looked for once.
    labels: RefCell<Vec<(String, bool)>>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, labels: RefCell::default() }
    }

    fn has(&self, label: &str, placeholder: &str) -> bool {
        let mut labels = self.labels.borrow_mut();
        let known = labels.iter().find(|(known, _)| known == label).map(|(_, has)| *has);
        let has = known.unwrap_or_else(|| {
            let has = self.text.contains(&format!("[{label}_"));
            labels.push((label.to_owned(), has));
            has
        });
        has && self.text.contains(placeholder)
    }
}

/// A detector's name in a placeholder.
pub(crate) fn label(detector: &str) -> String {
    detector.to_ascii_uppercase().replace('-', "_")
}

fn of_label(placeholder: &str, label: &str) -> bool {
    let number = placeholder.strip_prefix('[').and_then(|rest| rest.strip_prefix(label));
    number.is_some_and(|rest| {
        rest.strip_prefix('_').is_some_and(|rest| rest.trim_end_matches(']').parse::<u32>().is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::{Request, Vault};

    #[test]
    fn a_value_has_one_placeholder_which_nothing_else_has() {
        let mut vault = Vault::default();
        let request = &Request::new("I read of [EMAIL_1] once");
        assert_eq!(vault.placeholder("email", "a@b.de", request).as_deref(), Some("[EMAIL_2]"));
        assert_eq!(vault.placeholder("email", "c@b.de", request).as_deref(), Some("[EMAIL_3]"));
        assert_eq!(vault.placeholder("email", "a@b.de", request).as_deref(), Some("[EMAIL_2]"));
        assert_eq!(vault.placeholder("api-key", "a@b.de", request).as_deref(), Some("[API_KEY_1]"));
        let large = "x".repeat(super::MOST);
        assert_eq!(vault.placeholder("email", &large, request), None);
    }

    #[test]
    fn placeholders_are_found_in_any_case_and_waited_for() {
        let mut vault = Vault::default();
        vault.placeholder("email", "a@b.de", &Request::new(""));
        let read = |text: &str, is_end| {
            let mut found = Vec::new();
            let until =
                vault.find(text, is_end, |range, value| found.push((range, value.to_owned())));
            (found, until)
        };
        assert_eq!(read("to [email_1]!", false), (vec![(3..12, "a@b.de".to_owned())], 13));
        for text in ["to [", "to [EMAIL", "to [EMAIL_1"] {
            assert_eq!(read(text, false), (Vec::new(), 3), "{text}");
            assert_eq!(read(text, true).1, text.len(), "{text}");
        }
        for text in ["to [x", "[EMAIL_12]", "[EMAIL_1 ", "[[", "[\u{e9}"] {
            let until = if text == "[[" { 1 } else { text.len() };
            assert_eq!(read(text, false), (Vec::new(), until), "{text}");
        }
    }
}
