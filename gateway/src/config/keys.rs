//! Every table and key of the configuration file, declared once.
//!
//! Owns names, types, ranges, defaults and descriptions. The reader takes them from here, and so
//! does the JSON Schema: a key that is not declared cannot be read, and one that is declared is in
//! the schema. It must not read anything itself.

mod access_logs;
mod admin;
mod caches;
mod components;
mod documents;
mod events;
mod file;
mod key_sets;
mod listeners;
mod plugins;
mod recorder;
mod retries;
mod routes;
mod stores;
mod traces;
mod upstreams;
mod usage;

use access_logs::ACCESS_LOG;
pub(super) use access_logs::{FACILITIES, LOG_FILE, LOG_SYSLOG};
use admin::ADMIN;
use caches::CACHE;
pub(super) use components::COMPONENT;
use documents::DOCUMENT;
use events::EVENT_SINK;
pub(super) use file::ROOT;
use key_sets::KEY_SET;
use listeners::TLS_VERSIONS;
pub(super) use listeners::{LISTENER, LISTENER_TLS};
pub(super) use plugins::PLUGIN;
pub(super) use recorder::RECORDER;
use retries::{RETRIES, RETRY_BUDGET};
pub(super) use routes::ROUTE;
use stores::STORE;
pub(super) use stores::{KEY_VALUE_USE, LIMITER_USE};
use traces::TRACES;
pub(super) use upstreams::{TARGET, UPSTREAM};
use usage::USAGE;

/// What a route does: it has one of them.
pub(super) const ACTIONS: [&str; 5] = ["upstream", "split", "component", "respond", "redirect"];

/// The statuses of a redirect (RFC 9110 section 15.4).
pub(super) const REDIRECTS: [u64; 5] = [301, 302, 303, 307, 308];

/// Tables that are named where one of their keys stands in the wrong one, at most.
const FEW: usize = 3;

/// The longest duration that a timeout can have.
const DAY: &str = "1d";

/// A table: what it is called in messages and which keys it has.
#[derive(Debug)]
pub(super) struct Keys {
    /// Unique, for `$defs` of the schema.
    pub(super) id: &'static str,
    /// As messages call it: `` `[gateway]` ``.
    pub(super) title: &'static str,
    /// What it is, for the schema.
    pub(super) about: &'static str,
    /// Its keys, in the order of the documentation.
    pub(super) keys: &'static [Key],
}

/// A key of a table.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
    /// As the file would say it, without quotes.
    pub(super) default: Option<&'static str>,
    pub(super) about: &'static str,
    /// A value as the file would say it, for advice.
    pub(super) example: Option<&'static str>,
}

