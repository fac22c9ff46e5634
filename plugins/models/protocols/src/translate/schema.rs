//! JSON schemas for Gemini, which knows a subset and refuses the rest, and back.

use std::borrow::Cow;

use crate::json::{Raw, Writer};

/// How deep schemas and references go; one that refers to itself is cut there.
const DEPTH: u8 = 24;

/// References can make a small schema large; what is written behind this many bytes is empty.
const LARGEST: usize = 256 * 1024;

/// Members that Gemini takes as they are.
const KEPT: [&str; 15] = [
    "title",
    "description",
    "nullable",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "required",
    "propertyOrdering",
    "default",
];

/// The schema in Gemini's subset, and the keywords that it lost.
pub(super) fn to_gemini(schema: &str) -> (String, Vec<String>) {
    let mut lost = Vec::new();
    let mut writer = Writer::new();
    match Raw::parse(schema.as_bytes()) {
        Ok(root) => write(&mut writer, root, root, &mut lost, DEPTH),
        Err(_) => writer.object(|_| {}),
    };
    (writer.out, lost)
}

fn write<'w>(
    writer: &'w mut Writer,
    root: Raw<'_>,
    schema: Raw<'_>,
    lost: &mut Vec<String>,
    depth: u8,
) -> &'w mut Writer {
    writer.open('{');
    if depth > 0 && writer.out.len() < LARGEST {
        let mut done = Vec::new();
        members(writer, root, schema, lost, &mut done, depth - 1);
    }
    writer.close('}')
}

fn members(
    writer: &mut Writer,
    root: Raw<'_>,
    schema: Raw<'_>,
    lost: &mut Vec<String>,
    done: &mut Vec<String>,
    depth: u8,
) {
    for (key, value) in schema.members() {
        let name = key.str().unwrap_or_default();
        if done.contains(&name.to_string()) {
            continue;
        }
        // References may follow each other, and a list of all may have several.
        if name != "$ref" {
            done.push(name.to_string());
        }
        match &*name {
            "type" if value.is_array() => {
                let kinds: Vec<_> = value.elements().filter(|kind| !kind.is("null")).collect();
                if kinds.len() < value.elements().count() && schema.get("nullable").is_none() {
                    writer.key("nullable").bool(true);
                }
                match kinds.as_slice() {
                    [kind] => _ = writer.key("type").raw(kind.text()),
                    kinds => {
                        writer.key("anyOf").array(|w| {
                            for kind in kinds {
                                w.object(|w| _ = w.key("type").raw(kind.text()));
                            }
                        });
                    }
                }
            }
            "type" => _ = writer.key("type").raw(value.text()),
            "properties" => {
                writer.key("properties").object(|w| {
                    for (name, property) in value.members() {
                        w.raw(name.text());
                        w.out.push(':');
                        write(w, root, property, lost, depth);
                    }
                });
            }
            "items" if value.is_object() => {
                writer.key("items");
                write(writer, root, value, lost, depth);
            }
            "anyOf" | "oneOf" => {
                let is_null = |it: &Raw<'_>| it.get("type").is_some_and(|kind| kind.is("null"));
                let some: Vec<_> = value.elements().filter(|it| !is_null(it)).collect();
                if some.len() < value.elements().count() {
                    writer.key("nullable").bool(true);
                }
                if let [only] = some.as_slice() {
                    members(writer, root, *only, lost, done, depth);
                } else {
                    writer.key("anyOf").array(|w| {
                        for option in &some {
                            write(w, root, *option, lost, depth);
                        }
                    });
                }
            }
            "allOf" => {
                for part in value.elements() {
                    members(writer, root, part, lost, done, depth);
                }
            }
            "$ref" => {
                let target = value.str().unwrap_or_default();
                match resolve(root, &target).filter(|_| depth > 0) {
                    Some(found) => members(writer, root, found, lost, done, depth - 1),
                    None => lost.push("$ref".to_owned()),
                }
            }
            "const" if value.is_string() => {
                writer.key("enum").array(|w| _ = w.raw(value.text()));
            }
            "enum" if value.elements().all(|it| it.is_string() || it.is_null()) => {
                writer.key("enum").array(|w| {
                    for option in value.elements().filter(|it| it.is_string()) {
                        w.raw(option.text());
                    }
                });
            }
            "format" => {
                let kind = schema.text_of("type").unwrap_or_default();
                let format = value.str().unwrap_or_default();
                let known: &[&str] = match &*kind {
                    "string" => &["enum", "date-time"],
                    "number" => &["float", "double"],
                    "integer" => &["int32", "int64"],
                    _ => &[],
                };
                match known.contains(&&*format) {
                    true => _ = writer.key("format").raw(value.text()),
                    false => lost.push(format!("format {format}")),
                }
            }
            "$defs"
            | "definitions"
            | "$schema"
            | "$id"
            | "additionalProperties"
            | "$comment"
            | "examples"
            | "strict" => {}
            name if KEPT.contains(&name) => _ = writer.key(name).raw(value.text()),
            name => lost.push(name.to_owned()),
        }
    }
}

