//! State that all workers share: what the limiter, the key-value interface, slots, managed API keys and the
//! metrics keep.
//!
//! Owns the stores of each configured plugin and their bounds, and lets those of plugins go that are
//! configured no more. Must not know Wasm; the host interfaces in `plugin/host` translate.

pub(crate) mod cache;
mod consumer_limits;
mod facts;
mod file;
mod journal;
pub(crate) mod key_sets;
pub(crate) mod key_value;
pub(crate) mod limits;
mod named;
pub(crate) mod redis;
pub(crate) mod slots;
pub(crate) mod volume;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use self::consumer_limits::ConsumerLimits;
pub(crate) use self::facts::StoreFacts;
use self::file::{File, Part};
use self::key_sets::KeySets;
use self::limits::quotas::Quotas;
use self::named::Named;
use self::redis::key_values::SharedValues;
use self::redis::limits::SharedLimits;
use crate::config;
use crate::documents::Documents;
use crate::events::Events;
use crate::memory_quota::MemoryQuota;
use crate::telemetry::metrics::{Metrics, PluginMetrics};
use crate::usage::Usage;

/// The state of the process. It survives a reload: a limit is not reset by a new configuration.
#[derive(Debug, Clone)]
pub(crate) struct State {
    stores: Arc<Mutex<HashMap<Box<str>, Stores>>>,
    /// `[stores.NAME]`, as far as they are open.
    pub(crate) named: Arc<Named>,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// The bodies that are held for plugins.
    pub(crate) bodies: Arc<MemoryQuota>,
    /// Where usage is recorded.
    pub(crate) usage: Arc<Usage>,
    /// What is kept current for plugins.
    pub(crate) documents: Arc<Documents>,
    /// Where their events are collected.
    pub(crate) events: Arc<Events>,
    /// `[caches.NAME]`, as far as they are used.
    pub(crate) caches: Arc<cache::Caches>,
    /// API keys that are managed at run time.
    pub(crate) key_sets: Arc<KeySets>,
}

impl Default for State {
    fn default() -> Self {
        let (metrics, stores) = (Arc::<Metrics>::default(), Arc::default());
        let bodies = Arc::new(MemoryQuota::new(config::BUFFERED_BODIES));
        metrics.holds(&bodies);
        let documents = Arc::new(Documents::new(&metrics));
        let events = Arc::new(Events::new(&metrics));
        let (usage, named) = (Arc::default(), Arc::<Named>::default());
        let key_sets = Arc::new(KeySets::new(&named, &metrics));
        let caches = Arc::new(cache::Caches::new(&metrics, &named));
        Self { stores, named, metrics, bodies, usage, documents, events, caches, key_sets }
    }
}

/// What one configured plugin keeps.
#[derive(Debug, Clone)]
pub(crate) struct Stores {
    /// Token buckets in memory.
    pub(crate) limits: Arc<limits::Limits>,
    /// The same buckets, and windows.
    pub(crate) quotas: Quotas,
    /// Those that it shares with other gateways instead.
    pub(crate) shared_limits: Option<Arc<SharedLimits>>,
    /// Keys and values.
    pub(crate) key_values: Arc<key_value::Store>,
    /// Those that it shares with other gateways instead.
    pub(crate) shared_values: Option<Arc<SharedValues>>,
    /// How many of its exchanges are let past at the same time.
    pub(crate) slots: Arc<slots::Slots>,
    /// What it keeps with its exchanges.
    pub(crate) kept: Arc<MemoryQuota>,
    /// Bodies that are held for it.
    pub(crate) bodies: Arc<MemoryQuota>,
    /// What may be logged of it.
    pub(crate) volume: Arc<volume::Volume>,
    /// The files that it is written to.
    files: Vec<(Box<str>, Arc<File>, Part)>,
}

impl Stores {
    fn bound(&self, plugin: &config::Plugin) {
        self.limits.bound(plugin.limiter);
        self.quotas.windows.bound(plugin.limiter);
        self.key_values.bound(plugin.key_value);
        self.kept.set(plugin.bounds.exchanges);
        self.bodies.set(plugin.bounds.buffered);
        self.volume.bound(plugin.bounds.log_lines, plugin.bounds.log_bytes);
    }

    /// It is configured no more.
    fn leave(&self) {
        for (plugin, file, part) in &self.files {
            file.leave(plugin, part.clone());
        }
    }
}

