//! The numbers of one plugin at a glance, for whoever asks for that plugin alone.
//!
//! Owns the sums. The page for Prometheus has all of them as series.

use std::sync::atomic::Ordering::Relaxed;

use super::{CALLS, FAILURES, Metrics};

/// What a plugin did and has, over all workers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PluginNumbers {
    pub(crate) instances: i64,
    pub(crate) instances_created: u64,
    /// How hooks failed, and how often.
    pub(crate) failures: Vec<(&'static str, u64)>,
    /// Hooks, how often they were called, and the seconds that took in all; of those that are timed.
    pub(crate) hooks: Vec<(&'static str, u64, f64)>,
    /// Requests that it answered by itself.
    pub(crate) answers: u64,
    /// What came of requests that it sent.
    pub(crate) calls: Vec<(&'static str, u64)>,
    pub(crate) computing_seconds: f64,
    pub(crate) waiting_seconds: f64,
    pub(crate) waiting: i64,
    pub(crate) reused: u64,
    pub(crate) held_body_bytes: usize,
    pub(crate) series: usize,
    pub(crate) series_bytes: usize,
    pub(crate) log_lines_dropped: u64,
}

impl Metrics {
    /// Those of the plugin of this name, if it was loaded.
    pub(crate) fn plugin_numbers(&self, plugin: &str) -> Option<PluginNumbers> {
        let of = self.plugins.get(plugin).map(|found| found.clone())?;
        let failures = FAILURES.into_iter().zip(&of.failures);
        let calls = CALLS.into_iter().zip(&of.calls);
        Some(PluginNumbers {
            instances: of.instances.load(Relaxed),
            instances_created: of.instances_made.load(Relaxed),
            failures: failures.map(|(kind, count)| (kind, count.load(Relaxed))).collect(),
            hooks: of.hooks.sums(),
            answers: of.hooks.answered(),
            calls: calls.map(|(result, count)| (result, count.load(Relaxed))).collect(),
            computing_seconds: of.turns.computing_seconds(),
            waiting_seconds: of.turns.waiting_seconds(),
            waiting: of.turns.waiting(),
            reused: of.reused.sum(),
            held_body_bytes: of.held(),
            series: of.series.len(),
            series_bytes: of.bytes.held(),
            log_lines_dropped: of.log_dropped.load(Relaxed),
        })
    }
}