/// The definition that a reference inside of the same schema names.
fn resolve<'a>(root: Raw<'a>, reference: &str) -> Option<Raw<'a>> {
    let mut found = root;
    for part in reference.strip_prefix("#/")?.split('/') {
        let part: Cow<'_, str> = part.replace("~1", "/").replace("~0", "~").into();
        found = found.get(&part)?;
    }
    Some(found)
}

/// A schema of Gemini's as JSON Schema: the names of types are in lower case there.
pub(super) fn of_gemini(schema: Raw<'_>) -> String {
    let mut writer = Writer::new();
    lower(&mut writer, schema, false);
    writer.out
}

/// `is_names` tells the members of `properties`, which are names of the caller's.
fn lower(writer: &mut Writer, value: Raw<'_>, is_names: bool) {
    if value.is_object() {
        writer.open('{');
        for (key, inner) in value.members() {
            writer.raw(key.text());
            writer.out.push(':');
            match inner.str().filter(|_| key.is("type") && !is_names) {
                Some(kind) => _ = writer.str(&kind.to_ascii_lowercase()),
                None => lower(writer, inner, key.is("properties") && !is_names),
            }
        }
        writer.close('}');
    } else if value.is_array() {
        writer.open('[');
        value.elements().for_each(|element| lower(writer, element, false));
        writer.close(']');
    } else {
        writer.raw(value.text());
    }
}

#[cfg(test)]
mod tests {
    use super::{of_gemini, to_gemini};
    use crate::json::Raw;

    #[test]
    fn a_schema_is_put_into_the_subset() {
        let (schema, lost) = to_gemini(
            r##"{"$schema":"x","type":"object","additionalProperties":false,"properties":{
            "type":{"type":["string","null"],"format":"email"},"n":{"type":"integer","format":"int32","exclusiveMinimum":0},
            "a":{"$ref":"#/$defs/A"},"o":{"anyOf":[{"type":"string"},{"type":"null"}]},"k":{"const":"v"}},
            "required":["type"],"$defs":{"A":{"type":"array","items":{"$ref":"#/$defs/A"}}}}"##,
        );
        assert!(schema.starts_with(concat!(
            r#"{"type":"object","properties":{"type":{"nullable":true,"type":"string"},"#,
            r#""n":{"type":"integer","format":"int32"},"a":{"type":"array","items":{"type":"array""#,
        )), "{schema}");
        assert!(schema.contains(
            r#""o":{"nullable":true,"type":"string"},"k":{"enum":["v"]}},"required":["type"]}"#
        ));
        assert!(Raw::parse(schema.as_bytes()).is_ok());
        assert!(lost.contains(&"exclusiveMinimum".to_owned()) && lost.contains(&"$ref".to_owned()));
    }

    #[test]
    fn types_are_in_lower_case_but_names_are_not_touched() {
        let schema = r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","enum":["TYPE"]}}}"#;
        let expected =
            r#"{"type":"object","properties":{"type":{"type":"string","enum":["TYPE"]}}}"#;
        assert_eq!(of_gemini(Raw::parse(schema.as_bytes()).expect("JSON")), expected);
    }
}
