//! Names with stars.
//!
//! Owns their meaning: one star is anything without the separator of its kind of name, and not nothing; two are
//! anything. A comparison takes time by the product of both lengths at most.

/// See the module.
#[derive(Debug)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    separator: Option<char>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Char(char),
    /// Of one segment.
    Some,
    /// Of any number of them.
    Any,
}

impl Pattern {
    /// Without stars, whatever is in it.
    pub(super) fn exact(text: &str) -> Self {
        Self { parts: text.chars().map(Part::Char).collect(), separator: None }
    }

    /// With stars.
    ///
    /// # Errors
    /// If it fits nothing, or cannot mean what it says.
    pub(super) fn of(text: &str, separator: Option<char>) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is empty, and fits nothing");
        }
        if text.contains("***") {
            return Err("has three stars in a row: `*` is anything in a segment, `**` anything");
        }
        let mut parts = Vec::with_capacity(text.len());
        for c in text.chars() {
            match (c, parts.last()) {
                ('*', Some(Part::Some)) => {
                    parts.pop();
                    parts.push(Part::Any);
                }
                ('*', _) => parts.push(Part::Some),
                (c, _) => parts.push(Part::Char(c)),
            }
        }
        Ok(Self { parts, separator })
    }

    pub(super) fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        // Which beginnings of the text the parts so far fit.
        let mut reached = vec![false; text.len() + 1];
        reached[0] = true;
        for part in &self.parts {
            let mut next = vec![false; text.len() + 1];
            for (at, c) in text.iter().enumerate() {
                next[at + 1] = match part {
                    Part::Char(wanted) => reached[at] && wanted == c,
                    Part::Some => (reached[at] || next[at]) && self.separator != Some(*c),
                    Part::Any => reached[at] || next[at],
                };
            }
            reached = next;
        }
        reached.last() == Some(&true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_segment() {
        for (pattern, separator, text, fits) in [
            ("spiffe://a/ns/*/sa/b", Some('/'), "spiffe://a/ns/x/sa/b", true),
            ("spiffe://a/ns/*/sa/b", Some('/'), "spiffe://a/ns/x/y/sa/b", false),
            ("spiffe://a/ns/*/sa/b", Some('/'), "spiffe://a/ns//sa/b", false),
            ("spiffe://a/**", Some('/'), "spiffe://a/x/y", true),
            ("spiffe://a/**", Some('/'), "spiffe://a.example/x", false),
            ("*.a.example", Some('.'), "b.a.example", true),
            ("*.a.example", Some('.'), "c.b.a.example", false),
            ("*.a.example", Some('.'), "a.example", false),
            ("*@a.example", Some('@'), "x@a.example", true),
            ("*@a.example", Some('@'), "x@b@a.example", false),
            ("*", None, "anything at all", true),
            ("*", None, "", false),
            ("a*b*c", None, "aXbYc", true),
            ("a*b*c", None, "abc", false),
            ("abc", None, "abcd", false),
            ("abc", None, "ab", false),
        ] {
            let parsed = Pattern::of(pattern, separator).expect("a pattern");
            assert_eq!(parsed.fits(text), fits, "{pattern} {text}");
        }
        assert!(Pattern::exact("a*").fits("a*") && !Pattern::exact("a*").fits("ab"));
        assert!(Pattern::of("a***", None).is_err() && Pattern::of("", None).is_err());
    }
}
