//! Events of plugins, on their way to upstreams.
//!
//! Owns which sinks there are: one of each definition, shared by all workers and plugins, for as long as a configuration has
//! it. A reload that leaves a definition as it was leaves its sink as it was. What waits is bounded in bytes for each, and
//! one thread of its own sends it (`send`), so that no worker waits. Must not know plugins, nor what an event says.

mod batch;
mod send;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;
use tokio::sync::{Notify, mpsc};

use crate::config;
use crate::telemetry::metrics::{Dropped, EventCounts, Metrics};

/// Bytes of an event, at most.
const LONGEST: usize = 64 << 10;
/// What an event takes beside its bytes.
const OVERHEAD: usize = 64;
/// How long the last events may take at the end of the process.
const LAST: Duration = Duration::from_secs(3);
/// How long a sink goes on that no configuration has any more: requests that began under it still emit.
const LINGER: Duration = Duration::from_secs(30);

/// Why an event was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is no JSON, or too long.
    Invalid,
    /// As much waits as may.
    Full,
}

/// Where events are collected, and sent to.
#[derive(Debug)]
pub(crate) struct Sink {
    definition: Arc<config::EventSink>,
    counts: Arc<EventCounts>,
    queue: mpsc::UnboundedSender<Box<[u8]>>,
    /// The other end, until the thread takes it.
    waiting: Mutex<Option<mpsc::UnboundedReceiver<Box<[u8]>>>>,
    /// Wakes who waits for a batch before its time.
    wake: Notify,
    /// No configuration has it any more, since then.
    ends_at: Mutex<Option<Instant>>,
    /// The process ends: what waits is sent once more.
    is_over: AtomicBool,
    /// Nothing is sent any more.
    is_closed: AtomicBool,
    /// Whether the log has said that there is no room.
    is_full: AtomicBool,
    /// Whether the receiver did not take the last batch.
    is_away: AtomicBool,
}

impl Sink {
    fn new(definition: Arc<config::EventSink>, counts: Arc<EventCounts>) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        Self {
            definition,
            counts,
            queue,
            waiting: Mutex::new(Some(waiting)),
            wake: Notify::new(),
            ends_at: Mutex::default(),
            is_over: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            is_away: AtomicBool::new(false),
        }
    }

    /// Its name in the configuration.
    pub(crate) fn name(&self) -> &str {
        &self.definition.name
    }

    /// What is counted about it.
    pub(crate) fn counts(&self) -> &EventCounts {
        &self.counts
    }

    /// Whether the receiver did not take the last batch that it was sent.
    pub(crate) fn is_away(&self) -> bool {
        self.is_away.load(Relaxed)
    }

    /// Takes an event, if there is room for it.
    pub(crate) fn emit(&self, mut event: Vec<u8>) -> Result<(), Refused> {
        if event.len() > LONGEST || serde_json::from_slice::<IgnoredAny>(&event).is_err() {
            return Err(Refused::Invalid);
        }
        // White space in JSON, and the end of an event in a batch of lines.
        event.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        let size = event.len() + OVERHEAD;
        let queued = self.counts.queued.fetch_add(size, Relaxed) + size;
        let has_room = queued <= self.definition.queue && !self.is_closed.load(Relaxed);
        if !has_room || self.queue.send(event.into_boxed_slice()).is_err() {
            self.counts.queued.fetch_sub(size, Relaxed);
            self.counts.dropped(Dropped::Full, 1);
            if !self.is_full.swap(true, Relaxed) {
                tracing::warn!(
                    sink = self.name(),
                    "there is no room for events: they are dropped and counted in \
                     `gateway_events_dropped_total` until there is"
                );
            }
            return Err(Refused::Full);
        }
        // Not at one number alone: several workers may step over it together.
        if queued >= self.definition.batch_size {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// So many bytes wait no longer.
    fn took(&self, events: &[Box<[u8]>]) {
        let size = events.iter().map(|event| event.len() + OVERHEAD).sum();
        self.counts.queued.fetch_sub(size, Relaxed);
    }

    /// No configuration has it any more.
    fn end(&self) {
        lock(&self.ends_at).get_or_insert(Instant::now() + LINGER);
        self.wake.notify_one();
    }
}

/// The thread that sends, and what it is told of sinks by.
type Sender = (mpsc::UnboundedSender<Arc<Sink>>, JoinHandle<()>);

/// The sinks of the process.
#[derive(Debug)]
pub(crate) struct Events {
    known: Mutex<Vec<Arc<Sink>>>,
    /// Those that no configuration has any more, as far as they may still have something to send.
    leaving: Mutex<Vec<Arc<Sink>>>,
    /// The thread that sends, once it runs.
    thread: Mutex<Option<Sender>>,
    metrics: Arc<Metrics>,
}

impl Events {
    /// None yet, and nobody sends.
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        let (known, leaving, thread) = Default::default();
        Self { known, leaving, thread, metrics: Arc::clone(metrics) }
    }

    /// The sink of a definition: the one that is there, or a new one.
    pub(crate) fn of(&self, definition: &Arc<config::EventSink>) -> Arc<Sink> {
        let mut known = lock(&self.known);
        if let Some(same) = known.iter().find(|it| *it.definition == **definition) {
            return Arc::clone(same);
        }
        let counts = self.metrics.of_events(&definition.name);
        let new = Arc::new(Sink::new(Arc::clone(definition), counts));
        known.push(Arc::clone(&new));
        if let Some((thread, _)) = &*lock(&self.thread) {
            let _ended = thread.send(Arc::clone(&new));
        }
        new
    }

    /// Begins to send, on a thread that ends with [`finish`](Self::finish).
    pub(crate) fn begin(&self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let names = Arc::clone(&self.metrics.names);
        let run = move || send::run(receiver, &names);
        let thread = match thread::Builder::new().name("events".into()).spawn(run) {
            Ok(thread) => thread,
            Err(error) => return tracing::error!(%error, "events are not sent"),
        };
        for sink in &*lock(&self.known) {
            let _ended = sender.send(Arc::clone(sink));
        }
        *lock(&self.thread) = Some((sender, thread));
    }

    /// The sinks of a configuration are these, and no others.
    pub(crate) fn keep(&self, config: &config::Config) {
        for definition in &config.events {
            self.of(definition);
        }
        let is_kept = |sink: &Arc<Sink>| config.events.iter().any(|it| **it == *sink.definition);
        let mut leaving = lock(&self.leaving);
        leaving.retain(|sink| !sink.is_closed.load(Relaxed));
        lock(&self.known).retain(|sink| {
            let is_kept = is_kept(sink);
            if !is_kept {
                sink.end();
                leaving.push(Arc::clone(sink));
            }
            is_kept
        });
        // A sink of the same name that is another counts on.
        let names: Vec<_> = config.events.iter().map(|it| it.name.as_str()).collect();
        self.metrics.keep_events(&names);
    }

    /// Sends what is left, for a short while. Nobody emits any more.
    pub(crate) fn finish(&self) {
        let Some((sender, thread)) = lock(&self.thread).take() else { return };
        for sink in lock(&self.known).iter().chain(&*lock(&self.leaving)) {
            sink.is_over.store(true, Relaxed);
            sink.wake.notify_one();
        }
        drop(sender);
        let until = Instant::now() + LAST + Duration::from_millis(200);
        while !thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
