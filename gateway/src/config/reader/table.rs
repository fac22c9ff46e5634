//! A TOML table under its declared keys.
//!
//! Owns the checks that a declaration asks for: no unknown key, every required one, types, ranges,
//! defaults. The kinds of values are in the modules below.

mod nested;
mod scalar;

use toml::de::{DeTable, DeValue};

use super::{Reading, Text, Value};
use crate::config::diagnostic::Diagnostic;
use crate::config::keys::{Keys, LISTENER, ROUTE, UPSTREAM};
use crate::config::{Span, suggest};

/// A table, or the defaults of one that the file does not have.
pub(in crate::config) struct Table<'r, 'a> {
    pub(in crate::config) reading: &'r Reading<'a>,
    /// Its header, its braces, or where it would be.
    pub(in crate::config) span: Span,
    keys: &'static Keys,
    entries: Option<&'r DeTable<'a>>,
}

impl<'r, 'a> Table<'r, 'a> {
    /// Takes a value for a table and refuses the keys that it cannot have.
    pub(in crate::config) fn open(
        reading: &'r Reading<'a>,
        value: &'r Value<'a>,
        keys: &'static Keys,
    ) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(entries) => Some(Self::of(reading, entries, value.span(), keys)),
            _ => {
                reading.report(reading.wrong_type(value, keys.title, "a table"));
                None
            }
        }
    }

    /// Takes the entries of a table and refuses the keys that it cannot have.
    pub(in crate::config) fn of(
        reading: &'r Reading<'a>,
        entries: &'r DeTable<'a>,
        span: Span,
        keys: &'static Keys,
    ) -> Self {
        let table = Self { reading, span, keys, entries: Some(entries) };
        for (key, _) in entries {
            if keys.names().all(|known| known != key.get_ref()) {
                reading.report(table.unknown_key(key.get_ref(), key.span()));
            }
        }
        table
    }

    /// The defaults of a table that the file does not have.
    pub(in crate::config) fn defaults(
        reading: &'r Reading<'a>,
        span: Span,
        keys: &'static Keys,
    ) -> Self {
        Self { reading, span, keys, entries: None }
    }

    /// Whether it has keys that it cannot have.
    pub(in crate::config) fn has_unknown_keys(&self) -> bool {
        let mut given = self.entries.into_iter().flatten().map(|(key, _)| key.get_ref());
        given.any(|key| self.keys.names().all(|known| known != key))
    }

    fn unknown_key(&self, name: &str, span: Span) -> Diagnostic {
        let error = Diagnostic::error(span, format!("unknown key `{name}` in {}", self.keys.title));
        let plural = format!("{name}s");
        if self.keys.names().any(|known| known == plural) {
            return error.did_you_mean(Some(&plural));
        }
        if let Some(table) = self.keys.table_with(name) {
            return error.help(format!("`{name}` belongs in `{table}`: `{table}.{name} = ...`"));
        }
        let suggestion = suggest::closest(name, self.keys.names());
        let error = error.did_you_mean(suggestion);
        let known: Vec<_> = self.keys.names().map(|name| format!("`{name}`")).collect();
        if suggestion.is_none() {
            if let Some(place) = self.place_of(name) {
                return error.help(format!("`{name}` belongs in {place}"));
            }
            return error.note(format!("its keys are {}", known.join(", ")));
        }
        error
    }

    /// The tables beside this one that have such a key, or else those elsewhere.
    fn place_of(&self, name: &str) -> Option<String> {
        let beside: [&Keys; 3] = [&LISTENER, &ROUTE, &UPSTREAM];
        let is_one = beside.iter().any(|keys| keys.id == self.keys.id);
        let has = |keys: &&&Keys| is_one && keys.names().any(|known| known == name);
        let titles: Vec<_> = beside.iter().filter(has).map(|keys| keys.title).collect();
        if !titles.is_empty() {
            return Some(titles.join(" or "));
        }
        let places = self.keys.places_of(name);
        let places: Vec<_> = places.iter().map(|place| format!("`{place}`")).collect();
        (!places.is_empty()).then(|| places.join(" or "))
    }

    /// The value of a key; a missing required one is an error.
    pub(in crate::config) fn value(&self, name: &str) -> Option<&'r Value<'a>> {
        let key = self.keys.key(name);
        let value = self.entries.and_then(|entries| entries.get(name));
        if value.is_none() && key.required && !self.misspells(name) {
            let error = format!("{} has no `{name}`", self.keys.title);
            let error = Diagnostic::error(self.span.clone(), error);
            let error = error.label(format!("`{name}` is required"));
            self.reading.report_absence(match key.example {
                Some(header) if header.starts_with("[[") => {
                    error.help(format!("add a `{header}` table"))
                }
                Some(example) => error.help(format!("add `{name} = {example}`")),
                None => error,
            });
        }
        value
    }

    /// Whether an unknown key was most likely meant to be this one, and has its error already.
    pub(in crate::config) fn misspells(&self, name: &str) -> bool {
        let unknown = |key: &&str| self.keys.names().all(|known| known != *key);
        let mut given = self.entries.into_iter().flatten().map(|(key, _)| &**key.get_ref());
        given.any(|key| unknown(&key) && suggest::closest(key, self.keys.names()) == Some(name))
    }

    /// The declared default of a key, which must have one.
    pub(in crate::config) fn default(&self, name: &str) -> &'static str {
        self.keys.key(name).default.expect("only asked for keys with a default")
    }

    /// Where a key itself is.
    pub(in crate::config) fn key_span(&self, name: &str) -> Option<Span> {
        self.entries.and_then(|entries| entries.get_key_value(name)).map(|(key, _)| key.span())
    }

    /// A string.
    pub(in crate::config) fn text(&self, name: &str) -> Option<Text> {
        self.reading.text(self.value(name)?, &format!("`{name}`"))
    }
}
