//! The thread that writes the lines of one log.
//!
//! Owns what happens when its destination is not available: lines of a file or of standard output are
//! dropped, those for a server wait within the bound, and the writer retries. The log of the process
//! has one line when the destination is lost, and one when it is back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::sink::{Batch, Message, Waiting};

/// What lines are written to.
pub(super) trait Destination: Send {
    /// Writes lines, first to last, and says of each in the batch that it is written.
    fn write(&mut self, lines: &mut Batch) -> Result<(), Broken>;

    /// What it writes to may have been moved.
    fn reopen(&mut self) {}

    /// How long it must go well until it is said to be back.
    fn settles_in(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// Lines could not be written.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) error: io::Error,
    pub(super) then: Then,
}

/// What becomes of the lines that could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// All that were taken are dropped.
    Drop,
    /// The first is dropped.
    Skip,
    /// They wait.
    Wait,
}

/// Lines that are taken at a time.
const AT_ONCE: usize = 4_096;
/// How long lines gather before they are written: a worker wakes the writer no more often than that.
const GATHER: Duration = Duration::from_millis(5);
/// How long to wait before a server is tried again: at first, and at most.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(10);
/// How often a wait looks whether the gateway ends.
const LOOK: Duration = Duration::from_millis(50);
/// How long a server that cannot be had is tried at the end.
const LAST_CHANCE: Duration = Duration::from_secs(1);
/// How often drops are reported.
const MINUTE: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Writer {
    pub(super) name: String,
    pub(super) receiver: Receiver<Message>,
    pub(super) waiting: Arc<Waiting>,
    pub(super) destination: Box<dyn Destination>,
}

/// How the destination is.
struct Health {
    last_error: Option<Instant>,
    retry: Duration,
    /// When the end was noticed.
    stopping: Option<Instant>,
}

impl Writer {
    /// Writes until it is stopped, or nobody can send lines any more.
    pub(super) fn run(mut self) {
        let mut batch = Batch::new(Arc::clone(&self.waiting));
        let mut health = Health { last_error: None, retry: FIRST_RETRY, stopping: None };
        let done = loop {
            let stop = match self.receive() {
                Ok(message) => self.take(message, &mut batch),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break None,
            };
            self.flush(&mut batch, &mut health);
            self.waiting.counts.tell_if_due(MINUTE);
            if stop.is_some() {
                break stop;
            }
            if !self.waiting.is_stopping.load(Relaxed) {
                std::thread::sleep(GATHER);
            }
        };
        self.waiting.counts.tell_if_due(Duration::ZERO);
        if let Some(done) = done {
            let _nobody_waits = done.send(());
        }
    }

    /// Waits for something to do: no longer than a minute if drops must be reported.
    fn receive(&self) -> Result<Message, RecvTimeoutError> {
        if self.waiting.counts.has_untold() {
            return self.receiver.recv_timeout(MINUTE);
        }
        self.receiver.recv().map_err(RecvTimeoutError::from)
    }

    /// Takes what has come. Returns who is to be answered at the end, if this is it.
    fn take(&mut self, first: Message, batch: &mut Batch) -> Option<Sender<()>> {
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(line) => batch.push(line),
                Message::Reopen => self.destination.reopen(),
                Message::Stop(done) => return Some(done),
            }
            next = if batch.len() < AT_ONCE { self.receiver.try_recv().ok() } else { None };
        }
        None
    }

    fn flush(&mut self, batch: &mut Batch, health: &mut Health) {
        while !batch.is_empty() {
            let Err(Broken { error, then }) = self.destination.write(batch) else {
                self.is_well(health);
                continue;
            };
            self.is_ill(&error, then, health);
            match then {
                Then::Drop => batch.dropped(batch.len()),
                Then::Skip => batch.dropped(1),
                Then::Wait if self.pause(health) => {}
                Then::Wait => batch.dropped(batch.len()),
            }
        }
    }

    fn is_well(&self, health: &mut Health) {
        let settles_in = self.destination.settles_in();
        if health.last_error.is_some_and(|at| at.elapsed() >= settles_in) {
            (health.last_error, health.retry) = (None, FIRST_RETRY);
            tracing::info!(log = self.name, "the access log is written again");
        }
    }

    fn is_ill(&self, error: &io::Error, then: Then, health: &mut Health) {
        if health.last_error.replace(Instant::now()).is_some() {
            return;
        }
        let log = &*self.name;
        match then {
            Then::Drop | Then::Skip => {
                tracing::warn!(log, %error, "the access log cannot be written: its lines are dropped");
            }
            Then::Wait => {
                tracing::warn!(log, %error, "the access log cannot be written: its lines wait");
            }
        }
    }

    /// Waits before the next try. `false` if there is none, since the gateway ends.
    fn pause(&self, health: &mut Health) -> bool {
        let until = Instant::now() + health.retry;
        health.retry = (health.retry * 2).min(LAST_RETRY);
        loop {
            if self.waiting.is_stopping.load(Relaxed) {
                let since = *health.stopping.get_or_insert_with(Instant::now);
                if since.elapsed() >= LAST_CHANCE {
                    return false;
                }
                // One that comes back at the end is found at once.
                std::thread::sleep(LOOK);
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
}
