//! `[caches.NAME]`, and which one a plugin uses.
//!
//! Owns the bounds of caches and their folders. Must not know what is kept in them.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::names::Names;
use super::owners::{Kind, Owned};
use super::reader::{Table, Text};
use super::store::Stores;
use super::{Cache, CacheFolder, SecondLevel, StoreKind};

/// The cache of plugins that name none.
const DEFAULT: &str = "default";

/// The caches of a file, for plugins that name one.
pub(super) struct Caches {
    names: Names,
    /// Where each is named.
    places: Vec<Range<usize>>,
    caches: Vec<Option<Arc<Cache>>>,
    /// The folders that they have, and what is in those.
    pub(super) folders: Vec<Owned>,
}

impl Caches {
    /// Reads every `[caches.NAME]`.
    pub(super) fn read(root: &Table<'_, '_>, stores: &Stores) -> Self {
        let tables = root.named_tables("caches");
        let places = tables.iter().map(|(name, _)| name.span.clone()).collect();
        let names = tables.iter().map(|(name, _)| Some(name.clone())).collect();
        let names = Names::new(root.reading, "cache", names);
        let read = tables.iter().map(|(name, table)| {
            let folder = table.word("folder");
            let path = folder.as_ref().map(|text| root.reading.source.folder().join(&text.value));
            (path, read(name, table, folder, stores).map(Arc::new))
        });
        let (paths, caches): (Vec<_>, Vec<_>) = read.unzip();
        refuse_shared_folders(&tables, &paths);
        let folders = tables.iter().zip(&paths).flat_map(|((name, table), path)| {
            let (path, span) = (path.clone()?, table.value("folder")?.span());
            let owner = format!("the cache `{}`", name.value);
            let index = path.join("index.db");
            Some([path, index].map(|path| Owned {
                kind: Kind::Cache,
                owner: owner.clone(),
                path,
                span: span.clone(),
            }))
        });
        let folders = folders.flatten().collect();
        Self { names, places, caches, folders }
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
            folder: None,
            second_level: None,
        }
    }
}

impl Cache {
    /// Whether what is kept under other settings may stay.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let bounds = |it: &Self| (it.memory, it.max_object, it.partition, it.finishes);
        let second = |it: &Self| {
            let second = it.second_level.as_ref()?;
            let StoreKind::Redis(store) = &second.store.kind else { return None };
            Some((second.store.name.clone(), store.clone(), second.max_object, second.ttl))
        };
        self.name == other.name
            && bounds(self) == bounds(other)
            && self.folder == other.folder
            && second(self) == second(other)
    }
}

fn read(
    name: &Text,
    table: &Table<'_, '_>,
    folder: Option<Text>,
    stores: &Stores,
) -> Option<Cache> {
    let memory = table.size("memory");
    let max_object = table.size("max_object");
    let partition = table.value("partition").map(|_| table.size("partition"));
    let finishes = table.choice("abandoned") == "finish";
    let second_level = second_level(table, max_object, stores);
    let folder = self::folder(table, folder, max_object);
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
    if let (Some(partition), Some(value)) = (partition, table.value("partition"))
        && partition < max_object
    {
        let warning = "an owner has no room for the largest object";
        let warning = Diagnostic::warning(value.span(), warning);
        let label = format!("`max_object` is {max_object} bytes");
        let help = "raise `partition`, or lower `max_object`";
        table.reading.report(warning.label(label).help(help));
    }
    let disk = folder.iter().flatten().map(|folder| folder.size).sum::<u64>();
    let all = memory.saturating_add(disk);
    if let (Some(partition), Some(value)) = (partition, table.value("partition"))
        && partition > all
    {
        let warning = "an owner may have more than all that is kept, so that none is bounded";
        let label = format!("all of it is {all} bytes");
        let warning = Diagnostic::warning(value.span(), warning).label(label);
        table.reading.report(warning.help("lower `partition`, or raise `memory`"));
    }
    Some(Cache {
        name: name.value.clone(),
        span: name.span.clone(),
        memory,
        max_object,
        partition,
        finishes,
        folder: folder?,
        second_level: second_level?,
    })
}

