//! How long a hook has computed.
//!
//! The epoch follows the clock on the wall, which goes on while a worker waits for a processor: on
//! a busy machine that alone would use a deadline up. Owns telling the two apart by the thread's
//! own time. A hook that ends within a quarter of its deadline pays nothing for it.

use std::time::Duration;

use wasmtime::UpdateDeadline;

use super::engine::{self, TICK};

/// Ticks between two looks, at most: as long as a hook runs, the clock must not rest.
const LOOK: u64 = engine::PATIENCE as u64 / 2;

/// The time that one hook may compute for.
#[derive(Debug, Default)]
pub(super) struct Budget {
    allowed: Duration,
    /// The thread's time when it was first looked at.
    since: Option<Duration>,
}

impl Budget {
    /// A hook begins that may compute for as many ticks, of which [`engine::ticks`] added one for
    /// the tick that has begun. Returns after how many of them to look.
    pub(super) fn begin(&mut self, ticks: u64) -> u64 {
        let whole = u32::try_from(ticks.saturating_sub(1)).unwrap_or(u32::MAX);
        self.allowed = TICK.saturating_mul(whole);
        self.since = None;
        ticks.div_ceil(4).min(LOOK)
    }

    /// The epoch has come as far as was asked for. The hook is interrupted if the thread has
    /// computed for the whole time since the first look, and otherwise goes on for what is left.
    ///
    /// So it computes for a quarter more than it may, and two ticks, at the very most.
    pub(super) fn look(&mut self) -> UpdateDeadline {
        self.look_at(thread_time())
    }

    /// The hook begins to wait for something. Waiting is not computing; what it computed before
    /// stays spent, or a plugin that waits again and again could compute without end.
    pub(super) fn pause(&mut self) {
        self.pause_at(thread_time());
    }

    /// The hook goes on. Returns after how many ticks to look.
    pub(super) fn resume(&mut self) -> u64 {
        self.resume_at(thread_time())
    }

    fn pause_at(&mut self, now: Duration) {
        if let Some(since) = self.since.take() {
            self.allowed = self.allowed.saturating_sub(now.saturating_sub(since));
        }
    }

    fn resume_at(&mut self, now: Duration) -> u64 {
        self.since = Some(now);
        engine::ticks(self.allowed).min(LOOK)
    }

    fn look_at(&mut self, now: Duration) -> UpdateDeadline {
        let since = *self.since.get_or_insert(now);
        let left = self.allowed.saturating_sub(now.saturating_sub(since));
        if left.is_zero() {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::Continue(engine::ticks(left).min(LOOK))
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
        assert_eq!(budget.begin(engine::ticks(20 * MS)), 6);
        assert_eq!(ticks_left(budget.look_at(100 * MS)), Some(21));
        assert_eq!(ticks_left(budget.look_at(120 * MS)), None);
    }

    #[test]
    fn a_thread_that_computes_for_long_is_looked_at_before_the_clock_rests() {
        let mut budget = Budget::default();
        assert_eq!(budget.begin(engine::ticks(1_000 * MS)), LOOK);
        for spent in (0..1_000).step_by(50) {
            assert_eq!(ticks_left(budget.look_at(spent * MS)), Some(LOOK));
        }
        assert_eq!(ticks_left(budget.look_at(1_000 * MS)), None);
    }

    #[test]
    fn a_thread_that_waits_for_a_processor_goes_on() {
        let mut budget = Budget::default();
        budget.begin(engine::ticks(20 * MS));
        budget.look_at(100 * MS);
        for _ in 0..10 {
            assert_eq!(ticks_left(budget.look_at(101 * MS)), Some(20));
        }
        assert_eq!(ticks_left(budget.look_at(119 * MS)), Some(2));
        assert_eq!(ticks_left(budget.look_at(120 * MS)), None);
    }

    #[test]
    fn waiting_costs_no_time_and_gives_none_back() {
        let mut budget = Budget::default();
        budget.begin(engine::ticks(20 * MS));
        budget.pause_at(100 * MS);
        // Others compute on the same thread meanwhile.
        assert_eq!(budget.resume_at(500 * MS), 21);
        budget.pause_at(515 * MS);
        assert_eq!(budget.resume_at(600 * MS), 6);
        assert_eq!(ticks_left(budget.look_at(604 * MS)), Some(2));
        budget.pause_at(605 * MS);
        assert_eq!(budget.resume_at(700 * MS), 1);
        assert_eq!(ticks_left(budget.look_at(701 * MS)), None);
    }

    #[test]
    fn each_hook_has_its_own_time() {
        let mut budget = Budget::default();
        budget.begin(engine::ticks(20 * MS));
        budget.look_at(100 * MS);
        budget.begin(engine::ticks(20 * MS));
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
