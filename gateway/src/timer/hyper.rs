//! The worker's deadlines for hyper.
//!
//! Owns the adapter to [`hyper::rt::Timer`]. hyper asks for timers and sleeps that are `Send` and
//! `Sync`, which [`Timers`] is not: so these hold no reference to the clock and find it in the
//! thread instead. They must stay on the thread where they were made, and do, since connections
//! never leave their worker.

use std::cell::OnceCell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use super::{Entry, State, Timers};

thread_local! {
    static CLOCK: OnceCell<Timers> = const { OnceCell::new() };
}

/// Coarse timers as hyper wants them; made by [`HyperTimer::install`].
#[derive(Debug, Clone, Copy)]
pub struct HyperTimer(());

impl HyperTimer {
    /// Makes `timers` the clock of this thread until the thread ends.
    ///
    /// # Panics
    /// If the thread has another clock already.
    #[must_use]
    pub fn install(timers: &Timers) -> Self {
        CLOCK.with(|clock| {
            let installed = clock.get_or_init(|| timers.clone());
            assert!(std::rc::Rc::ptr_eq(&installed.0, &timers.0), "a thread has one clock");
        });
        Self(())
    }
}

impl Timer for HyperTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(CoarseSleep(with_clock(|state| Entry::after(state, duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(CoarseSleep(with_clock(|state| Entry::at(state, deadline))))
    }

    fn now(&self) -> Instant {
        with_clock(|state| state.origin + Duration::from_nanos(state.touch()))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<CoarseSleep>() {
            Some(sleep) => with_clock(|state| {
                let fresh = Entry::at(state, deadline);
                sleep.get_mut().0.restart(state, fresh);
            }),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

/// A sleep of a [`HyperTimer`].
///
/// # Panics
/// When polled on a thread where no [`HyperTimer`] is installed.
#[derive(Debug)]
pub struct CoarseSleep(Entry);

impl Sleep for CoarseSleep {}

impl Future for CoarseSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        with_clock(|state| self.0.poll(state, context))
    }
}

impl Drop for CoarseSleep {
    fn drop(&mut self) {
        // When the thread ends, its clock may be gone before its connections.
        let _gone = CLOCK.try_with(|clock| {
            if let Some(timers) = clock.get() {
                self.0.unregister(&timers.0);
            }
        });
    }
}

fn with_clock<T>(work: impl FnOnce(&State) -> T) -> T {
    CLOCK.with(|clock| {
        work(&clock.get().expect("a connection stays on the worker that made its timer").0)
    })
}
