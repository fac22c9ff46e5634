//! JSON Schema (2020-12) of the configuration file, for editors.
//!
//! Owns the translation of the declared keys; it must not know any of them by name.
//!
//! Where a value has several forms, an `anyOf` of them would have a validator mark the whole value for
//! one wrong key in it. So the form is chosen by `if`, which marks the key, and an `anyOf` that forbids
//! nothing is beside it for editors, which complete by `anyOf` and not by `if`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::keys::{Key, Keys, Kind, ROOT};
use super::units::{self, DURATION_PATTERN, SIZE_PATTERN};

/// What a string with something to fill in looks like: no other pattern can hold for it.
const PLACEHOLDER: &str = r"\$\{";

/// The JSON Schema of the configuration file.
pub fn schema() -> Value {
    let mut definitions = BTreeMap::new();
    let mut root = table(&ROOT, &mut definitions);
    let definitions = definitions.into_iter().filter_map(|(id, schema)| Some((id, schema?)));
    root.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("title".into(), "Gateway configuration".into());
    root.insert("$defs".into(), definitions.collect::<Map<_, _>>().into());
    root.into()
}

/// Schemas by id; `None` for one that is being made.
type Definitions = BTreeMap<String, Option<Value>>;

fn table(keys: &Keys, definitions: &mut Definitions) -> Map<String, Value> {
    let properties: Map<_, _> =
        keys.keys.iter().map(|key| (key.name.to_owned(), property(key, definitions))).collect();
    let required: Vec<_> =
        keys.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut schema = Map::new();
    schema.insert("type".into(), "object".into());
    schema.insert("description".into(), keys.about.into());
    schema.insert("properties".into(), properties.into());
    schema.insert("additionalProperties".into(), no_such_key());
    if !required.is_empty() {
        schema.insert("required".into(), required.into());
    }
    let alternatives = keys.alternatives().iter().map(|key| json!({ "required": [key] }));
    let alternatives: Vec<_> = alternatives.collect();
    if !alternatives.is_empty() {
        schema.insert("oneOf".into(), alternatives.into());
    }
    schema
}

/// What no key has that is not known. `false` would say the same, but validators report that for the table:
/// editors would mark all of it.
pub(crate) fn no_such_key() -> Value {
    json!({ "not": { "description": "there is no such key" } })
}

fn reference(keys: &Keys, definitions: &mut Definitions) -> Value {
    if !definitions.contains_key(keys.id) {
        definitions.insert(keys.id.to_owned(), None);
        let schema = table(keys, definitions);
        definitions.insert(keys.id.to_owned(), Some(schema.into()));
    }
    json!({ "$ref": format!("#/$defs/{}", keys.id) })
}

fn property(key: &Key, definitions: &mut Definitions) -> Value {
    let mut schema = value(&key.kind, definitions);
    schema["description"] = key.about.into();
    if key.required && matches!(key.kind, Kind::List(_) | Kind::Tables(_)) {
        schema["minItems"] = 1.into();
    }
    if let Some(default) = key.default {
        schema["default"] = match key.kind {
            Kind::Integer { .. } | Kind::Integers(_) => {
                default.parse::<u64>().map_or(Value::Null, Value::from)
            }
            Kind::Ratio => default.parse::<f64>().map_or(Value::Null, Value::from),
            _ => default.into(),
        };
    }
    schema
}

