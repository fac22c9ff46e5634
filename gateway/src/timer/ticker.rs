//! The task that ticks.
//!
//! Owns the only entry that the worker's deadlines have in the runtime's timer wheel. It ticks
//! every [`TICK`] as long as anybody uses the clock; otherwise it sleeps to the earliest deadline,
//! or until it is woken, so that an idle worker does not burn the machine's power.

use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::{State, TICK};

/// See the module.
pub(super) struct Ticker {
    /// Weak, so that the task ends with the last of the clock's users.
    state: Weak<State>,
    sleep: Pin<Box<Sleep>>,
    pace: Pace,
    /// Kept from tick to tick for its allocation.
    woken: Vec<Waker>,
}

/// How the ticker waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// For the next tick.
    Ticking,
    /// For the earliest deadline, or to be woken.
    Dozing,
    /// To be woken.
    Asleep,
}

impl Ticker {
    pub(super) fn new(state: &Rc<State>) -> Self {
        let sleep = Box::pin(sleep_until(Instant::from_std(state.origin)));
        Self { state: Rc::downgrade(state), sleep, pace: Pace::Asleep, woken: Vec::new() }
    }

    fn tick_in_one_period(&mut self, state: &State) {
        self.pace = Pace::Ticking;
        self.sleep_until(state, state.last_tick.get(), TICK);
    }

    fn sleep_until(&mut self, state: &State, nanos: u64, more: Duration) {
        let at = state.origin + Duration::from_nanos(nanos) + more;
        self.sleep.as_mut().reset(Instant::from_std(at));
    }

    fn tick(&mut self, state: &State) {
        let last = state.last_tick.get();
        state.begin_period();
        if self.pace == Pace::Ticking {
            let period = state.now.get() - last;
            state.longest_period.set(state.longest_period.get().max(period));
        }
        state.slots.borrow_mut().fire(state.now.get(), &mut self.woken);
        // Outside of the borrow: to wake may drop a task, which may own deadlines.
        self.woken.drain(..).for_each(Waker::wake);
    }

    fn choose_pace(&mut self, state: &State) {
        let used = state.used.replace(false);
        state.ticking.set(used);
        if used {
            return self.tick_in_one_period(state);
        }
        let earliest = state.slots.borrow().earliest();
        self.pace = match earliest {
            Some(at) => {
                self.sleep_until(state, at, Duration::ZERO);
                Pace::Dozing
            }
            None => Pace::Asleep,
        };
    }
}

impl Future for Ticker {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(state) = self.state.upgrade() else {
            return Poll::Ready(());
        };
        let known = state.ticker.borrow().as_ref().is_some_and(|w| w.will_wake(context.waker()));
        if !known {
            state.ticker.replace(Some(context.waker().clone()));
        }
        loop {
            if state.ticking.get() && self.pace != Pace::Ticking {
                self.tick_in_one_period(&state);
            }
            if self.pace == Pace::Asleep {
                return Poll::Pending;
            }
            ready!(self.sleep.as_mut().poll(context));
            self.tick(&state);
            self.choose_pace(&state);
        }
    }
}
