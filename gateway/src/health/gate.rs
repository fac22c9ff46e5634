//! Whether a target takes requests, in one number.
//!
//! Owns the number and what it means, so that a request pays for one load. Why it is what it is belongs
//! to [`TargetHealth`](super::TargetHealth), which alone sets it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::{nanoseconds, now};

/// Open at 0; closed for good at the largest; else until so many nanoseconds since the process began.
#[derive(Debug, Default)]
pub(super) struct Gate(AtomicU64);

/// How long a check, or a request that can be sent again, has for it.
const OVERDUE: Duration = Duration::from_secs(1);

const OPEN: u64 = 0;
const SHUT: u64 = u64::MAX;

impl Gate {
    /// Whether the next request may be the target's: it takes requests, or it is time to see whether it is
    /// back.
    #[inline]
    pub(super) fn may_take(&self) -> bool {
        self.is_open() || self.is_due()
    }

    #[cold]
    fn is_due(&self) -> bool {
        now() >= self.0.load(Relaxed)
    }

    /// Whether it was time a while ago, and nobody has seen whether it is back.
    #[cold]
    pub(super) fn is_overdue(&self) -> bool {
        let until = self.0.load(Relaxed);
        now().checked_sub(nanoseconds(OVERDUE)).is_some_and(|then| then >= until)
    }

    /// Whether a target that [may](Self::may_take) have the request takes it. One that is to be seen takes a
    /// single one, and then none for as long as `lease`, since that one may never end.
    #[inline]
    pub(super) fn takes(&self, lease: Duration) -> bool {
        self.is_open() || self.takes_probe(lease)
    }

    #[cold]
    fn takes_probe(&self, lease: Duration) -> bool {
        let (until, now) = (self.0.load(Relaxed), now());
        let next = now.saturating_add(nanoseconds(lease)).min(SHUT - 1);
        let is_due = until != OPEN && now >= until;
        is_due && self.0.compare_exchange(until, next, Relaxed, Relaxed).is_ok()
    }

    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.0.load(Relaxed) == OPEN
    }

    /// For a while, and not for good.
    pub(super) fn is_ejected(&self) -> bool {
        !matches!(self.0.load(Relaxed), OPEN | SHUT)
    }

    pub(super) fn open(&self) {
        self.0.store(OPEN, Relaxed);
    }

    pub(super) fn shut(&self) {
        self.0.store(SHUT, Relaxed);
    }

    pub(super) fn close_for(&self, time: Duration) {
        self.0.store(now().saturating_add(nanoseconds(time)).min(SHUT - 1), Relaxed);
    }
}
