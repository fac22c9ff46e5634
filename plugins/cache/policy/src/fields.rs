//! The fields of a head, by name.

use std::borrow::Cow;

/// The fields of a head: names in lower case, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, Vec<u8>)>);

impl Fields {
    /// Fields of these lines.
    pub fn new(lines: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let lower = |(name, value): (String, Vec<u8>)| (name.to_ascii_lowercase(), value);
        Self(lines.into_iter().map(lower).collect())
    }

    /// The lines, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The lines of one name.
    pub fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value)
    }

    /// Whether there is a line of this name.
    pub fn has(&self, name: &str) -> bool {
        self.lines(name).next().is_some()
    }

    /// The value of one name, several lines joined by `, ` (RFC 9110 section 5.3).
    pub fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut lines = self.0.iter().filter(|(other, _)| other == name).map(|(_, value)| value);
        let first = lines.next()?;
        let mut joined = Cow::Borrowed(first.as_slice());
        for line in lines {
            let whole = joined.to_mut();
            whole.extend_from_slice(b", ");
            whole.extend_from_slice(line);
        }
        Some(joined)
    }

    /// The value of one name as text. What is not UTF-8 becomes a character that no grammar has.
    pub fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    /// One line with this value, in place of all lines of this name.
    pub fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.remove(name);
        self.push(name, value);
    }

    /// One more line.
    pub fn push(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.0.push((name.to_ascii_lowercase(), value.into()));
    }

    /// No line of this name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }

    /// Keeps the lines for whose name this is true.
    pub fn retain(&mut self, mut keeps: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| keeps(name));
    }
}

impl<N: Into<String>, V: Into<Vec<u8>>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(lines: I) -> Self {
        Self::new(lines.into_iter().map(|(name, value)| (name.into(), value.into())))
    }
}

/// The members of a list (RFC 9110 section 5.6.1), without empty ones. A comma in a quoted string ends none.
pub fn members(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        loop {
            let text = rest?;
            let (member, behind) = match unquoted(text, b',') {
                Some(at) => (&text[..at], Some(&text[at + 1..])),
                None => (text, None),
            };
            rest = behind;
            let member = member.trim_matches([' ', '\t']);
            if !member.is_empty() {
                return Some(member);
            }
        }
    })
}

/// Where a byte stands first outside of a quoted string.
pub(crate) fn unquoted(text: &str, byte: u8) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.bytes().position(|one| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match one {
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ => return one == byte && !is_quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_quotes_ends_no_member() {
        let all: Vec<_> = members(r#"a, ,b="1, \"2", c"#).collect();
        assert_eq!(all, ["a", r#"b="1, \"2""#, "c"]);
        assert_eq!(members(r#"a="open, b"#).count(), 1);
        assert_eq!(members("").count(), 0);
    }

    #[test]
    fn lines_of_one_name_are_one_value() {
        let fields: Fields = [("Vary", "a"), ("x", "1"), ("vary", "b")].into_iter().collect();
        assert_eq!(fields.text("vary").as_deref(), Some("a, b"));
        assert_eq!(fields.text("y"), None);
    }
}
