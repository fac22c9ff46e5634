//! What is counted about sets of API keys.
//!
//! Owns the numbers of each set. Must not know keys.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::text::{head, line};
use super::{Counter, Kind};

/// The numbers of one set.
#[derive(Debug)]
pub(crate) struct KeySetCounts {
    name: Box<str>,
    keys: AtomicU64,
    is_up: AtomicBool,
    /// When it was last known to be what the store has.
    confirmed: Mutex<Option<Instant>>,
    /// Look-ups by what came of them: see [`RESULTS`].
    found: [Counter; RESULTS.len()],
}

/// What came of looking for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyResult {
    Found,
    /// There is none, or none any more.
    Unknown,
    Expired,
    /// The keys have not been read yet.
    Unread,
}

/// The words for it.
const RESULTS: [&str; 4] = ["found", "unknown", "expired", "unread"];

impl KeySetCounts {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            keys: AtomicU64::new(0),
            is_up: AtomicBool::new(false),
            confirmed: Mutex::default(),
            found: Default::default(),
        }
    }

    /// So many keys are in force, which are what the store has.
    pub(crate) fn has(&self, keys: usize) {
        self.keys.store(keys as u64, Relaxed);
        self.is_up.store(true, Relaxed);
        *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The store cannot be had.
    pub(crate) fn is_down(&self) {
        self.is_up.store(false, Relaxed);
    }

    /// A key was looked for.
    pub(crate) fn looked(&self, result: KeyResult) {
        self.found[result as usize].add(1);
    }

    fn age(&self) -> Option<f64> {
        let confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.map(|at| at.elapsed().as_secs_f64())
    }
}

/// The numbers of all sets.
#[derive(Debug, Default)]
pub(super) struct KeySets(Mutex<Vec<Arc<KeySetCounts>>>);

impl KeySets {
    /// Those of the set of this name.
    pub(super) fn of(&self, name: &str) -> Arc<KeySetCounts> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|known| *known.name == *name) {
            return Arc::clone(known);
        }
        let new = Arc::new(KeySetCounts::new(name));
        all.push(Arc::clone(&new));
        new
    }

    /// Forgets the sets that are not configured any more.
    pub(super) fn keep(&self, is_kept: impl Fn(&str) -> bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| is_kept(&known.name));
    }

    pub(super) fn write(&self, page: &mut String) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return;
        }
        let name = "gateway_key_set_up";
        head(page, name, Kind::Gauge, "1 if the store of the set can be had, 0 if it cannot.");
        for set in &*all {
            line(page, name, &[("keys", &*set.name)], u8::from(set.is_up.load(Relaxed)));
        }
        let name = "gateway_key_set_keys";
        head(page, name, Kind::Gauge, "Keys of the set, expired ones too.");
        for set in &*all {
            line(page, name, &[("keys", &*set.name)], set.keys.load(Relaxed));
        }
        let name = "gateway_key_set_age_seconds";
        let help = "How long ago the keys in force were last known to be what the store has.";
        head(page, name, Kind::Gauge, help);
        for set in &*all {
            if let Some(age) = set.age() {
                line(page, name, &[("keys", &*set.name)], age);
            }
        }
        let name = "gateway_key_set_lookups_total";
        head(page, name, Kind::Counter, "Look-ups of keys, by what came of them.");
        for set in &*all {
            for (result, count) in RESULTS.iter().zip(&set.found) {
                let labels = [("keys", &*set.name), ("result", *result)];
                line(page, name, &labels, count.sum());
            }
        }
    }
}
