//! The one thread that writes to the store.
//!
//! Owns the rows that wait, and what happens while the store cannot be had: rows are added up, bounded,
//! and written when it is there again. One line of the log says that it went, one that it came back. A
//! batch whose end is not known is written again as the same batch, so that nothing counts twice.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::rows::Rows;
use super::store::{Batch, Store, StoreError};
use super::table::{Added, Bound, Table};
use super::{MAX_OTHERS, MAX_ROWS, Usage, minute};
use crate::config;

/// What the writer is sent.
#[derive(Debug)]
pub(super) enum Message {
    /// What a worker recorded.
    Rows(Table),
    /// Where to write from now on.
    Settings(Option<Arc<config::Usage>>),
    /// Write what is there, and end.
    Stop,
}

/// How long to wait for what other workers hand over at the same time.
const TOGETHER: Duration = Duration::from_millis(20);
/// How long to wait before the store is tried again: at first, and at most.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(15);
/// How often what is too old is removed.
const SWEEP: Duration = Duration::from_secs(600);
/// How long others may have the store between two days that are added to the sums.
const BETWEEN_DAYS: Duration = Duration::from_millis(100);
/// How long a store that cannot be had is tried at the end.
const LAST_CHANCE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Writer {
    usage: Arc<Usage>,
    receiver: Receiver<Message>,
    settings: Option<Arc<config::Usage>>,
    store: Option<Store>,
    /// Whether the store took the last rows; `None` before the first.
    is_up: Option<bool>,
    waiting: Table,
    /// Begun, and perhaps written.
    batch: Option<Batch>,
    /// Its name among all that write to a store.
    name: Arc<str>,
    batches: i64,
    retry: Option<(Instant, Duration)>,
    swept: Option<Instant>,
    /// Days may wait to be added to the sums.
    has_days_to_sum: bool,
}

impl Writer {
    pub(super) fn new(usage: Arc<Usage>, receiver: Receiver<Message>) -> Self {
        Self {
            usage,
            receiver,
            settings: None,
            store: None,
            is_up: None,
            waiting: Table::default(),
            batch: None,
            name: unique_name(),
            batches: 0,
            retry: None,
            swept: None,
            has_days_to_sum: false,
        }
    }

    /// Writes until it is asked to stop.
    pub(super) fn run(mut self) {
        while self.receive() {
            if self.retry.is_none_or(|(at, _)| Instant::now() >= at) {
                self.write();
                self.sweep();
                self.add_to_sums();
            }
            self.count_waiting();
        }
        self.finish();
    }

