//! Queries in keys: which parameters count, and what `No-Vary-Search` says of it.
//!
//! `No-Vary-Search` is a draft of the IETF, read here as browsers read it: `key-order`, `params` and `except`.

use crate::fields::Fields;
use crate::structured::{self, Member};

/// Which parameters of a query count, and whether their order does.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Variation {
    /// Those that count, or those that do not.
    pub parameters: Parameters,
    /// Whether the order of parameters with different names counts.
    pub order: bool,
}

/// Which parameters count.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Parameters {
    /// All but these. A name that ends with `*` stands for all that begin so.
    AllBut(Vec<String>),
    /// These alone.
    Only(Vec<String>),
}

impl Default for Variation {
    fn default() -> Self {
        Self { parameters: Parameters::AllBut(Vec::new()), order: true }
    }
}

impl Variation {
    /// Reads `No-Vary-Search`. What cannot be read is as if it were not there.
    pub fn of(response: &Fields) -> Option<Self> {
        let members = structured::dictionary(&response.value("no-vary-search")?)?;
        let (mut read, mut ignored, mut except) = (Self::default(), None, None);
        for (name, member) in members {
            match (name.as_str(), member) {
                ("key-order", Member::Boolean(is)) => read.order = !is,
                ("params", Member::Boolean(is)) => ignored = Some((is, Vec::new())),
                ("params", Member::List(names)) => ignored = Some((false, names)),
                ("except", Member::List(names)) => except = Some(names),
                ("key-order" | "params" | "except", _) => return None,
                _ => {}
            }
        }
        read.parameters = match (ignored, except) {
            (Some((true, _)), except) => Parameters::Only(except.unwrap_or_default()),
            (_, Some(_)) => return None,
            (Some((false, names)), None) => Parameters::AllBut(names),
            (None, None) => Parameters::AllBut(Vec::new()),
        };
        let (Parameters::AllBut(names) | Parameters::Only(names)) = &read.parameters;
        // Here a star is a character as any other, and would be read as more than it says.
        let is_plain = names.iter().all(|name| !name.ends_with('*'));
        (is_plain && read != Self::default()).then_some(read)
    }

    /// Whether all of a query counts, byte by byte.
    pub fn is_exact(&self) -> bool {
        *self == Self::default()
    }

    /// The part of a query that counts. Parameters keep their spelling; where their order does not count they are
    /// sorted by name, and those of one name keep theirs.
    pub fn key(&self, query: &str) -> String {
        if self.is_exact() {
            return query.to_owned();
        }
        let mut kept: Vec<(String, &str)> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| (decode(pair.split_once('=').map_or(pair, |(name, _)| name)), pair))
            .filter(|(name, _)| self.counts(name))
            .collect();
        if !self.order {
            kept.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        let pairs: Vec<_> = kept.into_iter().map(|(_, pair)| pair).collect();
        pairs.join("&")
    }

    fn counts(&self, name: &str) -> bool {
        let is_in = |names: &[String]| {
            names.iter().any(|other| match other.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == other,
            })
        };
        match &self.parameters {
            Parameters::AllBut(names) => !is_in(names),
            Parameters::Only(names) => is_in(names),
        }
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let escaped = if *first == b'%' { digit(0).zip(digit(1)) } else { None };
        match escaped {
            Some((high, low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = &behind[2..];
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Variation> {
        Variation::of(&[("no-vary-search", text)].into_iter().collect())
    }

    #[test]
    fn parameters_that_do_not_count_are_not_in_the_key() {
        let key = |text: &str, query: &str| of(text).unwrap_or_default().key(query);
        assert_eq!(key("params=(\"utm\")", "a=1&utm=2&b=3"), "a=1&b=3");
        assert_eq!(key("params=(\"u m\")", "a=1&u%20m=2&u+m"), "a=1");
        assert_eq!(key("params, except=(\"id\")", "a=1&id=2"), "id=2");
        assert_eq!(key("params", "a=1"), "");
        assert_eq!(key("key-order", "b=1&a=2&b=0"), "a=2&b=1&b=0");
        assert_eq!(key("", "b=1&a=2"), "b=1&a=2");
        assert_eq!(key("", "b=1&&a=2&"), "b=1&&a=2&");
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        for text in [
            "",
            "params=(\"a*\")",
            "params=3",
            "except=(\"a\")",
            "key-order=1",
            "params=(\"a\"",
            "other",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_the_rest_of_a_name() {
        let variation =
            Variation { parameters: Parameters::AllBut(vec!["utm_*".into()]), order: false };
        assert_eq!(variation.key("utm_a=1&b=1&a=2&utm=3"), "a=2&b=1&utm=3");
    }
}
