//! The log of the process.
//!
//! Owns its format, its filter (`GATEWAY_LOG`, such as `info`, `debug` or `warn,plugin=debug`: the
//! syntax of `tracing_subscriber`'s `EnvFilter`; default `info`), which may change, and the way of its lines to
//! standard error. A separate thread writes them, so that a reader that is slow or does not read
//! delays no worker; lines that do not fit are dropped, and counted in the log.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::LogFormat;

/// Lines that wait to be written, at most, and bytes of them.
const MAX_WAITING: usize = 10_000;
const MAX_WAITING_BYTES: usize = 8 << 20;

/// How long none may have been dropped before their number is reported.
const QUIET: Duration = Duration::from_secs(1);

/// Starts the log, on standard error. What is logged is written for as long as the value lives, and
/// what waits when it is dropped is written if somebody reads it within a second.
pub(super) fn start(format: LogFormat) -> WorkerGuard {
    let asked = std::env::var("GATEWAY_LOG").ok();
    let asked = asked.and_then(|text| Some((filter(&text).ok()?, text)));
    let (filter, text) = asked.unwrap_or_else(|| (EnvFilter::new(USUAL), USUAL.to_owned()));
    let waiting = Arc::<Waiting>::default();
    // Lines that come together are written together.
    let (lines, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MAX_WAITING)
        .thread_name("log")
        .finish(Written { out: BufWriter::new(io::stderr()), waiting: Arc::clone(&waiting) });
    let lines = Lines { lines, waiting, loss: Arc::default() };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines);
    let take: Take = match format {
        LogFormat::Text => {
            let log = log.with_ansi(io::stderr().is_terminal()).with_filter_reloading();
            let handle = log.reload_handle();
            log.init();
            Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
        }
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_filter_reloading();
            let handle = log.reload_handle();
            log.init();
            Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
        }
    };
    let _started_once = FILTER.set(Filter { text: Mutex::new(text), take });
    guard
}

/// Where nothing is said.
const USUAL: &str = "info";

type Take = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

/// The filter of the log of this process.
static FILTER: OnceLock<Filter> = OnceLock::new();

struct Filter {
    text: Mutex<String>,
    take: Take,
}

/// The filter that is in force.
pub(super) fn current() -> String {
    let text =
        FILTER.get().map(|filter| filter.text.lock().unwrap_or_else(PoisonError::into_inner));
    text.map_or_else(String::new, |text| text.clone())
}

/// Takes another filter.
///
/// # Errors
/// What is wrong with it.
pub(super) fn change(text: &str) -> Result<(), String> {
    let filter = filter(text)?;
    let known = FILTER.get().ok_or("there is no log")?;
    let mut current = known.text.lock().unwrap_or_else(PoisonError::into_inner);
    (known.take)(filter)?;
    text.clone_into(&mut current);
    Ok(())
}

/// A filter that lets the audit log through, whatever else it says, unless it names that.
fn filter(text: &str) -> Result<EnvFilter, String> {
    let filter = EnvFilter::builder().parse(text).map_err(|error| error.to_string())?;
    match "audit=info".parse() {
        Ok(directive) if !text.contains("audit") => Ok(filter.add_directive(directive)),
        _ => Ok(filter),
    }
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Waiting {
    lines: AtomicUsize,
    bytes: AtomicUsize,
}

impl Waiting {
    /// Whether there is room for a line of so many bytes, which then waits.
    fn takes(&self, bytes: usize) -> bool {
        let lines = self.lines.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let takes = lines < MAX_WAITING && before.saturating_add(bytes) <= MAX_WAITING_BYTES;
        if !takes {
            self.is_gone(bytes);
        }
        takes
    }

    fn is_gone(&self, bytes: usize) {
        self.lines.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Counts off what is written.
struct Written<W> {
    out: W,
    waiting: Arc<Waiting>,
}

impl<W: Write> Write for Written<W> {
    /// All of a line, which is handed over in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = self.out.write_all(line);
        self.waiting.is_gone(line.len());
        written.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Takes lines, or drops them.
#[derive(Clone)]
struct Lines {
    lines: NonBlocking,
    waiting: Arc<Waiting>,
    loss: Arc<Loss>,
}

/// What is known of dropped lines.
#[derive(Default)]
struct Loss {
    /// A thread waits for its end, to report it.
    is_watched: AtomicBool,
    /// How many of them were reported.
    told: AtomicUsize,
    /// How many there are.
    dropped: AtomicUsize,
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.waiting.takes(line.len()) {
            self.lines.write_all(line)?;
            return Ok(line.len());
        }
        self.loss.dropped.fetch_add(1, Ordering::Relaxed);
        let is_watched = &self.loss.is_watched;
        if !is_watched.swap(true, Ordering::Relaxed) {
            let lines = self.clone();
            // Without a thread the loss is reported with the next one.
            if thread::Builder::new().spawn(move || lines.tell()).is_err() {
                is_watched.store(false, Ordering::Relaxed);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }
}

impl Lines {
    /// Reports how many lines were dropped since the last report, when it is over.
    fn tell(&self) {
        let mut last = self.loss.dropped.load(Ordering::Relaxed);
        loop {
            thread::sleep(QUIET);
            let now = self.loss.dropped.load(Ordering::Relaxed);
            if now == last {
                break;
            }
            last = now;
        }
        self.loss.is_watched.store(false, Ordering::Relaxed);
        // What was dropped since the last check is reported with the next loss.
        let dropped = last - self.loss.told.swap(last, Ordering::Relaxed);
        tracing::warn!(dropped, "lines of the log were dropped: they are not read fast enough");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_in_lines_and_in_bytes() {
        let waiting = Waiting::default();
        assert_eq!((0..2 * MAX_WAITING).filter(|_| waiting.takes(1)).count(), MAX_WAITING);
        let waiting = Waiting::default();
        let taken = (0..1000).filter(|_| waiting.takes(64 << 10)).count();
        assert_eq!(taken, MAX_WAITING_BYTES / (64 << 10));
        waiting.is_gone(64 << 10);
        assert!(waiting.takes(64 << 10) && !waiting.takes(1));
    }
}
