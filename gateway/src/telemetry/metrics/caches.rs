//! The numbers of caches.
//!
//! Owns them and their part of the page. They live as long as a cache of that name is configured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::text::{head, line};
use super::{Counter, Kind};

/// A metric: its name, what it says, and where its number is.
type Shown<T> = (&'static str, &'static str, fn(&CacheCounts) -> &T);

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheResult {
    /// From the cache, fresh.
    Hit,
    /// From the cache, stale.
    Stale,
    /// From the cache, after the upstream has confirmed it.
    Revalidated,
    /// With the response that another request asked for, as it arrived.
    Joined,
    /// The cache had nothing to answer with.
    Miss,
}

/// The words for it.
const RESULTS: [&str; 5] = ["hit", "stale", "revalidated", "joined", "miss"];

impl CacheResult {
    /// In a word.
    pub(crate) fn name(self) -> &'static str {
        RESULTS[self as usize]
    }
}

/// What came of asking the second level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecondResult {
    Hit,
    Miss,
    /// It did not answer in time, or was not asked.
    Away,
    /// What was there is nothing that this gateway can read.
    Damaged,
}

/// The words for it.
const SECOND_RESULTS: [&str; 4] = ["hit", "miss", "away", "damaged"];

/// The numbers of one cache.
#[derive(Debug)]
pub(crate) struct CacheCounts {
    name: Box<str>,
    /// By the place in [`RESULTS`].
    results: [Counter; RESULTS.len()],
    stored: Counter,
    evicted: Counter,
    purged: Counter,
    /// Requests that waited for the response of another.
    collapsed: Counter,
    /// Requests that were sent in the background.
    background: Counter,
    bytes: AtomicU64,
    objects: AtomicU64,
    /// Bodies that were written to the folder.
    disk_stored: Counter,
    /// Those that stay in memory since the folder did not take them.
    disk_refused: Counter,
    /// Those that could not be read as they were written.
    disk_damaged: Counter,
    disk_bytes: AtomicU64,
    disk_objects: AtomicU64,
    /// By the place in [`SECOND_RESULTS`].
    second_results: [Counter; SECOND_RESULTS.len()],
    /// Responses that were written to the second level.
    second_stored: Counter,
    /// Those that were not, since it did not take them or too many waited.
    second_dropped: Counter,
}

impl CacheCounts {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            results: Default::default(),
            stored: Counter::default(),
            evicted: Counter::default(),
            purged: Counter::default(),
            collapsed: Counter::default(),
            background: Counter::default(),
            bytes: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            disk_stored: Counter::default(),
            disk_refused: Counter::default(),
            disk_damaged: Counter::default(),
            disk_bytes: AtomicU64::new(0),
            disk_objects: AtomicU64::new(0),
            second_results: Default::default(),
            second_stored: Counter::default(),
            second_dropped: Counter::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A request was answered so.
    pub(crate) fn answered(&self, result: CacheResult) {
        self.results[result as usize].add(1);
    }

    /// A response was stored.
    pub(crate) fn stored(&self) {
        self.stored.add(1);
    }

    /// Entries gave way to others.
    pub(crate) fn evicted(&self, entries: u64) {
        self.evicted.add(entries);
    }

    /// Entries were removed since somebody said so.
    pub(crate) fn purged(&self, entries: u64) {
        self.purged.add(entries);
    }

    /// A request waited for the response of another.
    pub(crate) fn collapsed(&self) {
        self.collapsed.add(1);
    }

    /// A request was sent in the background.
    pub(crate) fn sent_in_background(&self) {
        self.background.add(1);
    }

