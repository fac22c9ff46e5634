//! What the gateway counts: its own numbers, and those of its plugins.
//!
//! Owns the numbers and their bounds, for the life of the process: a reload sets nothing back.
//! A request touches cells of its worker or thread, and only where somebody can ask for them, or where a
//! plugin records. Must not know Wasm.

mod access_logs;
mod caches;
mod component;
mod documents;
mod drains;
mod events;
mod glance;
mod hooks;
mod key_sets;
mod name;
mod plugins;
mod process;
mod recorded;
mod routes;
mod series;
mod slots;
mod spans;
mod stores;
mod targets;
mod text;
mod turns;
mod usage;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;

use super::traffic::Traffic;
use crate::config::CertificateEnd;
use crate::connection_slots::ConnectionSlots;
use crate::health::Health;
use crate::memory_quota::MemoryQuota;
use crate::names::Names;

pub(crate) use access_logs::AccessLogCounts;
pub(crate) use caches::{CacheCounts, CacheResult, SecondResult};
pub(crate) use component::{ComponentFailure, ComponentMetrics};
pub(crate) use documents::DocumentCounts;
pub(crate) use drains::{DrainCounts, DrainResult};
pub(crate) use events::{Dropped, EventCounts};
pub(crate) use glance::{HookGlance, PluginGlance};
pub(crate) use hooks::BOUNDS as HOOK_BOUNDS;
pub(crate) use key_sets::{KeyResult, KeySetCounts};
pub(crate) use name::{Invalid, Key, Kind};
pub(crate) use plugins::PluginNumbers;
pub(crate) use recorded::{Recorded, RecordedValue};
pub(crate) use series::{Counter, Histogram, Series};
pub(crate) use slots::{SlotCounts, SlotResult};
pub(crate) use spans::SpanCounts;
pub(crate) use stores::{StoreCounts, StoreNumbers, StoreResult};
pub(crate) use text::{CONTENT_TYPE, OPEN_METRICS};
pub(crate) use turns::TurnMetrics;
pub(crate) use usage::UsageCounts;

/// Series of one configured plugin, at most. A histogram of 32 bounds takes 4 KiB on 16 cores.
const MAX_SERIES: usize = 5_000;
/// What a series takes in the tables besides its name and its cells.
const SERIES: usize = 256;

/// The numbers of the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    plugins: DashMap<Box<str>, Arc<PluginMetrics>, RandomState>,
    components: DashMap<Box<str>, Arc<ComponentMetrics>, RandomState>,
    /// Which kind of metric a name stands for, and which plugin said so first: one name has one
    /// kind in all of the text.
    families: DashMap<Box<str>, (Kind, Arc<str>), RandomState>,
    began: u64,
    reloads: AtomicU64,
    refused: AtomicU64,
    last_is_refused: AtomicBool,
    /// When the configuration in force was put in force.
    in_force_since: AtomicU64,
    /// Whether anybody can ask for the numbers.
    is_served: AtomicBool,
    /// Bodies that are held for plugins.
    bodies: OnceLock<Arc<MemoryQuota>>,
    /// One for each listener, once the gateway runs.
    listeners: Mutex<Vec<Arc<ConnectionSlots>>>,
    /// What passes on routes and at targets.
    pub(crate) traffic: Traffic,
    /// Which targets take requests.
    pub(crate) health: Arc<Health>,
    /// Where names are looked up.
    pub(crate) names: Arc<Names>,
    /// The threads of the workers, by index.
    workers: Mutex<Vec<i32>>,
    /// When the certificates of listeners end.
    certificates: Mutex<Vec<CertificateEnd>>,
    /// Of usage, once any is recorded.
    usage: OnceLock<Arc<UsageCounts>>,
    /// Of spans, once any is exported.
    spans: OnceLock<Arc<SpanCounts>>,
    access_logs: access_logs::AccessLogs,
    documents: documents::Documents,
    events: events::Sinks,
    key_sets: key_sets::KeySets,
    stores: DashMap<Box<str>, Arc<StoreCounts>, RandomState>,
    caches: DashMap<Box<str>, Arc<CacheCounts>, RandomState>,
}

