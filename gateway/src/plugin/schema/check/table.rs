//! Tables: which keys they may and must have.
//!
//! Owns the keywords for keys, those that are spread over several schemas included.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Done, Exhausted, Keywords, Step, Walk, named, several};
use crate::config::closest;
use crate::plugin::schema::messages::{self, Fault, list, quote};
use crate::plugin::schema::peek;
use crate::plugin::schema::soundness::{escaped, target};

impl<'s, 'c> Walk<'s, 'c> {
    pub(super) fn table(
        &mut self,
        keywords: &'s Keywords,
        entries: &'c Map<String, Value>,
    ) -> Done {
        let count = entries.len() as u64;
        self.count(keywords, "Properties", count, ["small", "large"], "key")?;
        let properties = keywords.get("properties");
        let mut unknown = Vec::new();
        for (key, value) in entries {
            self.spend(1)?;
            let mut is_known = false;
            if let Some(property) = properties.and_then(|all| all.get(key)) {
                is_known = true;
                self.below(Step::Key(key), property, value)?;
            }
            for (pattern, property) in named(keywords, "patternProperties") {
                if self.matches(pattern, key)? {
                    is_known = true;
                    self.below(Step::Key(key), property, value)?;
                }
            }
            match keywords.get("additionalProperties") {
                _ if is_known => {}
                Some(Value::Bool(false)) => unknown.push(key.as_str()),
                Some(other) => self.below(Step::Key(key), other, value)?,
                None => {}
            }
            if let Some(names) = keywords.get("propertyNames") {
                self.key_fits(names, key)?;
            }
        }
        let known: Vec<_> = named(keywords, "properties").map(|(name, _)| name).collect();
        let is_all = !keywords.contains_key("patternProperties");
        for key in &unknown {
            self.unknown_key(key, &known, is_all)?;
        }
        let required = several(keywords, "required").iter();
        let wanted: Vec<_> = required.filter_map(Value::as_str).collect();
        self.missing_keys(keywords, &wanted, entries, &unknown, &known)?;
        for (key, wanted) in named(keywords, "dependentRequired") {
            if entries.contains_key(key) {
                let wanted = wanted.as_array().into_iter().flatten();
                let wanted: Vec<_> = wanted.filter_map(Value::as_str).collect();
                self.missing_keys(keywords, &wanted, entries, &unknown, &known)?;
            }
        }
        Ok(())
    }

