//! Coarse deadlines for one worker thread.
//!
//! Owns the worker's clock and the deadlines that hang on it. A request sets several timeouts and
//! hits none of them, so setting one must cost next to nothing: no entry in the runtime's timer
//! wheel, no allocation, no reading of the clock. One task ticks every [`TICK`] for all of them and
//! sleeps while nothing happens.
//!
//! Must not be used for anything that needs better than two ticks of precision, and knows nothing
//! about what its deadlines mean.

mod hyper;
mod slots;
mod ticker;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub use self::hyper::{CoarseSleep, HyperTimer};
use self::slots::{Due, Slot, Slots};

/// Distance of two ticks: 10 ms.
pub const TICK: Duration = Duration::from_millis(10);

/// The clock and the deadlines of one worker thread. Clones share them.
///
/// A deadline never ends before its time and, unless the worker is too busy to tick, at most two
/// ticks after it.
#[derive(Clone, Debug)]
pub struct Timers(Rc<State>);

/// All instants here are nanoseconds since `origin`.
#[derive(Debug)]
struct State {
    origin: Instant,
    /// The coarse clock: true at the last tick or refresh.
    now: Cell<u64>,
    /// How many ticks there were: two readings of `now` with the same count lie in one period.
    ticks: Cell<u64>,
    /// When the last tick was.
    last_tick: Cell<u64>,
    /// The longest period between two ticks so far; more than [`TICK`] on a busy worker.
    longest_period: Cell<u64>,
    /// Whether the next tick is at most a period away. If not, `now` is stale.
    ticking: Cell<bool>,
    /// Whether anybody used the clock since the last tick.
    used: Cell<bool>,
    slots: RefCell<Slots>,
    /// Wakes the task that ticks.
    ticker: RefCell<Option<Waker>>,
}

impl Timers {
    /// Starts a clock, and the task that drives it, on this thread.
    ///
    /// # Panics
    /// Outside of a running [`tokio::task::LocalSet`] of a runtime with time enabled.
    #[must_use]
    pub fn new() -> Self {
        let state = Rc::new(State {
            origin: clock(),
            now: Cell::new(0),
            ticks: Cell::new(0),
            last_tick: Cell::new(0),
            longest_period: Cell::new(nanos(TICK)),
            ticking: Cell::new(false),
            used: Cell::new(false),
            slots: RefCell::default(),
            ticker: RefCell::new(None),
        });
        tokio::task::spawn_local(ticker::Ticker::new(&state));
        Self(state)
    }

    /// The coarse time: at most about one tick old.
    ///
    /// Reads the real clock only when the worker was idle, since no tick has kept the coarse one
    /// up to date then.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.origin + Duration::from_nanos(self.0.touch())
    }

    /// Reads the real clock, so that [`Timers::now`] is exact at this moment.
    pub fn refresh(&self) -> Instant {
        self.0.touch();
        self.0.now.set(self.0.real());
        self.now()
    }

    /// A deadline that ends when `duration` has passed from now.
    ///
    /// It costs nothing until it is polled for the first time. A zero duration has ended already.
    pub fn after(&self, duration: Duration) -> Deadline {
        Deadline { entry: Entry::after(&self.0, duration), timers: self.clone() }
    }

    /// How many deadlines wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.slots.borrow().len()
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self::new()
    }
}

/// A future that ends when its time has come; made by [`Timers::after`].
///
/// Once ended it stays so until it is [reset](Self::reset).
#[derive(Debug)]
#[must_use = "a deadline does nothing unless polled"]
pub struct Deadline {
    timers: Timers,
    entry: Entry,
}

impl Deadline {
    /// Starts again: ends when `duration` has passed from now.
    ///
    /// Costs a few stores, whether the deadline waits already or not.
    pub fn reset(&mut self, duration: Duration) {
        self.entry.reset(&self.timers.0, duration);
    }
}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.entry.poll(&this.timers.0, context)
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.entry.unregister(&self.timers.0);
    }
}

