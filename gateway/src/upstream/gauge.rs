//! How many connections to a target one worker has, as others may read it.
//!
//! Owns the two numbers. Only the worker writes them; the cost is a load and a store where a connection
//! opens, closes, begins to wait or is used again.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::health::Permit;

/// See the module.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct PoolGauge {
    open: AtomicUsize,
    idle: AtomicUsize,
}

impl PoolGauge {
    /// Those that are open, and of them those that wait for a request.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.open.load(Relaxed), self.idle.load(Relaxed))
    }
}

/// One connection that is counted as long as it lives.
#[derive(Debug)]
pub(super) struct Counted {
    gauge: Arc<PoolGauge>,
    is_idle: Cell<bool>,
    /// Where the connections of the target are bounded.
    permit: Option<Permit>,
}

impl Counted {
    /// It opens, for a request.
    pub(super) fn new(gauge: &Arc<PoolGauge>, permit: Option<Permit>) -> Self {
        change(&gauge.open, 1);
        Self { gauge: Arc::clone(gauge), is_idle: Cell::new(false), permit }
    }

    /// Whether it waits for a request from now on.
    pub(super) fn is_idle(&self, is_idle: bool) {
        if self.is_idle.replace(is_idle) != is_idle {
            change(&self.gauge.idle, if is_idle { 1 } else { -1 });
            self.permit.as_ref().inspect(|permit| permit.is_idle(is_idle));
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.is_idle(false);
        change(&self.gauge.open, -1);
    }
}

/// Nobody else writes to it: no locked instruction is needed.
fn change(number: &AtomicUsize, by: isize) {
    number.store(number.load(Relaxed).wrapping_add_signed(by), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_counted_while_it_lives_and_once_as_idle() {
        let gauge = Arc::<PoolGauge>::default();
        let (one, other) = (Counted::new(&gauge, None), Counted::new(&gauge, None));
        one.is_idle(true);
        one.is_idle(true);
        assert_eq!(gauge.counts(), (2, 1));
        other.is_idle(true);
        other.is_idle(false);
        drop(one);
        assert_eq!(gauge.counts(), (1, 0));
        drop(other);
        assert_eq!(gauge.counts(), (0, 0));
    }
}
