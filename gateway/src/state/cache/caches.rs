//! The caches of the process.
//!
//! Owns which of them are open, and who may use one. Must not know what is in them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use super::second::Second;
use super::{Cache, OpenError, lock};
use crate::config::Cache as Settings;
use crate::state::named::Named;
use crate::telemetry::metrics::{CacheCounts, Metrics};

/// The caches that are in use.
#[derive(Debug)]
pub(crate) struct Caches {
    open: Mutex<HashMap<Box<str>, Arc<Cache>>>,
    /// Plugins that can use one.
    users: Mutex<HashSet<Arc<str>>>,
    metrics: Arc<Metrics>,
    /// Where second levels are.
    stores: Arc<Named>,
}

impl Caches {
    pub(in crate::state) fn new(metrics: &Arc<Metrics>, stores: &Arc<Named>) -> Self {
        let (open, users) = (Mutex::default(), Mutex::default());
        Self { open, users, metrics: Arc::clone(metrics), stores: Arc::clone(stores) }
    }

    /// The second level of a cache with these settings.
    fn second(&self, settings: &Settings, counts: &Arc<CacheCounts>) -> Option<Arc<Second>> {
        let used = settings.second_level.as_ref()?;
        let store = self.stores.redis(Some(&used.store))?;
        Some(Second::new(&settings.name, used, &store, counts))
    }

    /// The cache with these settings: the one that is there, or a new and empty one.
    pub(crate) fn of(&self, settings: &Arc<Settings>) -> Arc<Cache> {
        let mut open = self.open();
        if let Some(cache) = open.get(&*settings.name)
            && cache.settings.is_same(settings)
        {
            return Arc::clone(cache);
        }
        // One cache at a time has a folder: what is in it comes along.
        open.values().filter(|cache| cache.shares_folder(settings)).for_each(|cache| cache.close());
        let counts = self.metrics.of_cache(&settings.name);
        let second = self.second(settings, &counts);
        let opened = Cache::open(settings, Arc::clone(&counts), second);
        let cache = opened.unwrap_or_else(|error| {
            let name = &settings.name;
            tracing::error!(cache = name, "the cache `{name}` has no folder: {error}");
            Arc::new(Cache::new(settings, counts, None, None))
        });
        open.insert(settings.name.as_str().into(), Arc::clone(&cache));
        cache
    }

    /// The cache with these settings, if there is one.
    pub(super) fn existing(&self, settings: &Settings) -> Option<Arc<Cache>> {
        let open = self.open();
        open.get(&*settings.name).filter(|cache| cache.settings.is_same(settings)).cloned()
    }

    /// Opens a cache that has a folder, before it is used.
    ///
    /// # Errors
    /// If its folder cannot be used.
    pub(in crate::state) fn prepare(&self, settings: &Arc<Settings>) -> Result<(), OpenError> {
        let mut open = self.open();
        let is_open = open.values().any(|cache| cache.shares_folder(settings));
        if settings.folder.is_none() || is_open {
            return Ok(());
        }
        let cache = Cache::open(settings, self.metrics.of_cache(&settings.name), None)?;
        open.insert(settings.name.as_str().into(), cache);
        Ok(())
    }

    /// A plugin can use its cache, or cannot.
    pub(crate) fn has_user(&self, plugin: &Arc<str>, uses: bool) {
        let mut users = lock(&self.users);
        if uses {
            users.insert(Arc::clone(plugin))
        } else {
            users.remove(plugin)
        };
    }

    /// Whether a plugin that is loaded can use its cache.
    pub(crate) fn is_user(&self, plugin: &str) -> bool {
        lock(&self.users).contains(plugin)
    }

    /// Lets all folders go.
    pub(crate) fn finish(&self) {
        self.all().iter().for_each(|cache| cache.close());
    }

    /// These are configured, and no others.
    pub(in crate::state) fn keep(&self, settings: &[Arc<Settings>]) {
        let is_kept = |name: &str| settings.iter().any(|it| it.name == name);
        let gone: Vec<_> = {
            let mut open = self.open();
            let gone = open.iter().filter(|(name, _)| !is_kept(name));
            let gone = gone.map(|(_, cache)| Arc::clone(cache)).collect();
            open.retain(|name, _| is_kept(name));
            gone
        };
        gone.iter().for_each(|cache| cache.close());
        // Here, and not on the worker that asks first.
        settings.iter().filter(|it| it.folder.is_some()).for_each(|it| drop(self.of(it)));
        self.metrics.keep_caches(&is_kept);
    }

    /// All that are in use, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Cache>> {
        let mut all: Vec<_> = self.open().values().cloned().collect();
        all.sort_by(|one, other| one.settings.name.cmp(&other.settings.name));
        all
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Cache>>> {
        lock(&self.open)
    }
}
