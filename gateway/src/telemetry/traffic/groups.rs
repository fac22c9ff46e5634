//! Requests by the group of their consumer, as a plugin says it in the attribute `consumer.group`.
//!
//! Owns which groups have a series, and that there are few: tokens and keys choose the names. A group has its
//! place in a table of its route, which only grows and is read without a lock; each worker adds to cells of its
//! own by that place. What has no place counts as [`OTHER`], so that sums stay right.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use foldhash::fast::RandomState;

use super::{CLASSES, add};

/// Groups of a route that have a series, at most.
pub(crate) const MOST_OF_ROUTE: usize = 64;

/// Pairs of a route and a group, at most.
const MOST: usize = 2_000;

/// Bytes of a name, at most.
const MOST_BYTES: usize = 64;

/// The group of those that have none of their own.
pub(in crate::telemetry) const OTHER: &str = "~other";

/// Twice as many as groups: a search is short.
const SLOTS: usize = 2 * MOST_OF_ROUTE;

/// How many pairs of all routes there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Pairs(Arc<AtomicUsize>);

/// The groups of a route.
#[derive(Debug)]
pub(super) struct Groups {
    hasher: RandomState,
    /// By the hash of the name, with the place of its cells.
    names: [OnceLock<(Box<str>, u8)>; SLOTS],
    /// How many there are; held while one is added.
    count: Mutex<usize>,
    is_full: AtomicUsize,
    pairs: Pairs,
}

/// The cells of a worker: by place, the last for [`OTHER`], and by class of the status.
#[derive(Debug)]
pub(super) struct GroupCells([[AtomicU64; CLASSES.len()]; MOST_OF_ROUTE + 1]);

impl Default for GroupCells {
    fn default() -> Self {
        Self([const { [const { AtomicU64::new(0) }; CLASSES.len()] }; MOST_OF_ROUTE + 1])
    }
}

impl GroupCells {
    pub(super) fn count(&self, place: usize, class: usize) {
        add(&self.0[place][class], 1);
    }

    pub(super) fn of(&self, place: usize) -> [u64; CLASSES.len()] {
        std::array::from_fn(|class| self.0[place][class].load(Relaxed))
    }
}

impl Groups {
    pub(super) fn new(pairs: &Pairs) -> Self {
        Self {
            hasher: RandomState::default(),
            names: [const { OnceLock::new() }; SLOTS],
            count: Mutex::default(),
            is_full: AtomicUsize::new(0),
            pairs: pairs.clone(),
        }
    }

    /// The place of a group, which is given one if there is room.
    pub(super) fn place(&self, name: &str) -> usize {
        match self.find(name) {
            Ok(place) => usize::from(place),
            Err(_) if self.is_full.load(Relaxed) != 0 || self.pairs.0.load(Relaxed) >= MOST => {
                MOST_OF_ROUTE
            }
            Err(_) => self.insert(name).unwrap_or(MOST_OF_ROUTE),
        }
    }

    /// Its place, or else the slot where it would be.
    fn find(&self, name: &str) -> Result<u8, usize> {
        let begin = self.hasher.hash_one(name) as usize;
        let mut slots = (0..SLOTS).map(|step| begin.wrapping_add(step) % SLOTS);
        let found = slots.find_map(|slot| match self.names[slot].get() {
            None => Some(Err(slot)),
            Some((known, place)) => (**known == *name).then_some(Ok(*place)),
        });
        found.unwrap_or(Err(0))
    }

    #[cold]
    fn insert(&self, name: &str) -> Option<usize> {
        if name.len() > MOST_BYTES || name == OTHER {
            return None;
        }
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match self.find(name) {
            Ok(place) => return Some(usize::from(place)),
            Err(slot) => slot,
        };
        if *count >= MOST_OF_ROUTE || self.pairs.0.fetch_add(1, Relaxed) >= MOST {
            if *count < MOST_OF_ROUTE {
                self.pairs.0.fetch_sub(1, Relaxed);
            }
            return None;
        }
        let place = *count;
        // Nobody else adds one meanwhile.
        self.names[slot].set((name.into(), place as u8)).ok()?;
        *count += 1;
        if *count == MOST_OF_ROUTE {
            self.is_full.store(1, Relaxed);
        }
        Some(place)
    }

    /// All names with their places.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, usize)> {
        self.names
            .iter()
            .filter_map(|slot| slot.get().map(|(name, place)| (&**name, (*place).into())))
    }
}

/// Another route may have its places.
impl Drop for Groups {
    fn drop(&mut self) {
        let count = *self.count.lock().unwrap_or_else(PoisonError::into_inner);
        self.pairs.0.fetch_sub(count, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_so_many_groups_and_the_others_count_together() {
        let groups = Groups::new(&Pairs::default());
        let places: Vec<_> = (0..100).map(|number| groups.place(&format!("g{number}"))).collect();
        assert_eq!(places[..MOST_OF_ROUTE], (0..MOST_OF_ROUTE).collect::<Vec<_>>());
        assert!(places[MOST_OF_ROUTE..].iter().all(|place| *place == MOST_OF_ROUTE));
        assert_eq!((groups.place("g7"), groups.place("g99")), (7, MOST_OF_ROUTE));
        assert_eq!(groups.names().count(), MOST_OF_ROUTE);
    }

    #[test]
    fn all_routes_have_so_many_pairs_and_one_that_goes_gives_its_own_back() {
        let pairs = Pairs::default();
        let mut routes: Vec<_> = (0..MOST).map(|_| Groups::new(&pairs)).collect();
        assert!(routes.iter().all(|route| route.place("a") == 0));
        assert_eq!(routes[0].place("b"), MOST_OF_ROUTE);
        routes.pop();
        assert_eq!(routes[0].place("b"), 1);
        assert_eq!(routes[0].place("c"), MOST_OF_ROUTE);
        drop(routes);
        assert_eq!(pairs.0.load(Relaxed), 0);
    }

    #[test]
    fn no_group_has_the_name_of_the_others_or_a_long_one() {
        let groups = Groups::new(&Pairs::default());
        for name in [OTHER, &"x".repeat(MOST_BYTES + 1)] {
            assert_eq!(groups.place(name), MOST_OF_ROUTE);
        }
        assert_eq!(groups.names().count(), 0);
    }

    #[test]
    fn workers_that_meet_a_group_together_agree_on_its_place() {
        let groups = Groups::new(&Pairs::default());
        let places: Vec<Vec<usize>> = std::thread::scope(|scope| {
            let worker =
                || scope.spawn(|| (0..64).map(|it| groups.place(&it.to_string())).collect());
            let workers: Vec<_> = (0..4).map(|_| worker()).collect();
            workers.into_iter().map(|worker| worker.join().expect("it ends")).collect()
        });
        assert!(places.iter().all(|one| *one == places[0]));
        assert_eq!(groups.names().count(), 64);
    }
}
