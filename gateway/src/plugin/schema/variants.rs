//! `anyOf` and `oneOf`: which of several variants a value was meant to be.
//!
//! Owns the choice of the variant whose findings are reported when none fits, for the ways in which
//! enums are written: by values, by type, by a tag inside, by a key outside, or by their shape.

use serde_json::{Map, Value};

use super::check::{Exhausted, Step, Walk, table_of};
use super::messages::Fault;
use super::peek;

/// How many variants must fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// `anyOf`
    Any,
    /// `oneOf`
    One,
}

/// A variant that does not fit, and why.
struct Miss<'s> {
    schema: &'s Value,
    faults: Vec<Fault>,
}

impl<'s, 'c> Walk<'s, 'c> {
    /// Checks a value against variants, and says whether they fit.
    pub(super) fn variants(
        &mut self,
        variants: &'s [Value],
        value: &'c Value,
        rule: Rule,
    ) -> Result<bool, Exhausted> {
        let mut fits = 0;
        let mut misses = Vec::new();
        for schema in variants {
            let faults = self.trial(schema, value)?;
            if !faults.is_empty() {
                misses.push(Miss { schema, faults });
                continue;
            }
            fits += 1;
            if rule == Rule::Any {
                return Ok(true);
            }
        }
        match fits {
            1 => return Ok(true),
            0 => self.explain(misses, value)?,
            _ => {
                let message = format!("{} fits more than one of its variants", self.name());
                self.tell(Fault::new(self.pointer(), message))?;
            }
        }
        Ok(false)
    }

