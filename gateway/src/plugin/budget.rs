//! How long a hook has computed.
//!
//! The epoch follows the wall clock, which continues while a worker waits for a processor: on
//! a busy machine that alone would use a deadline up. Owns telling the two apart by the thread's
//! own time. A hook that ends within a quarter of its deadline pays nothing for it.
//!
//! A call in slices computes on its own stack, and gives the worker back once in a tick. There
//! the time is measured around each slice, by its caller.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::UpdateDeadline;

use super::engine;
use crate::share::{Next, PATIENCE, Slices, TICK, thread_time};

/// Ticks between two looks, at most: as long as a hook runs, the clock must not rest.
const LOOK: u64 = PATIENCE as u64 / 2;

/// The time that one hook may compute for.
#[derive(Debug, Default)]
pub(super) struct Budget {
    allowed: Duration,
    /// The thread's time when it was first looked at.
    since: Option<Duration>,
    /// Whether it has waited already.
    has_waited: bool,
    /// What is known of a call in slices, if it is one.
    is_sliced: bool,
    slices: Arc<Slices>,
}

impl Budget {
    /// A hook begins that may compute for as many ticks, of which [`engine::ticks`] added one for
    /// the tick that has begun. Returns after how many of them to look.
    pub(super) fn begin(&mut self, ticks: u64) -> u64 {
        let whole = u32::try_from(ticks.saturating_sub(1)).unwrap_or(u32::MAX);
        self.allowed = TICK.saturating_mul(whole);
        self.since = None;
        self.has_waited = false;
        self.is_sliced = false;
        ticks.div_ceil(4).min(LOOK)
    }

    /// As [`begin`](Self::begin), for a call in slices.
    ///
    /// It computes for a quarter more than it may, and a tick.
    pub(super) fn begin_sliced(&mut self, ticks: u64) -> u64 {
        self.begin(ticks);
        // As much as a call may have that is checked late: whether calls are in slices must not
        // decide what becomes of one.
        self.allowed += self.allowed / 4 + TICK;
        self.is_sliced = true;
        self.slices.forget();
        1
    }

    /// The slices of a call in slices.
    pub(super) fn slices(&self) -> Arc<Slices> {
        Arc::clone(&self.slices)
    }

    /// The epoch deadline fired. The hook is interrupted if the thread has
    /// computed for the whole time since the first look, and otherwise continues for what is left.
    ///
    /// So it computes for a quarter more than it may, and two ticks, at the very most; one that waits meanwhile for
    /// another quarter.
    pub(super) fn look(&mut self) -> UpdateDeadline {
        self.look_at(thread_time())
    }

    /// The hook begins to wait for something. Waiting is not computing; what it computed before
    /// stays spent, or a plugin that waits again and again could compute without end.
    pub(super) fn pause(&mut self) {
        // Reading the thread's time is a call to the system.
        if self.since.is_some() {
            self.pause_at(thread_time());
        }
    }

    /// The hook continues. Returns after how many ticks to look.
    ///
    /// Most hooks that wait do so once. What they compute between the first time and the second is spent from the
    /// first look on, as what they compute before is: that is a quarter of their time, and no more of it.
    pub(super) fn resume(&mut self) -> u64 {
        if self.is_sliced || std::mem::replace(&mut self.has_waited, true) {
            return self.resume_at(thread_time());
        }
        self.since = None;
        engine::ticks(self.allowed).div_ceil(4).min(LOOK)
    }

    fn pause_at(&mut self, now: Duration) {
        // A slice ends where the call waits.
        if self.is_sliced {
            return;
        }
        if let Some(since) = self.since.take() {
            self.allowed = self.allowed.saturating_sub(now.saturating_sub(since));
        }
    }

    fn resume_at(&mut self, now: Duration) -> u64 {
        if self.is_sliced {
            return 1;
        }
        self.since = Some(now);
        engine::ticks(self.allowed).min(LOOK)
    }

    fn look_at(&mut self, now: Duration) -> UpdateDeadline {
        if self.is_sliced {
            return match self.slices.look(self.allowed, now) {
                Next::GoesOn => UpdateDeadline::Continue(1),
                Next::IsPutAside => UpdateDeadline::Yield(1),
                Next::IsOver => UpdateDeadline::Interrupt,
            };
        }
        let since = *self.since.get_or_insert(now);
        let left = self.allowed.saturating_sub(now.saturating_sub(since));
        if left.is_zero() {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::Continue(engine::ticks(left).min(LOOK))
        }
    }
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
    fn only_who_waits_more_than_once_is_measured_between() {
        let mut budget = Budget::default();
        budget.begin(engine::ticks(20 * MS));
        budget.pause();
        assert_eq!(budget.resume(), 6, "a quarter of 20 ms, and the tick that has begun");
        assert_eq!(budget.since, None);
        budget.pause();
        budget.resume();
        assert!(budget.since.is_some());
        budget.begin(engine::ticks(20 * MS));
        assert_eq!(budget.resume(), 6, "the next hook has a wait of its own");
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
    fn a_call_in_slices_gives_the_worker_back_once_in_a_tick_until_its_time_is_over() {
        let mut budget = Budget::default();
        assert_eq!(budget.begin_sliced(engine::ticks(2 * MS)), 1);
        let slices = budget.slices();
        slices.begin(100 * MS);
        assert_eq!(ticks_left(budget.look_at(100 * MS + MS / 4)), Some(1));
        assert!(matches!(budget.look_at(101 * MS), UpdateDeadline::Yield(1)));
        assert!(slices.end(101 * MS));
        // Others compute on the same thread meanwhile, and then it waits for something.
        slices.begin(200 * MS);
        assert_eq!(ticks_left(budget.look_at(200 * MS + MS / 4)), Some(1));
        budget.pause_at(201 * MS + MS / 2);
        assert!(!slices.end(201 * MS + MS / 2));
        slices.begin(300 * MS);
        assert_eq!(budget.resume_at(300 * MS), 1);
        assert_eq!(ticks_left(budget.look_at(300 * MS + MS / 4)), Some(1));
        // 2 ms, a quarter of them, and a tick.
        assert!(matches!(budget.look_at(301 * MS), UpdateDeadline::Interrupt));
        // The next hook of the instance has its own time, in slices or not.
        budget.begin_sliced(engine::ticks(2 * MS));
        slices.begin(400 * MS);
        assert!(matches!(budget.look_at(401 * MS), UpdateDeadline::Yield(1)));
        budget.begin(engine::ticks(20 * MS));
        assert_eq!(ticks_left(budget.look_at(500 * MS)), Some(21));
    }
}