/// The numbers of one configured plugin.
#[derive(Debug)]
pub(crate) struct PluginMetrics {
    name: Arc<str>,
    hooks: hooks::Hooks,
    series: DashMap<Arc<str>, Arc<Series>, RandomState>,
    /// How many there are, and are being made.
    count: AtomicUsize,
    dropped: AtomicU64,
    /// What its series take, and may take.
    bytes: MemoryQuota,
    log_dropped: AtomicU64,
    /// Bodies that are held for it.
    bodies: Mutex<Option<Arc<MemoryQuota>>>,
    is_told: AtomicBool,
    /// By the place in [`FAILURES`].
    failures: [AtomicU64; FAILURES.len()],
    /// By the place in [`CALLS`].
    calls: [AtomicU64; CALLS.len()],
    instances: AtomicI64,
    instances_made: AtomicU64,
    reused: Counter,
    buckets_displaced: AtomicU64,
    /// Requests that its limits let through, and refused.
    limited: [Counter; DECISIONS.len()],
    turns: Arc<TurnMetrics>,
    /// Of its slots, once it has asked for one.
    slots: OnceLock<Arc<SlotCounts>>,
    /// Of responses that were read without their clients, once one was.
    drains: OnceLock<Arc<DrainCounts>>,
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
    Kept,
    Busy,
}

/// The words for it.
const FAILURES: [&str; 8] =
    ["trap", "deadline", "memory", "breach", "instantiate", "exhausted", "kept", "busy"];

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

/// What a limiter decides.
const DECISIONS: [&str; 2] = ["allowed", "refused"];

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
            components: DashMap::default(),
            families: DashMap::default(),
            began: now,
            reloads: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last_is_refused: AtomicBool::new(false),
            in_force_since: AtomicU64::new(now),
            is_served: AtomicBool::new(false),
            bodies: OnceLock::new(),
            listeners: Mutex::default(),
            traffic: Traffic::default(),
            health: Arc::default(),
            names: Arc::default(),
            workers: Mutex::default(),
            certificates: Mutex::default(),
            usage: OnceLock::new(),
            spans: OnceLock::new(),
            access_logs: access_logs::AccessLogs::default(),
            documents: documents::Documents::default(),
            events: events::Sinks::default(),
            key_sets: key_sets::KeySets::default(),
            stores: DashMap::default(),
            caches: DashMap::default(),
        }
    }
}

