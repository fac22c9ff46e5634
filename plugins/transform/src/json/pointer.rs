//! JSON Pointer (RFC 6901).
//!
//! Owns the notation. Walking a document along a pointer is `document`'s.

/// A parsed pointer: its reference tokens, first to last. The empty pointer is the whole document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer {
    tokens: Vec<String>,
}

impl Pointer {
    /// Parses a pointer. The error says what is wrong with it, in a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self { tokens: Vec::new() });
        }
        let Some(tokens) = text.strip_prefix('/') else {
            return Err(format!(
                "`{text}` is not a JSON Pointer: it is empty or begins with `/`, as in `/user/id`"
            ));
        };
        let tokens = tokens.split('/').map(unescape).collect::<Option<_>>();
        tokens.map(|tokens| Self { tokens }).ok_or_else(|| {
            format!("`{text}` is not a JSON Pointer: `~` is allowed only in `~0` (for `~`) and `~1` (for `/`)")
        })
    }

    /// Whether this is the whole document.
    pub(crate) fn is_root(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The reference tokens, unescaped.
    pub(crate) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// The pointer to what holds this value, and the name or index in there; `None` for the root.
    pub(crate) fn split_last(&self) -> Option<(&[String], &str)> {
        self.tokens.split_last().map(|(last, parent)| (parent, last.as_str()))
    }

    /// Whether `other` is this place or one inside it.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        other.tokens.starts_with(&self.tokens)
    }
}

fn unescape(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut characters = token.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '~' => match characters.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_examples_of_the_rfc() {
        for (text, tokens) in [
            ("", &[][..]),
            ("/foo", &["foo"]),
            ("/foo/0", &["foo", "0"]),
            ("/", &[""]),
            ("/a~1b", &["a/b"]),
            ("/m~0n", &["m~n"]),
            ("/~01", &["~1"]),
            ("/ ", &[" "]),
        ] {
            assert_eq!(Pointer::parse(text).unwrap().tokens(), tokens, "{text:?}");
        }
    }

    #[test]
    fn rejects_what_is_no_pointer() {
        for text in ["a", "a/b", "/~", "/~2", "#/a"] {
            assert!(Pointer::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn knows_what_is_inside() {
        let parse = |text| Pointer::parse(text).unwrap();
        assert!(parse("/a").contains(&parse("/a/b")));
        assert!(parse("").contains(&parse("/a")));
        assert!(!parse("/a").contains(&parse("/ab")));
    }
}