/// A deadline without its clock, which must be the same in every call.
#[derive(Debug)]
struct Entry {
    due: Due,
    /// The coarse time when `due` was set, and in which period that was.
    set_at: u64,
    set_in: u64,
    progress: Progress,
}

#[derive(Debug, Clone, Copy)]
enum Progress {
    Unregistered,
    Registered(Slot),
    Ended,
}

impl Entry {
    fn after(state: &State, duration: Duration) -> Self {
        let set_at = state.touch();
        let due = Due::In(nanos(duration));
        Self { due, set_at, set_in: state.ticks.get(), progress: Progress::Unregistered }
    }

    fn at(state: &State, deadline: Instant) -> Self {
        let due = Due::At(nanos(deadline.saturating_duration_since(state.origin)));
        Self { due, ..Self::after(state, Duration::ZERO) }
    }

    fn reset(&mut self, state: &State, duration: Duration) {
        self.restart(state, Self::after(state, duration));
    }

    fn restart(&mut self, state: &State, fresh: Self) {
        let progress = self.progress;
        *self = fresh;
        if let Progress::Registered(slot) = progress {
            self.progress = progress;
            state.slots.borrow_mut().reset(slot, self.due);
        }
    }

    fn poll(&mut self, state: &State, context: &mut Context<'_>) -> Poll<()> {
        match self.progress {
            Progress::Ended => Poll::Ready(()),
            Progress::Registered(slot) => {
                if !state.slots.borrow().has_fired(slot) {
                    // The old waker is dropped outside of the borrow: it may own the last
                    // reference to a task, which may own deadlines.
                    let _old = state.slots.borrow_mut().wake_with(slot, context.waker());
                    return Poll::Pending;
                }
                self.unregister(state);
                self.progress = Progress::Ended;
                Poll::Ready(())
            }
            Progress::Unregistered => self.register(state, context.waker()),
        }
    }

    fn register(&mut self, state: &State, waker: &Waker) -> Poll<()> {
        let now = state.touch();
        let due = self.due_when_registered(state);
        if matches!(due, Due::In(0)) || matches!(due, Due::At(at) if at <= now) {
            self.progress = Progress::Ended;
            return Poll::Ready(());
        }
        let slot = state.slots.borrow_mut().insert(due, waker.clone());
        self.progress = Progress::Registered(slot);
        Poll::Pending
    }

    /// A duration that was set in this period runs from the next tick, when the time is known;
    /// that is how the clock need not be read. For one that was set before, that tick has passed:
    /// it came at most the longest period later, and not in the future.
    fn due_when_registered(&self, state: &State) -> Due {
        match self.due {
            Due::In(duration) if duration > 0 && self.set_in != state.ticks.get() => {
                let latest = self.set_at.saturating_add(state.longest_period.get());
                let began = latest.min(state.now.get());
                Due::At(began.saturating_add(duration))
            }
            due => due,
        }
    }

    fn unregister(&mut self, state: &State) {
        if let Progress::Registered(slot) = self.progress {
            self.progress = Progress::Unregistered;
            let _waker = state.slots.borrow_mut().remove(slot);
        }
    }
}

impl State {
    fn real(&self) -> u64 {
        nanos(clock().saturating_duration_since(self.origin))
    }

    /// The coarse time; brings the clock back to life if it slept.
    fn touch(&self) -> u64 {
        self.used.set(true);
        if !self.ticking.get() {
            self.wake_up();
        }
        self.now.get()
    }

    #[cold]
    fn wake_up(&self) {
        self.ticking.set(true);
        self.begin_period();
        let ticker = self.ticker.borrow().clone();
        if let Some(ticker) = ticker {
            ticker.wake();
        }
    }

    fn begin_period(&self) {
        let now = self.real();
        self.now.set(now);
        self.last_tick.set(now);
        self.ticks.set(self.ticks.get() + 1);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // The ticker then sees that its clock is gone, and ends.
        if let Some(ticker) = self.ticker.take() {
            ticker.wake();
        }
    }
}

/// The runtime's clock, which is the system's monotonic one.
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Saturates: 584 years are as good as for ever.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
