//! Rows that are not written yet, added up by their key.
//!
//! Owns the key, what is added, and the bound on the number of rows: beyond it what is new goes to the
//! consumer [`OTHER`], so that the totals of a route stay right. The same table is what a worker adds to
//! and what waits for the store.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::amounts::bounded;
use super::names::CounterId;

/// The consumer of what there is no room for.
pub(crate) const OTHER: &str = "~other";

/// Bytes of a consumer. A longer name is cut.
const MAX_CONSUMER: usize = 256;

/// Where a request counts, besides its consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Dimensions {
    /// Minutes since 1970.
    pub(crate) minute: u32,
    /// The number of the route's name.
    pub(crate) route: u32,
    /// The number of the upstream's name.
    pub(crate) upstream: u32,
    /// The class of the status: 2 for 2xx; 0 where no answer was sent.
    pub(crate) status: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    place: Dimensions,
    /// Into the consumers of the table.
    consumer: u32,
}

/// What is added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) requests: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    /// In microseconds.
    pub(crate) duration: u64,
    /// What plugins added, each name once.
    pub(crate) amounts: Vec<(CounterId, i64)>,
}

impl Sums {
    /// Those of one request.
    pub(crate) fn of_one(request_bytes: u64, response_bytes: u64, duration: Duration) -> Self {
        let duration = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self { requests: 1, request_bytes, response_bytes, duration, amounts: Vec::new() }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        self.duration = self.duration.saturating_add(other.duration);
        for (name, amount) in &other.amounts {
            match self.amounts.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum = bounded(sum.saturating_add(*amount)),
                None => self.amounts.push((*name, *amount)),
            }
        }
    }
}

/// How many rows a table may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    /// Of consumers by name.
    pub(super) rows: usize,
    /// Of [`OTHER`] besides.
    pub(super) others: usize,
}

/// What became of something that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// It counts for its consumer.
    Own,
    /// It counts for [`OTHER`].
    Other,
    /// There is no room.
    Dropped,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Table {
    by_name: HashMap<Arc<str>, u32, RandomState>,
    consumers: Vec<Arc<str>>,
    rows: HashMap<Key, Sums, RandomState>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Each row: where it counts, its consumer, and what was added up.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Dimensions, &Arc<str>, &Sums)> {
        let consumer = |key: &Key| &self.consumers[key.consumer as usize];
        self.rows.iter().map(move |(key, sums)| (key.place, consumer(key), sums))
    }

    /// Adds to the row of a place and a consumer.
    pub(super) fn add(
        &mut self,
        place: Dimensions,
        consumer: &str,
        sums: Sums,
        bound: Bound,
    ) -> Added {
        let consumer = &consumer[..consumer.floor_char_boundary(MAX_CONSUMER)];
        let has_room = self.rows.len() < bound.rows;
        let known = self.by_name.get(consumer).copied();
        if let Some(consumer) = known.or_else(|| has_room.then(|| self.name(consumer)))
            && self.add_to(Key { place, consumer }, &sums, has_room)
        {
            return Added::Own;
        }
        let has_room = self.rows.len() < bound.rows + bound.others;
        let consumer = self.by_name.get(OTHER).copied().unwrap_or_else(|| self.name(OTHER));
        match self.add_to(Key { place, consumer }, &sums, has_room) {
            true => Added::Other,
            false => Added::Dropped,
        }
    }

    fn add_to(&mut self, key: Key, sums: &Sums, may_be_new: bool) -> bool {
        match self.rows.entry(key) {
            Entry::Occupied(mut row) => row.get_mut().add(sums),
            Entry::Vacant(place) if may_be_new => drop(place.insert(sums.clone())),
            Entry::Vacant(_) => return false,
        }
        true
    }

    fn name(&mut self, consumer: &str) -> u32 {
        let number = u32::try_from(self.consumers.len()).unwrap_or(u32::MAX);
        let consumer: Arc<str> = consumer.into();
        self.by_name.insert(Arc::clone(&consumer), number);
        self.consumers.push(consumer);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Bound = Bound { rows: 3, others: 2 };

    fn place(minute: u32, route: u32) -> Dimensions {
        Dimensions { minute, route, upstream: 0, status: 2 }
    }

    fn one() -> Sums {
        Sums { amounts: vec![(1, 5)], ..Sums::of_one(2, 3, Duration::from_micros(4)) }
    }

    #[test]
    fn adds_up_by_place_and_consumer() {
        let mut table = Table::default();
        for (minute, consumer) in [(1, "a"), (1, "b"), (2, "a"), (1, "a")] {
            assert_eq!(table.add(place(minute, 1), consumer, one(), BOUND), Added::Own);
        }
        let mut rows: Vec<_> = table.rows().map(|(at, c, s)| (at.minute, c, s.requests)).collect();
        rows.sort();
        assert_eq!(rows, [(1, &"a".into(), 2), (1, &"b".into(), 1), (2, &"a".into(), 1)]);
        let (_, _, sums) = table.rows().find(|(_, _, sums)| sums.requests == 2).expect("it is");
        let amounts = vec![(1, 10)];
        let sum = Sums { requests: 2, request_bytes: 4, response_bytes: 6, duration: 8, amounts };
        assert_eq!(*sums, sum);
    }

    #[test]
    fn what_there_is_no_room_for_is_added_up_by_route() {
        let mut table = Table::default();
        for consumer in ["a", "b", "c"] {
            assert_eq!(table.add(place(1, 1), consumer, one(), BOUND), Added::Own);
        }
        for consumer in ["d", "e", "f"] {
            assert_eq!(table.add(place(1, 1), consumer, one(), BOUND), Added::Other);
        }
        assert_eq!(table.add(place(1, 1), "a", one(), BOUND), Added::Own);
        assert_eq!(table.add(place(2, 1), "a", one(), BOUND), Added::Other, "a new row of it");
        assert_eq!(table.add(place(3, 1), "a", one(), BOUND), Added::Dropped);
        assert_eq!(table.add(place(1, 1), "x", one(), BOUND), Added::Other);
        let other = table.rows().find(|(at, name, _)| at.minute == 1 && &***name == OTHER);
        assert_eq!(other.expect("it is there").2.requests, 4);
        assert_eq!(table.len(), 5);
    }

    #[test]
    fn a_long_name_is_cut_where_a_letter_ends() {
        let mut table = Table::default();
        table.add(place(1, 1), &"é".repeat(200), one(), BOUND);
        table.add(place(1, 1), &"a".repeat(9000), one(), BOUND);
        assert!(table.rows().all(|(_, name, _)| name.len() == 256));
    }
}
