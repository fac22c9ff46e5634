//! What the gateway counts: its own numbers, and those of its plugins.
//!
//! Owns the numbers and their bounds, for the life of the process: a reload sets nothing back.
//! Nothing here is touched by a request that no plugin records anything for. Must not know Wasm.

mod name;
mod series;
mod text;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;

pub(crate) use name::{Invalid, Key, Kind};
pub(crate) use series::{Counter, Histogram, Series};
pub(crate) use text::CONTENT_TYPE;

/// Series of one configured plugin, at most. A histogram of 32 bounds takes 4 KiB on 16 cores.
const MAX_SERIES: usize = 1_000;

/// The numbers of the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    plugins: DashMap<Box<str>, Arc<PluginMetrics>, RandomState>,
    /// Which kind of metric a name stands for, and which plugin said so first: one name has one
    /// kind in all of the text.
    families: DashMap<Box<str>, (Kind, Arc<str>), RandomState>,
    began: u64,
    reloads: AtomicU64,
    refused: AtomicU64,
    last_is_refused: AtomicBool,
    /// When the configuration in force was put in force.
    in_force_since: AtomicU64,
}

/// The numbers of one configured plugin.
#[derive(Debug)]
pub(crate) struct PluginMetrics {
    name: Arc<str>,
    series: DashMap<Box<str>, Arc<Series>, RandomState>,
    /// How many there are, and are being made.
    count: AtomicUsize,
    dropped: AtomicU64,
    is_told: AtomicBool,
    /// By the place in [`FAILURES`].
    failures: [AtomicU64; FAILURES.len()],
    /// By the place in [`CALLS`].
    calls: [AtomicU64; CALLS.len()],
    instances: AtomicI64,
    instances_made: AtomicU64,
    reused: Counter,
}

/// How a hook fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    Trap,
    Deadline,
    Memory,
    Breach,
    Instantiate,
    Exhausted,
}

/// The words for it.
const FAILURES: [&str; 6] = ["trap", "deadline", "memory", "breach", "instantiate", "exhausted"];

/// What became of a request that a plugin sent by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallResult {
    Response,
    Connect,
    Timeout,
    TooLarge,
    Protocol,
    /// It was not sent at all.
    Refused,
}

/// The words for it.
const CALLS: [&str; 6] = ["response", "connect", "timeout", "too-large", "protocol", "refused"];

/// Why there is no such series.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoSeries {
    /// The plugin breaks a rule, in these words.
    Breach(String),
    /// There is no room for it; what would be recorded is dropped.
    Dropped,
}

impl Default for Metrics {
    fn default() -> Self {
        let now = now();
        Self {
            plugins: DashMap::default(),
            families: DashMap::default(),
            began: now,
            reloads: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last_is_refused: AtomicBool::new(false),
            in_force_since: AtomicU64::new(now),
        }
    }
}

impl Metrics {
    /// Those of the plugin configured under this name.
    pub(crate) fn of(&self, plugin: &Arc<str>) -> Arc<PluginMetrics> {
        let new = || Arc::new(PluginMetrics::new(plugin));
        self.plugins.entry((&**plugin).into()).or_insert_with(new).clone()
    }

    /// Forgets the plugins that are not configured any more.
    pub(crate) fn keep(&self, plugins: &HashSet<&str>) {
        self.plugins.retain(|name, _| plugins.contains(&**name));
        self.families.retain(|_, (_, owner)| plugins.contains(&**owner));
    }

    /// A configuration was put in force.
    pub(crate) fn reloaded(&self) {
        self.reloads.fetch_add(1, Relaxed);
        self.last_is_refused.store(false, Relaxed);
        self.in_force_since.store(now(), Relaxed);
    }

    /// A configuration was refused.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
        self.last_is_refused.store(true, Relaxed);
    }

    /// A plugin's series, made by `new` if it is not there.
    pub(crate) fn series(
        &self,
        plugin: &PluginMetrics,
        key: &Key,
        new: impl FnOnce() -> Series,
    ) -> Result<Arc<Series>, NoSeries> {
        if let Some(known) = plugin.series.get(key.text()) {
            return match known.kind() {
                kind if kind == key.kind() => Ok(Arc::clone(&known)),
                kind => Err(taken(key, kind)),
            };
        }
        key.check().map_err(|Invalid(why)| NoSeries::Breach(why))?;
        self.claim(plugin, key)?;
        if plugin.count.fetch_add(1, Relaxed) >= MAX_SERIES {
            plugin.count.fetch_sub(1, Relaxed);
            return Err(plugin.drop_one(&format!("it has {MAX_SERIES} series already")));
        }
        match plugin.series.entry(key.text().into()) {
            Entry::Occupied(known) => {
                plugin.count.fetch_sub(1, Relaxed);
                Ok(Arc::clone(known.get()))
            }
            Entry::Vacant(place) => Ok(place.insert(Arc::new(new())).clone()),
        }
    }

    /// Makes the metric's name one of its kind, if it is free.
    fn claim(&self, plugin: &PluginMetrics, key: &Key) -> Result<(), NoSeries> {
        let family = self.families.entry(key.name().into());
        let family = family.or_insert_with(|| (key.kind(), Arc::clone(&plugin.name)));
        let (kind, owner) = &*family;
        if *kind == key.kind() {
            return Ok(());
        }
        if *owner == plugin.name {
            return Err(taken(key, *kind));
        }
        let (name, kind) = (key.name(), kind.word());
        let why = format!("the metric `{name}` is a {kind} of the plugin `{owner}`");
        drop(family);
        Err(plugin.drop_one(&why))
    }
}

