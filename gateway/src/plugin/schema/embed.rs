//! A plugin's schema as a part of another document.
//!
//! Owns its references, which must go on leading into it, and the texts that a `${...}` may stand
//! for.

use serde_json::{Map, Value};

use super::Schema;
use super::soundness::{NAMED, ONE, SEVERAL};
use crate::config::no_such_key;

/// The schema of `describe`, to be put under `pointer` in another document. `None` if it is empty;
/// the error is half a sentence about it.
pub(crate) fn embedded(text: &str, pointer: &str) -> Option<Result<Value, String>> {
    let schema = Schema::read(text)?;
    Some(schema.map(|schema| {
        let mut schema = schema.into_value();
        if let Some(keywords) = schema.as_object_mut() {
            keywords.remove("$schema");
            keywords.remove("$id");
        }
        move_to(&mut schema, pointer);
        schema
    }))
}

fn move_to(schema: &mut Value, pointer: &str) {
    let Value::Object(keywords) = schema else { return };
    if let Some(Value::String(reference)) = keywords.get_mut("$ref") {
        let inside = reference.trim_start_matches('#').to_owned();
        *reference = format!("#{pointer}{inside}");
    }
    if let Some(rest @ Value::Bool(false)) = keywords.get_mut("additionalProperties") {
        *rest = no_such_key();
    }
    allow_placeholder(keywords);
    for (keyword, value) in keywords {
        match value {
            _ if ONE.contains(&&**keyword) => move_to(value, pointer),
            Value::Array(several) if SEVERAL.contains(&&**keyword) => {
                several.iter_mut().for_each(|schema| move_to(schema, pointer));
            }
            Value::Object(named) if NAMED.contains(&&**keyword) => {
                named.values_mut().for_each(|schema| move_to(schema, pointer));
            }
            _ => {}
        }
    }
}

/// What an editor sees of a text is not yet filled in.
fn allow_placeholder(keywords: &mut Map<String, Value>) {
    if let Some(Value::String(pattern)) = keywords.get_mut("pattern") {
        *pattern = format!(r"(?:{pattern})|\$\{{(env|file):");
    }
}
