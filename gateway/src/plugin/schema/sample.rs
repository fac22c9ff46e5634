//! A value that a schema has nothing against, for the place of one that it refuses.
//!
//! Owns the choice of such values: a plugin is asked with them about the rest of its configuration, so
//! they are unlikely names, and there are two of each, by which consequences of the choice are distinguished
//! from faults. What it costs is bounded; a value that cannot be made is none.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Map, Number, Value};

use super::Schema;
use super::peek;

/// Which of two values is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin) enum Variant {
    First,
    Second,
}

/// How deep values are nested, how many are made for one, and how long texts are, at most.
const DEPTH: usize = 12;
const VALUES: usize = 500;
const LENGTH: usize = 4096;

impl Schema {
    /// The schema of the value at a pointer, as far as one is named for it.
    pub(in crate::plugin) fn at(&self, pointer: &str) -> Option<&Value> {
        let mut steps = pointer.split('/');
        steps.next().filter(|front| front.is_empty())?;
        let steps: Vec<String> =
            steps.map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        below(&self.0, &self.0, &steps, DEPTH * 4)
    }

    /// The keys that the value at a pointer must have.
    pub(in crate::plugin) fn required(&self, pointer: &str) -> Vec<&str> {
        let parts = self.at(pointer).map(|schema| peek::chain(&self.0, schema));
        let required = parts.into_iter().flatten().flat_map(|part| several(part, "required"));
        required.filter_map(Value::as_str).collect()
    }

    /// A value for the place of a pointer.
    pub(in crate::plugin) fn sample(&self, pointer: &str, variant: Variant) -> Option<Value> {
        let mut left = VALUES;
        Maker { root: &self.0, variant, left: &mut left }.value(self.at(pointer)?, DEPTH)
    }

    /// All values that the schema lists for the place of a pointer.
    pub(in crate::plugin) fn choices(&self, pointer: &str) -> Option<Vec<Value>> {
        let listed = peek::choices(&self.0, self.at(pointer)?)?;
        Some(listed.into_iter().cloned().collect())
    }
}

/// A text that the keywords of a schema have nothing against, as far as a made one can be.
pub(super) fn text(keywords: &Map<String, Value>) -> Option<String> {
    let maker = Maker { root: &Value::Null, variant: Variant::First, left: &mut 1 };
    maker.text(&|name| keywords.get(name))
}

fn below<'s>(
    root: &'s Value,
    schema: &'s Value,
    steps: &[String],
    depth: usize,
) -> Option<&'s Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(schema) };
    let depth = depth.checked_sub(1)?;
    for part in peek::chain(root, schema) {
        let index = step.parse::<usize>().ok();
        let item = || {
            let first = several(part, "prefixItems");
            index.and_then(|index| first.get(index)).or_else(|| part.get("items"))
        };
        let property = part.get("properties").and_then(|all| all.get(step));
        let rest_of = || part.get("additionalProperties").filter(|it| it.is_object());
        let here = property.or_else(|| index.and_then(|_| item())).or_else(rest_of);
        if let Some(found) = here.and_then(|schema| below(root, schema, rest, depth)) {
            return Some(found);
        }
        let variants = ["anyOf", "oneOf", "allOf"].into_iter().flat_map(|name| several(part, name));
        for variant in variants {
            if let Some(found) = below(root, variant, steps, depth) {
                return Some(found);
            }
        }
    }
    None
}

struct Maker<'s, 'l> {
    root: &'s Value,
    variant: Variant,
    left: &'l mut usize,
}

