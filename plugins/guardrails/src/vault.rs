//! What was masked in a request, and its placeholders: `[EMAIL_1]` for the first address, wherever it stands.
//!
//! Owns how placeholders look and how they are found again. Kept with the exchange, and nowhere else.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The most that is kept, in bytes. What is masked beyond that is not put back.
const MOST: usize = 256 << 10;
/// The longest placeholder: a name of 32 letters, a number, brackets.
const LONGEST: usize = 48;
/// How many placeholders of a text are looked for one by one.
const FEW: usize = 4;
/// How often JSON stands in strings of JSON, at most.
const MOST_NESTED: usize = 4;

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
        request: &mut Request<'_>,
    ) -> Option<String> {
        let name = label(detector);
        let written = |number: u32| format!("[{name}_{number}]");
        let Known { own, labels } = request.known(self);
        let of_label = labels.entry(name.clone()).or_default();
        if let Some(number) = of_label.numbers.get(value) {
            return Some(written(*number));
        }
        if value.contains('\0') || self.0.len() + value.len() + LONGEST > MOST {
            return None;
        }
        let placeholder = loop {
            of_label.last += 1;
            let placeholder = written(of_label.last);
            if !own.contains(&placeholder) {
                break placeholder;
            }
        };
        of_label.numbers.insert(value.to_owned(), of_label.last);
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
        let (mut looked_up, mut values) = (0, HashMap::new());
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
                // Models do not always keep the case.
                let written = rest[..=length].to_ascii_uppercase();
                // Most texts have few, for which a map is not worth it.
                looked_up += 1;
                let value = if looked_up <= FEW {
                    self.entries().find(|(known, _)| *known == written).map(|(_, value)| value)
                } else {
                    if values.is_empty() {
                        values.extend(self.entries());
                    }
                    values.get(written.as_str()).copied()
                };
                if let Some(value) = value {
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
    known: Option<Known>,
}

/// What is known of placeholders once the first is needed.
#[derive(Default)]
struct Known {
    /// Those that the request has itself, in upper case.
    own: HashSet<String>,
    labels: HashMap<String, OfLabel>,
}

/// The values that were masked with one label.
#[derive(Default)]
struct OfLabel {
    numbers: HashMap<String, u32>,
    /// The highest number that was tried.
    last: u32,
}

impl<'a> Request<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, known: None }
    }

    fn known(&mut self, vault: &Vault) -> &mut Known {
        self.known.get_or_insert_with(|| {
            let mut known = Known::default();
            for (placeholder, value) in vault.entries() {
                let inner = placeholder.trim_matches(['[', ']']);
                let Some((label, number)) = inner.rsplit_once('_') else { continue };
                let Ok(number) = number.parse() else { continue };
                let of_label = known.labels.entry(label.to_owned()).or_default();
                of_label.last = of_label.last.max(number);
                of_label.numbers.insert(value.to_owned(), number);
            }
            own(self.text, &mut known.own);
            known
        })
    }
}

/// Adds all that look like placeholders in a request, in upper case: as they are written, and as they are read when
/// escapes are taken away, as often as JSON stands in strings of JSON.
fn own(text: &str, found: &mut HashSet<String>) {
    let mut text = Cow::Borrowed(text);
    for _ in 0..MOST_NESTED {
        for (at, _) in text.match_indices('[') {
            let rest = &text.as_bytes()[at + 1..];
            let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let length = rest.iter().take(LONGEST).take_while(|byte| is_part(byte)).count();
            if rest.get(length) == Some(&b']') {
                found.insert(text[at..at + length + 2].to_ascii_uppercase());
            }
        }
        // Only so can what placeholders are made of be written otherwise.
        if !text.contains("\\u00") {
            return;
        }
        text = Cow::Owned(without_escapes(&text));
    }
}

/// Takes away one level of the escapes that ASCII can have by its number.
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let code = rest.strip_prefix("u00").and_then(|rest| rest.get(..2));
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(u8::is_ascii);
        if let Some(code) = code {
            out.push(char::from(code));
            rest = &rest[5..];
        } else {
            out.push('\\');
            rest = rest.strip_prefix('\\').unwrap_or(rest);
        }
    }
    out.push_str(rest);
    out
}

/// A detector's name in a placeholder.
pub(crate) fn label(detector: &str) -> String {
    detector.to_ascii_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Request, Vault};

    #[test]
    fn a_value_has_one_placeholder_which_nothing_else_has() {
        let mut vault = Vault::default();
        let request = &mut Request::new("I read of [EMAIL_1] once");
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
        vault.placeholder("email", "a@b.de", &mut Request::new(""));
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

    #[test]
    fn placeholders_of_the_request_are_known_however_they_are_written() {
        for text in [
            "[EMAIL_1]",
            "[email_1]",
            "[Email_1]",
            r"\u005bEMAIL_1]",
            r"\u005BEMAIL\u005F1\u005d",
            r"[\u0065mail_1]",
            r#"{\"a\": \"\\u005bemail_1\\u005d\"}"#,
            r"a \\ b \\\\u005bemail_1]",
        ] {
            let mut vault = Vault::default();
            let placeholder = vault.placeholder("email", "a@b.de", &mut Request::new(text));
            assert_eq!(placeholder.as_deref(), Some("[EMAIL_2]"), "{text}");
        }
        for text in ["[EMAIL_12]", "EMAIL_1", "[EMAIL_1", "[EMAIL 1]", r"\u00", r"\", r"\u00\u00e9"]
        {
            let mut vault = Vault::default();
            let placeholder = vault.placeholder("email", "a@b.de", &mut Request::new(text));
            assert_eq!(placeholder.as_deref(), Some("[EMAIL_1]"), "{text}");
        }
    }

    #[test]
    fn a_vault_that_has_values_gives_them_the_same_placeholders() {
        let mut vault = Vault::default();
        vault.placeholder("api-key", "a", &mut Request::new("[API_KEY_1]"));
        let request = &mut Request::new("");
        assert_eq!(vault.placeholder("api-key", "a", request).as_deref(), Some("[API_KEY_2]"));
        assert_eq!(vault.placeholder("api-key", "b", request).as_deref(), Some("[API_KEY_3]"));
    }

    /// The shortest of some runs, so that what else runs on the machine counts little.
    fn time(mut run: impl FnMut()) -> Duration {
        let once = |_| {
            let start = Instant::now();
            run();
            start.elapsed()
        };
        (0..5).map(once).min().unwrap_or_default()
    }

    #[test]
    fn many_values_take_as_long_each_as_few() {
        let masked = |count: u32| {
            let own: String = (0..count).map(|number| format!("[email_{number}] ")).collect();
            let (mut vault, mut request) = (Vault::default(), Request::new(&own));
            for value in 0..count {
                vault.placeholder("email", &value.to_string(), &mut request);
            }
            vault
        };
        let back = |count: u32| {
            let vault = masked(count);
            let said: String = vault.entries().map(|(placeholder, _)| placeholder).collect();
            let mut found = 0;
            assert_eq!(vault.find(&said, true, |_, _| found += 1), said.len());
            assert_eq!(found, vault.entries().count());
        };
        // Four times as many: 16 times as long if each looked at all others.
        let (few, many) = (time(|| drop(masked(5_000))), time(|| drop(masked(20_000))));
        assert!(many < few * 9, "{few:?}, {many:?}");
        // More have no room.
        let (few, many) = (time(|| back(2_500)), time(|| back(10_000)));
        assert!(many < few * 9, "{few:?}, {many:?}");
    }
}
