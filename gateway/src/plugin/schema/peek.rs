//! What a schema asks for, without a value.
//!
//! Owns the look through references: which types a schema admits, which values it lists, which
//! keys it has. Answers only what is certain, and `None` elsewhere.

use serde_json::{Map, Value};

use super::soundness::target;

/// How far references and variants are followed.
const DEPTH: usize = 12;

/// How many schemas are checked for one answer, at most.
const BREADTH: usize = 200;

/// A schema and all that its references lead to, nearest first.
pub(super) fn chain<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Map<String, Value>> {
    let mut chain = Vec::new();
    let mut next = Some(schema);
    while let Some(keywords) = next.and_then(Value::as_object)
        && chain.len() < DEPTH
    {
        chain.push(keywords);
        let reference = keywords.get("$ref").and_then(Value::as_str);
        next = reference.and_then(|reference| target(root, reference));
    }
    chain
}

/// A keyword of a schema, its own or that of what it refers to.
pub(super) fn keyword<'s>(root: &'s Value, schema: &'s Value, name: &str) -> Option<&'s Value> {
    chain(root, schema).into_iter().find_map(|keywords| keywords.get(name))
}

/// The variants of a schema, whichever way they are written.
fn variants<'s>(root: &'s Value, schema: &'s Value) -> Option<&'s Vec<Value>> {
    let named = |name| keyword(root, schema, name).and_then(Value::as_array);
    named("oneOf").or_else(|| named("anyOf"))
}

/// The types that a schema admits, without `null`, which TOML does not have.
pub(super) fn types<'s>(root: &'s Value, schema: &'s Value) -> Option<Vec<&'s str>> {
    let mut types: Vec<&'s str> = Vec::new();
    let mut left = BREADTH;
    collect(root, schema, DEPTH, &mut left, &mut |schema| {
        match keyword(root, schema, "type") {
            Some(Value::String(name)) => types.push(name.as_str()),
            Some(Value::Array(names)) => types.extend(names.iter().filter_map(Value::as_str)),
            _ => {
                let listed = values_here(root, schema)?;
                types.extend(listed.into_iter().map(|value| -> &'s str { type_of(value) }));
            }
        }
        Some(())
    })?;
    types.retain(|name| *name != "null");
    Some(types)
}

/// The values that a schema lists, if it admits no others; without `null`.
pub(super) fn choices<'s>(root: &'s Value, schema: &'s Value) -> Option<Vec<&'s Value>> {
    let (mut choices, mut left) = (Vec::new(), BREADTH);
    collect(root, schema, DEPTH, &mut left, &mut |schema| {
        if keyword(root, schema, "type").is_some_and(|it| it == "null") {
            return Some(());
        }
        choices.extend(values_here(root, schema)?);
        Some(())
    })?;
    choices.retain(|value| !value.is_null());
    Some(choices)
}

/// The values of a schema that are listed one by one, each with its description.
pub(super) fn described<'s>(root: &'s Value, schema: &'s Value) -> Vec<(&'s Value, &'s str)> {
    let (mut described, mut left) = (Vec::new(), BREADTH);
    collect(root, schema, DEPTH, &mut left, &mut |schema| {
        let value = keyword(root, schema, "const");
        let about = keyword(root, schema, "description").and_then(Value::as_str);
        described.extend(value.zip(about));
        Some(())
    });
    described
}

/// Whether a schema admits nothing but `null`.
pub(super) fn is_null(root: &Value, schema: &Value) -> bool {
    keyword(root, schema, "type").is_some_and(|it| it == "null")
        || keyword(root, schema, "const").is_some_and(Value::is_null)
}

/// Whether a type admits a value.
pub(super) fn admits(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        _ => {
            let whole = |number: f64| number.fract() == 0.0;
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(whole)
        }
    }
}

/// Calls with each schema that has no variants itself, until one has no answer.
fn collect<'s>(
    root: &'s Value,
    schema: &'s Value,
    depth: usize,
    left: &mut usize,
    answer: &mut dyn FnMut(&'s Value) -> Option<()>,
) -> Option<()> {
    *left = left.checked_sub(1)?;
    match variants(root, schema) {
        Some(variants) if keyword(root, schema, "type").is_none() => {
            let depth = depth.checked_sub(1)?;
            variants.iter().try_for_each(|variant| collect(root, variant, depth, left, answer))
        }
        _ => answer(schema),
    }
}

fn values_here<'s>(root: &'s Value, schema: &'s Value) -> Option<Vec<&'s Value>> {
    if let Some(value) = keyword(root, schema, "const") {
        return Some(vec![value]);
    }
    Some(keyword(root, schema, "enum")?.as_array()?.iter().collect())
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
