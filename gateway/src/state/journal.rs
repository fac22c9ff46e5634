//! Which keys changed since it was asked last.
//!
//! Owns the list, for state that is written to a file behind the requests that change it. Must not know values:
//! who writes reads them at that time, so that a key that changed often is written once.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hash};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use foldhash::fast::RandomState;

const SHARDS: usize = 16;
/// Keys of a shard, at most. Past them it is only known that all may have changed.
const MAX_KEYS: usize = 64 << 10;

/// See the module.
#[derive(Debug)]
pub(in crate::state) struct Journal<K> {
    shards: Box<[Mutex<HashSet<K, RandomState>>]>,
    hasher: RandomState,
    is_full: AtomicBool,
}

/// What changed.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::state) enum Changed<K> {
    /// These keys.
    Keys(Vec<K>),
    /// Perhaps every key.
    All,
}

impl<K: Hash + Eq> Journal<K> {
    pub(in crate::state) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::default(), is_full: AtomicBool::new(false) }
    }

    /// A key changed.
    pub(in crate::state) fn note(&self, key: K) {
        let shard = &self.shards[self.hasher.hash_one(&key) as usize % SHARDS];
        let mut keys = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() < MAX_KEYS || keys.contains(&key) {
            keys.insert(key);
        } else {
            self.is_full.store(true, Relaxed);
        }
    }

    /// How many keys changed since; `None` if it may be all.
    pub(in crate::state) fn len(&self) -> Option<usize> {
        let len = |shard: &Mutex<HashSet<K, RandomState>>| {
            shard.lock().unwrap_or_else(PoisonError::into_inner).len()
        };
        (!self.is_full.load(Relaxed)).then(|| self.shards.iter().map(len).sum())
    }

    /// What was written could not be: all of it is to be written again.
    pub(in crate::state) fn note_all(&self) {
        self.is_full.store(true, Relaxed);
    }

    /// What changed since this was asked last.
    pub(in crate::state) fn take(&self) -> Changed<K> {
        let is_full = self.is_full.swap(false, Relaxed);
        let mut all = Vec::new();
        for shard in &self.shards {
            let keys = std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
            all.extend(keys);
        }
        if is_full { Changed::All } else { Changed::Keys(all) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_changed_often_is_there_once_and_then_not_again() {
        let journal = Journal::new();
        for key in [1, 2, 1, 1] {
            journal.note(key);
        }
        assert_eq!(journal.len(), Some(2));
        let Changed::Keys(mut keys) = journal.take() else { panic!("there are few") };
        keys.sort_unstable();
        assert_eq!(keys, [1, 2]);
        assert_eq!(journal.len(), Some(0));
        assert_eq!(journal.take(), Changed::Keys(Vec::new()));
    }

    #[test]
    fn past_its_bound_it_says_that_all_may_have_changed() {
        let journal = Journal::new();
        for key in 0..2 * SHARDS * MAX_KEYS {
            journal.note(key);
        }
        assert!(journal.shards.iter().all(|it| it.lock().is_ok_and(|it| it.len() <= MAX_KEYS)));
        assert_eq!(journal.len(), None);
        assert_eq!(journal.take(), Changed::All);
        assert_eq!(journal.take(), Changed::Keys(Vec::new()));
    }
}
