//! What a configured plugin has of a cache.
//!
//! Owns that it is made when it is first asked for, and what of it belongs to one exchange.

use std::sync::Arc;

use super::{Cache, Caches, Entry, Fill, Flight, Space};
use crate::config::Cache as Settings;

/// What a plugin has of the cache in an exchange, for its hooks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cached {
    /// The entry that it keeps.
    pub(crate) kept: Option<Arc<Entry>>,
    /// Whose response it waited for.
    pub(crate) waited: Option<Waited>,
    /// The response that is being stored.
    pub(crate) fill: Option<Arc<Fill>>,
    /// Whether the request is sent without a client.
    pub(crate) is_background: bool,
    /// When it was sent on, by [`now`](super::now); 0 if the plugin has looked for nothing.
    pub(crate) asked: u64,
}

/// A wait for the response of another.
#[derive(Debug, Clone)]
pub(crate) struct Waited {
    pub(crate) flight: Arc<Flight>,
    /// Until when it may wait, by [`now`](super::now).
    pub(crate) until: u64,
}

/// The cache of one configured plugin, made when it is first asked for.
#[derive(Debug)]
pub(crate) struct OfPlugin {
    caches: Arc<Caches>,
    settings: Arc<Settings>,
    plugin: Box<str>,
    made: std::sync::OnceLock<(Arc<Cache>, Space)>,
}

impl OfPlugin {
    pub(in crate::state) fn new(
        caches: &Arc<Caches>,
        settings: &Arc<Settings>,
        plugin: &str,
    ) -> Self {
        let (caches, settings) = (Arc::clone(caches), Arc::clone(settings));
        let made = std::sync::OnceLock::new();
        // So that one of before is not made again, for which the folder would be taken from the one of now.
        if settings.folder.is_some()
            && let Some(cache) = caches.existing(&settings)
        {
            let space = cache.space(plugin);
            let _new = made.set((cache, space));
        }
        Self { caches, settings, plugin: plugin.into(), made }
    }

    /// The cache, and the plugin's keys in it.
    pub(crate) fn get(&self) -> (Arc<Cache>, Space) {
        let make = || {
            let cache = self.caches.of(&self.settings);
            let space = cache.space(&self.plugin);
            (cache, space)
        };
        let (cache, space) = self.made.get_or_init(make);
        (Arc::clone(cache), space.clone())
    }

    /// Connects the worker of this thread to its second level, if it has one.
    pub(crate) fn connect_here(&self) {
        if self.settings.second_level.is_some() {
            self.get().0.connect_here();
        }
    }
}
