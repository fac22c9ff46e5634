//! What is counted about sinks of events.
//!
//! Owns the numbers of each sink. Must not know where events go.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::Kind;
use super::text::{head, line};

/// The numbers of one sink.
#[derive(Debug)]
pub(crate) struct EventCounts {
    name: Box<str>,
    /// Bytes that wait.
    pub(crate) queued: AtomicUsize,
    delivered: AtomicU64,
    dropped: [AtomicU64; REASONS.len()],
    failed: AtomicU64,
}

/// Why events were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// As much waited as may.
    Full,
    /// The receiver does not take them.
    Refused,
    /// The sink ended before the receiver took them.
    Ended,
}

const REASONS: [&str; 3] = ["full", "refused", "ended"];

impl EventCounts {
    /// So many were taken by the receiver.
    pub(crate) fn delivered(&self, count: usize) {
        self.delivered.fetch_add(count as u64, Relaxed);
    }

    /// So many will not arrive.
    pub(crate) fn dropped(&self, why: Dropped, count: usize) {
        self.dropped[why as usize].fetch_add(count as u64, Relaxed);
    }

    /// How many will not arrive, in all.
    pub(crate) fn all_dropped(&self) -> u64 {
        self.dropped.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// Bytes that wait.
    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Relaxed)
    }

    /// How many the receiver has taken.
    pub(crate) fn all_delivered(&self) -> u64 {
        self.delivered.load(Relaxed)
    }

    /// How many will not arrive, by why.
    pub(crate) fn dropped_by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REASONS.into_iter().zip(self.dropped.iter().map(|count| count.load(Relaxed)))
    }

    /// Requests that failed.
    pub(crate) fn all_failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// A request failed, and is made again.
    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }
}

/// The numbers of all sinks.
#[derive(Debug, Default)]
pub(super) struct Sinks(Mutex<Vec<Arc<EventCounts>>>);

impl Sinks {
    /// Those of the sink of this name.
    pub(super) fn of(&self, name: &str) -> Arc<EventCounts> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|known| *known.name == *name) {
            return Arc::clone(known);
        }
        let new = Arc::new(EventCounts {
            name: name.into(),
            queued: AtomicUsize::new(0),
            delivered: AtomicU64::new(0),
            dropped: Default::default(),
            failed: AtomicU64::new(0),
        });
        all.push(Arc::clone(&new));
        new
    }

    /// Forgets the sinks that are not configured any more.
    pub(super) fn keep(&self, names: &[&str]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| names.contains(&&*known.name));
    }

    pub(super) fn write(&self, page: &mut String) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return;
        }
        let name = "gateway_events_queued_bytes";
        head(page, name, Kind::Gauge, "Bytes of events that wait to be sent.");
        for sink in &*all {
            line(page, name, &[("sink", &*sink.name)], sink.queued.load(Relaxed));
        }
        let name = "gateway_events_delivered_total";
        head(page, name, Kind::Counter, "Events that the receiver has taken.");
        for sink in &*all {
            line(page, name, &[("sink", &*sink.name)], sink.delivered.load(Relaxed));
        }
        let name = "gateway_events_dropped_total";
        head(page, name, Kind::Counter, "Events that will not arrive, by why.");
        for sink in &*all {
            for (reason, count) in REASONS.iter().zip(&sink.dropped) {
                let labels = [("sink", &*sink.name), ("reason", *reason)];
                line(page, name, &labels, count.load(Relaxed));
            }
        }
        let name = "gateway_event_requests_failed_total";
        head(page, name, Kind::Counter, "Requests with events that failed, and were made again.");
        for sink in &*all {
            line(page, name, &[("sink", &*sink.name)], sink.failed.load(Relaxed));
        }
    }
}
