//! Which target a request goes to.
//!
//! Owns the order in which the targets of one upstream take their turns, for one worker. Knows
//! their weights and nothing else about them.

use std::cell::RefCell;

/// Targets that a request has been refused by already.
pub(super) type Tried = smallvec::SmallVec<[usize; 4]>;

/// Smooth weighted round robin: each target gets its share of every stretch of requests, and the
/// turns of a heavy one are spread over it instead of following each other.
#[derive(Debug)]
pub(super) struct Balance {
    targets: RefCell<Vec<WeightedTarget>>,
}

#[derive(Debug)]
struct WeightedTarget {
    weight: i64,
    /// What the target has been owed, less what it got, in parts of the total weight.
    credit: i64,
}

impl Balance {
    /// `skip` is how many turns are over already; workers that begin at different turns do not
    /// send their requests to the same target all at the same time.
    pub(super) fn new(weights: impl Iterator<Item = u32>, skip: u32) -> Self {
        let targets = weights.map(|weight| WeightedTarget { weight: i64::from(weight), credit: 0 });
        let balance = Self { targets: RefCell::new(targets.collect()) };
        for _ in 0..skip {
            let _turn = balance.choose(&[]);
        }
        balance
    }

    /// The next target that is not in `tried`; `None` if all are.
    pub(super) fn choose(&self, tried: &[usize]) -> Option<usize> {
        let mut targets = self.targets.borrow_mut();
        if targets.len() == 1 {
            return tried.is_empty().then_some(0);
        }
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for (index, seat) in targets.iter_mut().enumerate() {
            if tried.contains(&index) {
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
}

#[cfg(test)]
mod tests {
    use super::Balance;

    fn turns(balance: &Balance, count: usize) -> Vec<usize> {
        (0..count).map(|_| balance.choose(&[]).unwrap()).collect()
    }

    #[test]
    fn gives_each_target_its_share_and_spreads_the_turns_of_a_heavy_one() {
        let balance = Balance::new([5, 1, 1].into_iter(), 0);
        assert_eq!(turns(&balance, 7), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn workers_that_skip_different_turns_start_at_different_targets() {
        let starts: Vec<_> = (0..3).map(|skip| Balance::new([1, 1, 1].into_iter(), skip)).collect();
        let first: Vec<_> = starts.iter().map(|balance| turns(balance, 1)[0]).collect();
        assert_eq!(first, [0, 1, 2]);
    }

    #[test]
    fn passes_over_the_targets_that_were_tried() {
        let balance = Balance::new([1, 9, 1].into_iter(), 0);
        assert_ne!(balance.choose(&[1]), Some(1));
        assert_eq!(balance.choose(&[0, 1]), Some(2));
        assert_eq!(balance.choose(&[0, 1, 2]), None);
        let single = Balance::new([4].into_iter(), 0);
        assert_eq!(single.choose(&[]), Some(0));
        assert_eq!(single.choose(&[0]), None);
    }

    #[test]
    fn a_detour_does_not_change_the_shares_in_the_long_run() {
        let balance = Balance::new([3, 1].into_iter(), 0);
        for _ in 0..10 {
            let _detour = balance.choose(&[0]);
        }
        let turns = turns(&balance, 400);
        let heavy = turns.iter().filter(|&&target| target == 0).count();
        assert!(heavy.abs_diff(300) <= 10, "{heavy} of 400");
    }
}
