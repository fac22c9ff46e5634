//! The choice of a variant by weights, as routes split: weighted rendezvous hashing.

use crate::hash::{even, mixed, sip};

/// The variants of an experiment.
#[derive(Debug, Clone)]
pub struct Variants(Vec<(u64, f64)>);

impl Variants {
    /// By name and weight. `None` if the weights sum to nothing, or one is below zero or no number.
    #[must_use]
    pub fn new<'a>(variants: impl IntoIterator<Item = (&'a str, f64)>) -> Option<Self> {
        let variants: Vec<_> =
            variants.into_iter().map(|(name, weight)| (sip(1, name.as_bytes()), weight)).collect();
        let is_weight = |(_, weight): &(u64, f64)| weight.is_finite() && *weight >= 0.0;
        let is_usable =
            variants.iter().all(is_weight) && variants.iter().any(|(_, weight)| *weight > 0.0);
        is_usable.then_some(Self(variants))
    }

    /// Which of them a unit has, by its number. If a weight changes, units come to this variant or leave it, and none goes
    /// from one of the others to another. The order does not matter.
    #[must_use]
    pub fn choose(&self, key: u64) -> usize {
        self.choose_of(key, |_| true).unwrap_or(0)
    }

    /// The same, if only some of them are there: those who would have one of the others have another.
    pub fn choose_of(&self, key: u64, is_there: impl Fn(usize) -> bool) -> Option<usize> {
        let (mut best, mut least) = (None, f64::INFINITY);
        for (index, (name, weight)) in self.0.iter().enumerate() {
            // Exponentially distributed with the weight as its rate: the smallest of all is that of a variant with the
            // probability that its weight has of the sum.
            let score = -(1.0 - even(mixed(key ^ name))).ln() / weight;
            if *weight > 0.0 && score < least && is_there(index) {
                (best, least) = (Some(index), score);
            }
        }
        best
    }

    /// The weights, in order.
    pub fn weights(&self) -> impl Iterator<Item = f64> {
        self.0.iter().map(|(_, weight)| *weight)
    }
}