    /// Takes what comes until there is something to do. `false` at the end.
    fn receive(&mut self) -> bool {
        let sweep =
            || self.settings.as_ref().map(|_| self.swept.unwrap_or_else(Instant::now) + SWEEP);
        let sum = || self.has_days_to_sum.then(|| Instant::now() + BETWEEN_DAYS);
        let until = self.retry.map(|(at, _)| at).or_else(sum).or_else(sweep);
        let first = match until {
            Some(at) => self.receiver.recv_timeout(at.saturating_duration_since(Instant::now())),
            None => self.receiver.recv().map_err(RecvTimeoutError::from),
        };
        let mut next = match first {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        while let Some(message) = next {
            match message {
                Message::Rows(table) => self.wait(table),
                Message::Settings(settings) => self.take_settings(settings),
                Message::Stop => return false,
            }
            next = self.receiver.recv_timeout(TOGETHER).ok();
        }
        true
    }

    /// Adds what a worker recorded to what waits.
    fn wait(&mut self, table: Table) {
        self.usage.queued.fetch_sub(table.len(), Relaxed);
        if self.waiting.is_empty() {
            // Nearly always: nothing waits, and there is one worker's table.
            self.waiting = table;
            return;
        }
        let begun = self.batch.as_ref().map_or(0, |batch| batch.rows.minutes.len());
        let bound = Bound { rows: MAX_ROWS.saturating_sub(begun), others: MAX_OTHERS };
        let (mut other, mut dropped) = (0, 0);
        for (place, consumer, sums) in table.rows() {
            match self.waiting.add(place, consumer, sums.clone(), bound) {
                Added::Own => {}
                Added::Other => other += 1,
                Added::Dropped => dropped += 1,
            }
        }
        self.usage.counts.other(other);
        self.usage.counts.dropped(dropped);
    }

    /// Another store begins where the one before ends: what waits is written there first.
    fn take_settings(&mut self, settings: Option<Arc<config::Usage>>) {
        let store = |settings: &Option<Arc<config::Usage>>| {
            settings.as_ref().map(|settings| settings.store.clone())
        };
        if store(&self.settings) != store(&settings) {
            self.write();
            if self.settings.is_some() && (self.batch.is_some() || !self.waiting.is_empty()) {
                tracing::warn!("usage that waits for the former store goes to the new one");
            }
            // It may be in the former store already, and the new one does not know.
            if let Some(batch) = self.batch.take() {
                self.batch = Some(self.begin(batch.rows));
            }
            (self.store, self.is_up, self.retry, self.swept) = (None, None, None, None);
            self.has_days_to_sum = false;
        }
        self.settings = settings;
    }

    fn begin(&mut self, rows: Rows) -> Batch {
        self.batches += 1;
        Batch { rows, writer: Arc::clone(&self.name), number: self.batches }
    }

    /// Writes all that waits, or finds out that it cannot.
    fn write(&mut self) {
        let Some(settings) = self.settings.clone() else { return };
        loop {
            if self.batch.is_none() {
                if self.waiting.is_empty() {
                    return;
                }
                let names = self.usage.directory.all();
                let counters = self.usage.counters.all();
                let rows = Rows::new(&std::mem::take(&mut self.waiting), &names, &counters);
                self.batch = Some(self.begin(rows));
            }
            match self.try_to_write(&settings) {
                Ok(rows) => self.written(rows),
                Err(error) => return self.failed(&error),
            }
        }
    }

    fn try_to_write(&mut self, settings: &config::Usage) -> Result<usize, StoreError> {
        let Some(batch) = &self.batch else { return Ok(0) };
        let had_store = self.store.is_some();
        let mut store = match self.store.take() {
            Some(store) => store,
            None => Store::open(settings)?,
        };
        let mut written = store.write(batch);
        if let (Err(error), true) = (&written, had_store) {
            // A connection at rest may have been closed, and a file moved away.
            if let StoreError::Removed(_) = error {
                tracing::warn!("{error} with the usage in it: a new file is begun in its place");
            }
            store = Store::open(settings)?;
            written = store.write(batch);
        }
        written?;
        self.store = Some(store);
        Ok(batch.rows.minutes.len())
    }

    fn written(&mut self, rows: usize) {
        self.batch = None;
        self.retry = None;
        self.usage.counts.written(rows);
        self.usage.counts.is_up(true);
        if self.is_up.replace(true) == Some(false) {
            tracing::info!("the store of usage is available again: waiting rows are written");
        }
    }

    fn failed(&mut self, error: &StoreError) {
        self.usage.counts.is_up(false);
        if self.is_up.replace(false) != Some(false) {
            tracing::error!(
                "the store of usage takes nothing: {error}. Up to {MAX_ROWS} rows wait, added up; this \
                 is logged once until it is there again"
            );
        }
        let pause = self.retry.map_or(FIRST_RETRY, |(_, pause)| (pause * 2).min(LAST_RETRY));
        self.retry = Some((Instant::now() + jittered(pause), pause));
    }

    /// Removes what is too old, or too much.
    fn sweep(&mut self) {
        let is_due = self.swept.is_none_or(|at| at.elapsed() >= SWEEP);
        let (Some(settings), Some(store)) = (&self.settings, &mut self.store) else { return };
        if !is_due {
            return;
        }
        self.swept = Some(Instant::now());
        self.has_days_to_sum = true;
        if let Err(error) = store.sweep(settings, minute().into()) {
            tracing::warn!("old usage cannot be removed: {error}");
        }
    }

    /// Adds one day that has ended to the sums; what was recorded meanwhile is written before the next.
    fn add_to_sums(&mut self) {
        let Some(store) = self.store.as_mut().filter(|_| self.has_days_to_sum) else { return };
        self.has_days_to_sum = match store.add_to_sums(minute().into()) {
            Ok(may_be_another) => may_be_another,
            Err(error) => {
                tracing::warn!(
                    "usage cannot be summed up by month, and questions take longer: {error}"
                );
                false
            }
        };
    }

    fn count_waiting(&self) {
        let begun = self.batch.as_ref().map_or(0, |batch| batch.rows.minutes.len());
        self.usage.counts.waiting(begun + self.waiting.len());
    }

    /// Writes what is there, with a few tries.
    fn finish(mut self) {
        while let Ok(message) = self.receiver.try_recv() {
            if let Message::Rows(table) = message {
                self.wait(table);
            }
        }
        let until = Instant::now() + LAST_CHANCE;
        loop {
            self.write();
            let lost = self.batch.as_ref().map_or(0, |batch| batch.rows.minutes.len());
            let lost = lost + self.waiting.len();
            if lost == 0 || self.settings.is_none() {
                return;
            }
            if Instant::now() >= until {
                self.usage.counts.dropped(lost);
                tracing::error!("{lost} rows of usage are lost: the store takes nothing");
                return;
            }
            std::thread::sleep(FIRST_RETRY);
        }
    }
}

fn unique_name() -> Arc<str> {
    let mut bytes = [0; 16];
    // Without randomness, at least no process before this one has the name.
    let _random = getrandom::fill(&mut bytes);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    bytes.iter().fold(format!("{time:x}-"), |name, byte| format!("{name}{byte:02x}")).into()
}

/// Between half and one and a half of it, so that a fleet does not come back at the same moment.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0; 1];
    let part = getrandom::fill(&mut byte).map_or(128, |()| u32::from(byte[0]));
    pause / 2 + pause * part / 256
}