impl<'s> Maker<'s, '_> {
    fn value(&mut self, schema: &'s Value, depth: usize) -> Option<Value> {
        *self.left = self.left.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        if let Some(choices) = peek::choices(self.root, schema) {
            return self.one(&choices).map(|it| (*it).clone());
        }
        let parts = peek::chain(self.root, schema);
        let keyword = |name: &str| parts.iter().find_map(|part| part.get(name));
        if let Some(default) = keyword("default").filter(|it| !it.is_null()) {
            return Some(default.clone());
        }
        let variants: Vec<&Value> = parts
            .iter()
            .flat_map(|part| ["anyOf", "oneOf"].into_iter().flat_map(|name| several(part, name)))
            .filter(|variant| !peek::is_null(self.root, variant))
            .collect();
        let kind = match keyword("type") {
            Some(Value::Array(kinds)) => {
                kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null")
            }
            kind => kind.and_then(Value::as_str),
        };
        match kind {
            Some("boolean") => Some(Value::Bool(self.variant == Variant::Second)),
            Some("integer" | "number") => self.number(&keyword),
            Some("string") => self.text(&keyword).map(Value::String),
            Some("array") => {
                let items = keyword("items");
                let least = count(&keyword, "minItems").max(1);
                let item = items.and_then(|items| {
                    let choices = peek::choices(self.root, items);
                    choices
                        .map(|all| all.into_iter().cloned().collect::<Vec<_>>())
                        .or_else(|| (0..least.min(16)).map(|_| self.value(items, depth)).collect())
                });
                Some(Value::Array(item.unwrap_or_default()))
            }
            Some("object") => {
                let mut made = Map::new();
                let required = parts.iter().flat_map(|part| several(part, "required"));
                for key in required.filter_map(Value::as_str) {
                    let property =
                        parts.iter().find_map(|part| part.get("properties")?.get(key))?;
                    made.insert(key.to_owned(), self.value(property, depth)?);
                }
                Some(Value::Object(made))
            }
            _ => {
                let variant = *self.one(&variants)?;
                self.value(variant, depth)
            }
        }
    }

    fn one<'a, T>(&self, all: &'a [T]) -> Option<&'a T> {
        match self.variant {
            Variant::First => all.first(),
            Variant::Second => all.last(),
        }
    }

    fn number(&self, keyword: &dyn Fn(&str) -> Option<&'s Value>) -> Option<Value> {
        let bound = |name: &str, by: i64| {
            let bound = keyword(name)?;
            let bound = bound.as_i64().or_else(|| bound.as_u64().map(|_| i64::MAX))?;
            bound.checked_add(by)
        };
        let least = bound("minimum", 0).or_else(|| bound("exclusiveMinimum", 1));
        let most = bound("maximum", 0).or_else(|| bound("exclusiveMaximum", -1));
        let number = match self.variant {
            Variant::First => least.unwrap_or_else(|| most.unwrap_or(1).min(1)),
            Variant::Second => most.unwrap_or_else(|| least.unwrap_or(0).saturating_add(1000)),
        };
        let step = keyword("multipleOf").and_then(Value::as_i64).filter(|step| *step > 0);
        let number = step.map_or(number, |step| match self.variant {
            Variant::First => number.div_euclid(step).saturating_add(1).saturating_mul(step),
            Variant::Second => number.div_euclid(step).saturating_mul(step),
        });
        Some(Value::Number(Number::from(number)))
    }

    fn text(&self, keyword: &dyn Fn(&str) -> Option<&'s Value>) -> Option<String> {
        let mut text = match keyword("pattern").and_then(Value::as_str) {
            Some(pattern) => {
                let parsed = ParserBuilder::new().nest_limit(50).build().parse(pattern).ok()?;
                let mut text = String::new();
                self.matching(&parsed, &mut text)?;
                text
            }
            None => match self.variant {
                Variant::First => "unset-z".to_owned(),
                Variant::Second => "unset-q".to_owned(),
            },
        };
        let (least, most) = (count(keyword, "minLength"), keyword("maxLength"));
        if let Some(most) = most.and_then(Value::as_u64) {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let end = text.char_indices().nth(most).map_or(text.len(), |(at, _)| at);
            text.truncate(end);
        }
        let missing = least.min(LENGTH).saturating_sub(text.chars().count());
        text.extend(std::iter::repeat_n('z', missing));
        Some(text)
    }

    /// A text that a pattern matches; `None` if it would be too long.
    fn matching(&self, pattern: &Hir, text: &mut String) -> Option<()> {
        if text.len() > LENGTH {
            return None;
        }
        match pattern.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
            HirKind::Class(class) => text.push(self.character(class)?),
            HirKind::Repetition(repeated) => {
                // What may be left out once is left out; what may be there often is there once.
                let often =
                    if repeated.max == Some(1) { repeated.min } else { repeated.min.max(1) };
                for _ in 0..often.min(u32::try_from(LENGTH).ok()?) {
                    self.matching(&repeated.sub, text)?;
                }
            }
            HirKind::Capture(inner) => self.matching(&inner.sub, text)?,
            HirKind::Concat(parts) => {
                for part in parts {
                    self.matching(part, text)?;
                }
            }
            HirKind::Alternation(parts) => self.matching(self.one(parts)?, text)?,
        }
        Some(())
    }

    fn character(&self, class: &Class) -> Option<char> {
        let liked = match self.variant {
            Variant::First => "z1Z-",
            Variant::Second => "q2Q_",
        };
        let ranges: Vec<(char, char)> = match class {
            Class::Unicode(class) => class.iter().map(|it| (it.start(), it.end())).collect(),
            Class::Bytes(class) => {
                class.iter().map(|it| (char::from(it.start()), char::from(it.end()))).collect()
            }
        };
        let is_in = |c: &char| ranges.iter().any(|(start, end)| (start..=end).contains(&c));
        liked.chars().find(is_in).or_else(|| ranges.first().map(|(start, _)| *start))
    }
}

