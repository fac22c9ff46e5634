//! How long a call has computed, slice by slice.
//!
//! Owns the sum of the thread's own time over all slices of a call: time in which it waits, or in
//! which the worker serves others, is not its. Must not know what runs in a slice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::clock::TICK;
use super::nanos;

/// The slices of a call, as the one who runs them and the one who ends them see them. Both are on
/// one thread.
#[derive(Debug, Default)]
pub(crate) struct Slices {
    /// Nanoseconds of those that have ended.
    spent: AtomicU64,
    /// The thread's time when the one that runs began, in nanoseconds.
    began: AtomicU64,
    /// Whether the last one ended since others are to have a turn, and not to wait for something.
    is_cut: AtomicBool,
}

/// What becomes of a slice when a tick has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It continues for another tick.
    GoesOn,
    /// The call is put aside, and continues when it has its next turn.
    IsPutAside,
    /// The call has computed for as long as it may.
    IsOver,
}

impl Slices {
    /// None has begun yet.
    pub(crate) fn forget(&self) {
        self.spent.store(0, Ordering::Relaxed);
    }

    /// A slice begins.
    pub(crate) fn begin(&self, now: Duration) {
        self.began.store(nanos(now), Ordering::Relaxed);
        self.is_cut.store(false, Ordering::Relaxed);
    }

    /// The slice has ended. Returns whether it could have gone on at once.
    pub(crate) fn end(&self, now: Duration) -> bool {
        self.spent.fetch_add(self.running(now), Ordering::Relaxed);
        self.is_cut.load(Ordering::Relaxed)
    }

    /// For how long those that have ended have computed.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    fn running(&self, now: Duration) -> u64 {
        nanos(now).saturating_sub(self.began.load(Ordering::Relaxed))
    }

    /// A tick has passed. A slice that began in the middle of a tick continues for the next one: it
    /// is between half a tick and one and a half.
    pub(crate) fn look(&self, allowed: Duration, now: Duration) -> Next {
        let running = self.running(now);
        if self.spent.load(Ordering::Relaxed).saturating_add(running) >= nanos(allowed) {
            Next::IsOver
        } else if running < nanos(TICK / 2) {
            Next::GoesOn
        } else {
            self.is_cut.store(true, Ordering::Relaxed);
            Next::IsPutAside
        }
    }
}

/// For how long this thread has had a processor. Asked of libc: valgrind, which counts instructions
/// for `benches/instructions`, takes away what rustix reads clocks from.
pub(crate) fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(unsafe_code, reason = "a call of libc")]
    // SAFETY: `time` is valid to be written to. The clock exists, and the call cannot fail.
    unsafe {
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
    }
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_thread_goes_on_while_it_computes() {
        let before = thread_time();
        while thread_time() < before + TICK {}
        std::thread::sleep(20 * TICK);
        assert!(thread_time() < before + 15 * TICK, "sleeping is not computing");
    }
}
