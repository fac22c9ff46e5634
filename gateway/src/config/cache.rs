//! `[caches.NAME]`, and which one a plugin uses.
//!
//! Owns the bounds of caches. Must not know what is kept in them.

use std::ops::Range;
use std::sync::Arc;

use super::Cache;
use super::diagnostic::Diagnostic;
use super::names::Names;
use super::reader::{Table, Text};

/// The cache of plugins that name none.
const DEFAULT: &str = "default";

/// The caches of a file, for plugins that name one.
pub(super) struct Caches {
    names: Names,
    /// Where each is named.
    places: Vec<Range<usize>>,
    caches: Vec<Option<Arc<Cache>>>,
}

impl Caches {
    /// Reads every `[caches.NAME]`.
    pub(super) fn read(root: &Table<'_, '_>) -> Self {
        let tables = root.named_tables("caches");
        let places = tables.iter().map(|(name, _)| name.span.clone()).collect();
        let names = tables.iter().map(|(name, _)| Some(name.clone())).collect();
        let names = Names::new(root.reading, "cache", names);
        let caches = tables.iter().map(|(name, table)| read(name, table).map(Arc::new)).collect();
        Self { names, places, caches }
    }

    /// Whether all could be read.
    pub(super) fn is_whole(&self) -> bool {
        self.caches.iter().all(Option::is_some)
    }

    /// Those that could be read, in the order of the file.
    pub(super) fn all(&self) -> Vec<Arc<Cache>> {
        self.caches.iter().flatten().cloned().collect()
    }

    /// `cache` of a plugin: the one that it names, or the one for all who name none.
    pub(super) fn of(&self, plugin: &Table<'_, '_>) -> Arc<Cache> {
        let named = plugin.word("cache").and_then(|name| {
            let found = self.names.find(plugin.reading, &name, "a `[caches.NAME]` table");
            found.and_then(|found| self.caches[found].clone())
        });
        let configured = || self.caches.iter().flatten().find(|it| it.name == DEFAULT).cloned();
        named.or_else(configured).unwrap_or_default()
    }

    /// Warns of caches that no plugin uses.
    pub(super) fn warn_of_unused(&self, root: &Table<'_, '_>) {
        let default = self.caches.iter().flatten().any(|it| it.name == DEFAULT);
        if !default {
            self.names.warn_of_unused(root.reading, "plugin", |index| self.places[index].clone());
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            name: DEFAULT.to_owned(),
            span: 0..0,
            memory: 256 << 20,
            max_object: 8 << 20,
            partition: None,
            finishes: false,
        }
    }
}

impl Cache {
    /// Whether what is kept under other settings may stay.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let bounds = |it: &Self| (it.memory, it.max_object, it.partition, it.finishes);
        self.name == other.name && bounds(self) == bounds(other)
    }
}

fn read(name: &Text, table: &Table<'_, '_>) -> Option<Cache> {
    let memory = table.size("memory");
    let max_object = table.size("max_object");
    let partition = table.value("partition").map(|_| table.size("partition"));
    let finishes = table.choice("abandoned") == "finish";
    let (memory, max_object) = (memory?, max_object?);
    if max_object > memory {
        let at = table.value("max_object").or(table.value("memory")).map(|value| value.span());
        let error = "an object may be larger than all that is kept";
        let error = Diagnostic::error(at.unwrap_or_else(|| name.span.clone()), error);
        let label = format!("`max_object` is {max_object} bytes and `memory` {memory}");
        table.reading.report(error.label(label).help("raise `memory`, or lower `max_object`"));
        return None;
    }
    let partition = match partition {
        None => None,
        Some(partition) => Some(partition?),
    };
    Some(Cache {
        name: name.value.clone(),
        span: name.span.clone(),
        memory,
        max_object,
        partition,
        finishes,
    })
}
