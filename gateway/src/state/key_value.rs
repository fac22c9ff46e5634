//! Small values under keys, in memory, with a time to live.
//!
//! Owns one bounded store for each configured plugin, found by the plugin's name and shared by
//! all workers. Must not know Wasm. A value past its time is gone for every reader at once, and
//! swept out when its store needs the room.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;

/// Keys that a store holds at most.
const MAX_KEYS: usize = 100_000;
/// Bytes of keys and values that a store holds at most.
const MAX_BYTES: usize = 64 << 20;
/// Bytes of a key at most.
pub(crate) const MAX_KEY: usize = 1 << 10;
/// Bytes of a value at most.
pub(crate) const MAX_VALUE: usize = 1 << 20;
/// Between two sweeps of a full store.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);

/// The stores of all plugins.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    by_plugin: DashMap<Box<str>, Arc<Store>, RandomState>,
}

impl Stores {
    /// The store of the plugin configured under this name.
    pub(crate) fn of(&self, plugin: &str) -> Arc<Store> {
        self.by_plugin.entry(plugin.into()).or_default().clone()
    }
}

/// One plugin's keys and values.
#[derive(Debug, Default)]
pub(crate) struct Store {
    values: DashMap<Box<str>, Value, RandomState>,
    bytes: AtomicUsize,
    swept: Mutex<Option<Instant>>,
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
    /// The value under a key.
    pub(crate) fn get(&self, key: &str) -> Option<Bytes> {
        let value = self.values.get(key)?;
        value.is_alive(Instant::now()).then(|| value.bytes.clone())
    }

    /// Writes a value, in place of what was there.
    pub(crate) fn set(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<(), WriteError> {
        self.make_room(key, &value)?;
        let (new, now) = (Value { bytes: value, expires: None }, Instant::now());
        self.account(key, new.bytes.len(), true);
        let new = Value { expires: deadline(now, ttl), ..new };
        if let Some(old) = self.values.insert(key.into(), new) {
            self.account(key, old.bytes.len(), false);
        }
        Ok(())
    }

    /// Writes a value if there is none, and says whether it did.
    pub(crate) fn set_if_absent(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<bool, WriteError> {
        self.make_room(key, &value)?;
        let now = Instant::now();
        let new = Value { bytes: value, expires: deadline(now, ttl) };
        let size = new.bytes.len();
        match self.values.entry(key.into()) {
            Entry::Occupied(old) if old.get().is_alive(now) => return Ok(false),
            Entry::Occupied(mut old) => {
                let former = old.insert(new);
                self.account(key, former.bytes.len(), false);
            }
            Entry::Vacant(place) => {
                place.insert(new);
            }
        }
        self.account(key, size, true);
        Ok(true)
    }

    /// Removes a value, and says whether there was one.
    pub(crate) fn delete(&self, key: &str) -> bool {
        let Some((_, old)) = self.values.remove(key) else { return false };
        self.account(key, old.bytes.len(), false);
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
        self.make_room(key, &[0; 20])?;
        let now = Instant::now();
        let mut place = self.values.entry(key.into()).or_insert_with(|| {
            self.account(key, 0, true);
            Value { bytes: Bytes::new(), expires: deadline(now, ttl) }
        });
        if !place.is_alive(now) {
            self.account("", place.bytes.len(), false);
            *place = Value { bytes: Bytes::new(), expires: deadline(now, ttl) };
        }
        let sum = integer(&place.bytes)?.checked_add(by).ok_or(WriteError::NotANumber)?;
        let text = Bytes::from(sum.to_string());
        self.account("", text.len(), true);
        self.account("", place.bytes.len(), false);
        place.bytes = text;
        Ok(sum)
    }

    fn make_room(&self, key: &str, value: &[u8]) -> Result<(), WriteError> {
        if key.len() > MAX_KEY || value.len() > MAX_VALUE {
            return Err(WriteError::TooLarge);
        }
        if self.has_room(key, value) {
            return Ok(());
        }
        let now = Instant::now();
        if !self.may_sweep(now) {
            return Err(WriteError::Full);
        }
        self.values.retain(|key, value| {
            let alive = value.is_alive(now);
            if !alive {
                self.account(key, value.bytes.len(), false);
            }
            alive
        });
        if self.has_room(key, value) { Ok(()) } else { Err(WriteError::Full) }
    }

    /// A plugin that fills its store up must not make each further write cost a look at all of it.
    fn may_sweep(&self, now: Instant) -> bool {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let may = swept.is_none_or(|last| now.saturating_duration_since(last) >= SWEEP_PAUSE);
        if may {
            *swept = Some(now);
        }
        may
    }

    fn has_room(&self, key: &str, value: &[u8]) -> bool {
        let fits = self.bytes.load(Relaxed) + key.len() + value.len() <= MAX_BYTES;
        fits && (self.values.len() < MAX_KEYS || self.values.contains_key(key))
    }

    fn account(&self, key: &str, value: usize, added: bool) {
        let size = key.len() + value;
        if added {
            self.bytes.fetch_add(size, Relaxed);
        } else {
            self.bytes.fetch_sub(size, Relaxed);
        }
    }
}

fn integer(bytes: &[u8]) -> Result<i64, WriteError> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| WriteError::NotANumber)?;
    text.parse().map_err(|_| WriteError::NotANumber)
}

