//! How the stores of `[stores.NAME]` stand, for those who run the gateway.
//!
//! Owns what is looked at; nothing of it is on the path of a request.

use std::sync::Arc;

use super::State;
use super::named::Place;
use crate::config::{Plugin, Store, StoreKind};
use crate::telemetry::metrics::StoreNumbers;

/// A store.
#[derive(Debug, Default)]
pub(crate) struct StoreFacts {
    /// None of one in memory, which asks nobody, and of one that is not open.
    pub(crate) numbers: Option<StoreNumbers>,
    /// Connections that there are, and those that can be used; of servers.
    pub(crate) connections: Option<[usize; 2]>,
    /// Buckets that are not full, and windows of which something was used; not of servers.
    pub(crate) buckets: Option<usize>,
    /// Keys that have a value.
    pub(crate) keys: Option<usize>,
    /// Managed API keys, of all sets that are kept there.
    pub(crate) api_keys: usize,
    /// Questions without an answer yet, or changes that are not in the file yet.
    pub(crate) waiting: usize,
}

impl State {
    /// How a store stands that is configured with these plugins.
    pub(crate) fn facts(&self, store: &Arc<Store>, plugins: &[Plugin]) -> StoreFacts {
        let api_keys = self.key_sets.held_in(store);
        let mut facts = StoreFacts { api_keys, ..StoreFacts::default() };
        match self.named.place(Some(store)) {
            Some(Place::Redis(redis)) => {
                facts.numbers = Some(redis.numbers());
                facts.connections = Some(redis.connections());
                facts.waiting = redis.waiting();
                return facts;
            }
            Some(Place::File(file)) => facts.numbers = Some(file.numbers()),
            None if store.kind == StoreKind::Memory => {}
            None => return facts,
        }
        let is_in = |other: &Option<Arc<Store>>| other.as_ref().is_some_and(|it| *it == *store);
        let (mut buckets, mut keys) = (0, 0);
        for plugin in plugins {
            let Some(stores) = self.stores().get(&self.place(plugin)).cloned() else { continue };
            if is_in(&plugin.limiter_use.store) {
                for table in [&stores.quotas.buckets, &stores.quotas.windows] {
                    buckets += table.held();
                    facts.waiting += table.unwritten_changes();
                }
            }
            if is_in(&plugin.key_value_store) {
                keys += stores.key_values.held();
                facts.waiting += stores.key_values.unwritten_changes();
            }
        }
        (facts.buckets, facts.keys) = (Some(buckets), Some(keys));
        facts
    }
}
