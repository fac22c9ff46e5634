//! What is stored, by tag, and how much there is.
//!
//! Owns that an entry is in it for as long as it lives. Must not hold a lock while the map is asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use foldhash::fast::RandomState;

use super::lock;
use crate::telemetry::metrics::CacheCounts;

const SHARDS: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Index {
    tags: Box<[Mutex<Tags>]>,
    objects: AtomicUsize,
    counts: Arc<CacheCounts>,
}

/// In which places of the map there are entries with a tag. Most tags are of one entry, its URL, so that these have a table of their own:
/// it is the one that grows with what is stored.
#[derive(Debug, Default)]
struct Tags {
    of_one: HashMap<u64, u64, RandomState>,
    /// And how many, since a place has several variants, and an entry that is freshened is there twice for a moment.
    of_many: HashMap<u64, HashMap<u64, u32, RandomState>, RandomState>,
}

impl Index {
    pub(super) fn new(counts: &Arc<CacheCounts>) -> Self {
        let tags = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { tags, objects: AtomicUsize::new(0), counts: Arc::clone(counts) }
    }

    pub(super) fn add(&self, tags: impl Iterator<Item = u64>, spot: u64, size: u64) {
        self.objects.fetch_add(1, Relaxed);
        self.counts.added(size);
        tags.for_each(|tag| self.shard(tag).add(tag, spot));
    }

    pub(super) fn remove(&self, tags: impl Iterator<Item = u64>, spot: u64, size: u64) {
        self.objects.fetch_sub(1, Relaxed);
        self.counts.removed(size);
        tags.for_each(|tag| self.shard(tag).remove(tag, spot));
    }

    /// In which places of the map there are entries that have a tag.
    pub(super) fn tagged(&self, tag: u64) -> Vec<u64> {
        let tags = self.shard(tag);
        match tags.of_many.get(&tag) {
            Some(spots) => spots.keys().copied().collect(),
            None => tags.of_one.get(&tag).copied().into_iter().collect(),
        }
    }

    pub(super) fn objects(&self) -> usize {
        self.objects.load(Relaxed)
    }

    fn shard(&self, tag: u64) -> MutexGuard<'_, Tags> {
        lock(&self.tags[(tag % SHARDS as u64) as usize])
    }
}

impl Tags {
    fn add(&mut self, tag: u64, spot: u64) {
        if let Some(spots) = self.of_many.get_mut(&tag) {
            *spots.entry(spot).or_default() += 1;
        } else if let Some(first) = self.of_one.remove(&tag) {
            let spots = self.of_many.entry(tag).or_default();
            for spot in [first, spot] {
                *spots.entry(spot).or_default() += 1;
            }
        } else {
            self.of_one.insert(tag, spot);
        }
    }

    fn remove(&mut self, tag: u64, spot: u64) {
        let Some(spots) = self.of_many.get_mut(&tag) else {
            if self.of_one.get(&tag) == Some(&spot) {
                self.of_one.remove(&tag);
            }
            return;
        };
        if let Some(count) = spots.get_mut(&spot) {
            *count -= 1;
            if *count == 0 {
                spots.remove(&spot);
            }
        }
        if spots.len() > 1 {
            return;
        }
        let last = spots.iter().next().map(|(spot, count)| (*spot, *count));
        if last.is_none_or(|(_, count)| count == 1) {
            self.of_many.remove(&tag);
            self.of_one.extend(last.map(|(spot, _)| (tag, spot)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_the_places_of_its_entries_and_no_more_room_than_these_need() {
        let mut tags = Tags::default();
        let places = |tags: &Tags| {
            let many = tags.of_many.get(&1).map(|spots| spots.len());
            (tags.of_one.get(&1).copied(), many)
        };
        tags.add(1, 7);
        assert_eq!(places(&tags), (Some(7), None));
        // Freshened, and another one.
        tags.add(1, 7);
        assert_eq!(places(&tags), (None, Some(1)));
        tags.add(1, 8);
        assert_eq!(places(&tags), (None, Some(2)));
        tags.remove(1, 7);
        assert_eq!(places(&tags), (None, Some(2)));
        tags.remove(1, 7);
        assert_eq!(places(&tags), (Some(8), None));
        tags.remove(1, 9);
        assert_eq!(places(&tags), (Some(8), None));
        tags.remove(1, 8);
        assert_eq!(places(&tags), (None, None));
        assert!(tags.of_one.is_empty() && tags.of_many.is_empty());
    }
}
