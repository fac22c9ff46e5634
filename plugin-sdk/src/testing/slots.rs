//! The slots of native tests: held by exchanges, and never waited for.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::slots::{Occupancy, SlotsError, Wait};
use crate::testing::host::TestHost;

/// How many are held, by key.
#[derive(Default)]
pub(crate) struct Slots(BTreeMap<String, u32>);

/// What one exchange holds; given back when it is dropped.
pub(crate) struct HeldSlots {
    host: Rc<TestHost>,
    keys: Vec<String>,
}

impl Slots {
    /// Takes a slot, if one is free.
    pub(crate) fn take(&mut self, key: &str, limit: u32) -> (bool, Occupancy) {
        let held = self.0.entry(key.to_owned()).or_default();
        let is_free = *held < limit;
        *held += u32::from(is_free);
        (is_free, Occupancy { in_use: *held, waiting: 0 })
    }

    pub(crate) fn look(&self, key: &str) -> Occupancy {
        Occupancy { in_use: self.0.get(key).copied().unwrap_or_default(), waiting: 0 }
    }

    pub(crate) fn give_back(&mut self, key: &str) {
        if let Some(held) = self.0.get_mut(key) {
            *held -= 1;
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
            self.host.slots().give_back(key);
        }
    }

    pub(crate) fn give_back(&mut self) {
        for key in self.keys.drain(..) {
            self.host.slots().give_back(&key);
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
