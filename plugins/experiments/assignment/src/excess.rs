//! Whether a variant does worse than the control, told as soon as it is sure: a sequential test, which may be looked at after
//! each request.
//!
//! The mixture sequential probability ratio test of Robbins (1970), for the difference of two proportions as Johari et al.
//! (Peeking at A/B Tests, 2017) use it: with a normal mixture over how much worse it may be. It says so wrongly with at most
//! the probability `alpha`, however often it is looked at, as far as the normal approximation holds.

/// How many of how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proportion {
    /// Those that are bad.
    pub bad: u64,
    /// All of them.
    pub all: u64,
}

/// The standard deviation of the mixture: differences of about this size are found soonest.
const MIXTURE: f64 = 0.05;

/// The fewest of each of which something is said.
const LEAST: u64 = 100;

impl Proportion {
    /// With half of one more of each kind, so that none is certain.
    fn rate(self) -> f64 {
        (self.bad as f64 + 0.5) / (self.all as f64 + 1.0)
    }

    fn variance(self) -> f64 {
        self.rate() * (1.0 - self.rate()) / self.all.max(1) as f64
    }
}

/// Whether the proportion of a variant is over that of the control by more than `bound`.
#[must_use]
pub fn is_over(variant: Proportion, control: Proportion, bound: f64, alpha: f64) -> bool {
    if variant.all < LEAST || control.all < LEAST {
        return false;
    }
    let excess = variant.rate() - control.rate() - bound;
    let (variance, mixture) = (variant.variance() + control.variance(), MIXTURE * MIXTURE);
    // Both sides of the mixture count, and one side is looked at.
    let exponent = mixture * excess * excess / (2.0 * variance * (variance + mixture));
    let likelihood = 0.5 * (variance / (variance + mixture)).ln() + exponent;
    excess > 0.0 && likelihood >= -alpha.ln()
}

#[cfg(test)]
mod tests {
    use super::{Proportion, is_over};

    /// Looks after each request; after how many it says so.
    fn looked(seed: u64, rates: [f64; 2], bound: f64, most: u64) -> Option<u64> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut even = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            crate::hash::even(crate::hash::mixed(state))
        };
        let mut both = [Proportion::default(); 2];
        (1..=most).find(|_| {
            for (one, rate) in both.iter_mut().zip(rates) {
                one.all += 1;
                one.bad += u64::from(even() < rate);
            }
            is_over(both[1], both[0], bound, 0.01)
        })
    }

    #[test]
    fn what_is_as_good_is_hardly_ever_stopped_and_what_is_worse_soon_is() {
        let wrong =
            (0..100).filter(|seed| looked(*seed, [0.02, 0.02], 0.0, 3_000).is_some()).count();
        assert!(wrong <= 3, "{wrong} of 100 with alpha 0.01");
        let bounded =
            (0..30).filter(|seed| looked(*seed, [0.02, 0.03], 0.02, 3_000).is_some()).count();
        assert_eq!(bounded, 0, "within the bound");
        let found: Vec<_> = (0..50).map(|seed| looked(seed, [0.01, 0.10], 0.01, 5_000)).collect();
        let slowest = found.iter().map(|after| after.unwrap_or(u64::MAX)).max().unwrap_or_default();
        assert!(slowest < 1_500, "{found:?}");
        println!("stopped after {:?} requests at most; wrongly {wrong} of 100", slowest);
    }
}
