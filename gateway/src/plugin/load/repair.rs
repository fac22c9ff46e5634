//! What else is wrong with a configuration of which something is known to be wrong.
//!
//! Owns a configuration with other values instead of those that its schema refuses, so that the
//! plugin can be asked about the rest in the same pass, and the judgement which of its answers only
//! follow from the change. Must not judge a value itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::refusal::{LoadError, SpanTarget};
use crate::config::{self, Doubts};
use crate::plugin::schema::{Schema, Variant};

/// How often values are changed until the schema has nothing against the whole.
const ROUNDS: usize = 8;

/// What was changed in a configuration. All pointers are those of the configuration as it is written.
#[derive(Debug, Default, Clone)]
pub(super) struct Changes {
    removed: BTreeSet<String>,
    replaced: BTreeMap<String, Value>,
    /// Keys that are missing, by the table that lacks them.
    added: BTreeMap<String, Map<String, Value>>,
    /// Where each value was before.
    before: BTreeMap<String, String>,
}

impl Changes {
    /// What a plugin has against the rest, at its place in the whole; `None` where it may follow from
    /// what was changed.
    pub(super) fn place(&self, error: LoadError) -> Option<LoadError> {
        let place = pointer(&error.place)?;
        // A key that is missed may be the one that was misspelled beside it.
        let misses = !self.before.contains_key(place) && self.lacks_beside(place);
        let pointer = self.original(place);
        let added = self.added.iter().flat_map(|(table, keys)| {
            keys.keys().map(move |key| format!("{table}/{}", escaped(key)))
        });
        let changed = self.removed.iter().chain(self.replaced.keys()).cloned().chain(added);
        let follows = changed.into_iter().any(|changed| are_related(&changed, &pointer));
        let place = match error.place {
            SpanTarget::ConfigKey(_) => SpanTarget::ConfigKey(pointer),
            _ => SpanTarget::Config(pointer),
        };
        (!follows && !misses).then_some(LoadError { place, ..error })
    }

    /// Whether a key was taken out of the table in which this one would be.
    fn lacks_beside(&self, pointer: &str) -> bool {
        let Some((table, _)) = pointer.rsplit_once('/') else { return false };
        let table = self.original(table);
        self.removed.iter().any(|it| it.rsplit_once('/').is_some_and(|(around, _)| around == table))
    }

    fn original(&self, pointer: &str) -> String {
        self.before.get(pointer).cloned().unwrap_or_else(|| pointer.to_owned())
    }

    /// Replaces a value that is refused. `is_key`: its key is.
    fn mend(
        &mut self,
        schema: &Schema,
        whole: &Value,
        place: (&str, bool),
        variant: Variant,
    ) -> Option<()> {
        let (pointer, is_key) = place;
        let value = whole.pointer(pointer);
        if is_key || value.is_none() {
            self.removed.insert(pointer.to_owned());
            return Some(());
        }
        if let Some(Value::Object(entries)) = value {
            let missing =
                schema.required(pointer).into_iter().filter(|key| !entries.contains_key(*key));
            let mut added = Map::new();
            for key in missing {
                let new = schema.sample(&format!("{pointer}/{}", escaped(key)), variant)?;
                added.insert(key.to_owned(), new);
            }
            if !added.is_empty() {
                self.added.insert(pointer.to_owned(), added);
                return Some(());
            }
        }
        let (outer, last) = pointer.rsplit_once('/')?;
        if matches!(whole.pointer(outer), Some(Value::Array(_)))
            && let Some(all) = schema.choices(pointer)
        {
            // Whichever of them was meant, what refers to it is right.
            self.replaced.insert(outer.to_owned(), Value::Array(all));
            return Some(());
        }
        let sample = schema.sample(pointer, variant);
        let is_optional = matches!(whole.pointer(outer), Some(Value::Object(_)))
            && !schema.required(outer).iter().any(|key| escaped(key) == last);
        match sample {
            Some(new) if !is_optional || new.is_object() || new.is_array() => {
                self.replaced.insert(pointer.to_owned(), new);
            }
            _ => {
                self.removed.insert(pointer.to_owned());
            }
        }
        Some(())
    }

