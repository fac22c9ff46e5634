//! Small values under keys, in memory, with a time to live.
//!
//! Owns one store for each configured plugin, shared by all workers, and its bound in bytes. Must not
//! know Wasm. A value past its time is gone for every reader at once, and taken out when its store
//! needs the room: shard by shard, until there is enough.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::journal::{Changed, Journal};

#[cfg(test)]
mod tests;

/// Parts of a store with a lock each; a power of two. Many, since one is looked through as a whole.
const SHARDS: usize = 128;
/// Bytes that a key takes besides itself and its value.
pub(crate) const ENTRY: usize = 128;
/// Bytes of a key at most.
pub(crate) const MAX_KEY: usize = 1 << 10;
/// Bytes of a value at most.
pub(crate) const MAX_VALUE: usize = 1 << 20;

/// One plugin's keys and values.
#[derive(Debug)]
pub(crate) struct Store {
    /// The standard library's hash, since clients choose keys.
    hasher: RandomState,
    /// Made with the first value: most plugins have none.
    shards: OnceLock<Box<[RwLock<Shard>]>>,
    share: Share,
    /// The shard that is looked through first when there is no room.
    next: AtomicUsize,
    /// The keys that changed, where they are written to a file.
    journal: Option<Journal<Box<str>>>,
}

/// A key, its value, and for how long it is to live.
pub(in crate::state) type Entry = (Box<str>, Option<(Bytes, Option<Duration>)>);

/// What a store takes, and may.
#[derive(Debug)]
struct Share {
    bytes: AtomicUsize,
    most: AtomicUsize,
}

#[derive(Debug)]
struct Shard {
    values: HashMap<Box<str>, Value, RandomState>,
    /// No value ends before this; `None` if none ends.
    earliest: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Value {
    bytes: Bytes,
    expires: Option<Instant>,
}

/// Why a value could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteError {
    /// The key or the value is too long.
    TooLarge,
    /// The store is full.
    Full,
    /// Not an integer, or a sum past 64 bits.
    NotANumber,
}

impl Value {
    fn is_alive(&self, now: Instant) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

impl Store {
    /// An empty store that may take as many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let share = Share { bytes: AtomicUsize::new(0), most: AtomicUsize::new(bytes) };
        let (shards, next) = (OnceLock::new(), AtomicUsize::new(0));
        Self { hasher: RandomState::new(), shards, share, next, journal: None }
    }

    /// As [`new`](Self::new), with what was written to a file and is to be written there.
    pub(in crate::state) fn durable(bytes: usize, entries: Vec<Entry>) -> Self {
        let store = Self::new(bytes);
        for (key, value) in entries {
            // What does not fit any more stays in the file until its time is over.
            if let Some((value, ttl)) = value {
                let _too_large_now = store.set(&key, value, ttl);
            }
        }
        Self { journal: Some(Journal::new()), ..store }
    }

    /// What changed since this was asked last, as it is now; and whether that is all there is.
    pub(in crate::state) fn changes(&self) -> (Vec<Entry>, bool) {
        let Some(journal) = &self.journal else { return (Vec::new(), false) };
        let now = Instant::now();
        let left = |value: &Value| {
            let ttl = value.expires.map(|end| end.saturating_duration_since(now));
            value.is_alive(now).then(|| (value.bytes.clone(), ttl))
        };
        match journal.take() {
            Changed::Keys(keys) => {
                let entry = |key: Box<str>| {
                    let value = read(self.shard(&key)).values.get(&key).and_then(left);
                    (key, value)
                };
                (keys.into_iter().map(entry).collect(), false)
            }
            Changed::All => {
                let mut all = Vec::new();
                for shard in self.shards() {
                    let shard = read(shard);
                    all.extend(shard.values.iter().map(|(key, value)| (key.clone(), left(value))));
                }
                (all, true)
            }
        }
    }

    /// What changed could not be written.
    pub(in crate::state) fn unwritten(&self) {
        if let Some(journal) = &self.journal {
            journal.note_all();
        }
    }

    /// How many keys have a value.
    pub(in crate::state) fn held(&self) -> usize {
        let now = Instant::now();
        let shards = self.shards.get().into_iter().flatten();
        shards.map(|it| read(it).values.values().filter(|it| it.is_alive(now)).count()).sum()
    }

    /// How many keys changed that are not written yet.
    pub(in crate::state) fn unwritten_changes(&self) -> usize {
        self.journal.as_ref().map_or(0, |journal| journal.len().unwrap_or_else(|| self.held()))
    }

    fn note(&self, key: &str) {
        if let Some(journal) = &self.journal {
            journal.note(key.into());
        }
    }

    /// Lets the store take as many bytes from now on. What is there stays.
    pub(crate) fn bound(&self, bytes: usize) {
        self.share.most.store(bytes, Relaxed);
    }

    /// The value under a key.
    pub(crate) fn get(&self, key: &str) -> Option<Bytes> {
        let shard = read(self.shard(key));
        let value = shard.values.get(key)?;
        value.is_alive(Instant::now()).then(|| value.bytes.clone())
    }

