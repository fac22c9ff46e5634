//! What is stored, by tag, and how much there is.
//!
//! Owns that an entry is in it for as long as it lives. Must not hold a lock while the map is asked.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;

use super::lock;
use crate::telemetry::metrics::CacheCounts;

const SHARDS: usize = 64;

/// The key and the number of an entry.
pub(super) type Place = (u128, u64);

/// The same in less room: there is one for each URL that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Packed {
    key: [u64; 2],
    id: u64,
}

impl Packed {
    fn of((key, id): Place) -> Self {
        Self { key: [(key >> 64) as u64, key as u64], id }
    }

    fn place(self) -> Place {
        let [high, low] = self.key.map(u128::from);
        (high << 64 | low, self.id)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Index {
    tags: Box<[Mutex<HashMap<u64, Places, RandomState>>]>,
    objects: AtomicUsize,
    counts: Arc<CacheCounts>,
}

/// Most tags are of one entry: its URL.
#[derive(Debug)]
#[expect(
    clippy::box_collection,
    reason = "where there is one entry, which is nearly everywhere, it would take the room of a set"
)]
enum Places {
    One(Packed),
    Many(Box<HashSet<Packed, RandomState>>),
}

impl Index {
    pub(super) fn new(counts: &Arc<CacheCounts>) -> Self {
        let tags = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { tags, objects: AtomicUsize::new(0), counts: Arc::clone(counts) }
    }

    pub(super) fn add(&self, tags: &[u64], place: Place, size: u64) {
        self.objects.fetch_add(1, Relaxed);
        self.counts.added(size);
        let place = Packed::of(place);
        for tag in tags {
            let mut tags = self.shard(*tag);
            match tags.get_mut(tag) {
                None => drop(tags.insert(*tag, Places::One(place))),
                Some(Places::Many(places)) => drop(places.insert(place)),
                Some(one) => {
                    let Places::One(first) = *one else { continue };
                    *one = Places::Many(Box::new([first, place].into_iter().collect()));
                }
            }
        }
    }

    pub(super) fn remove(&self, tags: &[u64], place: Place, size: u64) {
        self.objects.fetch_sub(1, Relaxed);
        self.counts.removed(size);
        let place = Packed::of(place);
        for tag in tags {
            let mut tags = self.shard(*tag);
            let is_empty = match tags.get_mut(tag) {
                None => false,
                Some(Places::One(one)) => *one == place,
                Some(Places::Many(places)) => {
                    places.remove(&place);
                    places.is_empty()
                }
            };
            if is_empty {
                tags.remove(tag);
            }
        }
    }

    /// The entries that have a tag.
    pub(super) fn tagged(&self, tag: u64) -> Vec<Place> {
        match self.shard(tag).get(&tag) {
            None => Vec::new(),
            Some(Places::One(one)) => vec![one.place()],
            Some(Places::Many(places)) => places.iter().map(|it| it.place()).collect(),
        }
    }

    pub(super) fn objects(&self) -> usize {
        self.objects.load(Relaxed)
    }

    fn shard(&self, tag: u64) -> std::sync::MutexGuard<'_, HashMap<u64, Places, RandomState>> {
        lock(&self.tags[(tag % SHARDS as u64) as usize])
    }
}
