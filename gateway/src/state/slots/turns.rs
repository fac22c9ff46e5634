//! Who has the next slot.
//!
//! Owns the order of those who wait under one key: the highest priority first, within it one of each share
//! in turn, within a share the first who came. Must not know what a slot is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// See the module. `T` is what is done for the one who is next.
#[derive(Debug)]
pub(super) struct Turns<T> {
    /// By priority; those that nobody waits with are not there.
    priorities: BTreeMap<u8, Shares<T>>,
    count: usize,
    next: u64,
}

/// Those who wait with one priority.
#[derive(Debug)]
struct Shares<T> {
    /// Whose turn it is. Each share that waits is in it once.
    order: VecDeque<Arc<str>>,
    waiting: HashMap<Arc<str>, VecDeque<(u64, T)>>,
}

/// One who waits.
#[derive(Debug, Clone)]
pub(super) struct Place {
    priority: u8,
    share: Arc<str>,
    /// Rises with each who comes.
    number: u64,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { priorities: BTreeMap::new(), count: 0, next: 0 }
    }
}

impl<T> Turns<T> {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// One more waits.
    pub(super) fn push(&mut self, priority: u8, share: &str, what: T) -> Place {
        let number = self.next;
        self.next += 1;
        self.count += 1;
        let shares = self.priorities.entry(priority).or_insert_with(Shares::new);
        Place { priority, share: shares.push(share, number, what), number }
    }

    /// The next one waits no more.
    pub(super) fn pop(&mut self) -> Option<T> {
        let mut highest = self.priorities.last_entry()?;
        let what = highest.get_mut().pop();
        if highest.get().order.is_empty() {
            highest.remove();
        }
        self.count -= usize::from(what.is_some());
        what
    }

    /// This one waits no more. `false` if it did not.
    pub(super) fn remove(&mut self, place: &Place) -> bool {
        let Some(shares) = self.priorities.get_mut(&place.priority) else { return false };
        let is_removed = shares.remove(&place.share, place.number);
        if shares.order.is_empty() {
            self.priorities.remove(&place.priority);
        }
        self.count -= usize::from(is_removed);
        is_removed
    }
}

impl<T> Shares<T> {
    fn new() -> Self {
        Self { order: VecDeque::new(), waiting: HashMap::new() }
    }

    fn push(&mut self, share: &str, number: u64, what: T) -> Arc<str> {
        if let Some((known, waiting)) = self.waiting.get_key_value(share) {
            let known = Arc::clone(known);
            debug_assert!(!waiting.is_empty(), "a share that nobody waits in is forgotten");
            self.waiting.entry(Arc::clone(&known)).or_default().push_back((number, what));
            return known;
        }
        let share: Arc<str> = share.into();
        self.order.push_back(Arc::clone(&share));
        self.waiting.insert(Arc::clone(&share), VecDeque::from([(number, what)]));
        share
    }

    fn pop(&mut self) -> Option<T> {
        let share = self.order.pop_front()?;
        let waiting = self.waiting.get_mut(&share)?;
        let (_, what) = waiting.pop_front()?;
        if waiting.is_empty() {
            self.waiting.remove(&share);
        } else {
            self.order.push_back(share);
        }
        Some(what)
    }

    fn remove(&mut self, share: &Arc<str>, number: u64) -> bool {
        let Some(waiting) = self.waiting.get_mut(share) else { return false };
        let Ok(at) = waiting.binary_search_by_key(&number, |(number, _)| *number) else {
            return false;
        };
        waiting.remove(at);
        if waiting.is_empty() {
            self.waiting.remove(share);
            self.order.retain(|other| other != share);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(turns: &mut Turns<u32>) -> Vec<u32> {
        std::iter::from_fn(|| turns.pop()).collect()
    }

    #[test]
    fn the_first_who_came_is_first() {
        let mut turns = Turns::default();
        (0..5).for_each(|number| drop(turns.push(0, "", number)));
        assert_eq!(order(&mut turns), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn shares_take_turns_and_one_that_sends_many_keeps_nobody_waiting() {
        let mut turns = Turns::default();
        (0..4).for_each(|number| drop(turns.push(0, "greedy", number)));
        turns.push(0, "modest", 10);
        turns.push(0, "other", 20);
        turns.push(0, "other", 21);
        assert_eq!(order(&mut turns), [0, 10, 20, 1, 21, 2, 3]);
    }

    #[test]
    fn the_highest_priority_is_first() {
        let mut turns = Turns::default();
        turns.push(0, "a", 1);
        turns.push(9, "a", 2);
        turns.push(5, "b", 3);
        turns.push(9, "c", 4);
        assert_eq!(order(&mut turns), [2, 4, 3, 1]);
    }

    /// Against a list that is searched from end to end.
    #[test]
    fn whoever_leaves_is_gone_and_the_others_stay() {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).expect("31 bits") % below
        };
        for _ in 0..500 {
            let (mut turns, mut places, mut here) = (Turns::default(), Vec::new(), Vec::new());
            for number in 0..60_u32 {
                match random(4) {
                    0 if !places.is_empty() => {
                        let (place, number): (Place, u32) =
                            places.swap_remove(random(places.len()));
                        let was_here = here.contains(&number);
                        here.retain(|other| *other != number);
                        assert_eq!(turns.remove(&place), was_here);
                        assert!(!turns.remove(&place));
                    }
                    1 => match turns.pop() {
                        Some(number) => {
                            assert!(here.contains(&number));
                            here.retain(|other| *other != number);
                        }
                        None => assert!(here.is_empty()),
                    },
                    _ => {
                        let priority = u8::try_from(random(3)).expect("small");
                        let place = turns.push(priority, ["", "a", "b"][random(3)], number);
                        places.push((place, number));
                        here.push(number);
                    }
                }
                assert_eq!(turns.len(), here.len());
            }
            let mut left = order(&mut turns);
            left.sort_unstable();
            here.sort_unstable();
            assert_eq!(left, here);
            assert!(turns.priorities.is_empty());
        }
    }
}
