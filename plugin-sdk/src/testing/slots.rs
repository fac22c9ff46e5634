//! The slots of native tests: held by exchanges, and never waited for.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::slots::{Occupancy, SlotsError, Wait};
use crate::testing::host::TestHost;

/// Those of each key.
#[derive(Default)]
pub(crate) struct Slots(BTreeMap<String, Line>);

/// The slots under a key.
#[derive(Default)]
struct Line {
    /// Since when each is held that is.
    held: Vec<u64>,
    limit: u32,
    /// For how long the last one was held that was given back.
    time: Option<u64>,
}

impl Line {
    fn occupancy(&self) -> Occupancy {
        Occupancy { in_use: u32::try_from(self.held.len()).unwrap_or(u32::MAX), waiting: 0 }
    }
}

/// What one exchange holds; given back when it is dropped.
pub(crate) struct HeldSlots {
    host: Rc<TestHost>,
    keys: Vec<String>,
}

impl Slots {
    /// Takes a slot at this time, if one is free.
    pub(crate) fn take(&mut self, key: &str, limit: u32, now: u64) -> (bool, Occupancy) {
        let line = self.0.entry(key.to_owned()).or_default();
        line.limit = limit;
        let is_free = line.held.len() < limit as usize;
        if is_free {
            line.held.push(now);
        }
        (is_free, line.occupancy())
    }

    pub(crate) fn look(&self, key: &str) -> Occupancy {
        self.0.get(key).map(Line::occupancy).unwrap_or_default()
    }

    pub(crate) fn expected_wait(&self, key: &str) -> Option<u64> {
        let line = self.0.get(key)?;
        match line.held.len() < line.limit as usize {
            true => Some(0),
            false => Some(line.time? / u64::from(line.limit.max(1))),
        }
    }

    pub(crate) fn give_back(&mut self, key: &str, now: u64) {
        if let Some(line) = self.0.get_mut(key).filter(|line| !line.held.is_empty()) {
            line.time = Some(now.saturating_sub(line.held.remove(0)));
        }
    }
}

impl HeldSlots {
    pub(crate) fn none(host: &Rc<TestHost>) -> Self {
        Self { host: Rc::clone(host), keys: Vec::new() }
    }

    pub(crate) fn hold(&mut self, keys: Vec<String>) {
        self.keys.extend(keys);
    }

    /// Holds what another one holds.
    pub(crate) fn take_over(&mut self, mut other: Self) {
        self.keys.append(&mut other.keys);
    }

    /// Gives one back, if it is held.
    pub(crate) fn give_one_back(&mut self, key: &str) {
        if let Some(own) = self.keys.iter().position(|held| held == key) {
            self.keys.swap_remove(own);
            self.host.slots().give_back(key, self.host.monotonic());
        }
    }

    pub(crate) fn give_back(&mut self) {
        for key in self.keys.drain(..) {
            self.host.slots().give_back(&key, self.host.monotonic());
        }
    }
}

impl Drop for HeldSlots {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Whether a hook may ask for one more.
pub(crate) fn check(is_here: bool, asked: usize, is_valid: bool) -> Result<(), SlotsError> {
    match (is_here, is_valid) {
        (false, _) => Err(SlotsError::NotHere),
        (true, false) => Err(SlotsError::Invalid),
        (true, true) if asked >= 16 => Err(SlotsError::TooMany),
        (true, true) => Ok(()),
    }
}

pub(crate) fn is_valid(wait: &Wait<'_>) -> bool {
    wait.key.len() <= 1024
        && wait.share.len() <= 256
        && wait.limit > 0
        && !wait.time.is_zero()
        && wait.queue <= 10_000
}
