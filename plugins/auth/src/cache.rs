//! What an instance remembers of costly verifications.
//!
//! Owns a bounded map that forgets the oldest entry. It only saves time: another instance that
//! remembers nothing decides alike.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

/// Values under digests; the oldest gives way.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    capacity: usize,
    entries: RefCell<Entries<V>>,
}

#[derive(Debug)]
struct Entries<V> {
    values: BTreeMap<[u8; 32], V>,
    /// Oldest first.
    order: VecDeque<[u8; 32]>,
}

impl<V: Clone> Cache<V> {
    /// Remembers so many values.
    pub(crate) fn new(capacity: usize) -> Self {
        let entries = Entries { values: BTreeMap::new(), order: VecDeque::new() };
        Self { capacity, entries: RefCell::new(entries) }
    }

    /// Whether it remembers anything.
    pub(crate) fn is_on(&self) -> bool {
        self.capacity > 0
    }

    /// What stands under a digest.
    pub(crate) fn value(&self, digest: &[u8; 32]) -> Option<V> {
        self.entries.borrow().values.get(digest).cloned()
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let Entries { values, order } = &mut *self.entries.borrow_mut();
        values.clear();
        order.clear();
    }

    /// Remembers a value, in place of the former one.
    pub(crate) fn remember(&self, digest: [u8; 32], value: V) {
        if !self.is_on() {
            return;
        }
        let Entries { values, order } = &mut *self.entries.borrow_mut();
        if values.insert(digest, value).is_some() {
            return;
        }
        order.push_back(digest);
        if order.len() > self.capacity
            && let Some(oldest) = order.pop_front()
        {
            values.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest_entry() {
        let cache = Cache::new(2);
        for (byte, value) in [(1, 'a'), (2, 'b'), (1, 'c'), (3, 'd')] {
            cache.remember([byte; 32], value);
        }
        let values = [1, 2, 3].map(|byte| cache.value(&[byte; 32]));
        assert_eq!(values, [None, Some('b'), Some('d')]);
    }

    #[test]
    fn remembers_nothing_without_capacity() {
        let cache = Cache::new(0);
        cache.remember([1; 32], 'a');
        assert_eq!(cache.value(&[1; 32]), None);
    }
}
