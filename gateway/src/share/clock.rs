//! The clock of deadlines and turns.
//!
//! Owns the thread that ticks once a millisecond while anybody computes, and the count of its ticks.
//! Must not know what happens at a tick; its caller defines that.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How often it ticks: the grain of all deadlines, and how long a turn is.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Ticks without a call after which the clock rests. A call that runs for long says more often that
/// it is there.
pub(crate) const PATIENCE: u32 = 100;

/// How long it sleeps before it checks whether it is still needed.
const REST: Duration = Duration::from_millis(50);

/// Ticks, from its own thread, which sleeps while nothing is called: a thousand ticks a second
/// would keep an idle machine from sleeping.
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct Clock(Arc<Pace>);

#[derive(Debug, Default)]
struct Pace {
    /// Something was called since the thread looked last.
    is_needed: AtomicBool,
    is_resting: AtomicBool,
    /// How often the thread found that a tick had passed. See [`Clock::now`].
    ticks: AtomicU64,
    thread: OnceLock<Thread>,
}

impl Clock {
    /// Starts the thread. It hands over how many ticks have passed, after a rest many at once, and
    /// ends when `false` comes back.
    pub(crate) fn start(mut tick: impl FnMut(u32) -> bool + Send + 'static) -> Self {
        let pace = Arc::new(Pace::default());
        let clock = Self(Arc::clone(&pace));
        let run = move || {
            let (mut idle, mut has_rested) = (0, false);
            let mut last = Instant::now();
            loop {
                let mut passed = 0;
                while last.elapsed() >= TICK {
                    last += TICK;
                    passed += 1;
                }
                if passed > 0 && !std::mem::take(&mut has_rested) {
                    pace.ticks.fetch_add(1, Ordering::Relaxed);
                }
                if !tick(passed) {
                    return;
                }
                idle = if pace.is_needed.swap(false, Ordering::Relaxed) { 0 } else { idle + 1 };
                if idle < PATIENCE {
                    std::thread::sleep(TICK);
                } else {
                    // A call says that it is there and then looks here, and this the other way
                    // round: in one order for all threads, so that one of the two sees the other.
                    pace.is_resting.store(true, Ordering::SeqCst);
                    if !pace.is_needed.load(Ordering::SeqCst) {
                        std::thread::park_timeout(REST);
                        has_rested = true;
                    }
                    pace.is_resting.store(false, Ordering::Relaxed);
                }
            }
        };
        let started = std::thread::Builder::new().name("plugin-clock".into()).spawn(run);
        // Without this thread no deadline holds, which is worse than not starting.
        let started = started.expect("the system grants one more thread");
        let _set_once = clock.0.thread.set(started.thread().clone());
        clock
    }

    /// A count that goes up by one where a tick or more has passed, and rests with the thread. So
    /// what sees it go up took a part of a tick for the first time, and a whole tick for each further
    /// one; and in the long run, a millisecond was spent for each tick. Reading
    /// it is one load, where each other clock is a call.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.0.ticks.load(Ordering::Relaxed)
    }

    /// A call begins, or continues, and wants to be interrupted in time.
    #[inline]
    pub(crate) fn is_needed(&self) {
        // Looked at first: a store to memory that every worker writes to costs more.
        if !self.0.is_needed.load(Ordering::Relaxed) {
            self.0.is_needed.store(true, Ordering::SeqCst);
            if self.0.is_resting.load(Ordering::SeqCst)
                && let Some(thread) = self.0.thread.get()
            {
                thread.unpark();
            }
        }
    }
}
