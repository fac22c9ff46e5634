//! Responses that were read for a plugin when their clients had left.
//!
//! Owns the numbers of one plugin and their lines. A plugin for which none was has none.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU64};

use super::PluginMetrics;
use super::name::Kind;
use super::text::{head, line};

/// What came of reading one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DrainResult {
    /// It was read to its end.
    Complete,
    /// It was longer than the bound.
    Bytes,
    /// It took longer than the bound.
    Time,
    /// It broke off, or there was none.
    Failed,
    /// As many were read as may be.
    Full,
    /// The gateway ended.
    Shutdown,
}

/// The words for it.
const RESULTS: [&str; 6] = ["complete", "bytes", "time", "failed", "full", "shutdown"];

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct DrainCounts {
    now: AtomicI64,
    /// By the place in [`RESULTS`].
    results: [AtomicU64; RESULTS.len()],
}

impl DrainCounts {
    /// As many more are read.
    pub(crate) fn reads(&self, responses: i64) {
        self.now.fetch_add(responses, Relaxed);
    }

    /// This came of one.
    pub(crate) fn ended(&self, result: DrainResult) {
        self.results[result as usize].fetch_add(1, Relaxed);
    }
}

/// The lines of all plugins for which responses were read.
pub(super) fn write(page: &mut String, plugins: &[Arc<PluginMetrics>]) {
    let counts: Vec<_> =
        plugins.iter().filter_map(|plugin| Some((plugin.name(), plugin.drains.get()?))).collect();
    if counts.is_empty() {
        return;
    }
    let name = "gateway_plugin_drains";
    head(page, name, Kind::Gauge, "Responses that are read though their clients have left.");
    for (plugin, of) in &counts {
        line(page, name, &[("plugin", plugin)], of.now.load(Relaxed));
    }
    let name = "gateway_plugin_drains_total";
    let help = "Responses that were to be read though their clients had left, by what came of it.";
    head(page, name, Kind::Counter, help);
    for (plugin, of) in &counts {
        for (result, count) in RESULTS.iter().zip(&of.results) {
            line(page, name, &[("plugin", plugin), ("result", *result)], count.load(Relaxed));
        }
    }
}