    /// Writes a value, in place of what was there.
    pub(crate) fn set(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<(), WriteError> {
        check(key, &value)?;
        self.change(key, value.len(), |shard, now| {
            let new = Value { bytes: value.clone(), expires: deadline(now, ttl) };
            shard.put(key, new, &self.share)
        })
    }

    /// Writes a value if there is none, and says whether it did.
    pub(crate) fn set_if_absent(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<bool, WriteError> {
        check(key, &value)?;
        self.change(key, value.len(), |shard, now| {
            if shard.values.get(key).is_some_and(|known| known.is_alive(now)) {
                return Ok(false);
            }
            let new = Value { bytes: value.clone(), expires: deadline(now, ttl) };
            shard.put(key, new, &self.share).map(|()| true)
        })
    }

    /// Removes a value, and says whether there was one.
    pub(crate) fn delete(&self, key: &str) -> bool {
        let removed = write(self.shard(key)).values.remove(key);
        self.note(key);
        let Some(old) = removed else { return false };
        self.share.give_back(size(key, &old));
        old.is_alive(Instant::now())
    }

    /// Adds to an integer and returns the sum. One that is not there begins at zero and lives for
    /// `ttl`; an existing one keeps its time.
    pub(crate) fn increment(
        &self,
        key: &str,
        by: i64,
        ttl: Option<Duration>,
    ) -> Result<i64, WriteError> {
        check(key, &[])?;
        self.change(key, 20, |shard, now| {
            let known = shard.values.get(key).filter(|known| known.is_alive(now));
            let (number, expires) = match known {
                Some(known) => (integer(&known.bytes)?, known.expires),
                None => (0, deadline(now, ttl)),
            };
            let sum = number.checked_add(by).ok_or(WriteError::NotANumber)?;
            shard.put(key, Value { bytes: sum.to_string().into(), expires }, &self.share)?;
            Ok(sum)
        })
    }

    /// Makes a change to the shard of a key; again if there was no room for it and then is.
    fn change<T>(
        &self,
        key: &str,
        value: usize,
        change: impl Fn(&mut Shard, Instant) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        let changed = self.try_to_change(key, value, change);
        if changed.is_ok() {
            self.note(key);
        }
        changed
    }

    fn try_to_change<T>(
        &self,
        key: &str,
        value: usize,
        change: impl Fn(&mut Shard, Instant) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        let (shard, now) = (self.shard(key), Instant::now());
        let changed = change(&mut write(shard), now);
        if !matches!(changed, Err(WriteError::Full))
            || !self.make_room(ENTRY + key.len() + value, now)
        {
            return changed;
        }
        change(&mut write(shard), now)
    }

    /// Takes values out that are past their time, until there is room. A shard is only looked
    /// through if there may be such a value in it, so that a store that is full of others costs a
    /// writer next to nothing.
    fn make_room(&self, wanted: usize, now: Instant) -> bool {
        let shards = self.shards();
        let first = self.next.fetch_add(1, Relaxed);
        for index in 0..SHARDS {
            let shard = &shards[(first + index) % SHARDS];
            let is_due = read(shard).earliest.is_some_and(|earliest| earliest <= now);
            if is_due && self.share.has_room(wanted) {
                return true;
            }
            if is_due {
                write(shard).sweep(now, &self.share);
            }
        }
        self.share.has_room(wanted)
    }

    fn shard(&self, key: &str) -> &RwLock<Shard> {
        &self.shards()[self.hasher.hash_one(key) as usize % SHARDS]
    }

    fn shards(&self) -> &[RwLock<Shard>] {
        let empty = || Shard { values: HashMap::with_hasher(RandomState::new()), earliest: None };
        self.shards.get_or_init(|| (0..SHARDS).map(|_| RwLock::new(empty())).collect())
    }
}

fn read(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

impl Share {
    fn has_room(&self, bytes: usize) -> bool {
        self.bytes.load(Relaxed).saturating_add(bytes) <= self.most.load(Relaxed)
    }

    fn take(&self, bytes: usize) -> Result<(), WriteError> {
        let most = self.most.load(Relaxed);
        let taken = self.bytes.fetch_update(Relaxed, Relaxed, |taken| {
            Some(taken.saturating_add(bytes)).filter(|sum| *sum <= most)
        });
        taken.map(drop).map_err(|_| WriteError::Full)
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

impl Shard {
    /// Writes a value if the share allows it.
    fn put(&mut self, key: &str, value: Value, share: &Share) -> Result<(), WriteError> {
        let (known, new) = (self.values.get_mut(key), size(key, &value));
        let old = known.as_ref().map_or(0, |known| size(key, known));
        if new > old {
            share.take(new - old)?;
        } else {
            share.give_back(old - new);
        }
        self.earliest = [self.earliest, value.expires].into_iter().flatten().min();
        match known {
            Some(known) => *known = value,
            None => drop(self.values.insert(key.into(), value)),
        }
        Ok(())
    }

    /// Takes out what is past its time.
    fn sweep(&mut self, now: Instant, share: &Share) {
        self.values.retain(|key, value| {
            let alive = value.is_alive(now);
            if !alive {
                share.give_back(size(key, value));
            }
            alive
        });
        self.earliest = self.values.values().filter_map(|value| value.expires).min();
        if self.values.capacity() > 64 && self.values.len() < self.values.capacity() / 8 {
            self.values.shrink_to_fit();
        }
    }
}

fn size(key: &str, value: &Value) -> usize {
    ENTRY + key.len() + value.bytes.len()
}

pub(in crate::state) fn check(key: &str, value: &[u8]) -> Result<(), WriteError> {
    let fits = key.len() <= MAX_KEY && value.len() <= MAX_VALUE;
    if fits { Ok(()) } else { Err(WriteError::TooLarge) }
}

fn integer(bytes: &[u8]) -> Result<i64, WriteError> {
    let text = std::str::from_utf8(bytes).map_err(|_| WriteError::NotANumber)?;
    text.parse().map_err(|_| WriteError::NotANumber)
}

fn deadline(now: Instant, ttl: Option<Duration>) -> Option<Instant> {
    // A time to live past what the clock can say is for ever.
    now.checked_add(ttl?)
}
