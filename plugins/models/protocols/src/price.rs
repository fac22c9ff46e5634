//! What a call costs: exact decimal prices, no floating point.
//!
//! Prices are whole attodollars (10^-18) a token, which holds every published price as it is
//! written; costs are summed in those and rounded once, half up, to picodollars (10^-12).

mod decimal;
mod own;
mod public;

pub use own::{names as own_names, of_own};
pub use public::{PublicRow, public_rows};

use crate::usage::{Tier, Usage};

/// What is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Input that has no price of its own below.
    Input,
    /// Output that has no price of its own below.
    Output,
    /// Input read from a cache; without a price as input.
    CacheRead,
    /// Input written to a cache; without a price as input.
    CacheWrite,
    /// Input written to a cache for an hour; without a price as what is written to a cache.
    CacheWrite1h,
    /// Reasoning; without a price as output.
    Reasoning,
    /// Audio put in; without a price as input.
    AudioInput,
    /// Audio that comes out; without a price as output.
    AudioOutput,
    /// Images put in; without a price as input.
    ImageInput,
    /// Images that come out; without a price as output.
    ImageOutput,
    /// One search of the provider's; without a price free.
    Search,
    /// A second of audio, where seconds are counted; without a price free.
    AudioSecond,
}

/// An amount of money in picodollars, a millionth of a millionth of a dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(pub u64);

impl Cost {
    /// Dollars written as a decimal number.
    pub fn of_dollars(text: &str) -> Option<Self> {
        decimal::scaled(text, 12)?.try_into().ok().map(Self)
    }

    /// Whole nanodollars, half up.
    pub fn nanodollars(self) -> u64 {
        self.0 / 1000 + u64::from(self.0 % 1000 >= 500)
    }
}

impl std::fmt::Display for Cost {
    /// Dollars as a decimal number without zeros at its end.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (dollars, rest) = (self.0 / 1_000_000_000_000, self.0 % 1_000_000_000_000);
        match rest {
            0 => write!(f, "{dollars}"),
            rest => write!(f, "{dollars}.{}", format!("{rest:012}").trim_end_matches('0')),
        }
    }
}

/// One price of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Price {
    kind: Kind,
    /// It holds for requests with more input tokens than this.
    above: u64,
    tier: Tier,
    attodollars: u128,
}

/// The prices of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    prices: Vec<Price>,
}

impl Row {
    /// Whether it has no price at all, so that every cost would be zero.
    pub fn is_empty(&self) -> bool {
        self.prices.is_empty()
    }

    /// Sets a price of dollars for a million tokens, searches or seconds, written as a
    /// decimal number. It holds for requests with more than `above` input tokens, and for all if
    /// that is 0. `None` if the text is no decimal number that is zero or more.
    pub fn set(&mut self, kind: Kind, above: u64, tier: Tier, per_million: &str) -> Option<()> {
        self.put(Price { kind, above, tier, attodollars: decimal::scaled(per_million, 12)? });
        Some(())
    }

    fn put(&mut self, price: Price) {
        let same =
            |old: &Price| (old.kind, old.above, old.tier) == (price.kind, price.above, price.tier);
        self.prices.retain(|old| !same(old));
        self.prices.push(price);
    }

    /// The price of a kind for a request of so much input: of the prices of the tier that of the
    /// highest threshold that the input is above; without any those of the standard tier.
    fn find(&self, kind: Kind, tier: Tier, input: u64) -> Option<u128> {
        let of_tier = |tier| {
            let prices =
                self.prices.iter().filter(move |price| price.kind == kind && price.tier == tier);
            let prices = prices.filter(|price| price.above == 0 || input > price.above);
            prices.max_by_key(|price| price.above).map(|price| price.attodollars)
        };
        of_tier(tier).or_else(|| of_tier(Tier::Standard))
    }

    fn price(&self, kind: Kind, usage: &Usage) -> u128 {
        let find = |kind| self.find(kind, usage.tier, usage.input);
        let other = match kind {
            Kind::CacheRead | Kind::CacheWrite | Kind::AudioInput | Kind::ImageInput => {
                Some(Kind::Input)
            }
            Kind::CacheWrite1h => Some(Kind::CacheWrite),
            Kind::Reasoning | Kind::AudioOutput | Kind::ImageOutput => Some(Kind::Output),
            Kind::Input | Kind::Output | Kind::Search | Kind::AudioSecond => None,
        };
        find(kind).unwrap_or_else(|| other.map_or(0, |other| self.price(other, usage)))
    }

    /// What the usage costs. Above a threshold the whole request is dearer, not only what lies
    /// above it.
    pub fn cost(&self, usage: &Usage) -> Cost {
        let mut uncached = usage.uncached_input();
        let mut output = usage.output;
        let take = |from: &mut u64, tokens: u64| {
            let taken = tokens.min(*from);
            *from -= taken;
            taken
        };
        let parts = [
            (Kind::AudioInput, take(&mut uncached, usage.audio_input)),
            (Kind::ImageInput, take(&mut uncached, usage.image_input)),
            (Kind::AudioOutput, take(&mut output, usage.audio_output)),
            (Kind::ImageOutput, take(&mut output, usage.image_output)),
            (Kind::Reasoning, take(&mut output, usage.reasoning)),
            (Kind::Input, uncached),
            (Kind::Output, output),
            (Kind::CacheRead, usage.cached_input),
            (Kind::CacheWrite, usage.cache_write),
            (Kind::CacheWrite1h, usage.cache_write_1h),
            (Kind::Search, usage.searches),
            (Kind::AudioSecond, usage.audio_seconds),
        ];
        let sum = parts.iter().fold(0_u128, |sum, (kind, count)| match count {
            0 => sum,
            count => {
                sum.saturating_add(self.price(*kind, usage).saturating_mul(u128::from(*count)))
            }
        });
        let picodollars = sum / 1_000_000 + u128::from(sum % 1_000_000 >= 500_000);
        Cost(picodollars.try_into().unwrap_or(u64::MAX))
    }
}

/// Why a price cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The members that lead to it, joined by dots.
    pub path: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.path, self.reason)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests;