/// What a key's value must be.
#[derive(Debug)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A whole number in this range, ends included.
    Integer { min: u64, max: u64 },
    /// A number from 0 to 1.
    Ratio,
    /// One of these whole numbers.
    Integers(&'static [u64]),
    /// A duration in this range, ends included.
    Duration { min: &'static str, max: &'static str },
    /// A size in this range of bytes, ends included.
    Size { min: u64, max: u64 },
    /// An array.
    List(&'static Kind),
    /// A table with these keys.
    Table(&'static Keys),
    /// `[[name]]`: several tables.
    Tables(&'static Keys),
    /// `[name.NAME]`: tables by a name that the user chooses.
    NamedTables(&'static Keys),
    /// A table, or an array of them.
    TableOrTables(&'static Keys),
    /// A string, or a table.
    TextOrTable(&'static Keys),
    /// Keys that the user chooses, with strings.
    TextMap,
    /// A table that somebody else understands.
    Free,
}

impl Keys {
    /// The declaration of a key.
    ///
    /// # Panics
    /// If the key is not declared, which is a fault of this program and not of a file.
    pub(super) fn key(&self, name: &str) -> &'static Key {
        let key = self.keys.iter().find(|key| key.name == name);
        key.unwrap_or_else(|| panic!("{} declares no key `{name}`", self.title))
    }

    /// The names of all keys.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }

    /// Keys of which a table has exactly one.
    pub(super) fn alternatives(&self) -> &'static [&'static str] {
        match self.id {
            id if id == ROUTE.id => &ACTIONS,
            id if id == TARGET.id => &["url", "srv"],
            _ => &[],
        }
    }

    /// Where else in the file a key of this name stands, if only few tables have one.
    pub(super) fn places_of(&self, name: &str) -> Vec<String> {
        let has = |keys: &Keys| keys.id != self.id && keys.names().any(|known| known == name);
        // A table that stands in several places is named once.
        let mut all: Vec<(String, &Keys)> = Vec::new();
        for (place, keys) in tables().into_iter().filter(|(place, _)| !place.is_empty()) {
            if has(keys) && all.iter().all(|(_, known)| known.id != keys.id) {
                all.push((place, keys));
            }
        }
        if all.len() <= FEW {
            all.into_iter().map(|(place, _)| place).collect()
        } else {
            Vec::new()
        }
    }

    /// The key whose table has a key of this name, for users who put it one level too high.
    pub(super) fn table_with(&self, name: &str) -> Option<&'static str> {
        let has = |key: &&Key| match key.kind {
            Kind::Table(keys) => keys.names().any(|known| known == name),
            _ => false,
        };
        self.keys.iter().find(has).map(|key| key.name)
    }
}

/// Every table that can be reached from the root, with where it stands.
fn tables() -> Vec<(String, &'static Keys)> {
    fn below(kind: &'static Kind) -> Option<(&'static Keys, &'static str)> {
        match kind {
            Kind::Table(keys)
            | Kind::Tables(keys)
            | Kind::TableOrTables(keys)
            | Kind::TextOrTable(keys) => Some((keys, "")),
            Kind::NamedTables(keys) => Some((keys, ".NAME")),
            Kind::List(kind) => below(kind),
            Kind::Text
            | Kind::Choice(_)
            | Kind::Integer { .. }
            | Kind::Ratio
            | Kind::Integers(_)
            | Kind::Duration { .. }
            | Kind::Size { .. }
            | Kind::TextMap
            | Kind::Free => None,
        }
    }
    let mut found = vec![(String::new(), &ROOT)];
    let mut next = 0;
    while let Some((place, keys)) = found.get(next).cloned() {
        for key in keys.keys {
            if let Some((keys, name)) = below(&key.kind) {
                let dot = if place.is_empty() { "" } else { "." };
                found.push((format!("{place}{dot}{}{name}", key.name), keys));
            }
        }
        next += 1;
    }
    found
}

impl Key {
    const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, required: false, default: None, about, example: None }
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    const fn example(mut self, example: &'static str) -> Self {
        self.example = Some(example);
        self
    }
}

/// A duration from a millisecond to a day.
const fn timeout(name: &'static str, about: &'static str) -> Key {
    Key::new(name, Kind::Duration { min: "1ms", max: DAY }, about)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::units;

    fn tables() -> impl Iterator<Item = &'static Keys> {
        super::tables().into_iter().map(|(_, keys)| keys)
    }

    #[test]
    fn declares_defaults_that_are_in_their_own_range() {
        for key in tables().flat_map(|keys| keys.keys) {
            let Some(default) = key.default else { continue };
            match key.kind {
                Kind::Integer { min, max } => {
                    let value = default.parse::<u64>().expect(key.name);
                    assert!((min..=max).contains(&value), "{}", key.name);
                }
                Kind::Ratio => {
                    let value = default.parse::<f64>().expect(key.name);
                    assert!((0.0..=1.0).contains(&value), "{}", key.name);
                }
                Kind::Integers(all) => {
                    assert!(all.contains(&default.parse().expect(key.name)), "{}", key.name);
                }
                Kind::Duration { min, max } => {
                    let read = |text| units::duration(text).expect(key.name);
                    assert!((read(min)..=read(max)).contains(&read(default)), "{}", key.name);
                }
                Kind::Size { min, max } => {
                    let value = units::size(default).expect(key.name);
                    assert!((min..=max).contains(&value), "{}", key.name);
                }
                Kind::Choice(choices) => assert!(choices.contains(&default), "{}", key.name),
                _ => {}
            }
        }
    }

    #[test]
    fn documents_every_key_with_its_default() {
        let docs = include_str!("../../../docs/configuration.md");
        for keys in tables() {
            for key in keys.keys {
                let row = docs.lines().find(|line| {
                    line.starts_with(&format!("| `{}` |", key.name))
                        && key.default.is_none_or(|default| line.contains(&format!("`{default}`")))
                });
                assert!(row.is_some(), "{} `{}` {:?}", keys.title, key.name, key.default);
            }
        }
    }

    #[test]
    fn tells_where_a_misplaced_key_belongs() {
        assert_eq!(LISTENER.table_with("body_size"), Some("limits"));
        assert_eq!(LISTENER.table_with("nothing"), None);
        let places = STORE.places_of("on_store_error");
        assert_eq!(places, ["plugins.NAME.limiter", "plugins.NAME.key_value"]);
        assert_eq!(STORE.places_of("lease"), ["plugins.NAME.limiter"]);
    }
}
