//! Which target a request goes to.
//!
//! Owns the order in which the targets of one upstream take their turns, for one worker: weights, open
//! requests, and which targets are to be left out. Who is healthy is said by [`crate::health`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::config;

/// Targets that a request has been refused by already.
pub(crate) type Tried = smallvec::SmallVec<[usize; 4]>;

/// How a target is chosen.
#[derive(Debug)]
pub(super) struct Balance {
    targets: RefCell<Vec<WeightedTarget>>,
    /// Open requests of this worker by target, where they decide.
    open: Option<Rc<[Cell<u32>]>>,
    random: Cell<u64>,
}

#[derive(Debug)]
struct WeightedTarget {
    weight: i64,
    /// What the target has been owed, less what it got, in parts of the total weight.
    credit: i64,
}

/// Counts a request at its target until it has ended.
#[derive(Debug)]
pub(super) struct Open {
    counts: Rc<[Cell<u32>]>,
    target: usize,
}

impl Drop for Open {
    fn drop(&mut self) {
        let count = &self.counts[self.target];
        count.set(count.get() - 1);
    }
}

impl Balance {
    /// `skip` is how many turns are over already; workers that begin at different turns do not
    /// send their requests to the same target all at the same time.
    pub(super) fn new(
        weights: impl Iterator<Item = u32>,
        kind: config::Balance,
        skip: u32,
    ) -> Self {
        let targets = weights.map(|weight| WeightedTarget { weight: i64::from(weight), credit: 0 });
        let targets: Vec<_> = targets.collect();
        let counts = || targets.iter().map(|_| Cell::new(0)).collect();
        let open = (kind == config::Balance::LeastRequests && targets.len() > 1).then(counts);
        let random = Cell::new(0x9e37_79b9_7f4a_7c15 ^ u64::from(skip));
        let balance = Self { targets: RefCell::new(targets), open, random };
        for _ in 0..skip {
            let _turn = balance.take_turn(|_| true);
        }
        balance
    }

    /// The next target that may be chosen; `None` if none may.
    pub(super) fn choose(&self, may: impl Fn(usize) -> bool) -> Option<usize> {
        match &self.open {
            None => self.take_turn(may),
            Some(open) => self.least_open(open, may),
        }
    }

    /// The request goes to this target.
    pub(super) fn begin(&self, target: usize) -> Option<Open> {
        let counts = self.open.as_ref()?;
        counts[target].set(counts[target].get() + 1);
        Some(Open { counts: Rc::clone(counts), target })
    }

    /// Smooth weighted round robin: each target gets its share of every stretch of requests, and the
    /// turns of a heavy one are spread over it instead of following each other.
    fn take_turn(&self, may: impl Fn(usize) -> bool) -> Option<usize> {
        let mut targets = self.targets.borrow_mut();
        if targets.len() == 1 {
            return may(0).then_some(0);
        }
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for (index, seat) in targets.iter_mut().enumerate() {
            // One without a weight is drained.
            if seat.weight == 0 || !may(index) {
                continue;
            }
            total += seat.weight;
            seat.credit += seat.weight;
            if best.is_none_or(|(_, credit)| seat.credit > credit) {
                best = Some((index, seat.credit));
            }
        }
        let (index, _) = best?;
        targets[index].credit -= total;
        Some(index)
    }

    /// The power of two choices: of two at random the one with fewer open requests for its weight. A slow
    /// target gets fewer, without that all go to the one that is least busy at the moment. The first is the
    /// one whose turn it is, so that weights hold where none is busy.
    fn least_open(&self, open: &[Cell<u32>], may: impl Fn(usize) -> bool) -> Option<usize> {
        let first = self.take_turn(&may)?;
        let others = open.len() - 1;
        let step = 1 + self.random() % others;
        let mut candidates = (0..others).map(|more| (first + step + more) % open.len());
        let targets = self.targets.borrow();
        let may = |index: &usize| *index != first && targets[*index].weight > 0 && may(*index);
        let Some(second) = candidates.find(may) else { return Some(first) };
        let load = |index: usize| i64::from(open[index].get());
        // load(second) / weight(second) < load(first) / weight(first), without a division.
        let is_less = load(second) * targets[first].weight < load(first) * targets[second].weight;
        Some(if is_less { second } else { first })
    }