    /// Takes out what not even another value fixes.
    fn give_up(&mut self, changed: String) {
        self.replaced.remove(&changed);
        self.added.remove(&changed);
        self.removed.insert(changed);
    }

    /// A change of the value at a pointer, or of one that it is in.
    fn change_around(&self, pointer: &str) -> Option<String> {
        let added = self.added.iter().find(|(table, keys)| {
            let rest = pointer.strip_prefix(table.as_str()).and_then(|rest| rest.strip_prefix('/'));
            let key = rest.map(|rest| rest.split('/').next().unwrap_or_default());
            *table == pointer || key.is_some_and(|key| keys.keys().any(|it| escaped(it) == key))
        });
        let replaced = self.replaced.keys().find(|changed| is_in(pointer, changed));
        replaced.or(added.map(|(table, _)| table)).cloned()
    }

    /// A value as it is after the changes. Elements of an array move up.
    fn rest(&mut self, value: &Value, old: &str, new: &str) -> Value {
        if let Some(other) = self.replaced.get(old) {
            return other.clone();
        }
        self.before.insert(new.to_owned(), old.to_owned());
        match value {
            Value::Object(entries) => {
                let mut left = Map::new();
                for (key, value) in entries {
                    let step = escaped(key);
                    let old = format!("{old}/{step}");
                    if !self.removed.contains(&old) {
                        let value = self.rest(value, &old, &format!("{new}/{step}"));
                        left.insert(key.clone(), value);
                    }
                }
                left.extend(self.added.get(old).cloned().into_iter().flatten());
                Value::Object(left)
            }
            Value::Array(items) => {
                let mut left = Vec::new();
                for (index, value) in items.iter().enumerate() {
                    let old = format!("{old}/{index}");
                    if !self.removed.contains(&old) {
                        let new = format!("{new}/{}", left.len());
                        left.push(self.rest(value, &old, &new));
                    }
                }
                Value::Array(left)
            }
            other => other.clone(),
        }
    }
}

/// The configuration, as JSON text, with other values instead of those that its schema refuses.
/// `None` if too little of it is left to ask about.
pub(super) fn without_faults(
    schema: &str,
    config: &config::Plugin,
    faults: &[LoadError],
    variant: Variant,
) -> Option<(String, Changes)> {
    let schema = Schema::read(schema)?.ok()?;
    let whole: Value = serde_json::from_str(&config.config).ok()?;
    let mut changes = Changes::default();
    let place = |fault: &LoadError| {
        let is_key = matches!(fault.place, SpanTarget::ConfigKey(_));
        Some((pointer(&fault.place)?.to_owned(), is_key))
    };
    let mut places: BTreeSet<_> = faults.iter().map(place).collect::<Option<_>>()?;
    for _ in 0..ROUNDS {
        let earlier = changes.clone();
        for (pointer, is_key) in places {
            if let Some(changed) = earlier.change_around(&pointer) {
                changes.give_up(changed);
            } else if changes.change_around(&pointer).is_none() {
                changes.mend(&schema, &whole, (&pointer, is_key), variant)?;
            }
        }
        if changes.removed.contains("") {
            return None;
        }
        changes.before.clear();
        let left = changes.rest(&whole, "", "");
        let faults = schema.check(&left, &config.config_filled).ok()?;
        if faults.is_empty() {
            return Some((left.to_string(), changes));
        }
        let faults = faults.into_iter();
        places = faults.map(|it| (changes.original(&it.pointer), it.at_key)).collect();
    }
    None
}