fn value(kind: &Kind, definitions: &mut Definitions) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Choice(choices) => json!({
            "anyOf": [{ "enum": choices }, { "type": "string", "pattern": PLACEHOLDER }]
        }),
        Kind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Ratio => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Integers(all) => json!({ "type": "integer", "enum": all }),
        Kind::Duration { min, max } => json!({
            "type": "string",
            "pattern": format!("{DURATION_PATTERN}|{PLACEHOLDER}"),
            "$comment": format!("from {min} to {max}"),
        }),
        Kind::Size { min, max } => json!({
            "anyOf": [
                { "type": "integer", "minimum": min, "maximum": max },
                { "type": "string", "pattern": format!("{SIZE_PATTERN}|{PLACEHOLDER}") },
            ],
            "$comment": format!("from {} to {}", units::show_size(*min), units::show_size(*max)),
        }),
        Kind::List(kind) => json!({ "type": "array", "items": value(kind, definitions) }),
        Kind::Table(keys) => reference(keys, definitions),
        Kind::Tables(keys) => json!({ "type": "array", "items": reference(keys, definitions) }),
        Kind::NamedTables(keys) => json!({
            "type": "object", "additionalProperties": reference(keys, definitions)
        }),
        Kind::TableOrTables(keys) => {
            let one = reference(keys, definitions);
            let several = json!({ "type": "array", "items": one, "minItems": 1 });
            json!({
                "type": ["object", "array"],
                "if": { "type": "object" },
                "then": one,
                "else": several,
                "anyOf": [one, several, true],
            })
        }
        Kind::TextOrTable(keys) => {
            let table = reference(keys, definitions);
            json!({
                "type": ["string", "object"],
                "if": { "type": "object" },
                "then": table,
                "anyOf": [{ "type": "string" }, table, true],
            })
        }
        Kind::TextMap => {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        }
        Kind::Free => json!({ "type": "object" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_every_key_that_the_reader_knows() {
        let schema = schema();
        let mut seen = 0;
        check(&ROOT, &schema, &schema, &mut seen);
        assert!(seen > 50, "{seen}");
    }

    /// Follows the declarations and the schema side by side.
    fn check(keys: &Keys, at: &Value, root: &Value, seen: &mut usize) {
        assert_eq!(at["additionalProperties"], no_such_key(), "{}", keys.title);
        let properties = at["properties"].as_object().expect(keys.title);
        assert_eq!(properties.len(), keys.keys.len(), "{}", keys.title);
        for key in keys.keys {
            let property = properties.get(key.name).expect(key.name);
            assert!(property["description"].as_str().is_some_and(|text| !text.is_empty()));
            assert_eq!(property.get("default").is_some(), key.default.is_some(), "{}", key.name);
            let required =
                at["required"].as_array().is_some_and(|all| all.contains(&key.name.into()));
            assert_eq!(required, key.required, "{}", key.name);
            *seen += 1;
            below(&key.kind, property, root, seen);
        }
    }

    fn below(kind: &Kind, at: &Value, root: &Value, seen: &mut usize) {
        let follow = |at: &Value| {
            let pointer = at["$ref"].as_str().expect("a reference").trim_start_matches('#');
            root.pointer(pointer).expect("its target").clone()
        };
        match kind {
            Kind::Table(keys) => check(keys, &follow(at), root, seen),
            Kind::Tables(keys) => check(keys, &follow(&at["items"]), root, seen),
            Kind::NamedTables(keys) => {
                check(keys, &follow(&at["additionalProperties"]), root, seen)
            }
            Kind::TableOrTables(keys) => check(keys, &follow(&at["anyOf"][0]), root, seen),
            Kind::TextOrTable(keys) => {
                assert_eq!(at["anyOf"][1], at["then"]);
                check(keys, &follow(&at["then"]), root, seen);
            }
            Kind::List(kind) => below(kind, &at["items"], root, seen),
            Kind::Text
            | Kind::Choice(_)
            | Kind::Integer { .. }
            | Kind::Ratio
            | Kind::Integers(_)
            | Kind::Duration { .. }
            | Kind::Size { .. }
            | Kind::TextMap
            | Kind::Free => {}
        }
    }

    #[test]
    fn a_route_does_one_thing() {
        let route = &schema()["$defs"]["route"];
        let keys: Vec<_> = super::super::keys::ACTIONS.iter().map(|key| json!([key])).collect();
        let required: Vec<_> = route["oneOf"]
            .as_array()
            .expect("alternatives")
            .iter()
            .map(|it| it["required"].clone())
            .collect();
        assert_eq!(required, keys);
    }

    #[test]
    fn admits_what_the_reader_admits() {
        let schema = schema();
        let statuses = &schema["$defs"]["redirect"]["properties"]["status"]["enum"];
        assert_eq!(*statuses, json!([301, 302, 303, 307, 308]));
        for key in ["listeners", "routes"] {
            assert_eq!(schema["properties"][key]["minItems"], 1);
        }
        let pattern = regex::Regex::new(SIZE_PATTERN).expect("a pattern");
        for text in ["16MiB", "16mib", "16MIB", "64kb", "10 MiB", "512b", "5M", "1.5GiB", "MiB"] {
            assert_eq!(pattern.is_match(text), units::size(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn says_which_draft_it_follows() {
        assert_eq!(schema()["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
}
