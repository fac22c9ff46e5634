//! What is counted about access logs.
//!
//! Owns the numbers of each named log, and that the log of the process hears of lost lines. Must not
//! know where lines go.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Kind;
use super::text::{head, line};

/// How often dropped lines are told, at most.
const MINUTE: Duration = Duration::from_secs(60);

/// The numbers of one log.
#[derive(Debug)]
pub(crate) struct AccessLogCounts {
    name: Box<str>,
    written: AtomicU64,
    dropped: AtomicU64,
    /// Of those, how many the log of the process has told.
    told: AtomicU64,
    last_told: Mutex<Option<Instant>>,
}

impl AccessLogCounts {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            told: AtomicU64::new(0),
            last_told: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// As many lines were written.
    pub(crate) fn written(&self, lines: usize) {
        self.written.fetch_add(lines as u64, Relaxed);
    }

    /// As many lines were dropped.
    pub(crate) fn dropped(&self, lines: usize) {
        if lines > 0 {
            self.dropped.fetch_add(lines as u64, Relaxed);
            self.tell_if_due(MINUTE);
        }
    }

    /// How many lines were dropped.
    #[cfg(test)]
    pub(crate) fn all_dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Whether lines were dropped that the log of the process has not told.
    pub(crate) fn has_untold(&self) -> bool {
        self.dropped.load(Relaxed) != self.told.load(Relaxed)
    }

    /// Tells how many lines were dropped since that was last told, if that is so long ago.
    pub(crate) fn tell_if_due(&self, after: Duration) {
        if !self.has_untold() {
            return;
        }
        // A worker that finds it taken leaves it to who has it.
        let Ok(mut last) = self.last_told.try_lock() else { return };
        if last.is_some_and(|last| last.elapsed() < after) {
            return;
        }
        *last = Some(Instant::now());
        let all = self.dropped.load(Relaxed);
        let dropped = all - self.told.swap(all, Relaxed);
        tracing::warn!(log = &*self.name, dropped, "lines of the access log were dropped");
    }
}

/// The numbers of all logs.
#[derive(Debug, Default)]
pub(super) struct AccessLogs(Mutex<Vec<Arc<AccessLogCounts>>>);

impl AccessLogs {
    /// Those of the log of this name.
    pub(super) fn of(&self, name: &str) -> Arc<AccessLogCounts> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|known| known.name() == name) {
            return Arc::clone(known);
        }
        let new = Arc::new(AccessLogCounts::new(name));
        all.push(Arc::clone(&new));
        new
    }

    /// Forgets the logs that are not configured any more.
    pub(super) fn keep(&self, names: &[&str]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| names.contains(&known.name()));
    }

    pub(super) fn write(&self, page: &mut String) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return;
        }
        let name = "gateway_access_log_lines_total";
        head(page, name, Kind::Counter, "Lines of an access log that were written.");
        for log in &*all {
            line(page, name, &[("log", &*log.name)], log.written.load(Relaxed));
        }
        let name = "gateway_access_log_dropped_total";
        let help =
            "Lines of an access log that were dropped, since they could not be written in time.";
        head(page, name, Kind::Counter, help);
        for log in &*all {
            line(page, name, &[("log", &*log.name)], log.dropped.load(Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_told_at_once_and_then_once_a_minute() {
        let counts = AccessLogCounts::new("l");
        assert!(!counts.has_untold());
        counts.dropped(2);
        assert!(!counts.has_untold());
        counts.dropped(3);
        assert!(counts.has_untold(), "the minute is not over");
        counts.tell_if_due(MINUTE);
        assert!(counts.has_untold());
        counts.tell_if_due(Duration::ZERO);
        assert!(!counts.has_untold());
        assert_eq!(counts.all_dropped(), 5);
    }

    #[test]
    fn a_log_has_its_numbers_for_as_long_as_it_is_configured() {
        let logs = AccessLogs::default();
        let mut page = String::new();
        logs.write(&mut page);
        assert_eq!(page, "");
        logs.of("a").written(3);
        logs.of("b").dropped(1);
        logs.of("a").written(1);
        logs.write(&mut page);
        assert!(page.contains("gateway_access_log_lines_total{log=\"a\"} 4\n"), "{page}");
        assert!(page.contains("gateway_access_log_dropped_total{log=\"b\"} 1\n"), "{page}");
        logs.keep(&["b"]);
        page.clear();
        logs.write(&mut page);
        assert!(!page.contains("\"a\"") && page.contains("\"b\""), "{page}");
    }
}
