//! The checks of body rules: JSON edits, text replacements, media types.

use super::Check;
use crate::body::BodyRules;
use crate::config::{
    EncodedPolicy, JsonSpec, Policy, RequestSpec, ResponseSpec, TextSpec, ValueType,
};
use crate::json::edit::{Edit, Operation};
use crate::json::pointer::Pointer;
use crate::json::value::{ConfigValue, ValueTemplate};
use crate::media_type::Pattern;
use crate::size::Size;
use crate::template::Template;
use crate::text::Replacer;

const JSON_TYPES: [&str; 2] = ["application/json", "+json"];

const TEXT_TYPES: [&str; 6] =
    ["text/*", "application/json", "+json", "application/xml", "+xml", "application/javascript"];

/// Bytes of one pattern, and of all, at most: looking for the beginning of a match at the end of
/// each chunk takes time by their product.
const LONGEST_PATTERN: usize = 1024;
const ALL_PATTERNS: usize = 16 * 1024;

/// The settings about bodies, which requests and responses share.
struct BodySpec<'c> {
    /// `/request` or `/response`
    pointer: &'static str,
    json: &'c [JsonSpec],
    text: &'c [TextSpec],
    json_types: Option<&'c [String]>,
    text_types: Option<&'c [String]>,
    limit: Size,
    on_invalid_json: Policy,
    on_encoded_body: EncodedPolicy,
}

impl Check {
    pub(super) fn request_body(&mut self, spec: &RequestSpec) -> Option<BodyRules> {
        self.body(&BodySpec {
            pointer: "/request",
            json: &spec.json,
            text: &spec.text,
            json_types: spec.json_types.as_deref(),
            text_types: spec.text_types.as_deref(),
            limit: spec.body_limit,
            on_invalid_json: spec.on_invalid_json,
            on_encoded_body: spec.on_encoded_body,
        })
    }

    pub(super) fn response_body(&mut self, spec: &ResponseSpec) -> Option<BodyRules> {
        self.body(&BodySpec {
            pointer: "/response",
            json: &spec.json,
            text: &spec.text,
            json_types: spec.json_types.as_deref(),
            text_types: spec.text_types.as_deref(),
            limit: spec.body_limit,
            on_invalid_json: spec.on_invalid_json,
            on_encoded_body: spec.on_encoded_body,
        })
    }

    fn body(&mut self, spec: &BodySpec<'_>) -> Option<BodyRules> {
        let pointer = spec.pointer;
        let json_types = format!("{pointer}/json_types");
        let json_types = self.types(&json_types, spec.json_types, &JSON_TYPES);
        let text_types = format!("{pointer}/text_types");
        let text_types = self.types(&text_types, spec.text_types, &TEXT_TYPES);
        if spec.json.is_empty() && spec.text.is_empty() {
            return None;
        }
        let mut json = Vec::new();
        for (index, edit) in spec.json.iter().enumerate() {
            json.extend(self.edit(&format!("{pointer}/json/{index}"), edit));
        }
        let text = self.replacer(&format!("{pointer}/text"), spec.text);
        Some(BodyRules {
            references: references(&json, text.as_ref()),
            json,
            json_types,
            text,
            text_types,
            limit: spec.limit.0,
            on_invalid_json: spec.on_invalid_json,
            on_encoded_body: spec.on_encoded_body,
        })
    }

    fn types(&mut self, pointer: &str, types: Option<&[String]>, default: &[&str]) -> Vec<Pattern> {
        let types: Vec<&str> =
            types.map_or(default.to_vec(), |types| types.iter().map(String::as_str).collect());
        let mut patterns = Vec::new();
        for (index, text) in types.into_iter().enumerate() {
            patterns.extend(self.accept(&format!("{pointer}/{index}"), Pattern::parse(text)));
        }
        patterns
    }