    fn missing_keys(
        &mut self,
        keywords: &'s Keywords,
        wanted: &[&'s str],
        entries: &Map<String, Value>,
        unknown: &[&str],
        known: &[&'s str],
    ) -> Done {
        for key in wanted {
            self.spend(1 + unknown.len() * known.len())?;
            let is_misspelt =
                || unknown.iter().any(|it| closest(it, known.iter().copied()) == Some(*key));
            if !entries.contains_key(*key) && !is_misspelt() {
                let property = keywords.get("properties").and_then(|all| all.get(key));
                let about = property.and_then(|it| {
                    peek::chain(self.root, it).into_iter().find_map(messages::about)
                });
                self.missing_key(key, about)?;
            }
        }
        Ok(())
    }

    /// Says that a key must be there, and what it is for.
    pub(in crate::plugin::schema) fn missing_key(
        &mut self,
        key: &str,
        about: Option<String>,
    ) -> Done {
        let key = quote(key);
        let message = format!("{} has no `{key}`", self.name());
        let fault = Fault::new(self.pointer(), message).label(format!("`{key}` is required"));
        self.tell(fault.note(about.map(|about| format!("`{key}`: {about}"))))
    }

    /// Says that a key is not known here; `is_all` if no key but the `known` can be right.
    pub(in crate::plugin::schema) fn unknown_key(
        &mut self,
        key: &str,
        known: &[&str],
        is_all: bool,
    ) -> Done {
        self.spend(known.len())?;
        let place = self.name();
        let pointer = format!("{}/{}", self.pointer(), escaped(key));
        let message = format!("unknown key `{}` in {place}", quote(key));
        let fault = Fault::new(pointer, message).at_key();
        let suggestion = closest(key, known.iter().copied());
        let names: Vec<_> = known.iter().map(|name| (*name).to_owned()).collect();
        self.tell(match suggestion {
            Some(_) => fault.did_you_mean(suggestion),
            None if is_all && names.is_empty() => fault.note(Some("it has no keys".to_owned())),
            None if is_all => fault.note(list(&names).map(|names| format!("its keys are {names}"))),
            None => fault,
        })
    }

    /// Checks a key as a text. What it says is about the key.
    fn key_fits(&mut self, schema: &'s Value, key: &str) -> Done {
        let text = Value::String(key.to_owned());
        let mut inner = Walk {
            root: self.root,
            filled: self.filled,
            left: self.left,
            depth: self.depth,
            path: Vec::new(),
            faults: Vec::new(),
            patterns: HashMap::new(),
        };
        let done = inner.check(schema, &text);
        let (left, is_wrong) = (inner.left, !inner.faults.is_empty());
        self.left = left;
        done?;
        if is_wrong {
            let message = format!("`{}` is no name for a key of {}", quote(key), self.name());
            let pointer = format!("{}/{}", self.pointer(), escaped(key));
            let about = schema.as_object().and_then(messages::about);
            self.tell(Fault::new(pointer, message).at_key().note(about))?;
        }
        Ok(())
    }

    /// Checks the keys of which no part of the schema speaks.
    pub(super) fn unevaluated(
        &mut self,
        keywords: &'s Keywords,
        rest: &'s Value,
        entries: &'c Map<String, Value>,
        value: &'c Value,
    ) -> Done {
        for (key, inside) in entries {
            if self.evaluates(keywords, key, value)? {
                continue;
            }
            if rest == &Value::Bool(false) {
                let mut known = Vec::new();
                self.known_keys(keywords, &mut known)?;
                self.unknown_key(key, &known, true)?;
            } else {
                self.below(Step::Key(key), rest, inside)?;
            }
        }
        Ok(())
    }

    /// Whether a schema, or a part of it that applies to the value, speaks of a key.
    fn evaluates(
        &mut self,
        keywords: &'s Keywords,
        key: &str,
        value: &'c Value,
    ) -> Result<bool, Exhausted> {
        self.spend(1)?;
        let is_named = keywords.get("properties").is_some_and(|all| all.get(key).is_some());
        if is_named || keywords.contains_key("additionalProperties") {
            return Ok(true);
        }
        for (pattern, _) in named(keywords, "patternProperties") {
            if self.matches(pattern, key)? {
                return Ok(true);
            }
        }
        let certain = self.certain_parts(keywords).into_iter().map(|part| (part, true));
        let at_times = several(keywords, "anyOf").iter().chain(several(keywords, "oneOf"));
        let branches = ["if", "then", "else"].into_iter().filter_map(|name| keywords.get(name));
        let at_times = at_times.chain(branches).map(|part| (part, false));
        for (part, is_certain) in certain.chain(at_times) {
            let applies = is_certain || self.fits(part, value)?;
            if let (true, Some(part)) = (applies, part.as_object())
                && self.deeper(|walk| walk.evaluates(part, key, value))?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The keys that a schema and its parts name.
    fn known_keys(&mut self, keywords: &'s Keywords, known: &mut Vec<&'s str>) -> Done {
        self.spend(1)?;
        known.extend(named(keywords, "properties").map(|(name, _)| name));
        let variants = ["anyOf", "oneOf"].into_iter().flat_map(|name| several(keywords, name));
        for part in self.certain_parts(keywords).into_iter().chain(variants) {
            if let Some(part) = part.as_object() {
                self.deeper(|walk| walk.known_keys(part, known))?;
            }
        }
        Ok(())
    }

    /// The schemas that hold wherever this one does.
    fn certain_parts(&self, keywords: &'s Keywords) -> Vec<&'s Value> {
        let reference = keywords.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(|reference| target(self.root, reference));
        target.into_iter().chain(several(keywords, "allOf")).collect()
    }
}
