//! Who has the next slot.
//!
//! Owns the order of those who wait under one key: by priority, within one a turn of each share by its weight, within a
//! share the first who came. A lower priority has one turn in [`PASSES`] + 1 of those above it, so that none waits for
//! ever. Must not know what a slot is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// So many turns of the next higher priority pass by one that waits, before it has one itself.
const PASSES: u32 = 8;

/// How far the turns of a share with the weight 1 are apart; those of another are so many times closer.
const TURN: u64 = 1 << 24;

/// See the module. `T` is what is done for the one who is next.
#[derive(Debug)]
pub(super) struct Turns<T> {
    /// By priority; those that nobody waits with are not there.
    priorities: BTreeMap<u8, Shares<T>>,
    /// How many turns passed by a priority. Kept when nobody waits with it: who leaves and comes again would never
    /// have a turn otherwise, and those below it none.
    passed: BTreeMap<u8, u32>,
    count: usize,
    next: u64,
}

/// Those who wait with one priority. Shares have their turns in the order of a number that grows with each, the less
/// the higher their weight (self-clocked fair queueing).
#[derive(Debug)]
struct Shares<T> {
    /// The next turn of each share that waits. The second number tells apart who is equal: the first who asked.
    order: BTreeMap<(u64, u64), Arc<str>>,
    waiting: HashMap<Arc<str>, Share<T>>,
    /// The number of the last turn.
    now: u64,
    asked: u64,
}

/// Those of one share.
#[derive(Debug)]
struct Share<T> {
    /// Its place in the order.
    turn: (u64, u64),
    /// How far its turns are apart, by the weight that was told last.
    step: u64,
    waiting: VecDeque<(u64, T)>,
}

/// How one waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rank<'a> {
    pub(super) priority: u8,
    pub(super) share: &'a str,
    /// How many turns its share has for one of a share with the weight 1; at least 1.
    pub(super) weight: u16,
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
        Self { priorities: BTreeMap::new(), passed: BTreeMap::new(), count: 0, next: 0 }
    }
}

impl<T> Turns<T> {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// One more waits.
    pub(super) fn push(&mut self, rank: Rank<'_>, what: T) -> Place {
        let number = self.next;
        self.next += 1;
        self.count += 1;
        let priority = rank.priority;
        let shares = self.priorities.entry(priority).or_insert_with(Shares::new);
        Place { priority, share: shares.push(rank, number, what), number }
    }

    /// The next one waits no more.
    pub(super) fn pop(&mut self) -> Option<T> {
        let priority = self.turn()?;
        let shares = self.priorities.get_mut(&priority)?;
        let what = shares.pop();
        if shares.order.is_empty() {
            self.priorities.remove(&priority);
        }
        self.count -= usize::from(what.is_some());
        what
    }

    /// The priority whose turn it is: the highest, unless it has passed by the next one often enough; so on downwards.
    fn turn(&mut self) -> Option<u8> {
        let mut priorities = self.priorities.keys().rev().copied();
        let mut highest = priorities.next()?;
        for lower in priorities {
            let passed = self.passed.entry(lower).or_default();
            if *passed < PASSES {
                *passed += 1;
                break;
            }
            *passed = 0;
            highest = lower;
        }
        Some(highest)
    }

    /// How many would have a turn before one who came now, if nobody came after it.
    pub(super) fn before(&self, rank: Rank<'_>) -> u64 {
        let own = self.priorities.get(&rank.priority);
        let own = own.map_or(0, |shares| shares.before(rank));
        let waiting = |shares: &Shares<T>| shares.len();
        let above: u64 = self
            .priorities
            .range(rank.priority..)
            .skip_while(|(it, _)| **it == rank.priority)
            .map(|(_, shares)| waiting(shares))
            .sum();
        let below: u64 =
            self.priorities.range(..rank.priority).map(|(_, shares)| waiting(shares)).sum();
        // Those above pass by each turn of this priority so often, and those below have one for so many of it.
        let above = above.min((own + 1).saturating_mul(u64::from(PASSES)));
        let below = below.min((own + above) / u64::from(PASSES));
        own + above + below
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
        Self { order: BTreeMap::new(), waiting: HashMap::new(), now: 0, asked: 0 }
    }

