//! A window that slides: the sliding window counter.
//!
//! Owns its arithmetic. Of the fixed window before this one counts as much as still overlaps with a window that ends
//! now, as if all of it had come evenly, rounded up. So no more than the limit is admitted at once, nor in any fixed
//! window; in a time of `d`, up to a whole window, at most the limit times `1 + d / length`.
//!
//! In memory each of the two windows is a word, which stands at the end of the window after it: for so long it counts.

use crate::state::limits::Verdict;

/// Two windows of which the second goes on, in tokens and nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(in crate::state) struct Pair {
    /// In the window that goes on.
    pub(in crate::state) used: u64,
    /// In the window before.
    pub(in crate::state) before: u64,
    /// Until the window ends. More than its length where a clock was set back.
    pub(in crate::state) left: u64,
    pub(in crate::state) length: u64,
}

impl Pair {
    /// What counts of both.
    pub(in crate::state) fn counted(&self) -> u64 {
        let left = self.left.min(self.length);
        self.used.saturating_add(ceil(self.before, left, self.length))
    }

    /// What is said of them after a charge was admitted, or refused.
    pub(in crate::state) fn verdict(&self, allowed: bool, cost: u64, limit: u64) -> Verdict {
        let Self { used, before, left, length } = *self;
        Verdict {
            allowed,
            remaining: limit.saturating_sub(self.counted()),
            reset: match (used, before) {
                (0, 0) => 0,
                (0, _) => left,
                _ => left.saturating_add(length),
            },
            retry_after: match (allowed, limit.checked_sub(cost)) {
                (true, _) => Some(0),
                (false, None) => None,
                (false, Some(room)) => Some(self.wait(room)),
            },
        }
    }

    /// How long it takes until no more than `room` counts, if nobody else comes.
    fn wait(&self, room: u64) -> u64 {
        let Self { used, before, left, length } = *self;
        match room.checked_sub(used) {
            // While this window goes on.
            Some(room) => left.saturating_sub(floor(room, length, before)),
            // In the next one, when this is the one before.
            None => left.saturating_add(length).saturating_sub(floor(room, length, used)),
        }
    }
}

fn floor(amount: u64, times: u64, by: u64) -> u64 {
    let product = u128::from(amount) * u128::from(times);
    u64::try_from(product / u128::from(by.max(1))).unwrap_or(u64::MAX)
}

fn ceil(amount: u64, times: u64, by: u64) -> u64 {
    // Dividing 128 bits takes several times as long, and is hardly ever needed.
    match amount.checked_mul(times) {
        Some(product) => product.div_ceil(by.max(1)),
        None => {
            let product = u128::from(amount) * u128::from(times);
            u64::try_from(product.div_ceil(u128::from(by.max(1)))).unwrap_or(u64::MAX)
        }
    }
}
