//! From a unit and a salt to a number.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

/// What makes the places of the same units independent: under another salt, each has another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt(u64);

impl Salt {
    /// From a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(sip(0, text.as_bytes()))
    }

    /// The number of a unit.
    #[must_use]
    pub fn key(self, unit: &[u8]) -> u64 {
        sip(self.0, unit)
    }

    /// The place of a unit: from 0, and less than 1.
    #[must_use]
    pub fn place(self, unit: &[u8]) -> f64 {
        even(self.key(unit))
    }
}

pub(crate) fn sip(seed: u64, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed, 0);
    hasher.write(bytes);
    hasher.finish()
}

/// Evenly distributed from 0 to 1, without 1.
pub(crate) fn even(hash: u64) -> f64 {
    const STEPS: f64 = (1_u64 << 53) as f64;
    (hash >> 11) as f64 / STEPS
}

/// Each bit of the result depends on each bit of the number (the finaliser of SplitMix64, Steele et al. 2014).
pub(crate) fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
