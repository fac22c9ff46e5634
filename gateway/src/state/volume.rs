//! How much may be logged about a plugin.
//!
//! Owns the lines and bytes a second, of what a plugin writes and, apart from that, of what the gateway
//! says of its failures, so that neither hides the other; that what was dropped is counted and told;
//! and that the trace of a failure is written once. Must not know what a line says.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::telemetry::log_line::{cut, printable};
use crate::telemetry::metrics::PluginMetrics;

/// In which lines are counted.
const WINDOW: Duration = Duration::from_secs(1);
/// How often it is told how many lines were dropped, after the first time.
const AGAIN: Duration = Duration::from_secs(10);
/// Traces that are known again.
const MAX_TRACES: usize = 256;
/// Lines of one record.
const MAX_RECORD: usize = 300;

/// See the module.
#[derive(Debug)]
pub(crate) struct Volume {
    metrics: Arc<PluginMetrics>,
    lines: AtomicU64,
    bytes: AtomicUsize,
    /// What the plugin writes.
    said: Meter,
    /// What the gateway says of it.
    records: Meter,
    /// How often each trace was met.
    traces: Mutex<HashMap<u64, u64, RandomState>>,
    hasher: RandomState,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// The plugin.
    Plugin,
    /// The gateway, of the plugin.
    Gateway,
}

#[derive(Debug, Default)]
struct Meter {
    window: Mutex<Option<Window>>,
    /// Not told yet.
    dropped: AtomicU64,
    is_watched: AtomicBool,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    lines: u64,
    bytes: usize,
}

impl Meter {
    fn admits(&self, most: (u64, usize), bytes: usize, now: Instant) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |it: &Window| now.saturating_duration_since(it.began) >= WINDOW;
        if window.as_ref().is_none_or(is_over) {
            *window = Some(Window { began: now, lines: 0, bytes: 0 });
        }
        let Some(window) = &mut *window else { return false };
        let (lines, bytes) = (window.lines + 1, window.bytes.saturating_add(bytes));
        // One line is always let through: it may be the one that says why.
        let fits = lines <= most.0 && (bytes <= most.1 || lines == 1);
        if fits {
            (window.lines, window.bytes) = (lines, bytes);
        }
        fits
    }
}

impl Volume {
    /// At most so many lines and bytes a second.
    pub(crate) fn new(metrics: Arc<PluginMetrics>, lines: u64, bytes: usize) -> Self {
        Self {
            metrics,
            lines: AtomicU64::new(lines),
            bytes: AtomicUsize::new(bytes),
            said: Meter::default(),
            records: Meter::default(),
            traces: Mutex::default(),
            hasher: RandomState::default(),
        }
    }

    /// From now on. The plugin may be another one behind its name, so that its traces are new.
    pub(crate) fn bound(&self, lines: u64, bytes: usize) {
        self.lines.store(lines, Relaxed);
        self.bytes.store(bytes, Relaxed);
        self.traces().clear();
    }

    /// Whether a line of so many bytes may be written now. If not, it is counted.
    pub(crate) fn admits(self: &Arc<Self>, speaker: Speaker, bytes: usize) -> bool {
        let most = (self.lines.load(Relaxed), self.bytes.load(Relaxed));
        let fits = self.meter(speaker).admits(most, bytes, Instant::now());
        if !fits {
            self.dropped(speaker, 1);
        }
        fits
    }

    /// A failure of a hook in words, if it may be written now: its trace only the first time that it is
    /// met there.
    pub(crate) fn record(self: &Arc<Self>, hook: &str, failure: &str) -> Option<String> {
        let (message, trace) = failure.split_once('\n').unwrap_or((failure, ""));
        let mut text = printable(cut(message)).into_owned();
        if trace.is_empty() {
            return self.admits(Speaker::Gateway, text.len()).then_some(text);
        }
        let hash = self.hasher.hash_one((hook, trace));
        let times = self.times(hash);
        if times == 1 {
            for line in trace.lines().take(MAX_RECORD) {
                text.push('\n');
                text.push_str(&printable(cut(line)));
            }
        } else {
            text.push_str(" (its trace was written before: this is time ");
            text.push_str(&times.to_string());
            text.push(')');
        }
        if self.admits(Speaker::Gateway, text.len()) {
            return Some(text);
        }
        if times == 1 {
            // It is still to be written.
            self.traces().remove(&hash);
        }
        None
    }

