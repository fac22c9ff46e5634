//! `${...}` in the plugin's texts: parsed once, filled in for each exchange.
//!
//! Owns the notation, and how a value is written into its place. What a value is, and where it
//! comes from, is `reference`'s.

mod reference;

use std::borrow::Cow;

use crate::encode;
use crate::values::Values;

use reference::parse_reference;
pub(crate) use reference::{Direction, Origin, Reference, References};

/// A text with references in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value { index: usize, missing: Missing, path_form: PathForm },
}

/// What replaces a value that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Missing {
    /// `${name}`: nothing.
    Empty,
    /// `${name|text}`: this text.
    Default(String),
    /// `${name?}`: the whole edit is left out.
    Omit,
}

/// How a value is written into a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PathForm {
    /// It is a path: as it is.
    Encoded,
    /// Percent-encoded but for its slashes.
    Segments,
    /// Percent-encoded.
    Segment,
}

impl Template {
    /// Parses a text. The error says what is wrong with it, in a sentence.
    pub(crate) fn parse(
        text: &str,
        direction: Direction,
        references: &mut References,
    ) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, behind) = (&rest[..at], &rest[at + 2..]);
            if let Some(before) = before.strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${");
                rest = behind;
                continue;
            }
            literal.push_str(before);
            let (inner, behind) = behind.split_once('}').ok_or(
                "`${` has no closing brace; write `$${` for these two characters themselves",
            )?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(parse_value(inner, direction, references)?);
            rest = behind;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// The text, if it has no references.
    pub(crate) fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The texts between the references.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Value { .. } => None,
        })
    }

    /// The path that it makes of short and harmless values.
    pub(crate) fn sample_path(&self) -> String {
        let sample = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Value { path_form: PathForm::Encoded, .. } => "/x".to_owned(),
            Part::Value { .. } => "x".to_owned(),
        };
        self.parts.iter().map(sample).collect()
    }

    /// The indices of the references, repeated where the template repeats them.
    pub(crate) fn indices(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value { index, .. } => Some(*index),
            Part::Text(_) => None,
        })
    }

    /// The text with its values; `None` if a value marked with `?` is missing.
    pub(crate) fn fill<'a>(&'a self, values: &'a Values) -> Option<Cow<'a, str>> {
        match self.parts.as_slice() {
            [] => return Some(Cow::Borrowed("")),
            [Part::Text(text)] => return Some(Cow::Borrowed(text)),
            [Part::Value { index, missing, .. }] => {
                return missing.or(values.value(*index)).map(Cow::Borrowed);
            }
            _ => {}
        }
        let mut filled = String::new();
        for part in &self.parts {
            filled.push_str(match part {
                Part::Text(text) => text,
                Part::Value { index, missing, .. } => missing.or(values.value(*index))?,
            });
        }
        Some(Cow::Owned(filled))
    }

    /// The text with its values percent-encoded for a path; `None` as in [`fill`](Self::fill).
    pub(crate) fn fill_path(&self, values: &Values) -> Option<String> {
        let mut path = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Value { index, missing, path_form } => {
                    let value = missing.or(values.value(*index))?;
                    match path_form {
                        PathForm::Encoded => path.push_str(value),
                        PathForm::Segments => path.extend(encode::path_segments(value)),
                        PathForm::Segment => path.extend(encode::path_segment(value)),
                    }
                }
            }
        }
        Some(path)
    }
}

impl Missing {
    fn or<'a>(&'a self, value: Option<&'a str>) -> Option<&'a str> {
        value.or(match self {
            Self::Empty => Some(""),
            Self::Default(text) => Some(text),
            Self::Omit => None,
        })
    }
}

fn parse_value(
    inner: &str,
    direction: Direction,
    references: &mut References,
) -> Result<Part, String> {
    let (name, missing) = match inner.split_once('|') {
        Some((name, text)) => (name, Missing::Default(text.to_owned())),
        None => match inner.strip_suffix('?') {
            Some(name) => (name, Missing::Omit),
            None => (inner, Missing::Empty),
        },
    };
    let reference = parse_reference(name.trim())?;
    if reference.origin() == Origin::Response && direction == Direction::Request {
        return Err(format!("`${{{inner}}}`: there is no response yet when a request is changed"));
    }
    let path_form = path_form(&reference);
    Ok(Part::Value { index: references.index(reference, direction), missing, path_form })
}