impl State {
    /// The stores of a plugin: those that it has, or new ones.
    pub(crate) fn of(&self, plugin: &config::Plugin) -> Stores {
        let metrics = self.metrics.of(&plugin.name.as_str().into());
        metrics.begin(plugin.bounds.metrics);
        let identity = identity(plugin);
        let files = [
            self.named.file(plugin.limiter_use.store.as_ref()),
            self.named.file(plugin.key_value_store.as_ref()),
        ];
        let new = || self.new_stores(plugin, &identity, &files, &metrics);
        let mut stores = self.stores().entry(self.place(plugin)).or_insert_with(new).clone();
        let store = self.named.redis(plugin.limiter_use.store.as_ref());
        stores.shared_limits = store.map(|store| {
            let used = &plugin.limiter_use;
            Arc::new(SharedLimits::new(&store, &identity, used, &stores.quotas))
        });
        let store = self.named.redis(plugin.key_value_store.as_ref());
        stores.shared_values = store.map(|store| {
            let (on_error, local) = (plugin.on_key_value_error, &stores.key_values);
            Arc::new(SharedValues::new(&store, &identity, on_error, local))
        });
        stores
    }

    /// The cache of a plugin, which is not made before it is asked for.
    pub(crate) fn cache_of(&self, plugin: &config::Plugin) -> cache::OfPlugin {
        cache::OfPlugin::new(&self.caches, &plugin.cache, &identity(plugin))
    }

    /// The limits of a plugin that has run.
    pub(crate) fn limits_of(&self, plugin: &config::Plugin) -> Option<ConsumerLimits> {
        let quotas = self.stores().get(&self.place(plugin))?.quotas.clone();
        let store = self.named.redis(plugin.limiter_use.store.as_ref());
        let shared = store.map(|store| {
            Arc::new(SharedLimits::new(&store, &identity(plugin), &plugin.limiter_use, &quotas))
        });
        Some(ConsumerLimits { quotas, shared })
    }

    /// The slots of a plugin that has run.
    pub(crate) fn slots_of(&self, plugin: &config::Plugin) -> Option<Arc<slots::Slots>> {
        Some(Arc::clone(&self.stores().get(&self.place(plugin))?.slots))
    }

    fn new_stores(
        &self,
        plugin: &config::Plugin,
        identity: &str,
        [of_limits, of_values]: &[Option<Arc<File>>; 2],
        metrics: &Arc<PluginMetrics>,
    ) -> Stores {
        let bodies = Arc::new(MemoryQuota::new(plugin.bounds.buffered));
        metrics.holds(&bodies);
        let of_windows = windows_of(identity);
        let kept = |limits: limits::Limits, name: &str| match of_limits {
            Some(file) => limits.durable(file.secret(), &file.load(name).buckets),
            None => limits,
        };
        let new = limits::Limits::new(Arc::clone(metrics), plugin.limiter);
        let limits = kept(new, identity);
        let new = limits::Limits::of_windows(Arc::clone(metrics), plugin.limiter);
        let windows = Arc::new(kept(new, &of_windows));
        let key_values = match of_values {
            Some(file) => key_value::Store::durable(plugin.key_value, file.load(identity).entries),
            None => key_value::Store::new(plugin.key_value),
        };
        let (limits, key_values) = (Arc::new(limits), Arc::new(key_values));
        let windows_file = of_limits
            .as_ref()
            .map(|file| (file, Part { limits: Some(Arc::clone(&windows)), key_values: None }));
        let quotas = Quotas { buckets: Arc::clone(&limits), windows };
        let of_limits = of_limits
            .as_ref()
            .map(|file| (file, Part { limits: Some(Arc::clone(&limits)), key_values: None }));
        let of_values = of_values
            .as_ref()
            .map(|file| (file, Part { limits: None, key_values: Some(Arc::clone(&key_values)) }));
        let parts = match (of_limits, of_values) {
            // One part, if it is one file.
            (Some((one, limits)), Some((other, values))) if Arc::ptr_eq(one, other) => {
                vec![(one, Part { key_values: values.key_values, ..limits })]
            }
            (limits, values) => limits.into_iter().chain(values).collect(),
        };
        let parts = parts.into_iter().map(|(file, part)| (identity, file, part));
        let windows = windows_file.map(|(file, part)| (&*of_windows, file, part));
        let written = parts.chain(windows).map(|(name, file, part)| {
            file.keep(name, part.clone());
            (name.into(), Arc::clone(file), part)
        });
        let files = written.collect();
        let kept = Arc::new(MemoryQuota::new(plugin.bounds.exchanges));
        let (lines, bytes) = (plugin.bounds.log_lines, plugin.bounds.log_bytes);
        let volume = Arc::new(volume::Volume::new(Arc::clone(metrics), lines, bytes));
        let slots = Arc::new(slots::Slots::new(Arc::clone(metrics)));
        Stores {
            limits,
            quotas,
            shared_limits: None,
            key_values,
            shared_values: None,
            slots,
            kept,
            bodies,
            volume,
            files,
        }
    }