    /// How often this trace was met, with this time.
    fn times(&self, hash: u64) -> u64 {
        let mut traces = self.traces();
        if traces.len() >= MAX_TRACES && !traces.contains_key(&hash) {
            // So many ways to fail: the oldest may be told again.
            traces.clear();
        }
        let times = traces.entry(hash).or_default();
        *times += 1;
        *times
    }

    fn traces(&self) -> MutexGuard<'_, HashMap<u64, u64, RandomState>> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meter(&self, speaker: Speaker) -> &Meter {
        match speaker {
            Speaker::Plugin => &self.said,
            Speaker::Gateway => &self.records,
        }
    }

    #[cold]
    fn dropped(self: &Arc<Self>, speaker: Speaker, lines: u64) {
        self.metrics.log_dropped(lines);
        let meter = self.meter(speaker);
        meter.dropped.fetch_add(lines, Relaxed);
        if meter.is_watched.swap(true, Relaxed) {
            return;
        }
        let this = Arc::clone(self);
        let spawned = thread::Builder::new().name("log-volume".to_owned());
        if spawned.spawn(move || this.watch(speaker)).is_err() {
            // Without a thread the loss is told with the next one.
            meter.is_watched.store(false, Relaxed);
        }
    }

    /// Tells how many lines were dropped, now and then, until none are.
    fn watch(&self, speaker: Speaker) {
        let meter = self.meter(speaker);
        let mut pause = WINDOW;
        loop {
            thread::sleep(pause);
            let dropped = meter.dropped.swap(0, Relaxed);
            if dropped == 0 {
                break;
            }
            self.tell(speaker, dropped);
            pause = AGAIN;
        }
        meter.is_watched.store(false, Relaxed);
    }

    fn tell(&self, speaker: Speaker, dropped: u64) {
        let (plugin, whose) = (
            self.metrics.name(),
            match speaker {
                Speaker::Plugin => "of the plugin",
                Speaker::Gateway => "about the plugin",
            },
        );
        tracing::warn!(
            plugin,
            dropped,
            "{dropped} lines {whose} were dropped: there were more than {} lines or {} bytes a second \
             (`limits.log_lines`, `limits.log_bytes`)",
            self.lines.load(Relaxed),
            self.bytes.load(Relaxed)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    fn volume(lines: u64, bytes: usize) -> Arc<Volume> {
        Arc::new(Volume::new(Metrics::default().of(&"p".into()), lines, bytes))
    }

    #[test]
    fn lines_and_bytes_are_bounded_and_begin_anew_after_a_second() {
        let (meter, began) = (Meter::default(), Instant::now());
        let later = began + WINDOW;
        assert_eq!((0..10).filter(|_| meter.admits((4, 1000), 10, began)).count(), 4);
        assert_eq!((0..10).filter(|_| meter.admits((100, 45), 10, later)).count(), 4);
        assert!(meter.admits((4, 1000), 5000, later + WINDOW), "one line is always written");
        assert!(!meter.admits((4, 1000), 1, later + WINDOW));
    }

    #[test]
    fn a_plugin_that_floods_hides_no_failure_of_its_own() {
        let volume = volume(3, 1000);
        let said = (0..10).filter(|_| volume.admits(Speaker::Plugin, 10)).count();
        assert_eq!((said, volume.record("h", "it trapped")), (3, Some("it trapped".to_owned())));
    }

    #[test]
    fn a_trace_is_written_once() {
        let volume = volume(100, 1 << 20);
        let first = volume.record("h", "it trapped: 1\n  at f\n  at g").expect("there is room");
        assert_eq!(first, "it trapped: 1\n  at f\n  at g");
        let again = volume.record("h", "it trapped: 2\n  at f\n  at g").expect("there is room");
        assert_eq!(again, "it trapped: 2 (its trace was written before: this is time 2)");
        let elsewhere = volume.record("on-response", "it trapped: 1\n  at f\n  at g");
        assert_eq!(elsewhere.as_ref(), Some(&first));
        let other = volume.record("h", "it trapped: 3\n  at h").expect("there is room");
        assert_eq!(other, "it trapped: 3\n  at h");
        volume.bound(100, 1 << 20);
        assert_eq!(volume.record("h", "it trapped: 1\n  at f\n  at g"), Some(first));
    }

    #[test]
    fn a_record_forges_no_lines() {
        let record =
            volume(100, 1 << 20).record("h", "a\rb\n  at \x1b[31m").expect("there is room");
        assert_eq!(record, "a\\rb\n  at \\u{1b}[31m");
    }
}
