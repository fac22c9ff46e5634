//! Distributed traces: where in which trace a request is, and its spans on their way to a collector.
//!
//! A request with `[traces]` has a [`Span`] from its head on, which is announced to everything that it is sent
//! to. Its end hands what is known of it to a bounded queue; one thread makes spans of OpenTelemetry
//! out of it and exports them over OTLP. If the collector is not available, spans are dropped and counted;
//! nothing else is affected.
//!
//! Owns all of this, and what is sampled. Must not know exchanges: they bring what is known of them.

mod attributes;
mod export;
mod finished;
mod http;
mod span;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

pub(crate) use self::finished::{Answer, Attempt, Finished, Hook};
pub(crate) use self::span::{Span, Wants};
use crate::config;
use crate::telemetry::metrics::{Metrics, SpanCounts};

/// Exchanges that wait for the exporter, at most. Each has about a kilobyte.
const QUEUE: usize = 4096;
/// How long the last spans may take at the end of the process.
const LAST: Duration = Duration::from_secs(3);

/// The traces of the process.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    current: Mutex<Option<Prepared>>,
    counts: Arc<SpanCounts>,
}

/// Where the spans of one configuration go.
#[derive(Debug)]
pub(crate) struct Sink {
    /// `[traces]`
    pub(crate) settings: config::Traces,
    counts: Arc<SpanCounts>,
    /// `None` without a collector: the context is passed on anyway.
    queue: Option<mpsc::Sender<Box<Finished>>>,
    /// Wakes the exporter before its time.
    wake: Arc<Notify>,
    is_over: Arc<AtomicBool>,
}

/// A sink, and the thread that empties it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) sink: Arc<Sink>,
    thread: Option<JoinHandle<()>>,
}

impl Spans {
    /// The sink of a configuration: the one in force if nothing about traces has changed.
    pub(crate) fn prepare(&self, config: &config::Config) -> Option<Prepared> {
        let settings = config.traces.as_ref()?;
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = &*current
            && current.sink.settings == *settings
        {
            return Some(Prepared { sink: Arc::clone(&current.sink), thread: None });
        }
        let (wake, is_over) = (Arc::<Notify>::default(), Arc::<AtomicBool>::default());
        let counts = Arc::clone(&self.counts);
        let (queue, thread) = match &settings.collector {
            Some(collector) => {
                let (sender, receiver) = mpsc::channel(QUEUE);
                let (wake, is_over) = (Arc::clone(&wake), Arc::clone(&is_over));
                let (counts, collector) = (Arc::clone(&counts), collector.clone());
                let resource = export::resource(settings);
                let run = move || {
                    export::run(&collector, resource, receiver, &wake, &is_over, &counts);
                };
                match thread::Builder::new().name("traces".into()).spawn(run) {
                    Ok(thread) => (Some(sender), Some(thread)),
                    Err(error) => {
                        tracing::error!(%error, "no spans are exported: there is no thread");
                        (None, None)
                    }
                }
            }
            None => (None, None),
        };
        let settings = settings.clone();
        let sink = Arc::new(Sink { settings, counts, queue, wake, is_over });
        Some(Prepared { sink, thread })
    }

    /// Puts what was prepared in force. What was in force before ends with the last exchange that
    /// began under it.
    pub(crate) fn apply(&self, prepared: Option<Prepared>, metrics: &Metrics) {
        if prepared.as_ref().is_some_and(|it| it.sink.exports()) {
            metrics.exports_spans(&self.counts);
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = match (&*current, &prepared) {
            (Some(current), Some(next)) => Arc::ptr_eq(&current.sink, &next.sink),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            *current = prepared;
        }
    }

    /// Exports what is left, at the end of the process, for a short while.
    pub(crate) fn finish(&self) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Prepared { sink, thread: Some(thread) }) = current else { return };
        sink.is_over.store(true, Relaxed);
        sink.wake.notify_one();
        let until = Instant::now() + LAST;
        while !thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Sink {
    /// Whether anything is exported.
    pub(crate) fn exports(&self) -> bool {
        self.queue.is_some()
    }

    /// Hands it over, if there is room.
    pub(crate) fn push(&self, finished: Finished) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(Box::new(finished)).is_err() {
            self.counts.overflowed();
        } else if queue.capacity() <= QUEUE / 2 {
            // Not at one number alone: several workers may step over it together.
            self.wake.notify_one();
        }
    }
}
