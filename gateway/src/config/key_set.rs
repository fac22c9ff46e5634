//! `[keys.NAME]`: sets of API keys that are managed while the gateway runs.
//!
//! Owns where a set is kept. Must not open the store, nor know what a key is.

use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::names::Names;
use super::reader::{Table, Text};
use super::store::Stores;
use super::{KeySet, Span, StoreKind};

/// Characters of a prefix, at most.
const LONGEST_PREFIX: usize = 24;

/// The sets of a file.
pub(super) struct KeySets {
    names: Names,
    spans: Vec<Span>,
    pub(super) read: Vec<Option<Arc<KeySet>>>,
}

impl KeySets {
    /// Reads all of them.
    pub(super) fn read(root: &Table<'_, '_>, stores: &Stores) -> Self {
        let tables = root.named_tables("keys");
        let spans = tables.iter().map(|(name, _)| name.span.clone()).collect();
        let read = tables.iter().map(|(name, table)| read(name, table, stores).map(Arc::new));
        let read = read.collect();
        let names = tables.into_iter().map(|(name, _)| Some(name)).collect();
        Self { names: Names::new(root.reading, "set of keys", names), spans, read }
    }

    /// Those that a plugin lists; `None` where the file has no such key.
    pub(super) fn granted(&self, table: &Table<'_, '_>) -> Option<Vec<Arc<KeySet>>> {
        let items = table.list("keys")?.iter();
        let names = items.filter_map(|item| table.reading.text(item, "the name of a set of keys"));
        let found = names.filter_map(|name| {
            let index = self.names.find(table.reading, &name, "a `[keys.NAME]` table")?;
            self.read[index].clone()
        });
        Some(found.collect())
    }

    /// Warns of sets that no plugin lists.
    pub(super) fn warn_of_unused(&self, root: &Table<'_, '_>) {
        self.names.warn_of_unused(root.reading, "plugin", |index| self.spans[index].clone());
    }
}

/// Reads all of it before it gives up, so that all errors are reported at once.
fn read(name: &Text, table: &Table<'_, '_>, stores: &Stores) -> Option<KeySet> {
    let prefix = prefix(table);
    let store = table.word("store").and_then(|text| {
        let store = stores.find(table, &text)?;
        if matches!(store.kind, StoreKind::Memory) {
            let error =
                format!("the store `{}` is in memory, where keys would be gone", store.name);
            let error = Diagnostic::error(text.span, error)
                .label("the keys are nowhere else, and end with the process")
                .related(store.span.clone(), "it has neither `file` nor `redis`");
            table.reading.report(error.help("give that store `file = \"state.db\"`"));
            return None;
        }
        Some(store)
    });
    Some(KeySet { name: name.value.clone(), store: store?, prefix: prefix? })
}

fn prefix(table: &Table<'_, '_>) -> Option<String> {
    let Some(text) = table.word("prefix") else { return Some(table.default("prefix").to_owned()) };
    let is_of = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let value = &text.value;
    let is_prefix = value.len() <= LONGEST_PREFIX
        && value.bytes().all(is_of)
        && value.starts_with(|first: char| first.is_ascii_lowercase())
        && !value.ends_with('_');
    if is_prefix {
        return Some(text.value);
    }
    let error = format!("`{}` is no prefix of keys", text.shown);
    let error = Diagnostic::error(text.span.clone(), error).label(format!(
        "up to {LONGEST_PREFIX} of `a-z`, `0-9` and `_`, a letter first and no `_` last"
    ));
    table.reading.report(error.help("such as `prefix = \"acme_live\"`"));
    None
}
