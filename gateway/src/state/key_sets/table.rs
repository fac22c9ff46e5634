//! The keys of a set that are in force, in the memory that all workers share.
//!
//! Owns finding one by its digest, with one lock of a shard that is held for as long as it takes to read; the
//! order by identifiers, for lists; and the generation, which is another one as soon as anything has changed.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use foldhash::fast::RandomState;

use super::record::{Digest, Key, Record};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Table {
    by_digest: DashMap<Digest, Arc<Key>, RandomState>,
    by_id: Mutex<BTreeMap<Box<str>, Arc<Key>>>,
    /// 0 before the keys were read.
    generation: AtomicU64,
}

/// A record, and when it was last used.
pub(super) type Stored = (Record, u64);

impl Table {
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What was changed can be seen: nothing that followed from what was before may be made again.
    pub(super) fn publish(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// The key that has this digest, or had it.
    pub(super) fn find<R>(&self, digest: Digest, see: impl FnOnce(&Key) -> R) -> Option<R> {
        self.by_digest.get(&digest).map(|key| see(&key))
    }

    /// The key of this identifier.
    pub(super) fn key(&self, id: &str) -> Option<Arc<Key>> {
        self.by_id().get(id).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.by_id().len()
    }

    /// Under one identifier there is this from now on, or nothing.
    pub(super) fn put(&self, id: &str, record: Option<Record>) {
        let mut by_id = self.by_id();
        self.put_into(&mut by_id, id, record.map(|record| (record, 0)));
    }

    /// There are these, and no others. Returns whether that is anything new.
    pub(super) fn replace(&self, mut all: HashMap<Box<str>, Stored>) -> bool {
        let mut by_id = self.by_id();
        let gone = by_id.keys().filter(|id| !all.contains_key(*id)).cloned().collect::<Vec<_>>();
        let mut is_new = !gone.is_empty();
        for id in gone {
            self.put_into(&mut by_id, &id, None);
        }
        for (id, stored) in all.drain() {
            match by_id.get(&id) {
                Some(known) if known.record == stored.0 => known.use_is_written(stored.1),
                _ => {
                    is_new = true;
                    self.put_into(&mut by_id, &id, Some(stored));
                }
            }
        }
        is_new
    }

    fn put_into(&self, by_id: &mut BTreeMap<Box<str>, Arc<Key>>, id: &str, stored: Option<Stored>) {
        let before = by_id.remove(id);
        let after = stored.map(|(record, at)| {
            // One that was revoked and added again is another one.
            let same = before.as_ref().filter(|it| it.record.created == record.created);
            let used = same.map(|it| Arc::clone(it.used())).unwrap_or_default();
            let key = Key::new(id.into(), record, used);
            key.use_is_written(at);
            Arc::new(key)
        });
        // First what is new, so that a secret that stays is always found.
        if let Some(after) = &after {
            for digest in after.record.digests() {
                self.by_digest.insert(digest, Arc::clone(after));
            }
            by_id.insert(id.into(), Arc::clone(after));
        }
        for digest in before.iter().flat_map(|before| before.record.digests()) {
            let stays = after.as_ref().is_some_and(|it| it.record.digests().any(|it| it == digest));
            if !stays {
                self.by_digest.remove_if(&digest, |_, key| *key.id == *id);
            }
        }
    }

    /// Some of them in the order of their identifiers, with the number of all, and whether more follow.
    pub(super) fn page(
        &self,
        after: Option<&str>,
        limit: usize,
        is_wanted: impl Fn(&Key) -> bool,
    ) -> (Vec<Arc<Key>>, usize, bool) {
        let by_id = self.by_id();
        let total = by_id.values().filter(|key| is_wanted(key)).count();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = by_id.range::<str, _>((from, Bound::Unbounded));
        let mut wanted = behind.map(|(_, key)| key).filter(|key| is_wanted(key)).cloned();
        let page = wanted.by_ref().take(limit).collect();
        let more = wanted.next().is_some();
        (page, total, more)
    }

    /// Looks at each of them.
    pub(super) fn each(&self, see: impl FnMut(&Arc<Key>)) {
        self.by_id().values().for_each(see);
    }

    fn by_id(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Arc<Key>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
