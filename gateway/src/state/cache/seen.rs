//! What a lookup has found, to be recognised.
//!
//! Owns that nothing is kept in memory by it but a place: what gives way, is purged or is replaced is not found again.

use std::sync::{Arc, Weak};

use super::{Cache, Entry, Group, spot};

/// See the module.
#[derive(Debug)]
pub(crate) struct Seen {
    spot: u64,
    group: WeakGroup,
}

#[derive(Debug)]
enum WeakGroup {
    One(Weak<Entry>),
    Many(Weak<[Arc<Entry>]>),
}

impl WeakGroup {
    fn of(group: &Group) -> Self {
        match group {
            Group::One(entry) => Self::One(Arc::downgrade(entry)),
            Group::Many(entries) => Self::Many(Arc::downgrade(entries)),
        }
    }

    /// Its place is not taken by another one as long as this is here.
    fn is(&self, group: &Group) -> bool {
        match (self, group) {
            (Self::One(one), Group::One(other)) => one.as_ptr() == Arc::as_ptr(other),
            (Self::Many(one), Group::Many(other)) => {
                std::ptr::addr_eq(one.as_ptr(), Arc::as_ptr(other))
            }
            (Self::One(_) | Self::Many(_), _) => false,
        }
    }
}

impl Cache {
    /// What is under a key, if it is the entries of these numbers and no others.
    pub(crate) fn seen(&self, key: u128, given: impl Iterator<Item = u64>) -> Option<Seen> {
        let spot = spot(key);
        let group = self.map.peek(&spot)?;
        let is_it = group.entries().iter().map(|entry| entry.id).eq(given);
        is_it.then(|| Seen { spot, group: WeakGroup::of(&group) })
    }

    /// The entry of this number, if there is still the same under its key.
    pub(crate) fn again(&self, seen: &Seen, id: u64) -> Option<Arc<Entry>> {
        let group = self.map.get(&seen.spot)?;
        if !seen.group.is(&group) {
            return None;
        }
        let mut entries = group.entries().iter();
        entries.find(|entry| entry.id == id && entry.is_current()).cloned()
    }
}
