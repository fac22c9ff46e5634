//! Who used how much: a row a minute for each route, consumer, status class and upstream.
//!
//! A request ends with one call to `Cells::add` of its worker, which takes no lock. Each worker hands
//! its rows over to one thread, the writer, which alone owns the store: an SQLite file or PostgreSQL.
//! What the store cannot take waits, added up and bounded. [`Query`] reads the store, from wherever: the
//! command line beside a running gateway, or `[admin]`.
//!
//! Owns all of this for the life of the process: a reload changes the store and loses nothing. Must not
//! know exchanges or plugins; they bring what is recorded.

mod amounts;
mod cells;
mod names;
mod query;
mod report;
mod rows;
mod store;
mod sums;
mod table;
mod time;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) use self::amounts::{Amounts, OfExchange};
pub(crate) use self::cells::Cells;
pub(crate) use self::names::{CounterId, check as check_name};
pub use self::query::{By, Query, QueryError};
pub use self::report::Report;
pub(crate) use self::store::check;
use self::table::{Bound, Table};
pub(crate) use self::table::{Dimensions, Sums};
pub use self::time::{parse as parse_time, show_minute};
use self::writer::{Message, Writer};
use crate::config;
use crate::telemetry::metrics::UsageCounts;

/// The attribute that names the consumer; the first-party plugin `auth` sets it.
pub(crate) const CONSUMER: &str = "consumer.id";

/// Rows that wait on all workers, on their way to the writer, and there: at most so many at each.
const MAX_ROWS: usize = 200_000;
/// Rows of the consumer `~other` besides, at most.
const MAX_OTHERS: usize = 20_000;

/// The usage of the process.
#[derive(Debug)]
pub(crate) struct Usage {
    sender: Sender<Message>,
    /// Until the writer is started.
    receiver: Mutex<Option<Receiver<Message>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// In force; `None` while nothing is recorded.
    settings: Mutex<Option<Arc<config::Usage>>>,
    is_recording: AtomicBool,
    /// Rows on their way to the writer.
    queued: AtomicUsize,
    /// Rows that one worker may have.
    rows_of_worker: AtomicUsize,
    /// Milliseconds.
    flush: AtomicU64,
    began: Instant,
    directory: names::Directory,
    counters: names::Counters,
    counts: Arc<UsageCounts>,
}

impl Default for Usage {
    fn default() -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
            writer: Mutex::default(),
            settings: Mutex::default(),
            is_recording: AtomicBool::new(false),
            queued: AtomicUsize::new(0),
            rows_of_worker: AtomicUsize::new(MAX_ROWS),
            flush: AtomicU64::new(5_000),
            began: Instant::now(),
            directory: names::Directory::default(),
            counters: names::Counters::default(),
            counts: Arc::default(),
        }
    }
}

/// The names of one configuration as numbers.
#[derive(Debug)]
pub(crate) struct Ids {
    routes: Box<[u32]>,
    upstreams: Box<[u32]>,
}

impl Ids {
    /// The number of a route, by its index; 0 without one.
    pub(crate) fn route(&self, index: Option<usize>) -> u32 {
        index.and_then(|index| self.routes.get(index).copied()).unwrap_or(0)
    }

    /// The number of an upstream, by its index; 0 without one.
    pub(crate) fn upstream(&self, id: Option<config::UpstreamId>) -> u32 {
        id.and_then(|id| self.upstreams.get(id.0).copied()).unwrap_or(0)
    }
}

/// Minutes since 1970.
pub(crate) fn minute() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(now.as_secs() / 60).unwrap_or(u32::MAX)
}

impl Usage {
    /// What exchanges under this configuration are recorded by; `None` if none is.
    pub(crate) fn ids(&self, config: &config::Config) -> Option<Ids> {
        config.usage.as_ref()?;
        let number = |name: &str| self.directory.number(name);
        Some(Ids {
            routes: config.routes.iter().map(|route| number(&route.name)).collect(),
            upstreams: config.upstreams.iter().map(|upstream| number(&upstream.name)).collect(),
        })
    }

