//! Buckets that are written to a file behind the requests that charge them, and read from it.
//!
//! Owns the step between the clock of the process, in which buckets are, and that of the wall, which goes on
//! while no gateway runs. Must not know the file.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

use super::consumers::Consumers;
use super::table::Key;
use super::{Clock, Limits};
use crate::state::journal::{Changed, Journal};

/// What is in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::state) struct Written {
    /// Buckets, with when they are full, in nanoseconds since 1970.
    pub(in crate::state) buckets: Vec<(Key, u64)>,
    /// No other bucket is full later.
    pub(in crate::state) floor: u64,
}

/// Nanoseconds since 1970.
pub(in crate::state) fn wall() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

impl Limits {
    /// The same, with what was written, hashed with the secret with which it was.
    pub(in crate::state) fn durable(self, secret: [u64; 2], written: &Written) -> Self {
        let Self { metrics, clock, .. } = self;
        let (now, then) = (clock.now(), wall());
        let here = |full_at: u64| full_at.saturating_sub(then).saturating_add(now);
        let buckets = self.buckets.keyed_anew(secret);
        if written.floor > then {
            buckets.raise_floor(here(written.floor), now);
        }
        let mut displaced = 0;
        for (key, full_at) in written.buckets.iter().filter(|(_, full_at)| *full_at > then) {
            let full_at = here(*full_at);
            let (_, gave_way) = buckets.put(*key, 0, now, |bucket| bucket.store(full_at, Relaxed));
            displaced += gave_way;
        }
        metrics.buckets_displaced(displaced);
        Self {
            buckets,
            metrics,
            clock,
            journal: Some(Journal::new()),
            consumers: Consumers::default(),
        }
    }

    /// What changed since this was asked last, as it is now.
    pub(in crate::state) fn changes(&self) -> Written {
        let Some(journal) = &self.journal else { return Written::default() };
        let then = wall();
        let now = match self.clock {
            Clock::Process(_) => self.now(),
            Clock::Wall => then,
        };
        let there = |full_at: u64| full_at.saturating_sub(now).saturating_add(then);
        match journal.take() {
            Changed::Keys(keys) => {
                let full_at = |key: Key| {
                    let held = self.buckets.held(key, |bucket| bucket.load(Relaxed));
                    // One that gave way counts as full no sooner than its set says.
                    held.unwrap_or_else(|| self.buckets.unheld(key, u64::MAX))
                };
                let buckets = keys.into_iter().map(|key| (key, there(full_at(key)))).collect();
                Written { buckets, floor: 0 }
            }
            Changed::All => {
                let all = self.buckets.all(now).into_iter();
                let buckets = all.map(|(key, full_at)| (key, there(full_at))).collect();
                Written { buckets, floor: there(self.buckets.floor()) }
            }
        }
    }

    /// What changed could not be written.
    pub(in crate::state) fn unwritten(&self) {
        if let Some(journal) = &self.journal {
            journal.note_all();
        }
    }
}
