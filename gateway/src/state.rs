//! State that all workers share: what the limiter, the key-value interface and the metrics keep.
//!
//! Owns the stores of each configured plugin and their bounds, and lets those of plugins go that are
//! configured no more. Must not know Wasm; the host interfaces in `plugin/host` translate.

pub(crate) mod key_value;
pub(crate) mod limits;
pub(crate) mod volume;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config;
use crate::documents::Documents;
use crate::memory_quota::MemoryQuota;
use crate::telemetry::metrics::Metrics;
use crate::usage::Usage;

/// The state of the process. It survives a reload: a limit is not reset by a new configuration.
#[derive(Debug, Clone)]
pub(crate) struct State {
    stores: Arc<Mutex<HashMap<Box<str>, Stores>>>,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// The bodies that are held for plugins.
    pub(crate) bodies: Arc<MemoryQuota>,
    /// Where usage is recorded.
    pub(crate) usage: Arc<Usage>,
    /// What is kept current for plugins.
    pub(crate) documents: Arc<Documents>,
}

impl Default for State {
    fn default() -> Self {
        let (metrics, stores) = (Arc::<Metrics>::default(), Arc::default());
        let bodies = Arc::new(MemoryQuota::new(config::BUFFERED_BODIES));
        metrics.holds(&bodies);
        let documents = Arc::new(Documents::new(&metrics));
        Self { stores, metrics, bodies, usage: Arc::default(), documents }
    }
}

/// What one configured plugin keeps.
#[derive(Debug, Clone)]
pub(crate) struct Stores {
    /// Token buckets.
    pub(crate) limits: Arc<limits::Limits>,
    /// Keys and values.
    pub(crate) key_values: Arc<key_value::Store>,
    /// What it keeps with its exchanges.
    pub(crate) kept: Arc<MemoryQuota>,
    /// Bodies that are held for it.
    pub(crate) bodies: Arc<MemoryQuota>,
    /// What may be logged of it.
    pub(crate) volume: Arc<volume::Volume>,
}

impl Stores {
    fn bound(&self, plugin: &config::Plugin) {
        self.limits.bound(plugin.limiter);
        self.key_values.bound(plugin.key_value);
        self.kept.set(plugin.bounds.exchanges);
        self.bodies.set(plugin.bounds.buffered);
        self.volume.bound(plugin.bounds.log_lines, plugin.bounds.log_bytes);
    }
}

impl State {
    /// The stores of a plugin: those that it has, or new ones.
    pub(crate) fn of(&self, plugin: &config::Plugin) -> Stores {
        let metrics = self.metrics.of(&plugin.name.as_str().into());
        metrics.begin(plugin.bounds.metrics);
        let new = || {
            let bodies = Arc::new(MemoryQuota::new(plugin.bounds.buffered));
            metrics.holds(&bodies);
            Stores {
                limits: Arc::new(limits::Limits::new(Arc::clone(&metrics), plugin.limiter)),
                key_values: Arc::new(key_value::Store::new(plugin.key_value)),
                kept: Arc::new(MemoryQuota::new(plugin.bounds.exchanges)),
                bodies,
                volume: Arc::new(volume::Volume::new(
                    metrics,
                    plugin.bounds.log_lines,
                    plugin.bounds.log_bytes,
                )),
            }
        };
        self.stores().entry((*identity(plugin)).into()).or_insert_with(new).clone()
    }

    /// These plugins are configured, and no others: their stores stay, with the bounds that they
    /// have now.
    pub(crate) fn keep(&self, plugins: &[config::Plugin]) {
        let kept = plugins.iter().map(|plugin| {
            let stores = self.of(plugin);
            stores.bound(plugin);
            self.metrics.of(&plugin.name.as_str().into()).bound(plugin.bounds.metrics);
            ((*identity(plugin)).into(), stores)
        });
        let kept: HashMap<_, _> = kept.collect();
        let gone = std::mem::replace(&mut *self.stores(), kept);
        // Freed without the lock.
        drop(gone);
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
