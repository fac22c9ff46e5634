//! The JSON Schema of a plugin's configuration, as a text for people.
//!
//! Owns which of its words are shown and how: for each key its type, whether it must be there, its
//! default and its documentation, with the keys below it indented. What a schema can say beyond
//! that is left to `--json`. Must not judge a configuration.

use serde_json::Value;

/// Columns of a line.
const WIDTH: usize = 96;

/// The keys of a configuration, one after the other.
pub(super) fn render(schema: &Value) -> String {
    let mut page = Page { root: schema, text: String::new(), open: Vec::new() };
    let before = page.text.len();
    page.below(schema, 1);
    if page.text.len() == before {
        let kind = page.kind(schema);
        page.line(1, &kind);
    }
    page.text
}

struct Page<'s> {
    root: &'s Value,
    text: String,
    /// The definitions that are being shown, since one may hold itself.
    open: Vec<&'s str>,
}

impl<'s> Page<'s> {
    fn line(&mut self, depth: usize, line: &str) {
        self.text.push_str(&format!("{}{line}\n", "  ".repeat(depth)));
    }

    /// The paragraphs of a documentation, each filled.
    fn prose(&mut self, depth: usize, prose: &str) {
        for paragraph in prose.split("\n\n") {
            let mut line = String::new();
            for word in paragraph.split_whitespace() {
                if !line.is_empty() && 2 * depth + line.len() + 1 + word.len() > WIDTH {
                    self.line(depth, &std::mem::take(&mut line));
                }
                line.push_str(if line.is_empty() { "" } else { " " });
                line.push_str(word);
            }
            if !line.is_empty() {
                self.line(depth, &line);
            }
        }
    }

    /// What a `$ref` means. What is beside one does not matter here.
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(schema)
    }

    fn key(&mut self, name: &str, schema: &'s Value, is_required: bool, depth: usize) {
        let kind = self.kind(schema);
        let default = schema.get("default").or_else(|| self.resolve(schema).get("default"));
        let presence = match default {
            _ if is_required => ", required".to_owned(),
            Some(Value::Null) | None => ", optional".to_owned(),
            Some(default) => format!(", default {default}"),
        };
        self.prose(depth, &format!("{name}: {kind}{presence}"));
        let own = schema["description"].as_str();
        if let Some(prose) = own.or_else(|| self.resolve(schema)["description"].as_str()) {
            self.prose(depth + 2, prose);
        }
        self.below(schema, depth + 2);
    }

    /// The type in a few words.
    fn kind(&self, schema: &'s Value) -> String {
        let schema = self.resolve(schema);
        if let Some(value) = schema.get("const") {
            return value.to_string();
        }
        if let Some(values) = schema["enum"].as_array() {
            return one_of(values.iter().map(Value::to_string).collect());
        }
        if let Some(variants) = variants(schema) {
            return one_of(variants.iter().map(|variant| self.kind(variant)).collect());
        }
        let name = match &schema["type"] {
            Value::String(name) => name.as_str(),
            Value::Array(names) => {
                let name = names.iter().filter_map(Value::as_str).find(|name| *name != "null");
                name.unwrap_or("null")
            }
            _ if schema.get("properties").is_some() => "object",
            _ => "any value",
        };
        match name {
            "array" if schema.get("items").is_some() => {
                format!(
                    "list of {}{}",
                    self.kind(&schema["items"]),
                    range(schema, "Items", "entries")
                )
            }
            "array" => "list".to_owned(),
            "object" => match schema.get("additionalProperties") {
                Some(values @ Value::Object(_)) if schema.get("properties").is_none() => {
                    format!("table of {}", self.kind(values))
                }
                _ => "table".to_owned(),
            },
            "integer" | "number" => format!("{name}{}", range(schema, "imum", "")),
            "string" => format!("string{}", range(schema, "Length", "characters")),
            name => name.to_owned(),
        }
    }

    /// The keys of what a value holds, and the documentation of what it can be.
    fn below(&mut self, schema: &'s Value, depth: usize) {
        let reference = schema["$ref"].as_str();
        if let Some(reference) = reference {
            if self.open.contains(&reference) {
                self.line(depth, "(as above)");
                return;
            }
            self.open.push(reference);
        }
        let schema = self.resolve(schema);
        if let Some(keys) = schema["properties"].as_object() {
            let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
            let is_required = |name: &str| required.iter().any(|key| key == name);
            let (must, may): (Vec<_>, Vec<_>) =
                keys.iter().partition(|(name, _)| is_required(name));
            for (name, value) in must.into_iter().chain(may) {
                self.key(name, value, is_required(name), depth);
            }
        }
        for inside in ["items", "additionalProperties"] {
            if let Some(inside @ Value::Object(_)) = schema.get(inside) {
                self.below(inside, depth);
            }
        }
        match variants(schema).unwrap_or_default()[..] {
            // A value that may be left out.
            [variant] => self.below(variant, depth),
            ref variants => variants.iter().for_each(|variant| self.variant(variant, depth)),
        }
        if reference.is_some() {
            self.open.pop();
        }
    }

    fn variant(&mut self, variant: &'s Value, depth: usize) {
        let prose = variant["description"].as_str();
        let Some(prose) = prose.or_else(|| self.resolve(variant)["description"].as_str()) else {
            return self.below(variant, depth);
        };
        let head = tag(self.resolve(variant)).unwrap_or_else(|| self.kind(variant));
        self.line(depth, &format!("{head}:"));
        self.prose(depth + 1, prose);
        self.below(variant, depth + 1);
    }
}

