//! The log of the process.
//!
//! Owns its format, its filter (`GATEWAY_LOG`, such as `info`, `debug` or `warn,plugin=debug`: the
//! syntax of `tracing_subscriber`'s `EnvFilter`; default `info`), and the way of its lines to
//! standard error. A thread of its own writes them, so that who reads them slowly, or not at all,
//! holds no worker up; what it cannot take in time is dropped, and counted in the log.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::LogFormat;

/// Lines that wait to be written, at most. Most have less than 500 bytes, and none that a plugin
/// writes has more than 8 KiB.
const MAX_WAITING: usize = 10_000;

/// How long none may have been dropped before it is told how many were.
const QUIET: Duration = Duration::from_secs(1);

/// Starts the log, on standard error. What is logged is written for as long as the value lives, and
/// what waits when it is dropped is written if somebody reads it within a second.
pub(super) fn start(format: LogFormat) -> WorkerGuard {
    let filter = EnvFilter::try_from_env("GATEWAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // Lines that come together are written together.
    let (lines, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MAX_WAITING)
        .thread_name("log")
        .finish(BufWriter::new(io::stderr()));
    let lines = Lines { dropped: lines.error_counter(), lines, loss: Arc::default() };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    guard
}

/// Takes lines, or drops them.
#[derive(Clone)]
struct Lines {
    lines: NonBlocking,
    dropped: ErrorCounter,
    loss: Arc<Loss>,
}

/// What is known of dropped lines.
#[derive(Default)]
struct Loss {
    /// Somebody waits for its end, to tell it.
    is_watched: AtomicBool,
    /// How many of them were told.
    told: AtomicUsize,
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let before = self.dropped.dropped_lines();
        let written = self.lines.write(line)?;
        let is_watched = &self.loss.is_watched;
        if self.dropped.dropped_lines() > before && !is_watched.swap(true, Ordering::Relaxed) {
            let lines = self.clone();
            // Without a thread the loss is told with the next one.
            if thread::Builder::new().spawn(move || lines.tell()).is_err() {
                is_watched.store(false, Ordering::Relaxed);
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }
}

impl Lines {
    /// Tells how many lines were dropped since that was last told, when it is over.
    fn tell(&self) {
        let mut last = self.dropped.dropped_lines();
        loop {
            thread::sleep(QUIET);
            let now = self.dropped.dropped_lines();
            if now == last {
                break;
            }
            last = now;
        }
        self.loss.is_watched.store(false, Ordering::Relaxed);
        // What was dropped since the last look is told with the next loss.
        let dropped = last - self.loss.told.swap(last, Ordering::Relaxed);
        tracing::warn!(dropped, "lines of the log were dropped: they are not read fast enough");
    }
}