    /// An entry of so many bytes is kept from now on.
    pub(crate) fn added(&self, bytes: u64) {
        self.objects.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// An entry of so many bytes is gone.
    pub(crate) fn removed(&self, bytes: u64) {
        self.objects.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// A body was written to the folder.
    pub(crate) fn disk_stored(&self) {
        self.disk_stored.add(1);
    }

    /// A body was not written to the folder, which had no room for it or is broken.
    pub(crate) fn disk_refused(&self) {
        self.disk_refused.add(1);
    }

    /// A body was not as it was written.
    pub(crate) fn disk_damaged(&self) {
        self.disk_damaged.add(1);
    }

    /// A body of so many bytes is in the folder from now on.
    pub(crate) fn disk_added(&self, bytes: u64) {
        self.disk_objects.fetch_add(1, Relaxed);
        self.disk_bytes.fetch_add(bytes, Relaxed);
    }

    /// A body of so many bytes is not in the folder any more.
    pub(crate) fn disk_removed(&self, bytes: u64) {
        self.disk_objects.fetch_sub(1, Relaxed);
        self.disk_bytes.fetch_sub(bytes, Relaxed);
    }

    /// The second level was asked.
    pub(crate) fn second_asked(&self, result: SecondResult) {
        self.second_results[result as usize].add(1);
    }

    /// A response was written to the second level.
    pub(crate) fn second_stored(&self) {
        self.second_stored.add(1);
    }

    /// One was not.
    pub(crate) fn second_dropped(&self) {
        self.second_dropped.add(1);
    }

    /// What came of asking the second level, with the words for it.
    pub(crate) fn second_results(&self) -> impl Iterator<Item = (&'static str, u64)> {
        SECOND_RESULTS.iter().zip(&self.second_results).map(|(result, it)| (*result, it.sum()))
    }

    /// How many bodies are in the folder, and how many bytes they have.
    pub(crate) fn on_disk(&self) -> [u64; 2] {
        [self.disk_objects.load(Relaxed), self.disk_bytes.load(Relaxed)]
    }

    /// How requests were answered, with the words for it.
    pub(crate) fn results(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RESULTS.iter().zip(&self.results).map(|(result, count)| (*result, count.sum()))
    }

    /// The same numbers of a cache that nobody has asked.
    pub(crate) fn none() -> [(&'static str, u64); 10] {
        Self::new("").others()
    }

    /// Other numbers by name.
    pub(crate) fn others(&self) -> [(&'static str, u64); 10] {
        [
            ("stored_total", self.stored.sum()),
            ("evicted_total", self.evicted.sum()),
            ("purged_total", self.purged.sum()),
            ("collapsed_total", self.collapsed.sum()),
            ("background_total", self.background.sum()),
            ("disk_stored_total", self.disk_stored.sum()),
            ("disk_refused_total", self.disk_refused.sum()),
            ("disk_damaged_total", self.disk_damaged.sum()),
            ("second_level_stored_total", self.second_stored.sum()),
            ("second_level_dropped_total", self.second_dropped.sum()),
        ]
    }
}

/// What the gateway knows about each cache.
pub(super) fn write(page: &mut String, caches: &[Arc<CacheCounts>]) {
    if caches.is_empty() {
        return;
    }
    let name = "gateway_cache_requests_total";
    head(page, name, Kind::Counter, "Requests that asked the cache, by how they were answered.");
    for cache in caches {
        for (result, count) in cache.results() {
            line(page, name, &[("cache", &cache.name), ("result", result)], count);
        }
    }
    let name = "gateway_cache_second_level_requests_total";
    head(page, name, Kind::Counter, "Questions to the second level, by what came of them.");
    for cache in caches {
        for (result, count) in cache.second_results() {
            line(page, name, &[("cache", &cache.name), ("result", result)], count);
        }
    }
    let counters: [Shown<Counter>; 10] = [
        ("gateway_cache_stored_total", "Responses that were stored.", |it| &it.stored),
        ("gateway_cache_evicted_total", "Entries that gave way to others.", |it| &it.evicted),
        ("gateway_cache_purged_total", "Entries that were purged.", |it| &it.purged),
        (
            "gateway_cache_collapsed_total",
            "Requests that waited for the response of another one.",
            |it| &it.collapsed,
        ),
        (
            "gateway_cache_background_total",
            "Requests that were sent in the background to renew an entry.",
            |it| &it.background,
        ),
        ("gateway_cache_disk_stored_total", "Bodies that were moved from memory to disk.", |it| {
            &it.disk_stored
        }),
        (
            "gateway_cache_disk_refused_total",
            "Bodies that stayed in memory since the disk did not take them.",
            |it| &it.disk_refused,
        ),
        (
            "gateway_cache_disk_damaged_total",
            "Bodies on disk that were not as they were written, and were removed.",
            |it| &it.disk_damaged,
        ),
        (
            "gateway_cache_second_level_stored_total",
            "Responses that were written to the second level.",
            |it| &it.second_stored,
        ),
        (
            "gateway_cache_second_level_dropped_total",
            "Responses that were not: too many waited, or it did not take them.",
            |it| &it.second_dropped,
        ),
    ];
    for (name, help, counter) in counters {
        head(page, name, Kind::Counter, help);
        for cache in caches {
            line(page, name, &[("cache", &cache.name)], counter(cache).sum());
        }
    }
    let gauges: [Shown<AtomicU64>; 4] = [
        ("gateway_cache_objects", "Entries that are kept.", |it| &it.objects),
        ("gateway_cache_bytes", "Bytes of memory of entries that are kept.", |it| &it.bytes),
        ("gateway_cache_disk_objects", "Bodies on disk.", |it| &it.disk_objects),
        ("gateway_cache_disk_bytes", "Bytes of bodies on disk.", |it| &it.disk_bytes),
    ];
    for (name, help, gauge) in gauges {
        head(page, name, Kind::Gauge, help);
        for cache in caches {
            line(page, name, &[("cache", &cache.name)], gauge(cache).load(Relaxed));
        }
    }
}