/// How the value of a reference goes into a path.
fn path_form(reference: &Reference) -> PathForm {
    match reference {
        Reference::Path => PathForm::Encoded,
        Reference::Attribute(name) if name.starts_with("capture.") => PathForm::Segments,
        Reference::Attribute(_)
        | Reference::Method
        | Reference::Query
        | Reference::QueryParameter(_)
        | Reference::RequestHeader(_)
        | Reference::Status
        | Reference::ResponseHeader(_) => PathForm::Segment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Template, String> {
        Template::parse(text, Direction::Response, &mut References::default())
    }

    /// Fills a template with the values of its references, in order of first use.
    fn filled(text: &str, values: &[Option<&str>]) -> Option<String> {
        let values = Values::of(values.iter().map(|value| value.map(str::to_owned)).collect());
        parse(text).unwrap().fill(&values).map(Cow::into_owned)
    }

    #[test]
    fn knows_every_name_and_merges_repeated_ones() {
        let text = "${request.method}${request.path}${request.query}${request.query.q}\
                    ${request.header.X-A}${capture.id}${consumer.id}${attribute.geo}\
                    ${response.status}${response.header.ETag}${request.header.x-a}${request.id}";
        let mut references = References::default();
        Template::parse(text, Direction::Response, &mut references).unwrap();
        assert!(references.used(Direction::Request).is_empty());
        assert_eq!(
            references.table(),
            [
                Reference::Method,
                Reference::Path,
                Reference::Query,
                Reference::QueryParameter("q".to_owned()),
                Reference::RequestHeader("x-a".to_owned()),
                Reference::Attribute("capture.id".to_owned()),
                Reference::Attribute("consumer.id".to_owned()),
                Reference::Attribute("geo".to_owned()),
                Reference::Status,
                Reference::ResponseHeader("etag".to_owned()),
                Reference::Attribute("request.id".to_owned()),
            ]
        );
    }

    #[test]
    fn a_missing_value_is_empty_or_its_default_or_leaves_the_edit_out() {
        assert_eq!(filled("<${capture.a}>", &[None]).as_deref(), Some("<>"));
        assert_eq!(filled("<${capture.a|x y}>", &[None]).as_deref(), Some("<x y>"));
        assert_eq!(filled("<${capture.a|}>", &[None]).as_deref(), Some("<>"));
        assert_eq!(filled("<${capture.a?}>", &[None]), None);
        assert_eq!(filled("${capture.a?}", &[None]), None);
        assert_eq!(filled("<${capture.a|x}${capture.a?}>", &[Some("v")]).as_deref(), Some("<vv>"));
        assert_eq!(filled("${capture.a|x}", &[Some("")]).as_deref(), Some(""));
    }

    #[test]
    fn a_doubled_dollar_escapes_a_brace_and_a_lone_dollar_is_itself() {
        assert_eq!(parse("a $${b} $5 $").unwrap().constant(), Some("a ${b} $5 $"));
        assert_eq!(filled("$${${capture.a}}", &[Some("v")]).as_deref(), Some("${v}"));
        assert_eq!(parse("").unwrap().constant(), Some(""));
    }

    #[test]
    fn rejects_what_it_does_not_know() {
        for (text, part) in [
            ("${", "closing brace"),
            ("a ${capture.id", "closing brace"),
            ("${}", "names nothing"),
            ("${|x}", "names nothing"),
            ("${request.methd}", "one of `method`"),
            ("${request.query.}", "one of `method`"),
            ("${consumr.id}", "${attribute.consumr.id}"),
            ("${capture.}", "is not known"),
            ("${env:HOME}", "is not known"),
            ("${request.header.a b}", "not a header name"),
            ("${response.body}", "one of `status`"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        let error =
            Template::parse("${response.status}", Direction::Request, &mut References::default());
        assert!(error.expect_err("too early").contains("no response yet"));
    }

    #[test]
    fn encodes_values_for_a_path_by_what_they_are() {
        let template = parse("/a%20b/${capture.rest}/${request.header.x}${request.path}").unwrap();
        let values = Values::of(vec![
            Some("x y/%z".to_owned()),
            Some("p/q?".to_owned()),
            Some("/old%20path".to_owned()),
        ]);
        assert_eq!(
            template.fill_path(&values).as_deref(),
            Some("/a%20b/x%20y/%25z/p%2Fq%3F/old%20path")
        );
    }
}