    fn len(&self) -> u64 {
        self.waiting.values().map(|share| share.waiting.len() as u64).sum()
    }

    fn push(&mut self, rank: Rank<'_>, number: u64, what: T) -> Arc<str> {
        let step = step(rank.weight);
        if let Some((name, _)) = self.waiting.get_key_value(rank.share) {
            let name = Arc::clone(name);
            if let Some(share) = self.waiting.get_mut(&name) {
                share.step = step;
                share.waiting.push_back((number, what));
            }
            return name;
        }
        let name: Arc<str> = rank.share.into();
        let turn = self.turn_after(self.now, step);
        self.order.insert(turn, Arc::clone(&name));
        let waiting = VecDeque::from([(number, what)]);
        self.waiting.insert(Arc::clone(&name), Share { turn, step, waiting });
        name
    }

    fn turn_after(&mut self, turn: u64, step: u64) -> (u64, u64) {
        self.asked += 1;
        (turn.saturating_add(step), self.asked)
    }

    fn pop(&mut self) -> Option<T> {
        let (turn, name) = self.order.pop_first()?;
        self.now = turn.0;
        self.asked += 1;
        let share = self.waiting.get_mut(&name)?;
        let (_, what) = share.waiting.pop_front()?;
        if share.waiting.is_empty() {
            self.waiting.remove(&name);
        } else {
            share.turn = (turn.0.saturating_add(share.step), self.asked);
            self.order.insert(share.turn, name);
        }
        Some(what)
    }

    /// How many of these have a turn before one who came now.
    fn before(&self, rank: Rank<'_>) -> u64 {
        let step = step(rank.weight);
        let own = self.waiting.get(rank.share);
        let mine = match own {
            Some(share) => {
                share.turn.0.saturating_add(step.saturating_mul(share.waiting.len() as u64))
            }
            None => self.now.saturating_add(step),
        };
        let others = self.waiting.iter().filter(|(name, _)| &***name != rank.share);
        let others = others.filter(|(_, share)| share.turn.0 <= mine).map(|(_, share)| {
            (1 + (mine - share.turn.0) / share.step).min(share.waiting.len() as u64)
        });
        others.sum::<u64>() + own.map_or(0, |share| share.waiting.len() as u64)
    }

    fn remove(&mut self, name: &Arc<str>, number: u64) -> bool {
        let Some(share) = self.waiting.get_mut(name) else { return false };
        let Ok(at) = share.waiting.binary_search_by_key(&number, |(number, _)| *number) else {
            return false;
        };
        share.waiting.remove(at);
        if share.waiting.is_empty() {
            self.order.remove(&share.turn);
            self.waiting.remove(name);
        }
        true
    }
}