/// What a plugin says of both of two repaired configurations: the rest may follow from the values that
/// were chosen.
pub(super) fn said_of_both(one: Vec<LoadError>, other: &[LoadError]) -> Vec<LoadError> {
    one.into_iter().filter(|error| other.contains(error)).collect()
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Whether an error holds no matter what the doubtful parts of the file were meant to be.
pub(super) fn is_certain(error: &LoadError, doubts: &Doubts) -> bool {
    match pointer(&error.place) {
        None => !doubts.table && doubts.values.is_empty() && !doubts.surroundings,
        Some(place) => !doubts.values.iter().any(|value| are_related(value, place)),
    }
}

fn pointer(place: &SpanTarget) -> Option<&str> {
    match place {
        SpanTarget::Component => None,
        SpanTarget::Config(pointer) | SpanTarget::ConfigKey(pointer) => Some(pointer),
    }
}

/// Whether one is the other, or is in it.
fn are_related(one: &str, other: &str) -> bool {
    is_in(one, other) || is_in(other, one)
}

fn is_in(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_out_what_is_refused_and_remembers_where_the_rest_stood() {
        let whole = serde_json::json!({ "a": [1, 2, { "b/c": 3, "d": 4 }], "e": 5 });
        let removed = ["/a/0", "/a/2/d"].map(str::to_owned).into();
        let mut changes = Changes { removed, ..Changes::default() };
        let left = changes.rest(&whole, "", "");
        assert_eq!(left, serde_json::json!({ "a": [2, { "b/c": 3 }], "e": 5 }));
        assert_eq!(changes.before["/a/1/b~1c"], "/a/2/b~1c");
        assert_eq!(changes.before["/a/0"], "/a/1");
    }

    #[test]
    fn puts_a_value_in_the_place_of_one_and_leaves_what_stands_around_it() {
        let schema = serde_json::json!({
            "type": "object", "required": ["list"], "properties": {
                "list": { "type": "array", "minItems": 1, "items": {
                    "type": "object", "required": ["n", "s"], "properties": {
                        "n": { "type": "integer", "minimum": 1 },
                        "s": { "type": "string" },
                        "of": { "type": "array", "items": { "enum": ["x", "y"] } },
                    } } } } });
        let schema = Schema::read(&schema.to_string()).expect("one").expect("sound");
        let whole = serde_json::json!({ "list": [
            { "n": 0, "s": "a", "of": ["z", "x"] }, { "n": 1 } ] });
        let mut changes = Changes::default();
        for place in ["/list/0/n", "/list/0/of/0", "/list/1"] {
            changes.mend(&schema, &whole, (place, false), Variant::First).expect("mended");
        }
        let left = changes.rest(&whole, "", "");
        let list = serde_json::json!([
            { "n": 1, "s": "a", "of": ["x", "y"] }, { "n": 1, "s": "unset-z" } ]);
        assert_eq!(left["list"], list);
        let error = |pointer: &str| {
            let place = SpanTarget::Config(pointer.to_owned());
            LoadError { place, message: String::new(), label: None, note: None, help: None }
        };
        for (pointer, is_told) in [
            ("/list/1/s", false),
            ("/list/1/n", true),
            ("/list/0/s", true),
            ("/list/0/of/1", false),
        ] {
            assert_eq!(changes.place(error(pointer)).is_some(), is_told, "{pointer}");
        }
    }

    #[test]
    fn a_key_that_is_missed_beside_one_that_was_taken_out_follows_from_that() {
        let whole = serde_json::json!({ "a": { "documnet": "x", "b": 1 }, "c": {} });
        let removed = ["/a/documnet"].map(str::to_owned).into();
        let mut changes = Changes { removed, ..Changes::default() };
        changes.rest(&whole, "", "");
        for (pointer, is_told) in [("/a/keys", false), ("/a/b", true), ("/c/keys", true)] {
            let place = SpanTarget::Config(pointer.to_owned());
            let error =
                LoadError { place, message: String::new(), label: None, note: None, help: None };
            assert_eq!(changes.place(error).is_some(), is_told, "{pointer}");
        }
    }

    #[test]
    fn knows_what_may_follow_from_another() {
        assert!(are_related("/a", "/a/b") && are_related("/a/b", "/a") && are_related("", "/a"));
        assert!(!are_related("/a", "/ab") && !are_related("/a/b", "/a/c"));
    }
}