    /// Opens the stores of a configuration that are not open, and says which cannot be.
    pub(crate) fn open(&self, config: &config::Config) -> Vec<(usize, String)> {
        let stores = config.stores.iter().enumerate();
        let opened = stores.map(|(index, store)| (index, self.named.open(store, &self.metrics)));
        opened.filter_map(|(index, opened)| Some((index, opened.err()?.to_string()))).collect()
    }

    /// Opens the caches of a configuration that have a folder, and says which cannot be.
    pub(crate) fn open_caches(&self, config: &config::Config) -> Vec<(usize, String)> {
        let is_used = |cache: &config::Cache| {
            config.plugins.iter().any(|plugin| plugin.cache.name == cache.name)
        };
        let caches = config.caches.iter().enumerate().filter(|(_, cache)| is_used(cache));
        let opened = caches.map(|(index, cache)| (index, self.caches.prepare(cache)));
        opened.filter_map(|(index, opened)| Some((index, opened.err()?.to_string()))).collect()
    }

    /// These stores are configured, and no others.
    pub(crate) fn keep_stores(&self, stores: &[Arc<config::Store>]) {
        self.named.keep(stores, &self.metrics);
    }

    fn place(&self, plugin: &config::Plugin) -> Box<str> {
        let file = |store| self.named.file(store).map(|file| file.path().display().to_string());
        let limits = file(plugin.limiter_use.store.as_ref()).unwrap_or_default();
        let values = file(plugin.key_value_store.as_ref()).unwrap_or_default();
        // In another place it has another state.
        format!("{}\0{limits}\0{values}", identity(plugin)).into()
    }

    /// These plugins are configured, and no others: their stores stay, with the bounds that they
    /// have now.
    pub(crate) fn keep(&self, plugins: &[config::Plugin]) {
        let kept = plugins.iter().map(|plugin| {
            let stores = self.of(plugin);
            stores.bound(plugin);
            self.metrics.of(&plugin.name.as_str().into()).bound(plugin.bounds.metrics);
            (self.place(plugin), stores)
        });
        let kept: HashMap<_, _> = kept.collect();
        let gone = std::mem::replace(&mut *self.stores(), kept);
        // Without the lock, since a file is written for a last time.
        for (place, stores) in &gone {
            if !self.stores().contains_key(place) {
                stores.leave();
            }
        }
        drop(gone);
        let caches: Vec<_> = plugins.iter().map(|plugin| Arc::clone(&plugin.cache)).collect();
        self.caches.keep(&caches);
        // A purge is for all who may have stored something, on another gateway.
        for plugin in plugins {
            if plugin.cache.second_level.is_some() && self.caches.is_user(&plugin.name) {
                drop(self.caches.of(&plugin.cache).space(&identity(plugin)));
            }
        }
        self.metrics.keep(&plugins.iter().map(|plugin| &*plugin.name).collect());
    }

    fn stores(&self) -> MutexGuard<'_, HashMap<Box<str>, Stores>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By what a plugin is known again. One that is written into a route has its place for a name: another
/// component that comes to stand there is another plugin.
fn identity(plugin: &config::Plugin) -> Cow<'_, str> {
    if plugin.is_inline {
        return format!("{}\0{}", plugin.name, plugin.component_text).into();
    }
    Cow::Borrowed(&plugin.name)
}

/// Under which name the windows of a plugin are in a file, beside its buckets: no plugin has it.
fn windows_of(identity: &str) -> String {
    format!("{identity}\0\0windows")
}
