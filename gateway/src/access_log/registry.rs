//! The logs of the process, through reloads.
//!
//! Owns the writers: one for each named log. A writer continues if a new configuration has the same log
//! at the same place. Otherwise it writes its remaining lines, and ends.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::Logs;
use super::file::Rotated;
use super::line::Log;
use super::sink::{Sink, Waiting};
use super::stdout::Stdout;
use super::syslog::Sender;
use super::writer::{Destination, Writer};
use crate::config::{AccessLogId, Config, LogDestination, NamedAccessLog};
use crate::telemetry::metrics::Metrics;

/// How long to wait for writers at the end.
const GRACE: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    writers: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    destination: LogDestination,
    sink: Weak<Sink>,
}

/// A log cannot be opened.
#[derive(Debug)]
pub(crate) struct OpenError {
    pub(crate) log: AccessLogId,
    pub(crate) source: io::Error,
}

impl Registry {
    /// The logs of a configuration. Files are opened, and threads started, that are not there yet.
    ///
    /// # Errors
    /// All that cannot be opened.
    pub(crate) fn open(&self, config: &Config, metrics: &Metrics) -> Result<Logs, Vec<OpenError>> {
        let (mut logs, mut errors) = (Vec::new(), Vec::new());
        let (mut request, mut response) = (Vec::new(), Vec::new());
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.retain(|entry| entry.sink.strong_count() > 0);
        for (index, log) in config.access_logs.iter().enumerate() {
            match sink(&mut writers, log, metrics) {
                Ok(sink) => logs.push(Log::new(log, sink, &mut request, &mut response)),
                Err(source) => errors.push(OpenError { log: AccessLogId(index), source }),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Logs { logs: logs.into(), request: request.into(), response: response.into() })
    }

    /// Files may have been moved: they are opened again.
    pub(crate) fn reopen(&self) {
        self.sinks().iter().for_each(|sink| sink.reopen());
    }

    /// Writes what waits. No worker sends lines any more.
    pub(crate) fn finish(&self) {
        let (done, written) = channel();
        let sinks = self.sinks();
        sinks.iter().for_each(|sink| sink.stop(done.clone()));
        drop(done);
        let until = Instant::now() + GRACE;
        for _ in &sinks {
            let left = until.saturating_duration_since(Instant::now());
            if let Err(RecvTimeoutError::Timeout) = written.recv_timeout(left) {
                break;
            }
        }
        let lost: usize = sinks.iter().map(|sink| sink.waiting().lines()).sum();
        if lost > 0 {
            tracing::warn!(lost, "lines of access logs could not be written in time");
        }
    }

    fn sinks(&self) -> Vec<Arc<Sink>> {
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers.iter().filter_map(|entry| entry.sink.upgrade()).collect()
    }
}

/// The way to a log's writer, which is started if there is none.
fn sink(
    writers: &mut Vec<Entry>,
    log: &NamedAccessLog,
    metrics: &Metrics,
) -> io::Result<Arc<Sink>> {
    let same = |entry: &&Entry| entry.name == log.name && entry.destination == log.destination;
    if let Some(sink) = writers.iter().find(same).and_then(|entry| entry.sink.upgrade()) {
        return Ok(sink);
    }
    let destination: Box<dyn Destination> = match &log.destination {
        LogDestination::Stdout => Box::new(Stdout::open()?),
        LogDestination::File(file) => Box::new(Rotated::open(file, &log.name)?),
        LogDestination::Syslog(config) => Box::new(Sender::new(&config.transport)),
    };
    let waiting = Arc::new(Waiting::new(metrics.of_access_log(&log.name)));
    let (sender, receiver) = channel();
    let name = log.name.clone();
    let writer = Writer { name, receiver, waiting: Arc::clone(&waiting), destination };
    thread::Builder::new().name("access-log".into()).spawn(move || writer.run())?;
    let sink = Arc::new(Sink::new(sender, waiting));
    let (name, destination) = (log.name.clone(), log.destination.clone());
    writers.push(Entry { name, destination, sink: Arc::downgrade(&sink) });
    Ok(sink)
}