fn taken(key: &Key, kind: Kind) -> NoSeries {
    let (name, kind) = (key.name(), kind.word());
    NoSeries::Breach(format!("the metric `{name}` is a {kind} already"))
}

impl PluginMetrics {
    fn new(name: &Arc<str>) -> Self {
        Self {
            name: Arc::clone(name),
            series: DashMap::default(),
            count: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            is_told: AtomicBool::new(false),
            failures: Default::default(),
            calls: Default::default(),
            instances: AtomicI64::new(0),
            instances_made: AtomicU64::new(0),
            reused: Counter::default(),
        }
    }

    /// Something was recorded that there is no room for.
    pub(crate) fn dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    fn drop_one(&self, why: &str) -> NoSeries {
        if !self.is_told.swap(true, Relaxed) {
            tracing::warn!(plugin = %self.name,
                "some of what the plugin records is dropped: {why}. This is told once; \
                 `gateway_plugin_metrics_dropped_total` counts on");
        }
        NoSeries::Dropped
    }

    /// A hook failed.
    pub(crate) fn failed(&self, kind: FailureKind) {
        self.failures[kind as usize].fetch_add(1, Relaxed);
    }

    /// A request of the plugin's own came to this.
    pub(crate) fn called(&self, result: CallResult) {
        self.calls[result as usize].fetch_add(1, Relaxed);
    }

    /// A change was made again without a call.
    pub(crate) fn reused(&self) {
        self.reused.add(1);
    }

    /// An instance was made.
    pub(crate) fn instance_made(&self) {
        self.instances.fetch_add(1, Relaxed);
        self.instances_made.fetch_add(1, Relaxed);
    }

    /// As many instances are gone.
    pub(crate) fn instances_gone(&self, count: usize) {
        self.instances.fetch_sub(i64::try_from(count).unwrap_or(i64::MAX), Relaxed);
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(metrics: &Metrics, plugin: &str, name: &str, label: &str) -> Result<(), NoSeries> {
        let plugin = metrics.of(&plugin.into());
        let labels = vec![("label".to_owned(), label.to_owned())];
        let key = Key::new(Kind::Counter, name, labels);
        let series = metrics.series(&plugin, &key, || Series::Counter(Counter::default()))?;
        if let Series::Counter(counter) = &*series {
            counter.add(1);
        }
        Ok(())
    }

    #[test]
    fn series_are_bounded_and_the_old_ones_go_on() {
        let metrics = Metrics::default();
        for number in 0..MAX_SERIES {
            assert_eq!(counter(&metrics, "p", "hits", &number.to_string()), Ok(()));
        }
        for _ in 0..3 {
            assert_eq!(counter(&metrics, "p", "hits", "one more"), Err(NoSeries::Dropped));
            assert_eq!(counter(&metrics, "p", "hits", "0"), Ok(()));
        }
        assert_eq!(counter(&metrics, "q", "hits", "one more"), Ok(()));
        assert!(metrics.text().contains("plugin_hits_total{plugin=\"p\",label=\"0\"} 4\n"));
    }

    #[test]
    fn one_name_has_one_kind() {
        let metrics = Metrics::default();
        let gauge = Key::new(Kind::Gauge, "size", vec![]);
        let histogram = Key::new(Kind::Histogram, "size", vec![]);
        let new = || Series::Gauge(AtomicU64::new(0));
        let (p, q) = (metrics.of(&"p".into()), metrics.of(&"q".into()));
        assert!(metrics.series(&p, &gauge, new).is_ok());
        assert!(matches!(metrics.series(&p, &histogram, new), Err(NoSeries::Breach(_))));
        // What another plugin does is not this one's fault.
        assert!(matches!(metrics.series(&q, &histogram, new), Err(NoSeries::Dropped)));
        metrics.keep(&HashSet::from(["q"]));
        assert!(metrics.series(&q, &histogram, new).is_ok());
    }
}
