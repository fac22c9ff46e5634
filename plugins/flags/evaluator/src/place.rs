//! Where in a JSON text the value at a path is: line and column.
//!
//! It is asked only when something is wrong, so it reads the text again. The text is known to be JSON.

use std::ops::Range;

/// The bytes of the value at a path. Of a member that is there twice, the last one, which is the one that counts. Where a
/// part of the path is missing, the value that should have it.
pub(crate) fn of(text: &str, path: &[String]) -> Range<usize> {
    let mut at = skip_space(text.as_bytes(), 0);
    for step in path {
        match member(text, at, step) {
            Some(found) => at = found,
            None => break,
        }
    }
    at..skip_value(text.as_bytes(), at)
}

/// Line and column, in characters, counted from one, of a byte.
pub(crate) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
}

/// The byte that `serde_json` means by a line and a column, which counts bytes.
pub(crate) fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column).saturating_sub(1).min(text.len())
}

/// Where the value of a member, or of an element, begins.
fn member(text: &str, at: usize, step: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (is_object, end) = match bytes.get(at)? {
        b'{' => (true, b'}'),
        b'[' => (false, b']'),
        _ => return None,
    };
    let (mut at, mut index, mut found) = (skip_space(bytes, at + 1), 0_usize, None);
    while *bytes.get(at)? != end {
        let mut is_it = !is_object && step.parse() == Ok(index);
        if is_object {
            let key_end = skip_value(bytes, at);
            is_it = serde_json::from_str::<String>(text.get(at..key_end)?).ok()? == step;
            at = skip_space(bytes, key_end);
            at = skip_space(bytes, at + 1);
        }
        if is_it {
            found = Some(at);
        }
        at = skip_space(bytes, skip_value(bytes, at));
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        index += 1;
    }
    found
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// The end of the value that begins here.
fn skip_value(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                while let Some(byte) = bytes.get(at)
                    && *byte != b'"'
                {
                    at += if *byte == b'\\' { 2 } else { 1 };
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            b',' | b':' if depth == 0 => return at,
            byte if depth == 0 && byte.is_ascii_whitespace() => return at,
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(bytes[at - 1], b'"' | b'}' | b']') {
            return at;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::{of, offset, position};

    #[test]
    fn a_value_is_found_by_its_path() {
        let text = "{\n  \"a\": [1, {\"x\\\"}\": \"]\", \"b\": true}],\n  \"ü\": {\"c\": null}, \"a\": [0,\n 7]\n}";
        let at = |path: &[&str]| {
            position(
                text,
                of(text, &path.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()).start,
            )
        };
        assert_eq!(at(&[]), (1, 1));
        assert_eq!(at(&["a"]), (3, 26), "the last of two counts");
        assert_eq!(at(&["a", "1"]), (4, 2));
        assert_eq!(at(&["ü", "c"]), (3, 14));
        assert_eq!(at(&["ü", "missing"]), (3, 8));
        let once = text.replace("\"a\": [0,\n 7]", "\"d\": 1");
        let place = of(&once, &["a".into(), "1".into(), "b".into()]);
        assert_eq!((position(&once, place.start), &once[place]), ((2, 31), "true"));
    }

    #[test]
    fn what_is_no_json_ends_at_a_byte() {
        let at = |text: &str| {
            let error = serde_json::from_str::<serde_json::Value>(text).unwrap_err();
            position(text, offset(text, error.line(), error.column()))
        };
        assert_eq!(at("{\n  \"ü\": ü }"), (2, 8));
        // Behind a number it depends on whether another crate asks serde_json for numbers as they are written.
        assert_eq!(at("{ \"a\": true"), (1, 11), "the last byte of one that is cut");
        assert_eq!(at(""), (1, 1));
    }
}
