//! How long the hooks of a plugin took, and what it answered by itself.
//!
//! Owns the cells and their part of the page. A hook is timed only where somebody can ask for it, since
//! the clock is read twice for that.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::series::Times;
use super::text::{head, line, write_histogram};
use super::{Kind, PluginMetrics};

/// Hooks in the order in which plugins export them; the first two are no hooks of a request.
const HOOKS: [&str; 9] = [
    "describe",
    "configure",
    "on-request",
    "on-request-body",
    "on-request-chunk",
    "on-response",
    "on-response-body",
    "on-response-chunk",
    "on-complete",
];

/// Upper bounds of the buckets, in seconds.
pub(crate) const BOUNDS: [f64; 14] = [
    0.000_002, 0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005,
    0.025, 0.1, 0.5, 2.5,
];

const CLASSES: [&str; 6] = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    is_timed: bool,
    times: [OnceLock<Box<Times<{ BOUNDS.len() }>>>; HOOKS.len()],
    answers: [AtomicU64; CLASSES.len()],
}

impl Hooks {
    pub(super) fn new(is_timed: bool) -> Self {
        Self { is_timed, ..Self::default() }
    }

    /// Hooks that were called, how often, and the seconds that they took in all.
    pub(super) fn sums(&self) -> Vec<(&'static str, u64, f64)> {
        let timed = HOOKS.into_iter().zip(&self.times);
        let called = timed.filter_map(|(hook, times)| Some((hook, times.get()?.sum())));
        called
            .map(|(hook, sum)| (hook, sum.cumulated.last().copied().unwrap_or(0), sum.sum))
            .collect()
    }

    /// Hooks that were called: how many calls took up to each of [`BOUNDS`], and at last how many there were.
    pub(super) fn distributions(&self) -> Vec<(&'static str, Vec<u64>, f64)> {
        let timed = HOOKS.into_iter().zip(&self.times);
        let called = timed.filter_map(|(hook, times)| Some((hook, times.get()?.sum())));
        called.map(|(hook, sum)| (hook, sum.cumulated, sum.sum)).collect()
    }

    /// Requests that were answered.
    pub(super) fn answered(&self) -> u64 {
        self.answers.iter().map(|count| count.load(Relaxed)).sum()
    }
}

impl PluginMetrics {
    /// A hook is called; the time, if it is to be measured.
    #[inline]
    pub(crate) fn hook_begins(&self) -> Option<Instant> {
        self.hooks.is_timed.then(Instant::now)
    }

    /// The hook of this place among the exports has ended. Returns when it began and what it took, if
    /// that was measured.
    #[inline]
    pub(crate) fn hook_ended(
        &self,
        hook: usize,
        began: Option<Instant>,
    ) -> Option<(Instant, Duration)> {
        let began = began?;
        let took = began.elapsed();
        if let Some(times) = self.hooks.times.get(hook) {
            times.get_or_init(|| Box::new(Times::new(&BOUNDS))).observe(took);
        }
        Some((began, took))
    }

    /// It answered a request by itself.
    pub(crate) fn answered(&self, status: u16) {
        let class = usize::from(status / 100).min(CLASSES.len() - 1);
        self.hooks.answers[class].fetch_add(1, Relaxed);
    }
}

/// Writes the part of the page.
pub(super) fn write(page: &mut String, plugins: &[Arc<PluginMetrics>]) {
    let name = "gateway_plugin_hook_duration_seconds";
    let times = || {
        plugins.iter().flat_map(|plugin| {
            let times = HOOKS.iter().zip(&plugin.hooks.times);
            times.filter_map(move |(hook, times)| Some((plugin, *hook, times.get()?)))
        })
    };
    if times().next().is_some() {
        let help = "From the call of a hook to its outcome, waiting for its turn, for an instance and for \
                    what it asked for included.";
        head(page, name, Kind::Histogram, help);
    }
    for (plugin, hook, times) in times() {
        write_histogram(page, name, &[("plugin", &*plugin.name), ("hook", hook)], &times.sum());
    }
    let name = "gateway_plugin_answers_total";
    let help = "Requests that a plugin answered by itself, by the class of the status.";
    head(page, name, Kind::Counter, help);
    for plugin in plugins {
        for (class, count) in CLASSES.iter().zip(&plugin.hooks.answers) {
            let count = count.load(Relaxed);
            // One that is zero shows that the plugin is there.
            if count > 0 || *class == "4xx" {
                line(page, name, &[("plugin", &*plugin.name), ("status", class)], count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;

    #[test]
    fn hooks_are_timed_only_where_somebody_can_ask() {
        for is_served in [false, true] {
            let metrics = Metrics::default();
            if is_served {
                metrics.is_served();
            }
            let plugin = metrics.of(&"p".into());
            let began = plugin.hook_begins();
            assert_eq!(began.is_some(), is_served);
            plugin.hook_ended(2, began);
            plugin.answered(401);
            let page = metrics.text();
            let count =
                "gateway_plugin_hook_duration_seconds_count{plugin=\"p\",hook=\"on-request\"} 1\n";
            assert_eq!(page.contains(count), is_served, "{page}");
            assert!(page.contains("gateway_plugin_answers_total{plugin=\"p\",status=\"4xx\"} 1\n"));
        }
    }
}
