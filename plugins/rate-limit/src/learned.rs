//! How far the estimates of a policy are short of what requests do cost.
//!
//! Owns a weighted mean of both, in which the last settlements count most. It is what this instance has seen: another one
//! learns by itself, and a new one begins with nothing. Must not know limits.

use std::cell::Cell;

/// Settlements before anything is concluded from them.
const LEAST: u32 = 8;
/// What is left of the weight of a settlement after each later one: half of it after 22.
const KEPT: f64 = 31.0 / 32.0;
/// As many times as much as the estimate, at most: one cost that is out of all proportion must not shut others out.
const MOST: f64 = 16.0;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    estimated: Cell<f64>,
    real: Cell<f64>,
    settled: Cell<u32>,
}

impl Learned {
    /// A request did cost so much.
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more digits")]
    pub(crate) fn note(&self, estimate: u64, real: u64) {
        self.estimated.set(self.estimated.get().mul_add(KEPT, estimate as f64));
        self.real.set(self.real.get().mul_add(KEPT, real as f64));
        self.settled.set(self.settled.get().saturating_add(1));
    }

    /// What is to be taken for a request with this estimate: never less.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is positive, saturates, and is rounded up"
    )]
    pub(crate) fn of(&self, estimate: u64) -> u64 {
        let (estimated, real) = (self.estimated.get(), self.real.get());
        if self.settled.get() < LEAST || real <= estimated {
            return estimate;
        }
        let factor = (real / estimated.max(1.0)).min(MOST);
        ((estimate as f64 * factor).ceil() as u64).max(estimate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(settlements: &[(u64, u64)]) -> Learned {
        let learned = Learned::default();
        settlements.iter().for_each(|(estimate, real)| learned.note(*estimate, *real));
        learned
    }

    #[test]
    fn takes_as_many_times_as_much_as_requests_cost_on_average() {
        assert_eq!(after(&[(10, 20); 7]).of(10), 10, "too few to conclude anything");
        assert_eq!(after(&[(10, 20); 8]).of(10), 20);
        assert_eq!(after(&[(10, 20); 8]).of(7), 14, "also of another estimate");
        assert_eq!(after(&[(10, 4); 100]).of(10), 10, "never less than the estimate");
    }

    #[test]
    fn one_cost_out_of_all_proportion_is_bounded_and_forgotten() {
        let learned = after(&[(10, 10); 20]);
        learned.note(10, 1_000_000);
        assert_eq!(learned.of(10), 160);
        (0..400).for_each(|_| learned.note(10, 10));
        assert!(learned.of(10) <= 11, "{}", learned.of(10));
    }

    #[test]
    fn estimates_of_nothing_and_costs_beyond_all_numbers_are_taken() {
        let learned = after(&[(0, u64::MAX); 10]);
        assert_eq!(learned.of(0), 0);
        assert_eq!(learned.of(u64::MAX), u64::MAX);
    }
}