fn deadline(now: Instant, ttl: Option<Duration>) -> Option<Instant> {
    // A time to live past what the clock can say is for ever.
    now.checked_add(ttl?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_gone_when_its_time_is_over() {
        let store = Store::default();
        store.set("k", Bytes::from_static(b"v"), Some(Duration::ZERO)).expect("room");
        assert_eq!(store.get("k"), None);
        assert_eq!(store.set_if_absent("k", Bytes::from_static(b"w"), None), Ok(true));
        assert_eq!(store.set_if_absent("k", Bytes::from_static(b"x"), None), Ok(false));
        assert_eq!(store.get("k").as_deref(), Some(&b"w"[..]));
    }

    #[test]
    fn increments_of_many_threads_add_up() {
        let store = Store::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..250 {
                        store.increment("n", 1, None).expect("room");
                    }
                });
            }
        });
        assert_eq!(store.increment("n", 0, None), Ok(1000));
    }

    #[test]
    fn increment_refuses_what_is_not_a_number_and_what_overflows() {
        let store = Store::default();
        store.set("t", Bytes::from_static(b"text"), None).expect("room");
        assert_eq!(store.increment("t", 1, None), Err(WriteError::NotANumber));
        store.increment("n", i64::MAX, None).expect("fits");
        assert_eq!(store.increment("n", 1, None), Err(WriteError::NotANumber));
        assert_eq!(store.increment("n", 0, None), Ok(i64::MAX));
    }

    #[test]
    fn refuses_more_bytes_than_its_share_and_takes_them_again_after_a_delete() {
        let store = Store::default();
        let megabyte = Bytes::from(vec![0; MAX_VALUE]);
        let mut keys = 0;
        while store.set(&keys.to_string(), megabyte.clone(), None).is_ok() {
            keys += 1;
        }
        assert!((60..=64).contains(&keys), "{keys}");
        assert_eq!(store.set("one more", megabyte.clone(), None), Err(WriteError::Full));
        assert!(store.delete("0"));
        assert_eq!(store.set("one more", megabyte, None), Ok(()));
    }

    #[test]
    fn a_full_store_is_swept_now_and_then_and_not_at_each_write() {
        let store = Store::default();
        for key in 0..MAX_KEYS {
            store
                .set(&key.to_string(), Bytes::new(), Some(Duration::from_millis(1)))
                .expect("room");
        }
        *store.swept.lock().expect("nobody panicked") = Some(Instant::now());
        let write = || store.set("one more", Bytes::new(), None);
        let began = Instant::now();
        let mut refused = 0;
        while write().is_err() {
            refused += 1;
            std::thread::yield_now();
        }
        assert!(refused > 0 || began.elapsed() >= SWEEP_PAUSE, "it was swept at once");
        assert!(store.values.len() < MAX_KEYS, "what was over is gone");
        assert_eq!(store.get("one more").as_deref(), Some(&b""[..]));
    }

    #[test]
    fn the_account_returns_to_zero() {
        let store = Store::default();
        store.set("a", Bytes::from_static(b"1"), None).expect("room");
        store.increment("a", 41, None).expect("a number");
        store.increment("b", -7, Some(Duration::ZERO)).expect("a number");
        store.increment("b", 7, None).expect("a number");
        assert!(store.delete("a") && store.delete("b"));
        assert_eq!(store.bytes.load(Relaxed), 0);
    }
}