    fn edit(&mut self, pointer: &str, spec: &JsonSpec) -> Option<Edit> {
        let (each, operation) = match spec {
            JsonSpec::Set { pointer: place, value, value_type, each } => {
                (each, self.set(pointer, place, value, *value_type, false))
            }
            JsonSpec::Default { pointer: place, value, value_type, each } => {
                (each, self.set(pointer, place, value, *value_type, true))
            }
            JsonSpec::Remove { pointer: place, each } => {
                let place = self.place_inside(pointer, place);
                (each, place.map(|pointer| Operation::Remove { pointer }))
            }
            JsonSpec::Rename { pointer: place, to, each } => {
                (each, self.rename(pointer, place, to))
            }
            JsonSpec::Wrap { pointer: place, key, each } => {
                let place = self.place(pointer, "pointer", place);
                (each, place.map(|pointer| Operation::Wrap { pointer, name: key.clone() }))
            }
            JsonSpec::Unwrap { pointer: place, key, each } => {
                let place = self.place(pointer, "pointer", place);
                (each, place.map(|pointer| Operation::Unwrap { pointer, name: key.clone() }))
            }
        };
        let each = match each {
            Some(each) => Some(self.place(pointer, "each", each)?),
            None => None,
        };
        Some(Edit { each, operation: operation? })
    }

    fn set(
        &mut self,
        at: &str,
        place: &str,
        value: &ConfigValue,
        value_type: ValueType,
        only_missing: bool,
    ) -> Option<Operation> {
        let pointer = self.place(at, "pointer", place);
        if value_type != ValueType::String && !matches!(value, ConfigValue::Text(_)) {
            self.problem(format!("{at}/as"), "`as` is for a `value` that is a string");
        }
        let value = ValueTemplate::parse(value, value_type, self.direction, &mut self.references)
            .map_err(|(inside, message)| {
                self.problem(format!("{at}/value{inside}"), message);
            })
            .ok();
        Some(Operation::Set { pointer: pointer?, value: value?, only_missing })
    }

    fn rename(&mut self, at: &str, place: &str, to: &str) -> Option<Operation> {
        let pointer = self.place_inside(at, place)?;
        if !to.is_empty() && !to.starts_with('/') {
            return Some(Operation::Rename { pointer, to: to.to_owned() });
        }
        let to = self.place(at, "to", to)?;
        if pointer.contains(&to) {
            self.problem(format!("{at}/to"), "a value cannot be taken into itself");
            return None;
        }
        Some(Operation::Move { pointer, to })
    }

    fn place(&mut self, at: &str, setting: &str, text: &str) -> Option<Pointer> {
        self.accept(&format!("{at}/{setting}"), Pointer::parse(text))
    }

    fn place_inside(&mut self, at: &str, text: &str) -> Option<Pointer> {
        let pointer = self.place(at, "pointer", text)?;
        if pointer.is_root() {
            self.problem(format!("{at}/pointer"), "this is the whole document");
            return None;
        }
        Some(pointer)
    }

    fn replacer(&mut self, pointer: &str, specs: &[TextSpec]) -> Option<Replacer> {
        if specs.is_empty() {
            return None;
        }
        let mut rules: Vec<(Vec<u8>, Template)> = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let replace = self.template(&format!("{pointer}/{index}/replace"), &spec.replace);
            let find = spec.find.as_bytes();
            let problem = if find.is_empty() {
                "there is nothing to find"
            } else if find.len() > LONGEST_PATTERN {
                "what is to be found is over 1,024 bytes"
            } else if rules.iter().any(|(known, _)| known == find) {
                "this is to be found already"
            } else {
                rules.extend(replace.map(|replace| (find.to_vec(), replace)));
                continue;
            };
            self.problem(format!("{pointer}/{index}/find"), problem);
        }
        if rules.iter().map(|(find, _)| find.len()).sum::<usize>() > ALL_PATTERNS {
            self.problem(pointer, "what is to be found is over 16 KiB together");
        }
        self.accept(pointer, Replacer::new(rules))
    }
}

/// The indices of the references in these rules, each once.
fn references(json: &[Edit], text: Option<&Replacer>) -> Vec<usize> {
    let mut indices = Vec::new();
    for edit in json {
        if let Operation::Set { value, .. } = &edit.operation {
            value.references(&mut indices);
        }
    }
    if let Some(replacer) = text {
        indices.extend(replacer.references());
    }
    indices.sort_unstable();
    indices.dedup();
    indices
}
