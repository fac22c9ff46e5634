//! What is signed: a text with places for the time, fields and the body.
//!
//! Owns that one signed text cannot be read as another request: what fills a place never holds what follows it.

use gateway_plugin_sdk::prelude::*;

use crate::refusal::Refusal;
use gateway_plugin_identity::problems::{Pointer, Problems};

/// A text with places.
#[derive(Debug, Default)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Timestamp,
    Header(HeaderName),
    Body,
}

impl Template {
    /// Reads it.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, behind) = rest.split_at(at);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let end = behind.find('}').filter(|_| behind.starts_with('{'));
            let end = end.ok_or("has a brace that belongs to no place such as `{body}`")?;
            parts.push(match &behind[1..end] {
                "body" => Part::Body,
                "timestamp" => Part::Timestamp,
                place => {
                    let name = place.strip_prefix("header:").ok_or_else(|| {
                        format!("`{{{place}}}` is no place: `{{body}}`, `{{timestamp}}` or `{{header:NAME}}`")
                    })?;
                    Part::Header(HeaderName::parse(name).map_err(|error| error.to_string())?)
                }
            });
            rest = &behind[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Checks that all that counts is signed, and can be read in one way only.
    pub(super) fn check(&self, has_time: bool, at: &Pointer, problems: &mut Problems) {
        let count = |wanted: &Part| self.0.iter().filter(|part| *part == wanted).count();
        if count(&Part::Body) != 1 {
            problems.add(at, "must have `{body}` once: the body would not be signed");
        }
        match (has_time, count(&Part::Timestamp)) {
            (true, 0) => {
                problems
                    .add(at, "has no `{timestamp}`: the time of a signature would not be signed");
            }
            (false, 1..) => {
                let message = "has a `{timestamp}`, and neither `timestamp_header` nor `timestamp_prefix` says where it is";
                problems.add(at, message);
            }
            _ => {}
        }
        let is_ambiguous = self.0.windows(2).any(|pair| match pair {
            [Part::Text(_), _] => false,
            [Part::Timestamp, Part::Text(text)] => {
                text.starts_with(|first: char| first.is_ascii_digit())
            }
            [_, Part::Text(_)] => false,
            _ => true,
        });
        if is_ambiguous {
            let message = "has two places without a text between them that ends the first";
            problems.add(at, message);
        }
    }

    /// What is signed of a request.
    pub(super) fn fill(
        &self,
        request: &Request,
        timestamp: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let mut signed = Vec::with_capacity(body.len() + 128);
        for (index, part) in self.0.iter().enumerate() {
            match part {
                Part::Text(text) => signed.extend_from_slice(text.as_bytes()),
                Part::Timestamp => signed.extend_from_slice(timestamp.as_bytes()),
                Part::Body => signed.extend_from_slice(body),
                Part::Header(name) => {
                    let value = request.header_bytes(name);
                    let value = value.ok_or_else(|| {
                        Refusal::from(format!(
                            "the field `{}` is signed, and missing",
                            name.as_str()
                        ))
                    })?;
                    if let Some(Part::Text(next)) = self.0.get(index + 1)
                        && next.as_bytes().first().is_some_and(|end| value.contains(end))
                    {
                        let name = name.as_str();
                        let reason =
                            format!("the field `{name}` holds what ends it in the signed text");
                        return Err(reason.into());
                    }
                    signed.extend_from_slice(value);
                }
            }
        }
        Ok(signed)
    }
}
