//! Which parts of a file are free.
//!
//! Owns that a part is given to one at a time, and that parts that lie together become one. The shortest part that is long
//! enough is taken, of those the first: so the pages of the table by which the file is mapped are few.

use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Debug)]
pub(super) struct Extents {
    /// Lengths by place.
    lengths: BTreeMap<usize, usize>,
    /// The same, as length and place.
    by_length: BTreeSet<(usize, usize)>,
}

impl Extents {
    /// All is free.
    pub(super) fn new(length: usize) -> Self {
        Self { lengths: [(0, length)].into(), by_length: [(length, 0)].into() }
    }

    /// A place of this length; `None` if there is none.
    pub(super) fn take(&mut self, length: usize) -> Option<usize> {
        let (found, place) = *self.by_length.range((length, 0)..).next()?;
        self.remove(place, found);
        if found > length {
            self.add(place + length, found - length);
        }
        Some(place)
    }

    /// This part is free again.
    pub(super) fn give(&mut self, place: usize, length: usize) {
        let (mut place, mut length) = (place, length);
        if let Some((&before, &long)) = self.lengths.range(..place).next_back()
            && before + long == place
        {
            self.remove(before, long);
            (place, length) = (before, long + length);
        }
        if let Some(&behind) = self.lengths.get(&(place + length)) {
            self.remove(place + length, behind);
            length += behind;
        }
        self.add(place, length);
    }

    fn add(&mut self, place: usize, length: usize) {
        self.lengths.insert(place, length);
        self.by_length.insert((length, place));
    }

    fn remove(&mut self, place: usize, length: usize) {
        self.lengths.remove(&place);
        self.by_length.remove(&(length, place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_shortest_that_is_long_enough_and_the_first_of_those() {
        let mut free = Extents::new(100);
        let places: Vec<_> = [10, 20, 10, 30, 10].map(|length| free.take(length)).into();
        assert_eq!(places, [Some(0), Some(10), Some(30), Some(40), Some(70)]);
        free.give(10, 20);
        free.give(40, 30);
        assert_eq!(free.take(25), Some(40));
        assert_eq!(free.take(5), Some(65));
        assert_eq!(free.take(20), Some(10));
        assert_eq!((free.take(21), free.take(20), free.take(1)), (None, Some(80), None));
    }

    #[test]
    fn what_is_given_back_in_any_order_becomes_one() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut free = Extents::new(30);
            for _ in 0..3 {
                free.take(10).expect("there is room");
            }
            assert_eq!(free.take(1), None);
            order.iter().for_each(|part| free.give(part * 10, 10));
            assert_eq!((free.lengths.len(), free.by_length.len()), (1, 1));
            assert_eq!(free.take(30), Some(0));
        }
    }
}
