//! From what is written between the quotes of a JSON string to its text, and back, with the place of each byte.
//!
//! Arguments of tools are JSON inside of a string: their escapes are taken away twice.

use std::borrow::Cow;

use gateway_model_protocols::json::Writer;

use crate::text::Kind;

/// A text, and where each byte of it was written.
pub(crate) struct Decoded<'a> {
    pub(crate) text: Cow<'a, str>,
    /// For each byte and the end, its place in what was written; empty if that is the same.
    places: Vec<u32>,
    /// From this byte on, what was written may be a part of an escape that is not whole.
    pub(crate) whole: usize,
}

impl<'a> Decoded<'a> {
    /// Reads what stands between quotes. `is_end`: no more of it comes.
    pub(crate) fn read(written: &'a str, kind: Kind, is_end: bool) -> Self {
        if !written.contains('\\') {
            let whole = written.len();
            return Self { text: Cow::Borrowed(written), places: Vec::new(), whole };
        }
        let (text, mut places, mut whole) = unescape(written, true);
        if kind != Kind::Arguments || !text.contains('\\') {
            return Self { text: Cow::Owned(text), places, whole };
        }
        let (inner, of_inner, inner_whole) = unescape(&text, is_end);
        whole = whole.min(inner_whole);
        places = of_inner.iter().map(|at| places[*at as usize]).collect();
        Self { text: Cow::Owned(inner), places, whole }
    }

    /// Where a byte was written.
    pub(crate) fn place(&self, at: usize) -> usize {
        match self.places.get(at) {
            Some(place) => *place as usize,
            None => at,
        }
    }
}

/// A text as it is written between the quotes of a string of this kind.
pub(crate) fn escape(text: &str, kind: Kind) -> String {
    let once = between_quotes(text);
    if kind == Kind::Arguments { between_quotes(&once) } else { once }
}

fn between_quotes(text: &str) -> String {
    let mut json = Writer::new();
    json.str(text);
    json.out[1..json.out.len() - 1].to_owned()
}

/// The text, the place of each byte and of the end, and from where on an escape may not be whole.
fn unescape(written: &str, is_end: bool) -> (String, Vec<u32>, usize) {
    let mut text = String::with_capacity(written.len());
    let mut places = Vec::with_capacity(written.len() + 1);
    let mut at = 0;
    let mut whole = None;
    while let Some(character) = written[at..].chars().next() {
        let (decoded, length) = match character {
            '\\' => match escaped(&written[at..]) {
                Some(known) => known,
                None => {
                    if !is_end && is_part(&written[at..]) {
                        whole.get_or_insert(text.len());
                    }
                    ('\\', 1)
                }
            },
            plain => (plain, plain.len_utf8()),
        };
        text.push(decoded);
        places.resize(text.len(), u32::try_from(at).unwrap_or(u32::MAX));
        at += length;
    }
    places.push(u32::try_from(written.len()).unwrap_or(u32::MAX));
    let whole = whole.unwrap_or(text.len());
    (text, places, whole)
}

/// The character of the escape at the front, and how long it is. `None` if it is not whole, or none.
fn escaped(text: &str) -> Option<(char, usize)> {
    let code = |at: usize| {
        let digits = text.get(at..at + 4)?;
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
        u32::from_str_radix(digits, 16).ok()
    };
    let simple = match text.as_bytes().get(1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
        b'u' => {
            let unit = code(2)?;
            if !(0xd800..0xdc00).contains(&unit) {
                return Some((char::from_u32(unit).unwrap_or('\u{fffd}'), 6));
            }
            let rest = text.get(6..).unwrap_or_default();
            if !rest.starts_with("\\u") {
                // Half of a pair, unless the other half is still to come.
                return (!"\\u".starts_with(rest)).then_some(('\u{fffd}', 6));
            }
            let low = code(8)?;
            return match low {
                0xdc00..0xe000 => {
                    let whole = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                    Some((char::from_u32(whole).unwrap_or('\u{fffd}'), 12))
                }
                _ => Some(('\u{fffd}', 6)),
            };
        }
        _ => return None,
    };
    Some((simple, 2))
}

/// Whether more text could make an escape of it.
fn is_part(text: &str) -> bool {
    text.len() < 12
        && match text.as_bytes().get(1) {
            None => true,
            Some(b'u') => text
                .bytes()
                .skip(2)
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'\\' || byte == b'u'),
            Some(_) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::{Decoded, escape};
    use crate::text::Kind;

    #[test]
    fn every_byte_of_a_text_has_its_place() {
        let written = r"a\u00e9\n\ud83d\ude00z";
        let decoded = Decoded::read(written, Kind::Said, true);
        assert_eq!(decoded.text, "a\u{e9}\n\u{1f600}z");
        let z = decoded.text.len() - 1;
        assert_eq!(&written[decoded.place(z)..], "z");
        assert_eq!(&written[decoded.place(1)..decoded.place(3)], r"\u00e9");
        assert_eq!(decoded.place(decoded.text.len()), written.len());
    }

    #[test]
    fn arguments_are_read_through_both_escapes() {
        let written = r##"{\"to\": \"a\\u0040b\\n\""##;
        let decoded = Decoded::read(written, Kind::Arguments, false);
        assert_eq!(decoded.text, "{\"to\": \"a@b\n\"");
        let at = decoded.text.find('@').unwrap();
        assert_eq!(&written[decoded.place(at)..decoded.place(at + 1)], r"\\u0040");
        assert_eq!(escape("a\"\n", Kind::Arguments), r#"a\\\"\\n"#);
        assert_eq!(escape("a\"\n", Kind::Said), r#"a\"\n"#);
    }

    #[test]
    fn an_escape_that_is_cut_is_not_whole() {
        for (written, whole) in
            [(r"ab\\", 2), (r"ab\\u00", 2), (r"ab\\u0040", 3), (r"ab\\ud83d", 2), (r"a\\n", 2)]
        {
            let decoded = Decoded::read(written, Kind::Arguments, false);
            assert_eq!(decoded.whole, whole, "{written}");
            let decoded = Decoded::read(written, Kind::Arguments, true);
            assert_eq!(decoded.whole, decoded.text.len(), "{written}");
        }
    }
}