impl Metrics {
    /// The places of listeners with these names: those that are there, or new ones.
    pub(crate) fn listeners<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
    ) -> Vec<Arc<ConnectionSlots>> {
        let new = |name| Arc::new(ConnectionSlots::new(name));
        names.map(|name| self.slots_of(name).unwrap_or_else(|| new(name))).collect()
    }

    /// These are the listeners now. Others are shown for as long as they have connections, or rather until
    /// the next change.
    pub(crate) fn keep_listeners(&self, slots: impl Iterator<Item = Arc<ConnectionSlots>>) {
        let mut known = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept: Vec<_> = slots.collect();
        let is_gone = |it: &Arc<ConnectionSlots>| kept.iter().all(|kept| !Arc::ptr_eq(kept, it));
        let leaving: Vec<_> =
            known.iter().filter(|it| is_gone(it) && it.open() > 0).cloned().collect();
        kept.extend(leaving);
        *known = kept;
    }

    /// Somebody reads how long hooks take: plugins that are loaded from now on are timed.
    pub(crate) fn is_served(&self) {
        self.is_served.store(true, Relaxed);
    }

    /// Those of the plugin configured under this name.
    pub(crate) fn of(&self, plugin: &Arc<str>) -> Arc<PluginMetrics> {
        let is_served = self.is_served.load(Relaxed);
        let new = || Arc::new(PluginMetrics::new(plugin, is_served));
        self.plugins.entry((&**plugin).into()).or_insert_with(new).clone()
    }

    /// Those of the component configured under this name.
    pub(crate) fn of_component(&self, component: &Arc<str>) -> Arc<ComponentMetrics> {
        let new = || Arc::new(ComponentMetrics::new(component));
        self.components.entry((&**component).into()).or_insert_with(new).clone()
    }

    /// Forgets the components that are not configured any more.
    pub(crate) fn keep_components(&self, components: &HashSet<&str>) {
        self.components.retain(|name, _| components.contains(&**name));
    }

    /// Forgets the plugins that are not configured any more.
    pub(crate) fn keep(&self, plugins: &HashSet<&str>) {
        self.plugins.retain(|name, _| plugins.contains(&**name));
        self.families.retain(|name, (_, owner)| {
            if plugins.contains(&**owner) {
                return true;
            }
            // The name keeps its kind for as long as any plugin records under it.
            let user = self.plugins.iter().find(|plugin| plugin.records(name));
            user.inspect(|user| *owner = Arc::clone(&user.name)).is_some()
        });
    }

    /// This thread is the worker of this index.
    pub(crate) fn is_worker(&self, index: usize) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if workers.len() <= index {
            workers.resize(index + 1, 0);
        }
        workers[index] = rustix::thread::gettid().as_raw_nonzero().get();
    }

    /// This thread, the worker of this index, ends.
    pub(crate) fn worker_ended(&self, index: usize) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let own = rustix::thread::gettid().as_raw_nonzero().get();
        workers.iter_mut().skip(index).take(1).filter(|it| **it == own).for_each(|it| *it = 0);
    }

    /// How many workers run: those that leave too.
    pub(crate) fn running_workers(&self) -> usize {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().filter(|thread| **thread != 0).count()
    }

    /// When the process began, in seconds since 1970.
    pub(crate) fn began(&self) -> u64 {
        self.began
    }

    /// What became of configurations after the first: how many were put in force, and how many refused.
    pub(crate) fn reload_counts(&self) -> (u64, u64) {
        (self.reloads.load(Relaxed), self.refused.load(Relaxed))
    }

    /// The places of the listener of this name.
    pub(crate) fn slots_of(&self, listener: &str) -> Option<Arc<ConnectionSlots>> {
        let known = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|slots| &*slots.listener == listener).cloned()
    }

    /// The listeners have these certificates.
    pub(crate) fn certificates(&self, ends: Vec<CertificateEnd>) {
        *self.certificates.lock().unwrap_or_else(PoisonError::into_inner) = ends;
    }

    /// Where it is counted what is held for plugins.
    pub(crate) fn holds(&self, bodies: &Arc<MemoryQuota>) {
        let _set_once = self.bodies.set(Arc::clone(bodies));
    }

    /// The same, once it is known.
    pub(crate) fn held_bodies(&self) -> Arc<MemoryQuota> {
        let none = || Arc::new(MemoryQuota::new(0));
        self.bodies.get().map_or_else(none, Arc::clone)
    }

    /// Where it is counted what becomes of usage.
    pub(crate) fn records_usage(&self, counts: &Arc<UsageCounts>) {
        let _set_once = self.usage.set(Arc::clone(counts));
    }

    /// Where it is counted what becomes of spans.
    pub(crate) fn exports_spans(&self, counts: &Arc<SpanCounts>) {
        let _set_once = self.spans.set(Arc::clone(counts));
    }

    /// Those of the access log of this name.
    pub(crate) fn of_access_log(&self, name: &str) -> Arc<AccessLogCounts> {
        self.access_logs.of(name)
    }

    /// Those of the store of this name.
    pub(crate) fn of_store(&self, name: &str) -> Arc<StoreCounts> {
        let new = || Arc::new(StoreCounts::new(name));
        self.stores.entry(name.into()).or_insert_with(new).clone()
    }

    /// Those of the cache of this name.
    pub(crate) fn of_cache(&self, name: &str) -> Arc<CacheCounts> {
        let new = || Arc::new(CacheCounts::new(name));
        self.caches.entry(name.into()).or_insert_with(new).clone()
    }

    /// Forgets the caches that are not configured any more.
    pub(crate) fn keep_caches(&self, is_kept: &dyn Fn(&str) -> bool) {
        self.caches.retain(|name, _| is_kept(name));
    }

    /// Forgets the stores that are not configured any more.
    pub(crate) fn keep_stores(&self, is_kept: &dyn Fn(&str) -> bool) {
        self.stores.retain(|name, _| is_kept(name));
    }

    /// Forgets the access logs that are not configured any more.
    pub(crate) fn keep_access_logs(&self, names: &[&str]) {
        self.access_logs.keep(names);
    }

    /// Those of the document of this name.
    pub(crate) fn of_document(&self, name: &str) -> Arc<DocumentCounts> {
        self.documents.of(name)
    }

    /// The numbers of a sink of events.
    pub(crate) fn of_events(&self, name: &str) -> Arc<EventCounts> {
        self.events.of(name)
    }

    /// Forgets the sinks that are not configured any more.
    pub(crate) fn keep_events(&self, names: &[&str]) {
        self.events.keep(names);
    }

    /// Forgets the documents that are not configured any more.
    pub(crate) fn keep_documents(&self, names: &[&str]) {
        self.documents.keep(names);
    }

    /// Those of the set of API keys of this name.
    pub(crate) fn of_key_set(&self, name: &str) -> Arc<KeySetCounts> {
        self.key_sets.of(name)
    }

    /// Forgets the sets that are not configured any more.
    pub(crate) fn keep_key_sets(&self, is_kept: impl Fn(&str) -> bool) {
        self.key_sets.keep(is_kept);
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

    /// A plugin's series with its name, made by `new` if it is not there.
    pub(crate) fn series(
        &self,
        plugin: &PluginMetrics,
        key: &Key,
        new: impl FnOnce() -> Series,
    ) -> Result<(Arc<str>, Arc<Series>), NoSeries> {
        if let Some(known) = plugin.series.get(key.text()) {
            return match known.kind() {
                kind if kind == key.kind() => Ok((Arc::clone(known.key()), Arc::clone(&known))),
                kind => Err(taken(key, kind)),
            };
        }
        key.check().map_err(|Invalid(why)| NoSeries::Breach(why))?;
        self.claim(plugin, key)?;
        if plugin.count.fetch_add(1, Relaxed) >= MAX_SERIES {
            plugin.count.fetch_sub(1, Relaxed);
            return Err(plugin.drop_one(&format!("it has {MAX_SERIES} series already")));
        }
        let series = new();
        let bytes = SERIES + key.text().len() + series.bytes();
        if !plugin.bytes.take(bytes) {
            plugin.count.fetch_sub(1, Relaxed);
            let limit = plugin.bytes.limit();
            let why = format!("its series take all of their {limit} bytes (`limits.metrics`)");
            return Err(plugin.drop_one(&why));
        }
        let name: Arc<str> = key.text().into();
        match plugin.series.entry(Arc::clone(&name)) {
            Entry::Occupied(known) => {
                plugin.count.fetch_sub(1, Relaxed);
                plugin.bytes.give(bytes);
                Ok((Arc::clone(known.key()), Arc::clone(known.get())))
            }
            Entry::Vacant(place) => Ok((name, place.insert(Arc::new(series)).clone())),
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
    fn new(name: &Arc<str>, is_served: bool) -> Self {
        Self {
            name: Arc::clone(name),
            hooks: hooks::Hooks::new(is_served),
            series: DashMap::default(),
            count: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            bytes: MemoryQuota::new(0),
            log_dropped: AtomicU64::new(0),
            bodies: Mutex::default(),
            is_told: AtomicBool::new(false),
            failures: Default::default(),
            calls: Default::default(),
            instances: AtomicI64::new(0),
            instances_made: AtomicU64::new(0),
            reused: Counter::default(),
            buckets_displaced: AtomicU64::new(0),
            limited: Default::default(),
            turns: Arc::default(),
            slots: OnceLock::new(),
            drains: OnceLock::new(),
        }
    }

    /// The name under which it is configured.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its series may take so many bytes.
    pub(crate) fn bound(&self, bytes: usize) {
        self.bytes.set(bytes);
    }

    /// As [`bound`](Self::bound), of one that has no bound yet.
    pub(crate) fn begin(&self, bytes: usize) {
        if self.bytes.limit() == 0 {
            self.bytes.set(bytes);
        }
    }

    /// Where it is counted what is held for it.
    pub(crate) fn holds(&self, bodies: &Arc<MemoryQuota>) {
        let mut slot = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(Arc::clone(bodies));
    }

    /// Bytes of bodies that are held for it.
    fn held(&self) -> usize {
        let slot = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().map_or(0, |bodies| bodies.held())
    }

    /// As many lines of the log were dropped.
    pub(crate) fn log_dropped(&self, lines: u64) {
        self.log_dropped.fetch_add(lines, Relaxed);
    }

    /// Whether it has a series of this name.
    fn records(&self, name: &str) -> bool {
        self.series.iter().any(|series| name::parts(series.key()).0 == name)
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

    /// What its hooks computed, and waited for that.
    pub(crate) fn turns(&self) -> &Arc<TurnMetrics> {
        &self.turns
    }

    /// What is counted of responses that were read without their clients.
    pub(crate) fn drains(&self) -> Arc<DrainCounts> {
        Arc::clone(self.drains.get_or_init(Arc::default))
    }

    /// What is counted of its slots.
    pub(crate) fn slots(&self) -> Arc<SlotCounts> {
        Arc::clone(self.slots.get_or_init(Arc::default))
    }

    /// A change was made again without a call.
    pub(crate) fn reused(&self) {
        self.reused.add(1);
    }

    /// As many buckets of its rate limits gave way before they were full.
    pub(crate) fn buckets_displaced(&self, count: u64) {
        let before = self.buckets_displaced.fetch_add(count, Relaxed);
        if before == 0 && count > 0 {
            tracing::warn!(plugin = %self.name,
                "the buckets of the plugin take all of `limits.limiter`: those nearest to full give \
                 way, and new keys may be limited too early. This is told once; \
                 `gateway_plugin_buckets_displaced_total` counts on");
        }
    }

    /// Its limits let a request through, or refused it.
    pub(crate) fn limited(&self, is_allowed: bool) {
        self.limited[usize::from(!is_allowed)].add(1);
    }

    /// How many did.
    pub(crate) fn displaced(&self) -> u64 {
        self.buckets_displaced.load(Relaxed)
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
        let new = || Series::Counter(Counter::default());
        let (_, series) = metrics.series(&plugin, &key, new)?;
        if let Series::Counter(counter) = &*series {
            counter.add(1);
        }
        Ok(())
    }

    #[test]
    fn series_are_bounded_and_the_old_ones_go_on() {
        let metrics = Metrics::default();
        metrics.of(&"p".into()).bound(1 << 30);
        metrics.of(&"q".into()).bound(1 << 30);
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
        let of = |name: &str| {
            let plugin = metrics.of(&name.into());
            plugin.bound(1 << 20);
            plugin
        };
        let (p, q) = (of("p"), of("q"));
        assert!(metrics.series(&p, &gauge, new).is_ok());
        assert!(matches!(metrics.series(&p, &histogram, new), Err(NoSeries::Breach(_))));
        // What another plugin does is not this one's fault.
        assert!(matches!(metrics.series(&q, &histogram, new), Err(NoSeries::Dropped)));
        metrics.keep(&HashSet::from(["q"]));
        assert!(metrics.series(&q, &histogram, new).is_ok());
        // The name goes with the last plugin that records under it, and not with the first.
        let r = of("r");
        assert!(metrics.series(&r, &histogram, new).is_ok());
        metrics.keep(&HashSet::from(["r"]));
        let s = of("s");
        assert!(matches!(metrics.series(&s, &gauge, new), Err(NoSeries::Dropped)));
        metrics.keep(&HashSet::from(["s"]));
        assert!(metrics.series(&s, &gauge, new).is_ok());
    }

    #[test]
    fn what_series_take_is_bounded() {
        let metrics = Metrics::default();
        metrics.of(&"p".into()).bound(64 << 10);
        let label = |number: usize| format!("{number:0>128}");
        let made =
            (0..MAX_SERIES).take_while(|it| counter(&metrics, "p", "a", &label(*it)).is_ok());
        let made = made.count();
        assert!((20..160).contains(&made), "{made}");
        assert_eq!(counter(&metrics, "p", "a", &label(0)), Ok(()));
        assert_eq!(counter(&metrics, "p", "b", ""), Err(NoSeries::Dropped));
    }
}
