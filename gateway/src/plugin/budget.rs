//! How long a hook has computed.
//!
//! The epoch follows the clock on the wall, which goes on while a worker waits for a processor: on
//! a busy machine that alone would use a deadline up. Owns telling the two apart by the thread's
//! own time. A hook that ends within a quarter of its deadline pays nothing for it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::UpdateDeadline;

use super::engine::{self, TICK};

/// The time that one hook may compute for.
#[derive(Debug, Default)]
pub(super) struct Budget {
    allowed: Duration,
    /// The thread's time when it was first looked at.
    since: Option<Duration>,
}

impl Budget {
    /// A hook begins that may compute for as many ticks. Returns after how many of them to look.
    pub(super) fn begin(&mut self, ticks: u64) -> u64 {
        self.allowed = TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX));
        self.since = None;
        ticks.div_ceil(4)
    }

    /// The epoch has come as far as was asked for. The hook is interrupted if the thread has
    /// computed for the whole time since the first look, and otherwise goes on for what is left.
    pub(super) fn look(&mut self) -> UpdateDeadline {
        self.look_at(thread_time())
    }

    fn look_at(&mut self, now: Duration) -> UpdateDeadline {
        let since = *self.since.get_or_insert(now);
        let left = self.allowed.saturating_sub(now.saturating_sub(since));
        if left.is_zero() {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::Continue(engine::ticks(left))
        }
    }
}

/// For how long this thread has had a processor.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn ticks_left(deadline: UpdateDeadline) -> Option<u64> {
        match deadline {
            UpdateDeadline::Continue(ticks) => Some(ticks),
            _ => None,
        }
    }

    #[test]
    fn a_thread_that_computes_is_interrupted_after_its_time() {
        let mut budget = Budget::default();
        assert_eq!(budget.begin(20), 5);
        assert_eq!(ticks_left(budget.look_at(100 * MS)), Some(21));
        assert_eq!(ticks_left(budget.look_at(120 * MS)), None);
    }

    #[test]
    fn a_thread_that_waits_for_a_processor_goes_on() {
        let mut budget = Budget::default();
        budget.begin(20);
        budget.look_at(100 * MS);
        for _ in 0..10 {
            assert_eq!(ticks_left(budget.look_at(101 * MS)), Some(20));
        }
        assert_eq!(ticks_left(budget.look_at(119 * MS)), Some(2));
        assert_eq!(ticks_left(budget.look_at(120 * MS)), None);
    }

    #[test]
    fn each_hook_has_its_own_time() {
        let mut budget = Budget::default();
        budget.begin(20);
        budget.look_at(100 * MS);
        budget.begin(20);
        assert_eq!(ticks_left(budget.look_at(500 * MS)), Some(21));
    }

    #[test]
    fn the_time_of_a_thread_goes_on_while_it_computes() {
        let before = thread_time();
        while thread_time() < before + MS {}
        std::thread::sleep(20 * MS);
        assert!(thread_time() < before + 15 * MS, "sleeping is not computing");
    }
}
