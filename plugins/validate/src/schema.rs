//! JSON Schema: from a document to nodes that values are checked by.
//!
//! Owns the keywords of draft 4 to 2020-12 that stand in one document, and what OpenAPI 3.0 has instead of
//! some. What is not supported is refused by name, so that nothing is silently let through. `compile` reads
//! schemas, `check` checks values, `format` knows the formats, `keywords` which keywords there are.

mod check;
mod compile;
mod format;
mod keywords;

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::Regex;

use crate::json::{Json, Number};

pub(crate) use check::Checker;
#[cfg(test)]
pub(crate) use check::Problem;
pub(crate) use compile::{Compiler, Dialect};
use format::Format;

/// The place of a schema among all.
pub(crate) type Id = usize;

/// All schemas of a document that are used.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    nodes: Vec<Node>,
    /// Keywords that nobody knows, with their places and what is said of them.
    pub(crate) doubts: Vec<(String, String)>,
}

/// One schema.
#[derive(Debug, Default)]
struct Node {
    checks: Vec<Check>,
    /// Whether what no other keyword looked at is checked too.
    has_unevaluated: bool,
    /// `readOnly` and `writeOnly`
    only: Option<Side>,
}

/// Which message a value is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// The types of JSON, as bits.
type Types = u8;

const NULL: Types = 1;
const BOOLEAN: Types = 2;
const NUMBER: Types = 4;
const INTEGER: Types = 8;
const STRING: Types = 16;
const ARRAY: Types = 32;
const OBJECT: Types = 64;

const TYPE_NAMES: [(&str, Types); 7] = [
    ("null", NULL),
    ("boolean", BOOLEAN),
    ("number", NUMBER),
    ("integer", INTEGER),
    ("string", STRING),
    ("array", ARRAY),
    ("object", OBJECT),
];

#[derive(Debug)]
enum Check {
    Never,
    Types(Types),
    Enum(BTreeSet<Json>, String),
    MultipleOf(Number),
    Bound {
        bound: Number,
        is_least: bool,
        is_exclusive: bool,
    },
    Length {
        least: Option<u64>,
        most: Option<u64>,
    },
    /// With a text that it matches, if the schema has one.
    Pattern(Box<(Regex, Option<String>)>),
    Format(Format),
    Items {
        first: Vec<Id>,
        rest: Option<Id>,
    },
    Contains {
        schema: Id,
        least: u64,
        most: Option<u64>,
    },
    Count {
        least: Option<u64>,
        most: Option<u64>,
    },
    Unique,
    Properties {
        named: BTreeMap<String, Id>,
        patterns: Vec<(Regex, Id)>,
        rest: Option<Id>,
    },
    Names(Id),
    Required(Vec<(String, Option<Side>)>),
    Members {
        least: Option<u64>,
        most: Option<u64>,
    },
    DependentRequired(Vec<(String, Vec<String>)>),
    DependentSchemas(Vec<(String, Id)>),
    AllOf(Vec<Id>),
    AnyOf(Vec<Id>),
    OneOf(Vec<Id>),
    Not(Id),
    If {
        condition: Id,
        then: Option<Id>,
        otherwise: Option<Id>,
    },
    Reference(Id),
    UnevaluatedItems(Id),
    UnevaluatedProperties(Id),
}

impl Schemas {
    /// The types that a value can have, as far as the schema says so in one place: for texts of parameters,
    /// which have no types of their own.
    pub(crate) fn wants(&self, id: Id, name: &str) -> bool {
        let wanted = TYPE_NAMES.iter().find(|(known, _)| *known == name).map_or(0, |(_, bit)| *bit);
        self.types(id, 16) & wanted != 0
    }

    fn types(&self, id: Id, depth: usize) -> Types {
        let Some(node) = self.nodes.get(id).filter(|_| depth > 0) else { return 0 };
        let of = |ids: &[Id]| ids.iter().fold(0, |found, id| found | self.types(*id, depth - 1));
        node.checks.iter().fold(0, |found, check| {
            found
                | match check {
                    Check::Types(types) => *types,
                    Check::Reference(id) => of(&[*id]),
                    Check::AllOf(ids) | Check::AnyOf(ids) | Check::OneOf(ids) => of(ids),
                    Check::Enum(values, _) => {
                        values.iter().fold(0, |found, it| found | type_of(it))
                    }
                    Check::Items { .. } => ARRAY,
                    Check::Properties { .. } => OBJECT,
                    _ => 0,
                }
        })
    }

    /// The schema of a property, or of the items: to read parts of parameters.
    pub(crate) fn part(&self, id: Id, name: Option<&str>) -> Option<Id> {
        self.part_within(id, name, 16)
    }

    fn part_within(&self, id: Id, name: Option<&str>, depth: usize) -> Option<Id> {
        let node = self.nodes.get(id).filter(|_| depth > 0)?;
        node.checks.iter().find_map(|check| match (check, name) {
            (Check::Properties { named, rest, .. }, Some(name)) => {
                named.get(name).copied().or(*rest)
            }
            (Check::Items { rest, .. }, None) => *rest,
            (Check::Reference(id), _) => self.part_within(*id, name, depth - 1),
            (Check::AllOf(ids), _) => {
                ids.iter().find_map(|id| self.part_within(*id, name, depth - 1))
            }
            _ => None,
        })
    }
}

fn type_of(value: &Json) -> Types {
    match value {
        Json::Null => NULL,
        Json::Bool(_) => BOOLEAN,
        Json::Number(number) if number.is_whole() => NUMBER | INTEGER,
        Json::Number(_) => NUMBER,
        Json::Text(_) => STRING,
        Json::Array(_) => ARRAY,
        Json::Object(_) => OBJECT,
    }
}

#[cfg(test)]
mod tests;
