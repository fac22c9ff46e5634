//! What is checked of which request: operations, found by path and method.
//!
//! Owns the result of reading a configuration or an OpenAPI document; knows nothing of how either is written.

use std::collections::BTreeMap;

use crate::parameters::Parameter;
use crate::schema::{Id, Schemas};

/// All that is checked.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) schemas: Schemas,
    /// Of responses, where they stand in another document.
    pub(crate) response_schemas: Option<Schemas>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) routes: Routes,
}

#[derive(Debug, Default)]
pub(crate) struct Operation {
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Option<BodyRule>,
    pub(crate) responses: Vec<(Statuses, Content)>,
}

#[derive(Debug)]
pub(crate) struct BodyRule {
    pub(crate) is_required: bool,
    pub(crate) content: Content,
}

/// Media types, each with the schema of its JSON.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) types: Vec<(String, Option<Id>)>,
}

/// Which responses are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statuses {
    One(u16),
    /// A hundred of them, such as those from 400 to 499.
    Class(u16),
    All,
}

#[derive(Debug)]
pub(crate) enum Routes {
    /// One operation for every request.
    Every,
    Paths(Paths),
}

/// Operations by path and method.
#[derive(Debug)]
pub(crate) struct Paths {
    /// What stands before the paths of the document.
    base: String,
    /// By number of segments; those with fewer captures first.
    by_length: BTreeMap<usize, Vec<PathItem>>,
}

#[derive(Debug)]
struct PathItem {
    segments: Vec<Segment>,
    methods: BTreeMap<String, usize>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(String),
    Capture { before: String, name: String, after: String },
}

/// The operation of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// With what the path has captured, decoded.
    Operation(usize, Vec<(&'a str, String)>),
    NoPath,
    /// The methods that the path has.
    NoMethod(String),
}

impl Plan {
    pub(crate) fn find(&self, method: &str, path: &str) -> Found<'_> {
        match &self.routes {
            Routes::Every => Found::Operation(0, Vec::new()),
            Routes::Paths(paths) => paths.find(method, path),
        }
    }
}

impl Paths {
    pub(crate) fn new(base: &str) -> Self {
        Self { base: base.to_owned(), by_length: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, segments: Vec<Segment>, methods: BTreeMap<String, usize>) {
        let items = self.by_length.entry(segments.len()).or_default();
        items.push(PathItem { segments, methods });
        let captures = |item: &PathItem| -> Vec<bool> {
            item.segments.iter().map(|it| matches!(it, Segment::Capture { .. })).collect()
        };
        items.sort_by_key(captures);
    }

    fn find(&self, method: &str, path: &str) -> Found<'_> {
        let Some(rest) = path.strip_prefix(self.base.as_str()).filter(|it| it.starts_with('/'))
        else {
            return Found::NoPath;
        };
        let parts: Vec<String> = rest[1..].split('/').map(decoded).collect();
        let items = self.by_length.get(&parts.len()).into_iter().flatten();
        for item in items {
            let Some(captures) = item.captures(&parts) else { continue };
            // HEAD is GET without the body of the response (RFC 9110 section 9.3.2).
            let operation = item
                .methods
                .get(method)
                .or_else(|| if method == "HEAD" { item.methods.get("GET") } else { None });
            return match operation {
                Some(operation) => Found::Operation(*operation, captures),
                None => {
                    let methods: Vec<&str> = item.methods.keys().map(String::as_str).collect();
                    Found::NoMethod(methods.join(", "))
                }
            };
        }
        Found::NoPath
    }
}

impl PathItem {
    fn captures(&self, parts: &[String]) -> Option<Vec<(&str, String)>> {
        let mut captures = Vec::new();
        for (segment, part) in self.segments.iter().zip(parts) {
            match segment {
                Segment::Literal(text) if text == part => {}
                Segment::Literal(_) => return None,
                Segment::Capture { before, name, after } => {
                    let inner = part.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
                    if inner.is_empty() {
                        return None;
                    }
                    captures.push((name.as_str(), inner.to_owned()));
                }
            }
        }
        Some(captures)
    }
}

impl Content {
    /// The schema for a `content-type`; `None` if it is none of these types.
    pub(crate) fn find(&self, content_type: &str) -> Option<Option<Id>> {
        let essence = essence(content_type);
        let class = essence.split('/').next().unwrap_or_default();
        let matching = |range: &str| self.types.iter().find(|(known, _)| known == range);
        let found = matching(&essence)
            .or_else(|| matching(&format!("{class}/*")))
            .or_else(|| {
                essence.ends_with("+json").then(|| matching("application/*+json")).flatten()
            })
            .or_else(|| matching("*/*"));
        found.map(|(_, id)| id.filter(|_| is_json(&essence)))
    }
}

impl Statuses {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "default" {
            return Some(Self::All);
        }
        let class = text.strip_suffix("XX").or_else(|| text.strip_suffix("xx"));
        if let Some(class) = class.and_then(|it| it.parse::<u16>().ok()) {
            return (1..=5).contains(&class).then_some(Self::Class(class));
        }
        let status = text.parse().ok().filter(|it| (100..=599).contains(it));
        status.map(Self::One)
    }

    fn holds(self, status: u16) -> bool {
        match self {
            Self::One(one) => one == status,
            Self::Class(class) => class == status / 100,
            Self::All => true,
        }
    }
}

impl Operation {
    /// What a response of this status has.
    pub(crate) fn response(&self, status: u16) -> Option<&Content> {
        let ranked = |it: &&(Statuses, Content)| match it.0 {
            Statuses::One(_) => 0,
            Statuses::Class(_) => 1,
            Statuses::All => 2,
        };
        let fitting = self.responses.iter().filter(|(statuses, _)| statuses.holds(status));
        fitting.min_by_key(ranked).map(|(_, content)| content)
    }
}

/// A media type without its parameters.
pub(crate) fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

pub(crate) fn is_json(essence: &str) -> bool {
    essence == "application/json" || essence.ends_with("+json")
}

/// Decodes percent-encoding; what is no encoding stays as it is.
pub(crate) fn decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code =
            text.get(at + 1..at + 3).filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| *byte == b'%') {
            Some(code) => {
                plain.push(code);
                at += 3;
            }
            None => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}