fn step(weight: u16) -> u64 {
    TURN / u64::from(weight.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(share: &str, priority: u8) -> Rank<'_> {
        Rank { priority, share, weight: 1 }
    }

    fn order(turns: &mut Turns<u32>) -> Vec<u32> {
        std::iter::from_fn(|| turns.pop()).collect()
    }

    #[test]
    fn the_first_who_came_is_first() {
        let mut turns = Turns::default();
        (0..5).for_each(|number| drop(turns.push(of("", 0), number)));
        assert_eq!(order(&mut turns), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn shares_take_turns_and_one_that_sends_many_keeps_nobody_waiting() {
        let mut turns = Turns::default();
        (0..4).for_each(|number| drop(turns.push(of("greedy", 0), number)));
        turns.push(of("modest", 0), 10);
        turns.push(of("other", 0), 20);
        turns.push(of("other", 0), 21);
        assert_eq!(order(&mut turns), [0, 10, 20, 1, 21, 2, 3]);
    }

    #[test]
    fn the_highest_priority_is_first() {
        let mut turns = Turns::default();
        turns.push(of("a", 0), 1);
        turns.push(of("a", 9), 2);
        turns.push(of("b", 5), 3);
        turns.push(of("c", 9), 4);
        assert_eq!(order(&mut turns), [2, 4, 3, 1]);
    }

    #[test]
    fn a_share_has_as_many_turns_as_its_weight() {
        let mut turns = Turns::default();
        for number in 0..40 {
            turns.push(Rank { weight: 4, ..of("gold", 0) }, 100 + number);
            turns.push(of("free", 0), number);
        }
        let first: Vec<u32> = order(&mut turns).into_iter().take(25).collect();
        assert_eq!(first.iter().filter(|number| **number >= 100).count(), 20, "{first:?}");
        assert!(first[..5].iter().any(|number| *number < 100), "{first:?}");
    }

    /// What it did not use counts for nothing: a share that comes again has no more than its part.
    #[test]
    fn a_share_that_waits_with_one_at_a_time_has_its_part_and_no_more() {
        let mut turns = Turns::default();
        (0..20).for_each(|number| drop(turns.push(of("many", 0), number)));
        let (mut of_many, mut of_one) = (0, 0);
        turns.push(of("one", 0), 100);
        for _ in 0..20 {
            match turns.pop() {
                Some(100) => {
                    of_one += 1;
                    turns.push(of("one", 0), 100);
                }
                _ => of_many += 1,
            }
        }
        assert_eq!((of_many, of_one), (10, 10));
    }

    /// However many come after it, each with a name of its own.
    #[test]
    fn new_shares_do_not_pass_by_one_who_waits() {
        let mut turns = Turns::default();
        (0..3).for_each(|number| drop(turns.push(of("first", 0), number)));
        let mut served = Vec::new();
        for stranger in 0..20 {
            let name = format!("stranger {stranger}");
            turns.push(of(&name, 0), 100 + stranger);
            turns.push(of(&format!("{name} too"), 0), 200 + stranger);
            served.extend(turns.pop());
        }
        assert!(served[..10].iter().filter(|number| **number < 3).count() >= 2, "{served:?}");
    }

    #[test]
    fn a_lower_priority_has_one_turn_in_nine() {
        let mut turns = Turns::default();
        for number in 0..200 {
            turns.push(of("a", 9), number);
            turns.push(of("a", 5), 1000 + number);
            turns.push(of("a", 0), 2000 + number);
        }
        let first: Vec<u32> = order(&mut turns).into_iter().take(162).collect();
        let count = |from: u32| first.iter().filter(|it| (from..from + 1000).contains(*it)).count();
        assert_eq!((count(0), count(1000), count(2000)), (144, 16, 2));
        assert!(first[..8].iter().all(|number| *number < 1000), "{first:?}");
    }

    /// Those of the priority between come and go, and never wait for their turn.
    #[test]
    fn a_lower_priority_is_served_though_those_above_it_come_and_go() {
        let mut turns = Turns::default();
        turns.push(of("low", 0), 7777);
        let mut served = Vec::new();
        for number in 0..200 {
            turns.push(of("high", 9), number);
            let between = turns.push(of("between", 5), 1000 + number);
            served.extend(turns.pop());
            turns.remove(&between);
        }
        assert!(served.contains(&7777), "{served:?}");
    }

    #[test]
    fn who_would_be_before_one_that_comes_is_what_happens() {
        let mut turns = Turns::default();
        for number in 0..6 {
            turns.push(Rank { weight: 2, ..of("gold", 3) }, number);
            turns.push(of("free", 3), 100 + number);
            turns.push(of("batch", 0), 200 + number);
        }
        for rank in [of("new", 3), Rank { weight: 8, ..of("new", 3) }, of("free", 3), of("new", 9)]
        {
            let told = turns.before(rank);
            turns.push(rank, 9999);
            let mut all = Vec::new();
            let mut at = None;
            while let Some(number) = turns.pop() {
                if number == 9999 {
                    at = Some(all.len() as u64);
                } else {
                    all.push(number);
                }
            }
            let at = at.expect("served");
            assert!(told.abs_diff(at) <= 1, "{rank:?}: {told}, and there were {at}");
            // As before.
            turns = Turns::default();
            for number in 0..6 {
                turns.push(Rank { weight: 2, ..of("gold", 3) }, number);
                turns.push(of("free", 3), 100 + number);
                turns.push(of("batch", 0), 200 + number);
            }
        }
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
                        let place = turns.push(
                            Rank {
                                priority,
                                share: ["", "a", "b"][random(3)],
                                weight: [1, 3][random(2)],
                            },
                            number,
                        );
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
