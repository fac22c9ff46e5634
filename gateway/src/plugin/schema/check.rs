//! A configuration against a sound schema, keyword by keyword.
//!
//! Owns the walk over both and its bounds. Which of several variants was meant is decided in
//! `variants`.

mod choice;
mod scalar;
mod table;

use std::collections::{BTreeSet, HashMap};

use regex::Regex;
use serde_json::{Map, Value};

use super::messages::{self, Fault};
use super::soundness::{escaped, target};
use super::variants::Rule;
pub(super) use choice::table_of;
use scalar::same;

/// A schema that is no boolean.
type Keywords = Map<String, Value>;

/// Steps of a check. A configuration of a thousand keys takes about ten thousand.
const STEPS: usize = 200_000;

/// How deep schemas, references and values may be nested together.
const DEPTH: usize = 150;

/// All steps are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

type Done = Result<(), Exhausted>;

/// All that is wrong with a configuration.
pub(super) fn faults(
    schema: &Value,
    config: &Value,
    filled: &BTreeSet<String>,
) -> Result<Vec<Fault>, Exhausted> {
    let mut walk = Walk {
        root: schema,
        filled,
        left: STEPS,
        depth: 0,
        path: Vec::new(),
        faults: Vec::new(),
        patterns: HashMap::new(),
    };
    walk.check(schema, config)?;
    Ok(walk.faults)
}

/// Where the walk is, and what it found.
pub(super) struct Walk<'s, 'c> {
    pub(super) root: &'s Value,
    filled: &'c BTreeSet<String>,
    left: usize,
    depth: usize,
    path: Vec<Step<'c>>,
    pub(super) faults: Vec<Fault>,
    /// `None` for one that this gateway cannot run.
    patterns: HashMap<&'s str, Option<Regex>>,
}

/// A step from a value to one in it.
#[derive(Clone, Copy)]
pub(super) enum Step<'c> {
    Key(&'c str),
    Index(usize),
}

impl<'s, 'c> Walk<'s, 'c> {
    /// Uses up steps.
    pub(super) fn spend(&mut self, steps: usize) -> Done {
        self.left = self.left.checked_sub(steps).ok_or(Exhausted)?;
        Ok(())
    }

    /// Checks a value that is where the walk is.
    pub(super) fn check(&mut self, schema: &'s Value, value: &'c Value) -> Done {
        self.spend(1)?;
        let keywords = match schema {
            Value::Object(keywords) => keywords,
            Value::Bool(false) => {
                return self.tell_here(|name| format!("{name} is not allowed"));
            }
            _ => return Ok(()),
        };
        self.deeper(|walk| walk.keywords(keywords, value))
    }

    /// Goes one level down, and back.
    fn deeper<R>(
        &mut self,
        then: impl FnOnce(&mut Self) -> Result<R, Exhausted>,
    ) -> Result<R, Exhausted> {
        if self.depth == DEPTH {
            return Err(Exhausted);
        }
        self.depth += 1;
        let done = then(self);
        self.depth -= 1;
        done
    }