    /// The number under which a plugin adds; `None` if there is no room for the name.
    pub(crate) fn counter(&self, name: &str, may_be_new: bool) -> Option<CounterId> {
        self.counters.number(name, may_be_new)
    }

    /// The name that a number stands for.
    pub(crate) fn counter_name(&self, number: CounterId) -> Option<Arc<str>> {
        self.counters.name(number)
    }

    /// There was no room for names that a plugin adds under.
    pub(crate) fn amounts_dropped(&self, plugin: &str, names: usize) {
        if names > 0 && self.counts.amounts_dropped(names) {
            tracing::warn!(
                plugin,
                "some of what the plugin adds to usage is dropped: an exchange has at most 16 \
                 names, and a gateway {}. This is logged once; `gateway_usage_amounts_dropped_total` \
                 counts on",
                names::MAX_NAMES
            );
        }
    }

    /// Puts a configuration in force, and starts the writer with the first that has a store.
    pub(crate) fn apply(self: &Arc<Self>, config: &config::Config) {
        let workers = config.process.workers.max(1);
        self.rows_of_worker.store((MAX_ROWS / workers).max(1_000), Relaxed);
        let next = config.usage.clone().map(Arc::new);
        if let Some(usage) = &next {
            let flush = u64::try_from(usage.flush.as_millis()).unwrap_or(u64::MAX);
            self.flush.store(flush.max(1), Relaxed);
        }
        self.is_recording.store(next.is_some(), Relaxed);
        let settings = &mut *lock(&self.settings);
        if *settings == next {
            return;
        }
        if settings.is_none() && next.is_some() {
            self.start();
        }
        settings.clone_from(&next);
        let _not_started = self.sender.send(Message::Settings(next));
    }

    fn start(self: &Arc<Self>) {
        let Some(receiver) = lock(&self.receiver).take() else { return };
        let writer = Writer::new(Arc::clone(self), receiver);
        match std::thread::Builder::new().name("usage".into()).spawn(move || writer.run()) {
            Ok(thread) => *lock(&self.writer) = Some(thread),
            // Usage is no reason not to serve.
            Err(error) => tracing::error!(%error, "usage is not recorded: no thread for it"),
        }
    }

    /// Writes what is there, and ends. No worker records any more.
    pub(crate) fn finish(&self) {
        let Some(thread) = lock(&self.writer).take() else { return };
        let _ended = self.sender.send(Message::Stop);
        if thread.join().is_err() {
            tracing::error!("the writer of usage panicked");
        }
    }

    /// Whether anything is recorded now.
    pub(crate) fn is_recording(&self) -> bool {
        self.is_recording.load(Relaxed)
    }

    /// Where usage is kept now.
    pub(crate) fn settings(&self) -> Option<Arc<config::Usage>> {
        lock(&self.settings).clone()
    }

    pub(crate) fn counts(&self) -> &Arc<UsageCounts> {
        &self.counts
    }

    /// Takes what a worker recorded, unless the writer is behind; then it goes back to the worker.
    fn take(&self, table: Table, is_last: bool) -> Result<(), Table> {
        let rows = table.len();
        let queued = self.queued.load(Relaxed);
        if queued > 0 && queued + rows > MAX_ROWS && !is_last {
            return Err(table);
        }
        self.queued.fetch_add(rows, Relaxed);
        if self.sender.send(Message::Rows(table)).is_err() {
            self.queued.fetch_sub(rows, Relaxed);
            self.counts.dropped(rows);
        }
        Ok(())
    }

    /// What one worker may have.
    fn bound_of_worker(&self) -> Bound {
        let rows = self.rows_of_worker.load(Relaxed);
        Bound { rows, others: rows / (MAX_ROWS / MAX_OTHERS) }
    }

    /// How long until rows are to be written. All workers hand theirs over at the same time, so that
    /// they are written together.
    fn until_flush(&self) -> Duration {
        let flush = self.flush.load(Relaxed);
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(0);
        Duration::from_millis(flush - elapsed % flush)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
