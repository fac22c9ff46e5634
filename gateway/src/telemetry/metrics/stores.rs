//! The numbers of stores: whether they can be had, and what became of what they were asked.
//!
//! Owns them and their part of the page. They live as long as a store of that name is configured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

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
            calls: Default::default(),
            times: Histogram::new(&BOUNDS),
            leased: Counter::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it can be had.
    pub(crate) fn is_up(&self, is: bool) {
        self.is_up.store(is, Relaxed);
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
