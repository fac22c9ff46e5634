//! What calls computed on workers, and how long they waited for that.
//!
//! Owns the numbers of one plugin, or of one component that answers, over all workers.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct TurnMetrics {
    /// Nanoseconds.
    computed: AtomicU64,
    /// Nanoseconds, added up over all calls.
    waited: AtomicU64,
    /// Calls that wait for their turn.
    waiting: AtomicI64,
}

impl TurnMetrics {
    /// Calls computed for as long.
    pub(crate) fn computed(&self, time: Duration) {
        self.computed.fetch_add(nanos(time), Relaxed);
    }

    /// As many more calls wait for their turn.
    pub(crate) fn waits(&self, calls: i64) {
        self.waiting.fetch_add(calls, Relaxed);
    }

    /// A call waited for its turn for as long.
    pub(crate) fn waited(&self, time: Duration) {
        self.waited.fetch_add(nanos(time), Relaxed);
    }

    pub(super) fn computing_seconds(&self) -> f64 {
        Duration::from_nanos(self.computed.load(Relaxed)).as_secs_f64()
    }

    pub(super) fn waiting_seconds(&self) -> f64 {
        Duration::from_nanos(self.waited.load(Relaxed)).as_secs_f64()
    }

    pub(super) fn waiting(&self) -> i64 {
        self.waiting.load(Relaxed)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
