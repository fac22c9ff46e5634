//! What is under one key in the map of a cache.
//!
//! Owns its weight, and that what goes is dropped outside of the map's locks.

use std::sync::Arc;

use quick_cache::{Lifecycle, Weighter};

use super::Entry;

/// The entries under one key, the last one that was stored first.
#[derive(Debug, Clone)]
pub(crate) enum Group {
    One(Arc<Entry>),
    Many(Arc<[Arc<Entry>]>),
}

impl Group {
    pub(super) fn of(mut entries: Vec<Arc<Entry>>) -> Option<Self> {
        match entries.len() {
            0 => None,
            1 => entries.pop().map(Self::One),
            _ => Some(Self::Many(entries.into())),
        }
    }

    pub(super) fn entries(&self) -> &[Arc<Entry>] {
        match self {
            Self::One(entry) => std::slice::from_ref(entry),
            Self::Many(entries) => entries,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Weigh;

impl Weighter<u64, Group> for Weigh {
    fn weight(&self, _: &u64, group: &Group) -> u64 {
        group.entries().iter().map(|entry| entry.size()).sum()
    }
}

/// Hands over what is evicted or replaced, which is dropped outside of the shard's lock.
#[derive(Debug, Clone)]
pub(super) struct Evicted;

impl Lifecycle<u64, Group> for Evicted {
    type RequestState = Vec<(u64, Group)>;

    fn on_evict(&self, state: &mut Vec<(u64, Group)>, key: u64, group: Group) {
        state.push((key, group));
    }
}