fn several<'s>(keywords: &'s Map<String, Value>, name: &str) -> &'s [Value] {
    keywords.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn count<'s>(keyword: &dyn Fn(&str) -> Option<&'s Value>, name: &str) -> usize {
    let count = keyword(name).and_then(Value::as_u64).unwrap_or(0);
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn makes_values_that_the_schema_admits() {
        let schema = json!({
            "type": "object", "required": ["a"], "properties": {
                "a": { "type": "string", "pattern": "^sha256:[0-9A-Fa-f]{64}$" },
                "b": { "type": "array", "minItems": 2, "items": { "$ref": "#/$defs/b" } },
                "c": { "anyOf": [{ "type": "integer", "minimum": 3 }, { "type": "object" }] },
                "d": { "type": ["string", "null"], "minLength": 12 },
                "e": { "type": "array", "items": { "enum": ["x", "y"] }, "minItems": 1 },
                "f": { "type": "string", "pattern": "^(([0-9]+)(d|h|ms?|s))+$" },
                "g": { "type": "string", "default": "60s" },
                "h": { "type": "integer", "minimum": 1, "maximum": 999_999_999_999_999_u64 },
                "i": { "type": "string", "minLength": 1, "pattern": "^[^:]*$" },
            },
            "$defs": { "b": { "type": "object", "required": ["n"], "properties": {
                "n": { "type": "boolean" } } } },
        });
        let schema = Schema::read(&schema.to_string()).expect("one").expect("sound");
        let none = Default::default();
        for variant in [Variant::First, Variant::Second] {
            let mut whole = schema.sample("", variant).expect("a whole");
            for key in ["b", "c", "d", "e", "f", "g", "h", "i"] {
                let value = schema.sample(&format!("/{key}"), variant).expect(key);
                whole[key] = value;
            }
            assert_eq!(schema.check(&whole, &none).expect("checked"), [], "{whole}");
            assert_eq!(whole["e"], json!(["x", "y"]));
        }
        assert_ne!(schema.sample("", Variant::First), schema.sample("", Variant::Second));
        assert_eq!(schema.required("/b/7"), ["n"]);
        assert_eq!(schema.at("/nothing"), None);
    }

    #[test]
    fn makes_nothing_without_end() {
        let schema = json!({ "$ref": "#/$defs/a", "$defs": { "a": {
            "type": "object", "required": ["a"], "properties": { "a": { "$ref": "#/$defs/a" } } } } });
        let schema = Schema::read(&schema.to_string()).expect("one").expect("sound");
        assert_eq!(schema.sample("", Variant::First), None);
    }
}
