//! What is counted about usage: what could not be recorded as it came, and how the store is.
//!
//! Owns the numbers. Must not know the store.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::Kind;
use super::text::{head, line};

/// The numbers of usage.
#[derive(Debug, Default)]
pub(crate) struct UsageCounts {
    written: AtomicU64,
    dropped: AtomicU64,
    other: AtomicU64,
    amounts_dropped: AtomicU64,
    waiting: AtomicU64,
    is_up: AtomicBool,
}

impl UsageCounts {
    /// As many rows were written.
    pub(crate) fn written(&self, rows: usize) {
        self.written.fetch_add(rows as u64, Relaxed);
    }

    /// There was no room for as many rows.
    pub(crate) fn dropped(&self, rows: usize) {
        self.dropped.fetch_add(rows as u64, Relaxed);
    }

    /// As many records count for no consumer of their own.
    pub(crate) fn other(&self, records: usize) {
        self.other.fetch_add(records as u64, Relaxed);
    }

    /// There was no room for names that a plugin adds under. Returns whether they are the first.
    pub(crate) fn amounts_dropped(&self, names: usize) -> bool {
        self.amounts_dropped.fetch_add(names as u64, Relaxed) == 0
    }

    /// As many rows wait for the store.
    pub(crate) fn waiting(&self, rows: usize) {
        self.waiting.store(rows as u64, Relaxed);
    }

    /// Whether the store takes rows.
    pub(crate) fn is_up(&self, is: bool) {
        self.is_up.store(is, Relaxed);
    }

    pub(super) fn write(&self, page: &mut String) {
        let mut number = |name, kind, help, value: u64| {
            head(page, name, kind, help);
            line(page, name, &[], value);
        };
        let help = "1 if the store of usage took the last rows, 0 if it cannot be had.";
        number("gateway_usage_store_up", Kind::Gauge, help, self.is_up.load(Relaxed).into());
        let help = "Rows of usage that wait for the store.";
        number("gateway_usage_rows_waiting", Kind::Gauge, help, self.waiting.load(Relaxed));
        let help = "Rows of usage that were written.";
        number("gateway_usage_rows_written_total", Kind::Counter, help, self.written.load(Relaxed));
        let help = "Rows of usage that there was no room for while the store could not be had.";
        number("gateway_usage_rows_dropped_total", Kind::Counter, help, self.dropped.load(Relaxed));
        let help = "Records of usage that went to the consumer `~other`, over the bound of rows.";
        number("gateway_usage_other_total", Kind::Counter, help, self.other.load(Relaxed));
        let help = "Amounts of plugins under names that there was no room for.";
        let dropped = self.amounts_dropped.load(Relaxed);
        number("gateway_usage_amounts_dropped_total", Kind::Counter, help, dropped);
    }
}
