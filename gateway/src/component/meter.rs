//! How long the guest of one request has computed.
//!
//! Owns the sum of the worker's own time over all polls of the guest: time in which it waits, or in
//! which the worker serves others, is not its. A guest that computes for long lets others go first
//! once in a tick, so that it never holds its worker for longer than that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::UpdateDeadline;

use crate::plugin::{TICK, thread_time};

/// See the module. Shared by the one who polls and the engine's callback, on one thread.
#[derive(Debug)]
pub(super) struct Meter {
    allowed: u64,
    /// Nanoseconds of the polls that have ended.
    spent: AtomicU64,
    /// The thread's time when the poll that runs began.
    began: AtomicU64,
}

impl Meter {
    pub(super) fn new(allowed: Duration) -> Self {
        Self { allowed: nanos(allowed), spent: AtomicU64::new(0), began: AtomicU64::new(0) }
    }

    /// A poll of the guest begins.
    pub(super) fn begin(&self) {
        self.began.store(nanos(thread_time()), Ordering::Relaxed);
    }

    /// The poll has ended. Returns whether the time is over.
    pub(super) fn end(&self) -> bool {
        let spent = self.spent.load(Ordering::Relaxed).saturating_add(self.running());
        self.spent.store(spent, Ordering::Relaxed);
        spent >= self.allowed
    }

    /// A tick has passed while the guest runs, or while it waited.
    pub(super) fn look(&self) -> UpdateDeadline {
        let running = self.running();
        if self.spent.load(Ordering::Relaxed).saturating_add(running) >= self.allowed {
            UpdateDeadline::Interrupt
        } else if running < nanos(TICK) {
            UpdateDeadline::Continue(1)
        } else {
            UpdateDeadline::Yield(1)
        }
    }

    fn running(&self) -> u64 {
        nanos(thread_time()).saturating_sub(self.began.load(Ordering::Relaxed))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(time: Duration) {
        let end = thread_time() + time;
        while thread_time() < end {}
    }

    #[test]
    fn polls_add_up_and_the_time_between_them_does_not_count() {
        let meter = Meter::new(10 * TICK);
        meter.begin();
        compute(4 * TICK);
        assert!(!meter.end());
        // Others are served meanwhile.
        compute(20 * TICK);
        meter.begin();
        assert!(matches!(meter.look(), UpdateDeadline::Continue(1)));
        compute(2 * TICK);
        assert!(matches!(meter.look(), UpdateDeadline::Yield(1)));
        compute(5 * TICK);
        assert!(matches!(meter.look(), UpdateDeadline::Interrupt));
        assert!(meter.end());
    }
}
