//! The slots of a plugin: how many are held, who waits, and what came of asking.
//!
//! Owns the numbers of one plugin and their lines. A plugin that never asked for a slot has none.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use super::PluginMetrics;
use super::name::Kind;
use super::series::Histogram;
use super::text::{head, line, write_histogram};

/// What came of asking for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotResult {
    /// There was one.
    Taken,
    /// It had one after a while.
    Waited,
    /// All were held, and as many waited as may.
    Full,
    /// The time was over.
    Late,
    /// The client left, or the exchange failed, while it waited.
    Left,
}

/// The words for it.
const RESULTS: [&str; 5] = ["taken", "waited", "full", "late", "left"];

/// Seconds: from what nobody notices to what few wait for.
const BOUNDS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// See the module.
#[derive(Debug)]
pub(crate) struct SlotCounts {
    held: AtomicI64,
    waiting: AtomicI64,
    /// By the place in [`RESULTS`].
    results: [AtomicU64; RESULTS.len()],
    waited: Histogram,
}

impl Default for SlotCounts {
    fn default() -> Self {
        Self {
            held: AtomicI64::new(0),
            waiting: AtomicI64::new(0),
            results: Default::default(),
            waited: Histogram::new(&BOUNDS),
        }
    }
}

impl SlotCounts {
    /// As many more slots are held.
    pub(crate) fn holds(&self, slots: i64) {
        self.held.fetch_add(slots, Relaxed);
    }

    /// As many more exchanges wait for one.
    pub(crate) fn waits(&self, exchanges: i64) {
        self.waiting.fetch_add(exchanges, Relaxed);
    }

    /// This came of asking.
    pub(crate) fn asked(&self, result: SlotResult) {
        self.results[result as usize].fetch_add(1, Relaxed);
    }

    /// An exchange waited for as long, and then this came of it.
    pub(crate) fn waited(&self, time: Duration, result: SlotResult) {
        self.waited.observe(time.as_secs_f64());
        self.asked(result);
    }
}

/// The lines of all plugins that asked for slots.
pub(super) fn write(page: &mut String, plugins: &[Arc<PluginMetrics>]) {
    let counts: Vec<_> =
        plugins.iter().filter_map(|plugin| Some((plugin.name(), plugin.slots.get()?))).collect();
    if counts.is_empty() {
        return;
    }
    let name = "gateway_plugin_slots";
    head(page, name, Kind::Gauge, "Slots that exchanges hold, and exchanges that wait for one.");
    for (plugin, of) in &counts {
        for (state, count) in [("held", &of.held), ("waiting", &of.waiting)] {
            line(page, name, &[("plugin", plugin), ("state", state)], count.load(Relaxed));
        }
    }
    let name = "gateway_plugin_slot_requests_total";
    head(page, name, Kind::Counter, "Slots that were asked for, by what came of it.");
    for (plugin, of) in &counts {
        for (result, count) in RESULTS.iter().zip(&of.results) {
            line(page, name, &[("plugin", plugin), ("result", *result)], count.load(Relaxed));
        }
    }
    let name = "gateway_plugin_slot_wait_seconds";
    head(
        page,
        name,
        Kind::Histogram,
        "How long exchanges waited for a slot, those that got none too.",
    );
    for (plugin, of) in &counts {
        write_histogram(page, name, &[("plugin", plugin)], &of.waited.sum());
    }
}