    fn explain(&mut self, mut misses: Vec<Miss<'s>>, value: &'c Value) -> Result<(), Exhausted> {
        let root = self.root;
        self.spend(misses.len() * 20)?;
        // TOML has no null: such a variant only says that the key may be left out.
        if misses.iter().any(|miss| !peek::is_null(root, miss.schema)) {
            misses.retain(|miss| !peek::is_null(root, miss.schema));
        }
        let types: Option<Vec<_>> =
            misses.iter().map(|miss| peek::types(root, miss.schema)).collect();
        if let Some(types) = &types
            && !types.iter().flatten().any(|name| peek::admits(name, value))
        {
            let mut wanted: Vec<_> = types.iter().flatten().copied().collect();
            wanted.sort_unstable_by_key(|name| TYPES.iter().position(|known| known == name));
            wanted.dedup();
            let help = match &misses[..] {
                [one] => table_of(&wanted, peek::keyword(root, one.schema, "properties"), value),
                _ => None,
            };
            return self.wrong_type_with(&wanted, value, help);
        }
        let choices: Option<Vec<_>> =
            misses.iter().map(|miss| peek::choices(root, miss.schema)).collect();
        if let Some(choices) = choices {
            let choices: Vec<_> = choices.into_iter().flatten().collect();
            let described = misses.iter().flat_map(|miss| peek::described(root, miss.schema));
            let described: Vec<_> = described.collect();
            return self.no_choice(&choices, value, &described);
        }
        let admits = |miss: &Miss<'s>| {
            peek::types(root, miss.schema)
                .is_none_or(|types| types.iter().any(|name| peek::admits(name, value)))
        };
        if misses.iter().any(admits) {
            misses.retain(admits);
        }
        if misses.len() > 1
            && let Some(entries) = value.as_object()
        {
            return self.table_variants(misses, entries);
        }
        self.tell_best(misses)
    }

    fn table_variants(
        &mut self,
        mut misses: Vec<Miss<'s>>,
        entries: &'c Map<String, Value>,
    ) -> Result<(), Exhausted> {
        let root = self.root;
        if let Some(tag) = tag(root, &misses) {
            let of = |miss: &Miss<'s>| property(root, miss.schema, tag);
            let choices = |miss: &Miss<'s>| of(miss).and_then(|it| peek::choices(root, it));
            let Some((key, given)) = entries.get_key_value(tag) else {
                let names: Vec<_> = misses.iter().filter_map(choices).flatten().collect();
                let names: Vec<_> = names.into_iter().map(super::messages::shown).collect();
                let about = super::messages::list(&names).map(|names| format!("one of {names}"));
                return self.missing_key(tag, about);
            };
            let is_meant = |miss: &Miss<'s>| choices(miss).is_some_and(|all| all.contains(&given));
            if !misses.iter().any(is_meant) {
                let names: Vec<_> = misses.iter().filter_map(choices).flatten().collect();
                return self.at(Step::Key(key), |walk| walk.no_choice(&names, given, &[]));
            }
            misses.retain(is_meant);
            return self.tell_best(misses);
        }
        let outer: Option<Vec<&str>> =
            misses.iter().map(|miss| outer_key(root, miss.schema)).collect();
        if let Some(outer) = outer {
            let has_key = |miss: &Miss<'s>| {
                outer_key(root, miss.schema).is_some_and(|key| entries.contains_key(key))
            };
            if misses.iter().any(has_key) {
                misses.retain(has_key);
                return self.tell_best(misses);
            }
            for key in entries.keys() {
                self.unknown_key(key, &outer, true)?;
            }
            if entries.is_empty() {
                let names: Vec<_> = outer.iter().map(|key| (*key).to_owned()).collect();
                let names = super::messages::list(&names);
                let fault = Fault::new(self.pointer(), format!("{} is empty", self.name()));
                return self.tell(fault.note(names.map(|it| format!("its key is one of {it}"))));
            }
            return Ok(());
        }
        self.tell_best(misses)
    }

    /// Tells the findings of the variant that fits best. Something wrong deep inside speaks for a
    /// variant: it was entered at all.
    fn tell_best(&mut self, misses: Vec<Miss<'s>>) -> Result<(), Exhausted> {
        let here = self.pointer();
        let cost = |miss: &Miss<'s>| {
            let cost = |fault: &Fault| match (fault.pointer == here, fault.at_key) {
                (true, _) => 3,
                (false, true) => 2,
                (false, false) => 1,
            };
            miss.faults.iter().map(cost).sum::<usize>()
        };
        let best = misses.iter().map(cost).min();
        let mut equal: Vec<_> =
            misses.into_iter().filter(|miss| Some(cost(miss)) == best).collect();
        if equal.len() > 1 && equal.iter().all(|miss| miss.faults.len() == 1) {
            let said: Vec<_> = equal.iter().map(|miss| miss.faults[0].message.clone()).collect();
            let message = format!("{} fits none of its variants", self.name());
            let said = super::messages::quote(&said.join("; or: "));
            return self.tell(Fault::new(here, message).note(Some(said)));
        }
        for fault in equal.swap_remove(0).faults {
            self.tell(fault)?;
        }
        Ok(())
    }
}

/// Types in the order in which they are listed.
const TYPES: [&str; 7] = ["boolean", "integer", "number", "string", "array", "object", "null"];

/// The key whose value distinguishes the variants.
fn tag<'s>(root: &'s Value, misses: &[Miss<'s>]) -> Option<&'s str> {
    let is_listed = |schema: &'s Value, name: &str| {
        let tag = property(root, schema, name);
        let choices = tag.and_then(|tag| peek::choices(root, tag));
        choices.is_some_and(|all| all.iter().all(|choice| choice.is_string()))
    };
    let first = peek::keyword(root, misses.first()?.schema, "properties")?.as_object()?;
    let is_tag = |name: &&String| misses.iter().all(|miss| is_listed(miss.schema, name));
    first.keys().find(is_tag).map(String::as_str)
}

fn property<'s>(root: &'s Value, schema: &'s Value, name: &str) -> Option<&'s Value> {
    peek::keyword(root, schema, "properties")?.get(name)
}

/// The only key of a variant that consists of one.
fn outer_key<'s>(root: &'s Value, schema: &'s Value) -> Option<&'s str> {
    let properties = peek::keyword(root, schema, "properties")?.as_object()?;
    let required = peek::keyword(root, schema, "required")?.as_array()?;
    match (properties.len(), &required[..]) {
        (1, [Value::String(key)]) if properties.contains_key(key) => Some(key),
        _ => None,
    }
}
