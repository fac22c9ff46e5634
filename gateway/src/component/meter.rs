//! How long the guest of one request may compute.
//!
//! Owns the sum over its slices, and says when a slice is long enough and when the time is over.

use std::time::Duration;

use wasmtime::UpdateDeadline;

use crate::share::{Next, Slices, thread_time};

/// See the module. Shared by the one who polls and the engine's callback, on one thread.
#[derive(Debug)]
pub(super) struct Meter {
    allowed: Duration,
    slices: Slices,
}

impl Meter {
    pub(super) fn new(allowed: Duration) -> Self {
        Self { allowed, slices: Slices::default() }
    }

    pub(super) fn slices(&self) -> &Slices {
        &self.slices
    }

    /// Whether the slices that have ended took all of the time.
    pub(super) fn is_over(&self) -> bool {
        self.slices.spent() >= self.allowed
    }

    /// A tick has passed while the guest runs, or while it waited.
    pub(super) fn look(&self) -> UpdateDeadline {
        match self.slices.look(self.allowed, thread_time()) {
            Next::GoesOn => UpdateDeadline::Continue(1),
            Next::IsPutAside => UpdateDeadline::Yield(1),
            Next::IsOver => UpdateDeadline::Interrupt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::TICK;

    fn compute(time: Duration) {
        let end = thread_time() + time;
        while thread_time() < end {}
    }

    #[test]
    fn slices_add_up_and_the_time_between_them_does_not_count() {
        let meter = Meter::new(10 * TICK);
        meter.slices().begin(thread_time());
        assert!(matches!(meter.look(), UpdateDeadline::Continue(1)));
        compute(4 * TICK);
        assert!(!meter.slices().end(thread_time()));
        // Others are served meanwhile.
        compute(20 * TICK);
        meter.slices().begin(thread_time());
        compute(2 * TICK);
        assert!(matches!(meter.look(), UpdateDeadline::Yield(1)));
        assert!(!meter.is_over());
        compute(5 * TICK);
        assert!(matches!(meter.look(), UpdateDeadline::Interrupt));
        meter.slices().end(thread_time());
        assert!(meter.is_over());
    }
}