    /// A number that is random enough to choose a target (xorshift, Marsaglia 2003).
    fn random(&self) -> usize {
        let mut state = self.random.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.random.set(state);
        state as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Balance;
    use crate::config;

    const ROUND_ROBIN: config::Balance = config::Balance::RoundRobin;

    fn not(tried: &[usize]) -> impl Fn(usize) -> bool {
        move |index| !tried.contains(&index)
    }

    fn turns(balance: &Balance, count: usize) -> Vec<usize> {
        (0..count).map(|_| balance.choose(|_| true).unwrap()).collect()
    }

    #[test]
    fn gives_each_target_its_share_and_spreads_the_turns_of_a_heavy_one() {
        let balance = Balance::new([5, 1, 1].into_iter(), ROUND_ROBIN, 0);
        assert_eq!(turns(&balance, 7), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn workers_that_skip_different_turns_start_at_different_targets() {
        let starts: Vec<_> =
            (0..3).map(|skip| Balance::new([1, 1, 1].into_iter(), ROUND_ROBIN, skip)).collect();
        let first: Vec<_> = starts.iter().map(|balance| turns(balance, 1)[0]).collect();
        assert_eq!(first, [0, 1, 2]);
    }

    #[test]
    fn passes_over_the_targets_that_were_tried() {
        let balance = Balance::new([1, 9, 1].into_iter(), ROUND_ROBIN, 0);
        assert_ne!(balance.choose(not(&[1])), Some(1));
        assert_eq!(balance.choose(not(&[0, 1])), Some(2));
        assert_eq!(balance.choose(not(&[0, 1, 2])), None);
        let single = Balance::new([4].into_iter(), ROUND_ROBIN, 0);
        assert_eq!(single.choose(not(&[])), Some(0));
        assert_eq!(single.choose(not(&[0])), None);
    }

    #[test]
    fn a_detour_does_not_change_the_shares_in_the_long_run() {
        let balance = Balance::new([3, 1].into_iter(), ROUND_ROBIN, 0);
        for _ in 0..10 {
            let _detour = balance.choose(not(&[0]));
        }
        let turns = turns(&balance, 400);
        let heavy = turns.iter().filter(|&&target| target == 0).count();
        assert!(heavy.abs_diff(300) <= 10, "{heavy} of 400");
    }

    #[test]
    fn of_two_the_one_with_fewer_open_requests_for_its_weight_is_chosen() {
        let least = config::Balance::LeastRequests;
        let balance = Balance::new([1, 1, 2].into_iter(), least, 0);
        let slow: Vec<_> = (0..10).filter_map(|_| balance.begin(0)).collect();
        let turns = turns(&balance, 400);
        // It is both of the two at random never: the other one is always less busy.
        assert!(!turns.contains(&0), "{turns:?}");
        drop(slow);
        let even = turns_of(&balance, 400, 0);
        assert!(even.abs_diff(100) <= 10, "{even} of 400: weights hold where none is busy");
        // With as many open as its weight says, the heavy one is no busier than the others.
        let _open: Vec<_> = [0, 1, 2, 2].map(|target| balance.begin(target)).into();
        assert!(turns_of(&balance, 400, 2) >= 190);
    }

    fn turns_of(balance: &Balance, count: usize, target: usize) -> usize {
        turns(balance, count).into_iter().filter(|chosen| *chosen == target).count()
    }

    #[test]
    fn targets_that_may_not_be_chosen_are_left_out_whatever_they_are_busy_with() {
        for kind in [ROUND_ROBIN, config::Balance::LeastRequests] {
            let balance = Balance::new([1, 1, 1].into_iter(), kind, 0);
            let _open: Vec<_> = (0..9).map(|_| balance.begin(2)).collect();
            assert!((0..50).all(|_| balance.choose(|index| index == 2) == Some(2)));
            assert_eq!(balance.choose(|_| false), None);
        }
    }
}
