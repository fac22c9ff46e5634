//! Whether a schema is one.
//!
//! Owns the shape of each keyword that is checked, and that every reference leads to a place in
//! the same schema. A schema that passes can be walked without a doubt about its types.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::messages::quote;

const TYPES: [&str; 7] = ["string", "integer", "number", "boolean", "array", "object", "null"];

/// Keywords that hold a schema, by the way in which they hold it.
pub(super) const ONE: [&str; 10] = [
    "items",
    "additionalProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "propertyNames",
    "contains",
    "not",
    "if",
    "then",
    "else",
];
pub(super) const SEVERAL: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
pub(super) const NAMED: [&str; 5] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Checks a schema and all in it. The error is one sentence that names the place.
pub(super) fn check(root: &Value) -> Result<(), String> {
    let mut open = vec![(String::new(), root)];
    let mut led_to = BTreeSet::new();
    while let Some((place, schema)) = open.pop() {
        let keywords = match schema {
            Value::Bool(_) => continue,
            Value::Object(keywords) => keywords,
            _ => return Err(format!("{} is neither an object nor a boolean", named(&place))),
        };
        for (keyword, value) in keywords {
            let inside = format!("{place}/{}", escaped(keyword));
            shape(keyword, value, place.is_empty())
                .map_err(|wanted| format!("{} {wanted}", named(&inside)))?;
            if keyword == "$ref" {
                let found = resolves(root, value);
                let (reference, found) =
                    found.map_err(|why| format!("{} {why}", named(&inside)))?;
                // It may be where no schema is looked for, as in a `default`.
                if led_to.insert(reference) {
                    open.push((inside, found));
                }
            }
        }
        open.extend(inner(keywords).map(|(below, schema)| (format!("{place}/{below}"), schema)));
    }
    Ok(())
}

/// The schemas that stand directly in one, each with the pointer to it.
fn inner(keywords: &Map<String, Value>) -> impl Iterator<Item = (String, &Value)> {
    keywords.iter().flat_map(|(keyword, value)| -> Vec<(String, &Value)> {
        match value {
            _ if ONE.contains(&&**keyword) => vec![(keyword.clone(), value)],
            Value::Array(several) if SEVERAL.contains(&&**keyword) => {
                let several = several.iter().enumerate();
                several.map(|(index, it)| (format!("{keyword}/{index}"), it)).collect()
            }
            Value::Object(named) if NAMED.contains(&&**keyword) => {
                let named = named.iter();
                named.map(|(name, it)| (format!("{keyword}/{}", escaped(name)), it)).collect()
            }
            _ => Vec::new(),
        }
    })
}

/// What a keyword must be and is not.
fn shape(keyword: &str, value: &Value, is_root: bool) -> Result<(), &'static str> {
    let is_name = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    let is_texts =
        |value: &Value| value.as_array().is_some_and(|all| all.iter().all(Value::is_string));
    let (fits, wanted) = match keyword {
        "type" => (
            is_name(value) || value.as_array().is_some_and(|all| all.iter().all(is_name)),
            "names no type of JSON",
        ),
        "enum" => (value.is_array(), "is no array"),
        "required" => (is_texts(value), "is no array of strings"),
        "dependentRequired" => (
            value.as_object().is_some_and(|all| all.values().all(is_texts)),
            "is no object with arrays of strings",
        ),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
            (value.is_number(), "is no number")
        }
        "multipleOf" => (value.as_f64().is_some_and(|it| it > 0.0), "is no number above 0"),
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
            (value.is_u64(), "is no whole number from 0")
        }
        "pattern" => (value.is_string(), "is no string"),
        "uniqueItems" => (value.is_boolean(), "is no boolean"),
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => (
            value.as_array().is_some_and(|all| !all.is_empty()),
            "is no array with something in it",
        ),
        "$dynamicRef" | "$recursiveRef" | "$anchor" | "$dynamicAnchor" => {
            (false, "is not supported")
        }
        "$id" => (is_root, "is supported at the top only"),
        _ if NAMED.contains(&keyword) => (value.is_object(), "is no object"),
        _ => (true, ""),
    };
    if fits { Ok(()) } else { Err(wanted) }
}

fn resolves<'s>(root: &'s Value, reference: &'s Value) -> Result<(&'s str, &'s Value), String> {
    let Some(reference) = reference.as_str() else {
        return Err("is no string".to_owned());
    };
    if !reference.starts_with('#') {
        return Err(format!("leads to `{}`, and nothing is fetched", quote(reference)));
    }
    match target(root, reference) {
        Some(found) => Ok((reference, found)),
        None => Err(format!("leads to `{}`, which is not there", quote(reference))),
    }
}

/// What a reference leads to.
pub(super) fn target<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    let pointer = reference.strip_prefix('#')?;
    let pointer = percent_encoding::percent_decode_str(pointer).decode_utf8().ok()?;
    root.pointer(&pointer)
}

fn named(pointer: &str) -> String {
    match pointer {
        "" => "it".to_owned(),
        pointer => format!("`{}`", quote(pointer)),
    }
}

/// A name as a part of a JSON Pointer (RFC 6901).
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