    fn keywords(&mut self, keywords: &'s Keywords, value: &'c Value) -> Done {
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str)
            && let Some(target) = target(self.root, reference)
        {
            self.check(target, value)?;
        }
        if !self.type_fits(keywords, value)? || !self.is_listed(keywords, value)? {
            return Ok(());
        }
        match value {
            Value::Number(number) => self.number(keywords, number)?,
            Value::String(text) => self.text(keywords, text)?,
            Value::Array(items) => self.array(keywords, items)?,
            Value::Object(entries) => self.table(keywords, entries)?,
            Value::Null | Value::Bool(_) => {}
        }
        for part in several(keywords, "allOf") {
            self.check(part, value)?;
        }
        let mut is_clear = true;
        for (name, rule) in [("anyOf", Rule::Any), ("oneOf", Rule::One)] {
            if keywords.contains_key(name) {
                is_clear &= self.variants(several(keywords, name), value, rule)?;
            }
        }
        if let Some(not) = keywords.get("not")
            && self.fits(not, value)?
        {
            let message = format!("{} has a value that is not allowed", self.name());
            self.tell(Fault::new(self.pointer(), message).note(messages::about(keywords)))?;
        }
        if let Some(condition) = keywords.get("if") {
            let then = if self.fits(condition, value)? { "then" } else { "else" };
            if let Some(then) = keywords.get(then) {
                self.check(then, value)?;
            }
        }
        // Where no variant fits, nobody knows which keys would have been right.
        if let (Some(rest), Some(entries)) =
            (keywords.get("unevaluatedProperties"), value.as_object())
            && is_clear
        {
            self.unevaluated(keywords, rest, entries, value)?;
        }
        Ok(())
    }

    fn array(&mut self, keywords: &'s Keywords, items: &'c [Value]) -> Done {
        self.count(keywords, "Items", items.len() as u64, ["short", "long"], "entry")?;
        let first = several(keywords, "prefixItems");
        for (index, (schema, item)) in first.iter().zip(items).enumerate() {
            self.below(Step::Index(index), schema, item)?;
        }
        if let Some(schema) = keywords.get("items") {
            for (index, item) in items.iter().enumerate().skip(first.len()) {
                self.below(Step::Index(index), schema, item)?;
            }
        }
        if keywords.get("uniqueItems") == Some(&Value::Bool(true)) {
            for (index, item) in items.iter().enumerate() {
                self.spend(index)?;
                if items[..index].iter().any(|other| same(other, item)) {
                    let place = Step::Index(index);
                    self.at(place, |walk| walk.tell_here(|name| format!("{name} is there twice")))?;
                }
            }
        }
        Ok(())
    }

    /// Whether a value fits a schema; nothing is reported.
    fn fits(&mut self, schema: &'s Value, value: &'c Value) -> Result<bool, Exhausted> {
        Ok(self.trial(schema, value)?.is_empty())
    }

    /// The errors of a value by a schema; nothing is reported yet.
    pub(super) fn trial(
        &mut self,
        schema: &'s Value,
        value: &'c Value,
    ) -> Result<Vec<Fault>, Exhausted> {
        let before = self.faults.len();
        self.check(schema, value)?;
        Ok(self.faults.split_off(before))
    }

    fn below(&mut self, step: Step<'c>, schema: &'s Value, value: &'c Value) -> Done {
        self.at(step, |walk| walk.check(schema, value))
    }

    /// Takes a step, and back.
    pub(super) fn at(&mut self, step: Step<'c>, then: impl FnOnce(&mut Self) -> Done) -> Done {
        self.path.push(step);
        let done = then(self);
        self.path.pop();
        done
    }

    /// Takes a finding about the value where the walk is.
    fn tell_here(&mut self, message: impl FnOnce(String) -> String) -> Done {
        let message = message(self.name());
        self.tell(Fault::new(self.pointer(), message))
    }

    /// Takes a finding. Its words cost steps, since a hostile schema could ask for many.
    pub(super) fn tell(&mut self, fault: Fault) -> Done {
        self.spend(20)?;
        self.faults.push(fault);
        Ok(())
    }

    /// Whether something was filled into the text where the walk is.
    fn is_filled(&self) -> bool {
        self.filled.contains(&self.pointer())
    }

    /// Where the walk is, as a JSON Pointer.
    pub(super) fn pointer(&self) -> String {
        let step = |step: &Step<'_>| match step {
            Step::Key(key) => format!("/{}", escaped(key)),
            Step::Index(index) => format!("/{index}"),
        };
        self.path.iter().map(step).collect()
    }

    /// Where the walk is, in words.
    pub(super) fn name(&self) -> String {
        let mut name = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if name.is_empty() => name.push_str(&messages::key(key)),
                Step::Key(key) => name.push_str(&format!(".{}", messages::key(key))),
                Step::Index(index) => name.push_str(&format!("[{index}]")),
            }
        }
        if name.is_empty() { "`config`".to_owned() } else { format!("`{name}`") }
    }
}

fn several<'s>(keywords: &'s Keywords, name: &str) -> &'s [Value] {
    keywords.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn named<'s>(schema: &'s Keywords, name: &str) -> impl Iterator<Item = (&'s str, &'s Value)> {
    let entries = schema.get(name).and_then(Value::as_object).into_iter().flatten();
    entries.map(|(name, schema)| (name.as_str(), schema))
}
