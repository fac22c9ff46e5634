//! Whether the calls of a plugin are in slices.
//!
//! Owns what a slow call changes for those that follow. Must not know who has the next turn.

use std::time::Duration;

use super::Pool;
use crate::share::{Flow, thread_time};

/// What others of its tick can hardly have taken of a call that was not measured.
const CERTAIN: Duration = Duration::from_millis(4);

/// For how many times as long as a slow call took calls are in slices.
const SLOW_FOR: u64 = 500;

impl Pool {
    /// Whether calls are in slices now.
    pub(super) fn is_slow(&self, flow: &Flow) -> bool {
        let until = self.slow_until.get();
        if until != 0 && flow.now() >= until {
            self.slow_until.set(0);
            self.is_managed.set(self.plugin.waits);
        }
        self.slow_until.get() != 0
    }

    /// A call took as long. If it was not quick, those that follow are in slices: for so long that calls which are
    /// not, since nobody knows them to be slow, have the worker for no more than a small part of the time. Where it
    /// was not measured, and others of its tick may have taken most of that, those that follow are measured first.
    #[cold]
    pub(super) fn took(&self, flow: &Flow, time: Duration, is_measured: bool) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        if milliseconds == 0 {
            return;
        }
        let until = flow.now().saturating_add(milliseconds.saturating_mul(SLOW_FOR));
        if is_measured || time >= CERTAIN {
            self.slow_until.set(self.slow_until.get().max(until));
            self.is_managed.set(true);
        } else {
            self.watched_until.set(self.watched_until.get().max(until));
        }
    }

    /// The thread's time before a call, where it is measured.
    #[inline]
    pub(super) fn watch(&self, flow: &Flow) -> Option<Duration> {
        match self.watched_until.get() {
            0 => None,
            until if flow.now() >= until => {
                self.watched_until.set(0);
                None
            }
            _ => Some(thread_time()),
        }
    }
}