/// The key whose value distinguishes a table from others, with that value.
fn tag(schema: &Value) -> Option<String> {
    let mut keys = schema["properties"].as_object()?.iter();
    keys.find_map(|(name, value)| Some(format!("{name} = {}", value.get("const")?)))
}

/// What a value can be, without `null`, which TOML does not have.
fn variants(schema: &Value) -> Option<Vec<&Value>> {
    let all = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())?;
    Some(all.iter().filter(|variant| variant["type"] != "null").collect())
}

fn one_of(mut names: Vec<String>) -> String {
    names.dedup();
    match names.pop() {
        None => "nothing".to_owned(),
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} or {last}", names.join(", ")),
    }
}

/// The bounds of a number, a length or a count, where both or one is said.
fn range(schema: &Value, of: &str, what: &str) -> String {
    let bound = |side: &str| schema.get(format!("{side}{of}")).filter(|value| value.is_number());
    let what = if what.is_empty() { String::new() } else { format!(" {what}") };
    match (bound("min"), bound("max")) {
        (Some(min), Some(max)) => format!(" ({min} to {max}{what})"),
        (Some(min), None) if *min == 0 => String::new(),
        (Some(min), None) => format!(" (at least {min}{what})"),
        (None, Some(max)) => format!(" (at most {max}{what})"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shows_each_key_with_its_type_and_what_is_said_of_it() {
        let schema = json!({
            "type": "object",
            "properties": {
                "count": { "type": "integer", "minimum": 1, "maximum": 9, "default": 3 },
                "names": { "type": ["array", "null"], "items": { "type": "string" } },
                "z": { "type": "boolean", "description": "The first\nline.\n\nAnother." },
            },
            "required": ["z"],
        });
        assert_eq!(
            render(&schema),
            "  z: boolean, required\n      The first line.\n      Another.\n\
             \x20 count: integer (1 to 9), default 3\n  names: list of string, optional\n"
        );
    }

    #[test]
    fn shows_what_definitions_hold_and_one_that_holds_itself_once() {
        let schema = json!({
            "properties": { "root": { "anyOf": [{ "$ref": "#/$defs/Node" }, { "type": "null" }] } },
            "$defs": {
                "Node": {
                    "type": "object",
                    "properties": {
                        "below": { "type": "array", "items": { "$ref": "#/$defs/Node" } },
                    },
                },
            },
        });
        assert_eq!(
            render(&schema),
            "  root: table, optional\n      below: list of table, optional\n          (as above)\n"
        );
    }

    #[test]
    fn shows_what_a_value_can_be() {
        let schema = json!({
            "properties": {
                "mode": {
                    "oneOf": [
                        { "const": "fast", "description": "Soon." },
                        { "const": "slow", "description": "Later." },
                    ],
                },
                "edit": {
                    "oneOf": [{
                        "type": "object",
                        "description": "Puts.",
                        "properties": { "op": { "const": "set" } },
                    }, {
                        "type": "object",
                        "description": "Removes.",
                        "properties": { "op": { "const": "remove" } },
                    }],
                },
            },
            "required": ["mode"],
        });
        let lines = render(&schema);
        assert!(lines.starts_with("  mode: \"fast\" or \"slow\", required\n"), "{lines}");
        assert!(lines.contains("      \"slow\":\n        Later.\n"), "{lines}");
        assert!(lines.contains("  edit: table, optional\n"), "{lines}");
        assert!(lines.contains("      op = \"remove\":\n        Removes.\n"), "{lines}");
    }

    #[test]
    fn a_schema_without_keys_is_told_by_its_type() {
        assert_eq!(
            render(&json!({ "type": "string", "minLength": 2 })),
            "  string (at least 2 characters)\n"
        );
        assert_eq!(render(&json!(true)), "  any value\n");
    }
}