/// `folder` and what goes there; `None` if something is wrong with it.
fn folder(
    table: &Table<'_, '_>,
    text: Option<Text>,
    max_object: Option<u64>,
) -> Option<Option<CacheFolder>> {
    let (size, from) = (table.size("disk_size"), table.size("disk_from"));
    let Some(text) = text else {
        if table.value("folder").is_some() {
            return None;
        }
        let useless = ["disk_size", "disk_from"].map(|key| Some((key, table.value(key)?)));
        let Some((key, value)) = useless.into_iter().flatten().next() else { return Some(None) };
        let error = Diagnostic::error(value.span(), format!("`{key}` is for a folder"));
        let error = error.label("there is no `folder`");
        table.reading.report(error.help("add `folder = \"...\"`, or leave it out"));
        return None;
    };
    let path = table.reading.source.folder().join(&text.value);
    if !path.is_dir() {
        let (error, help) = match path.exists() {
            true => ("is not a folder", "name a folder that is for this cache alone"),
            false => ("is not there", "make the folder first"),
        };
        let error = Diagnostic::error(text.span.clone(), format!("`{}` {error}", text.shown));
        table.reading.report(error.help(help));
        return None;
    }
    let (size, from, max_object) = (size?, from?, max_object?);
    let refuse = |key: &str, why: &str, help: &str| {
        let at = table.value(key).map_or_else(|| text.span.clone(), |value| value.span());
        table.reading.report(Diagnostic::error(at, why).help(help));
        None
    };
    if from > max_object {
        let why = "no body would go to the folder: `disk_from` is more than `max_object`";
        return refuse("disk_from", why, "lower `disk_from`, or raise `max_object`");
    }
    if max_object > size {
        let why = "an object may be larger than all that is kept on disk";
        return refuse("disk_size", why, "raise `disk_size`, or lower `max_object`");
    }
    Some(Some(CacheFolder { path, size, from }))
}

/// `second_level` and what goes there; `None` if something is wrong with it.
fn second_level(
    table: &Table<'_, '_>,
    max_object: Option<u64>,
    stores: &Stores,
) -> Option<Option<SecondLevel>> {
    let (size, ttl) = (table.size("second_level_max_object"), table.duration("second_level_ttl"));
    let Some(value) = table.value("second_level") else {
        let useless = ["second_level_max_object", "second_level_ttl"];
        let useless = useless.map(|key| Some((key, table.value(key)?)));
        let Some((key, value)) = useless.into_iter().flatten().next() else { return Some(None) };
        let error = Diagnostic::error(value.span(), format!("`{key}` is for a second level"));
        let error = error.label("there is no `second_level`");
        let help = "add `second_level = \"...\"` with the name of a Redis store, or leave it out";
        table.reading.report(error.help(help));
        return None;
    };
    let name = table.word("second_level")?;
    let store = stores.find(table, &name)?;
    let kind = match &store.kind {
        StoreKind::Redis(_) => None,
        StoreKind::Memory => Some("is in the memory of this gateway"),
        StoreKind::File { .. } => Some("is a file of this gateway"),
    };
    if let Some(kind) = kind {
        let error = Diagnostic::error(name.span, "a second level is shared by gateways");
        let error = error.label(format!("the store `{}` {kind}", store.name));
        let shared = stores.all().into_iter().find(|it| it.redis().is_some());
        table.reading.report(error.help(match shared {
            Some(shared) => format!("name a store with `redis`, such as `{}`", shared.name),
            None => "name a store with `redis = \"redis://...\"`".to_owned(),
        }));
        return None;
    }
    if let Some(folder) = table.value("folder") {
        let error = "a cache has a folder or a second level, not both";
        let error = Diagnostic::error(value.span(), error);
        let error = error.related(folder.span(), "it has a folder");
        let help = "leave one of them out: what others purge while this gateway is down would still be in its folder";
        table.reading.report(error.help(help));
        return None;
    }
    let (size, ttl, max_object) = (size?, ttl?, max_object?);
    if let Some(value) = table.value("second_level_max_object").filter(|_| size > max_object) {
        let error = "no body is that large: it is more than `max_object`";
        let error = Diagnostic::error(value.span(), error);
        let label = format!("`max_object` is {max_object} bytes");
        let help = "lower `second_level_max_object`, or raise `max_object`";
        table.reading.report(error.label(label).help(help));
        return None;
    }
    Some(Some(SecondLevel { store, max_object: size, ttl }))
}

/// A folder is of one cache, whatever else is wrong with it.
fn refuse_shared_folders(tables: &[(Text, Table<'_, '_>)], paths: &[Option<PathBuf>]) {
    // One that is not there is told already.
    let path = |path: &Option<PathBuf>| path.as_ref()?.canonicalize().ok();
    let paths: Vec<_> = paths.iter().map(path).collect();
    for (index, (_, table)) in tables.iter().enumerate() {
        let is_taken = |other: &usize| paths[index].is_some() && paths[*other] == paths[index];
        let Some(first) = (0..index).find(is_taken) else { continue };
        let Some(value) = table.value("folder") else { continue };
        let error = format!("the cache `{}` has this folder", tables[first].0.value);
        let error = Diagnostic::error(value.span(), error);
        table.reading.report(error.help("give each cache a folder of its own"));
    }
}
