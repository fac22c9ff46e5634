//! The numbers of stores: whether they can be had, and what became of what they were asked.
//!
//! Owns them and their part of the page. They live as long as a store of that name is configured.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::text::{head, line, write_histogram};
use super::{Counter, Histogram, Kind};

/// Upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 10] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1];

/// What became of a question to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreResult {
    Answered,
    /// It answered with an error.
    Error,
    Timeout,
    /// It was not asked, since it is known to be away.
    Away,
}

/// The words for it.
const RESULTS: [&str; 4] = ["answered", "error", "timeout", "away"];

/// The numbers of one store.
#[derive(Debug)]
pub(crate) struct StoreCounts {
    name: Box<str>,
    is_up: AtomicBool,
    /// Since when, in seconds since 1970; 0 while nothing is known.
    changed_at: AtomicU64,
    /// Why it cannot be had.
    failure: Mutex<Option<String>>,
    /// By the place in [`RESULTS`].
    calls: [Counter; RESULTS.len()],
    times: Histogram,
    leased: Counter,
}

impl StoreCounts {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            is_up: AtomicBool::new(false),
            changed_at: AtomicU64::new(0),
            failure: Mutex::default(),
            calls: Default::default(),
            times: Histogram::new(&BOUNDS),
            leased: Counter::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// It can be had.
    pub(crate) fn is_up(&self) {
        self.changed(true, None);
    }

    /// It cannot.
    pub(crate) fn is_down(&self, why: &str) {
        self.changed(false, Some(why.to_owned()));
    }

    fn changed(&self, is_up: bool, failure: Option<String>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        if self.is_up.swap(is_up, Relaxed) != is_up || self.changed_at.load(Relaxed) == 0 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.changed_at.store(now.as_secs(), Relaxed);
        }
    }

    /// What is known of it now.
    pub(crate) fn numbers(&self) -> StoreNumbers {
        let changed_at = self.changed_at.load(Relaxed);
        StoreNumbers {
            is_up: self.is_up.load(Relaxed),
            changed_at: (changed_at > 0).then_some(changed_at),
            failure: self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            calls: RESULTS.iter().zip(&self.calls).map(|(it, calls)| (*it, calls.sum())).collect(),
            leased: self.leased.sum(),
        }
    }

    /// It was asked, or would have been.
    pub(crate) fn called(&self, result: StoreResult, took: Duration) {
        self.calls[result as usize].add(1);
        if result != StoreResult::Away {
            self.times.observe(took.as_secs_f64());
        }
    }

    /// A check was answered by a lease, without the store.
    pub(crate) fn leased(&self) {
        self.leased.add(1);
    }
}

/// What is known of a store at a moment.
#[derive(Debug)]
pub(crate) struct StoreNumbers {
    pub(crate) is_up: bool,
    /// Since when, in seconds since 1970; `None` while nothing is known.
    pub(crate) changed_at: Option<u64>,
    /// Why it cannot be had.
    pub(crate) failure: Option<String>,
    /// Questions by what became of them.
    pub(crate) calls: Vec<(&'static str, u64)>,
    /// Checks that a lease answered.
    pub(crate) leased: u64,
}

/// What the gateway knows about each store.
pub(super) fn write(page: &mut String, stores: &[Arc<StoreCounts>]) {
    if stores.is_empty() {
        return;
    }
    let name = "gateway_store_up";
    head(page, name, Kind::Gauge, "1 if the store can be had, 0 if it cannot.");
    for store in stores {
        line(page, name, &[("store", &store.name)], u8::from(store.is_up.load(Relaxed)));
    }
    let name = "gateway_store_calls_total";
    head(page, name, Kind::Counter, "Questions to the store, by what became of them.");
    for store in stores {
        for (result, calls) in RESULTS.iter().zip(&store.calls) {
            line(page, name, &[("store", &store.name), ("result", result)], calls.sum());
        }
    }
    let name = "gateway_store_leased_total";
    head(page, name, Kind::Counter, "Checks that were answered by a lease, without the store.");
    for store in stores {
        line(page, name, &[("store", &store.name)], store.leased.sum());
    }
    let name = "gateway_store_call_seconds";
    head(page, name, Kind::Histogram, "How long the store took to answer.");
    for store in stores {
        write_histogram(page, name, &[("store", &store.name)], &store.times.sum());
    }
}
