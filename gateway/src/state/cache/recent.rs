//! What was purged lately, for responses that were asked for before.
//!
//! Owns that such a response is not stored, however late it comes: it may be what the purge was for. Must not grow without
//! end: what is forgotten counts as if all had been purged then.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};

use foldhash::fast::RandomState;

use super::{lock, now};

/// How many purges are remembered.
const MOST: usize = 8192;

/// What a purge removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purge {
    Key(u128),
    Tag(u64),
}

/// See the module. Times are those of [`now`].
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// When something was purged last; 0 if nothing ever was.
    last: AtomicU64,
    purges: Mutex<Purges>,
}

#[derive(Debug, Default)]
struct Purges {
    /// When each was purged last.
    each: HashMap<Purge, u64, RandomState>,
    /// What was asked for until then counts as purged.
    all: u64,
}

impl Recent {
    /// Something is purged now; `None` is everything. Before it is removed.
    pub(super) fn add(&self, purge: Option<Purge>) {
        let mut purges = lock(&self.purges);
        let at = now();
        match purge {
            Some(purge) => {
                purges.each.insert(purge, at);
                purges.forget();
            }
            None => {
                purges.each.clear();
                purges.all = at;
            }
        }
        self.last.store(at, Release);
    }

    /// Whether one of these was purged since then.
    pub(super) fn has(&self, since: u64, mut any: impl Iterator<Item = Purge>) -> bool {
        if self.last.load(Acquire) < since {
            return false;
        }
        let purges = lock(&self.purges);
        purges.all >= since || any.any(|it| purges.each.get(&it).is_some_and(|at| *at >= since))
    }
}

impl Purges {
    /// Forgets the older half of what are too many.
    fn forget(&mut self) {
        if self.each.len() <= MOST {
            return;
        }
        let mut times: Vec<_> = self.each.values().copied().collect();
        let (_, middle, _) = times.select_nth_unstable(MOST / 2);
        let middle = *middle;
        self.each.retain(|_, at| *at > middle);
        self.all = self.all.max(middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_before_its_purge_is_known() {
        let recent = Recent::default();
        let has = |since, tag| recent.has(since, [Purge::Key(9), Purge::Tag(tag)].into_iter());
        let before = now();
        assert!(!has(before, 1));
        recent.add(Some(Purge::Tag(1)));
        let after = now() + 1;
        assert!(has(before, 1) && !has(before, 2) && !has(after, 1));
        recent.add(Some(Purge::Key(9)));
        assert!(has(before, 2));
        recent.add(None);
        assert!(recent.has(before, [].into_iter()) && !recent.has(now() + 1, [].into_iter()));
    }

    #[test]
    fn those_that_are_too_many_are_forgotten_on_the_safe_side() {
        let recent = Recent::default();
        let before = now();
        (0..=MOST as u64).for_each(|tag| recent.add(Some(Purge::Tag(tag))));
        assert!(lock(&recent.purges).each.len() <= MOST);
        let unknown = || [Purge::Tag(u64::MAX)].into_iter();
        assert!(recent.has(before, unknown()), "it may have been one of those");
        assert!(!recent.has(now() + 1, unknown()));
        assert!(recent.has(before, [Purge::Tag(MOST as u64)].into_iter()));
    }
}
