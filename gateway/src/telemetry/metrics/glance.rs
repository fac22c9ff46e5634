//! The numbers that are looked at once a second: plugins by hook, and the process.
//!
//! Owns their form. Read from the cells of all workers and from the system; no worker does anything for it.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use super::{Metrics, process};

/// What a plugin did since the process began, and has now.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PluginGlance {
    pub(crate) name: String,
    pub(crate) instances: i64,
    /// Calls that wait for their turn.
    pub(crate) waiting: i64,
    pub(crate) computing_seconds: f64,
    pub(crate) waiting_seconds: f64,
    pub(crate) failures: u64,
    /// Requests that it answered by itself.
    pub(crate) answers: u64,
    /// Changes that were made again without a call.
    pub(crate) reused: u64,
    pub(crate) hooks: Vec<HookGlance>,
}

/// What the calls of one hook took.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct HookGlance {
    pub(crate) hook: &'static str,
    /// How many calls took no longer than each of [`HOOK_BOUNDS`](super::HOOK_BOUNDS), and how many
    /// took longer.
    pub(crate) counts: Vec<u64>,
    /// Of all calls together.
    pub(crate) seconds: f64,
}

impl HookGlance {
    pub(crate) fn calls(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Metrics {
    /// All plugins, by name.
    pub(crate) fn plugin_glances(&self) -> Vec<PluginGlance> {
        let mut plugins: Vec<_> = self.plugins.iter().map(|known| Arc::clone(&known)).collect();
        plugins.sort_by(|one, other| one.name.cmp(&other.name));
        let glance = |plugin: Arc<super::PluginMetrics>| PluginGlance {
            name: plugin.name().to_owned(),
            instances: plugin.instances.load(Relaxed),
            waiting: plugin.turns.waiting(),
            computing_seconds: plugin.turns.computing_seconds(),
            waiting_seconds: plugin.turns.waiting_seconds(),
            failures: plugin.failures.iter().map(|count| count.load(Relaxed)).sum(),
            answers: plugin.hooks.answered(),
            reused: plugin.reused.sum(),
            hooks: plugin.hooks.distributions().into_iter().map(hook).collect(),
        };
        plugins.into_iter().map(glance).collect()
    }

    /// Those of one plugin's hooks.
    pub(crate) fn hook_glances(&self, plugin: &str) -> Vec<HookGlance> {
        let found = self.plugins.get(plugin).map(|found| found.clone());
        let hooks = found.map(|plugin| plugin.hooks.distributions()).unwrap_or_default();
        hooks.into_iter().map(hook).collect()
    }

    /// Seconds that each worker computed, by index; none for one that has not begun.
    pub(crate) fn worker_seconds(&self) -> Vec<Option<f64>> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let computed = |thread: &i32| (*thread != 0).then(|| process::computed(*thread)).flatten();
        workers.iter().map(computed).collect()
    }

    /// Bytes of memory that the process uses.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        process::memory().map(|(_, resident)| resident)
    }

    /// Open connections of clients, over all listeners.
    pub(crate) fn connections(&self) -> u64 {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().map(|slots| slots.open() as u64).sum()
    }
}

fn hook((hook, mut counts, seconds): (&'static str, Vec<u64>, f64)) -> HookGlance {
    for index in (1..counts.len()).rev() {
        counts[index] = counts[index].saturating_sub(counts[index - 1]);
    }
    HookGlance { hook, counts, seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_seen_with_the_calls_of_its_hooks() {
        let metrics = Metrics::default();
        metrics.is_served();
        let plugin = metrics.of(&"p".into());
        for _ in 0..3 {
            plugin.hook_ended(2, plugin.hook_begins());
        }
        plugin.answered(401);
        let glances = metrics.plugin_glances();
        let glance = &glances[0];
        assert_eq!((glance.name.as_str(), glance.answers, glance.hooks.len()), ("p", 1, 1));
        assert_eq!((glance.hooks[0].hook, glance.hooks[0].calls()), ("on-request", 3));
        assert_eq!(metrics.hook_glances("p"), glance.hooks);
        assert_eq!(metrics.hook_glances("q"), []);
        metrics.is_worker(1);
        let seconds = metrics.worker_seconds();
        assert_eq!(seconds[0], None);
        assert!(seconds[1].is_some_and(|seconds| seconds >= 0.0));
    }
}
