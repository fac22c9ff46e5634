//! What is counted about spans: what was exported, and what was not.
//!
//! Owns the numbers. Must not know the collector.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Kind;
use super::text::{head, line};

/// The numbers of spans.
#[derive(Debug, Default)]
pub(crate) struct SpanCounts {
    exported: AtomicU64,
    /// Exchanges that there was no room for in the queue.
    queue: AtomicU64,
    /// Spans that the collector did not take.
    collector: AtomicU64,
}

impl SpanCounts {
    /// The collector took as many.
    pub(crate) fn exported(&self, spans: usize) {
        self.exported.fetch_add(spans as u64, Relaxed);
    }

    /// There was no room for the spans of an exchange.
    pub(crate) fn overflowed(&self) {
        self.queue.fetch_add(1, Relaxed);
    }

    /// The collector did not take as many.
    pub(crate) fn refused(&self, spans: usize) {
        self.collector.fetch_add(spans as u64, Relaxed);
    }

    pub(super) fn write(&self, page: &mut String) {
        let name = "gateway_spans_exported_total";
        head(page, name, Kind::Counter, "Spans that the collector of traces took.");
        line(page, name, &[], self.exported.load(Relaxed));
        let name = "gateway_spans_dropped_total";
        let help = "Spans that the collector did not take, and exchanges whose spans there was no \
                    room for in the queue.";
        head(page, name, Kind::Counter, help);
        line(page, name, &[("reason", "collector")], self.collector.load(Relaxed));
        line(page, name, &[("reason", "queue")], self.queue.load(Relaxed));
    }
}
