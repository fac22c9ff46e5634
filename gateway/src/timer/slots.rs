//! The deadlines that wait, in flat arrays.
//!
//! Owns who waits for when. Knows no clock: the time comes in with each call. Firing looks at one
//! number for each block of 64 deadlines and opens only the blocks whose time has come, so that
//! ten thousand deadlines that lie ahead cost 160 comparisons a tick.

use std::task::Waker;

/// Deadlines in a block.
const BLOCK: usize = 64;

/// Later than everything: not waiting for a known time.
const NEVER: u64 = u64::MAX;

/// When a deadline ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// So many nanoseconds after the next tick.
    In(u64),
    /// At this time.
    At(u64),
}

/// The place of a deadline that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// When each slot is due.
    due: Vec<u64>,
    /// For each block a lower bound of its `due`: exact after a look into it, and not raised when
    /// a deadline moves back.
    earliest: Vec<u64>,
    waiters: Vec<Waiter>,
    free: Vec<usize>,
    /// Slots whose duration begins at the next tick.
    starting: Vec<usize>,
}

#[derive(Debug)]
struct Waiter {
    waker: Option<Waker>,
    /// Runs from the next tick, if `starts`.
    duration: u64,
    starts: bool,
    /// Whether the slot is in `starting`; it may, for a deadline that is gone.
    listed: bool,
    fired: bool,
}

impl Slots {
    /// How many deadlines wait, or have ended and do not know it yet.
    pub(super) fn len(&self) -> usize {
        self.waiters.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, due: Due, waker: Waker) -> Slot {
        let index = self.free.pop().unwrap_or_else(|| self.grow());
        self.waiters[index].waker = Some(waker);
        self.reset(Slot(index), due);
        Slot(index)
    }

    fn grow(&mut self) -> usize {
        let index = self.waiters.len();
        if index.is_multiple_of(BLOCK) {
            self.earliest.push(NEVER);
        }
        self.due.push(NEVER);
        self.waiters.push(Waiter {
            waker: None,
            duration: 0,
            starts: false,
            listed: false,
            fired: false,
        });
        index
    }

    pub(super) fn reset(&mut self, Slot(index): Slot, due: Due) {
        let waiter = &mut self.waiters[index];
        waiter.fired = false;
        match due {
            Due::In(duration) => {
                waiter.duration = duration;
                waiter.starts = true;
                self.due[index] = NEVER;
                if !std::mem::replace(&mut waiter.listed, true) {
                    self.starting.push(index);
                }
            }
            Due::At(at) => {
                waiter.starts = false;
                self.schedule(index, at);
            }
        }
    }

    fn schedule(&mut self, index: usize, at: u64) {
        self.due[index] = at;
        let earliest = &mut self.earliest[index / BLOCK];
        *earliest = at.min(*earliest);
    }

    pub(super) fn has_fired(&self, Slot(index): Slot) -> bool {
        self.waiters[index].fired
    }

    /// Takes the waker for the next time; returns the one that it replaced.
    pub(super) fn wake_with(&mut self, Slot(index): Slot, waker: &Waker) -> Option<Waker> {
        match &mut self.waiters[index].waker {
            Some(known) if known.will_wake(waker) => None,
            known => known.replace(waker.clone()),
        }
    }

    /// Frees the slot; returns its waker.
    pub(super) fn remove(&mut self, Slot(index): Slot) -> Option<Waker> {
        self.due[index] = NEVER;
        self.waiters[index].starts = false;
        self.free.push(index);
        self.waiters[index].waker.take()
    }

    /// Ends every deadline that is due at `now`, and puts its waker into `woken`.
    pub(super) fn fire(&mut self, now: u64, woken: &mut Vec<Waker>) {
        self.start(now);
        for block in 0..self.earliest.len() {
            if self.earliest[block] <= now {
                self.fire_block(block, now, woken);
            }
        }
    }

    fn start(&mut self, now: u64) {
        let mut starting = std::mem::take(&mut self.starting);
        for index in starting.drain(..) {
            let waiter = &mut self.waiters[index];
            waiter.listed = false;
            if std::mem::take(&mut waiter.starts) {
                let at = now.saturating_add(waiter.duration);
                self.schedule(index, at);
            }
        }
        self.starting = starting;
    }

    fn fire_block(&mut self, block: usize, now: u64, woken: &mut Vec<Waker>) {
        let mut earliest = NEVER;
        let first = block * BLOCK;
        let last = self.due.len().min(first + BLOCK);
        for index in first..last {
            if self.due[index] <= now {
                self.due[index] = NEVER;
                self.waiters[index].fired = true;
                woken.extend(self.waiters[index].waker.take());
            }
            earliest = earliest.min(self.due[index]);
        }
        self.earliest[block] = earliest;
    }

    /// No deadline ends before this time; `None` when none waits.
    pub(super) fn earliest(&self) -> Option<u64> {
        self.earliest.iter().copied().min().filter(|&at| at != NEVER)
    }
}
