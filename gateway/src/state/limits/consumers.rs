//! Which buckets a consumer has, for those who operate the gateway.
//!
//! Owns a list for each consumer. It is written when a bucket begins, and not when it is charged. No limit depends
//! on it: a consumer that has no place in it has the same limits, and only cannot be looked up.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use dashmap::DashMap;
use foldhash::fast::RandomState;

use super::quotas::{Quota, Window};

/// Buckets of all consumers of a plugin, at most.
const MOST: usize = 100_000;
/// Buckets of one consumer, at most.
const MOST_OF_ONE: usize = 64;
/// Bytes of a consumer's name, at most.
const MOST_OF_NAME: usize = 256;
/// Nanoseconds between two searches for buckets that need no place any more.
const PAUSE: u64 = 10_000_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    buckets: DashMap<Box<str>, Vec<Bucket>, RandomState>,
    count: AtomicUsize,
    swept: AtomicU64,
}

/// A bucket or a window, with the rule that it began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) key: Box<str>,
    pub(crate) limit: u64,
    pub(crate) window: Window,
}

impl Bucket {
    /// Whether the charge is to this bucket, by this rule.
    fn is_of(&self, quota: &Quota<'_>) -> bool {
        self.is_named(quota) && (self.limit, self.window) == (quota.limit, quota.window)
    }

    /// Whether it has the key: windows have keys of their own.
    fn is_named(&self, quota: &Quota<'_>) -> bool {
        *self.key == *quota.key && self.window.shares_keys(quota.window)
    }

    /// Whether it is the consumer's own, and not one that others are charged to as well: whether its key has
    /// the name as a part. The keys of a plugin are its own; those that are made of several parts have the
    /// length of each before it, and begin with what is no part.
    pub(crate) fn is_own(&self, consumer: &str) -> bool {
        if *self.key == *consumer {
            return true;
        }
        let part = format!("{}:{consumer}", consumer.len());
        self.key.match_indices(&part).any(|(at, _)| {
            self.key[..at].chars().next_back().is_some_and(|before| !before.is_ascii_digit())
        })
    }

    /// A charge that takes nothing.
    pub(crate) fn look(&self) -> Quota<'_> {
        let Self { key, limit, window } = self;
        Quota { key, limit: *limit, window: *window, cost: 0 }
    }
}

impl Consumers {
    /// Whether it is known that the consumer has all of these buckets.
    pub(super) fn has<'a>(
        &self,
        consumer: &str,
        mut quotas: impl Iterator<Item = Quota<'a>>,
    ) -> bool {
        let Some(buckets) = self.buckets.get(consumer) else { return false };
        quotas.all(|quota| buckets.iter().any(|bucket| bucket.is_of(&quota)))
    }

    /// The consumer has these buckets. Where there is no place, those go that are `full`: a bucket that is
    /// full equals one that never was.
    pub(super) fn note<'a>(
        &self,
        consumer: &str,
        quotas: impl ExactSizeIterator<Item = Quota<'a>>,
        now: u64,
        full: impl Fn(&Bucket) -> bool,
    ) {
        if consumer.len() > MOST_OF_NAME {
            return;
        }
        if self.count.load(Relaxed) + quotas.len() > MOST {
            self.sweep(now, full);
        }
        let mut buckets = self.buckets.entry(consumer.into()).or_default();
        for quota in quotas {
            let Quota { key, limit, window, .. } = quota;
            if let Some(known) = buckets.iter_mut().find(|bucket| bucket.is_named(&quota)) {
                (known.limit, known.window) = (limit, window);
            } else if buckets.len() < MOST_OF_ONE && self.count.load(Relaxed) < MOST {
                buckets.push(Bucket { key: key.into(), limit, window });
                self.count.fetch_add(1, Relaxed);
            }
        }
        let is_empty = buckets.is_empty();
        drop(buckets);
        if is_empty {
            self.buckets.remove_if(consumer, |_, buckets| buckets.is_empty());
        }
    }

    fn sweep(&self, now: u64, full: impl Fn(&Bucket) -> bool) {
        let swept = self.swept.load(Relaxed);
        let is_due = swept == 0 || now.saturating_sub(swept) >= PAUSE;
        // One thread does it.
        if !is_due || self.swept.compare_exchange(swept, now.max(1), Relaxed, Relaxed).is_err() {
            return;
        }
        self.buckets.retain(|_, buckets| {
            let before = buckets.len();
            buckets.retain(|bucket| !full(bucket));
            self.count.fetch_sub(before - buckets.len(), Relaxed);
            !buckets.is_empty()
        });
    }

    /// The buckets of a consumer, in the order in which they began.
    pub(super) fn of(&self, consumer: &str) -> Vec<Bucket> {
        self.buckets.get(consumer).map(|buckets| buckets.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Window = Window::Bucket { period: 1, burst: 10 };

    fn charge(key: &str) -> Quota<'_> {
        Quota { key, limit: 10, window: TEN, cost: 1 }
    }

    #[test]
    fn a_consumer_has_the_buckets_that_began_for_it_once_each() {
        let consumers = Consumers::default();
        for _ in 0..2 {
            consumers.note("acme", [charge("a"), charge("b")].into_iter(), 1, |_| false);
        }
        consumers.note("zenith", [charge("a")].into_iter(), 1, |_| false);
        let keys =
            |name: &str| consumers.of(name).iter().map(|it| it.key.to_string()).collect::<Vec<_>>();
        assert_eq!(keys("acme"), ["a", "b"]);
        assert_eq!(keys("zenith"), ["a"]);
        assert!(
            consumers.has("acme", [charge("b")].into_iter())
                && !consumers.has("acme", [charge("c")].into_iter())
        );
        assert!(keys("nobody").is_empty());
    }

    #[test]
    fn a_bucket_is_ones_own_if_its_key_has_the_name_as_a_part() {
        let is_own = |key: &str, consumer: &str| {
            let bucket = Bucket { key: key.into(), limit: 1, window: TEN };
            bucket.is_own(consumer)
        };
        assert!(is_own("5:daily/3/86400000000000/3/11:consumer.id/4:acme", "acme"));
        assert!(is_own("acme", "acme"));
        assert!(is_own("3:day/1/1/1/22:consumer.id route.name/4:acme5:other", "other"));
        assert!(is_own("3:day/1/1/1/22:consumer.id route.name/4:acme5:other", "acme"));
        for (key, consumer) in [
            ("3:all/1000/86400000000000/1000/", "acme"),
            // The name of a policy is no part.
            ("4:acme/3/86400000000000/3/", "acme"),
            ("5:daily/3/1/3/11:consumer.id/14:acme", "acme"),
            ("5:daily/3/1/3/11:consumer.id/5:acmes", "acme"),
        ] {
            assert!(!is_own(key, consumer), "{key} {consumer}");
        }
    }

    #[test]
    fn there_is_a_bound_and_full_buckets_make_room() {
        let consumers = Consumers::default();
        for number in 0..MOST_OF_ONE + 9 {
            consumers.note("one", [charge(&number.to_string())].into_iter(), 1, |_| false);
        }
        assert_eq!(consumers.of("one").len(), MOST_OF_ONE);
        for number in 0..MOST {
            consumers.note(&number.to_string(), [charge("a")].into_iter(), 1, |_| false);
        }
        assert_eq!(consumers.count.load(Relaxed), MOST);
        consumers.note("late", [charge("a")].into_iter(), 2, |_| false);
        assert!(consumers.of("late").is_empty());
        consumers.note("late", [charge("a")].into_iter(), PAUSE + 2, |bucket| *bucket.key == *"a");
        assert_eq!(consumers.of("late").len(), 1);
        assert_eq!(consumers.count.load(Relaxed), MOST_OF_ONE + 1);
        assert_eq!(consumers.buckets.len(), 2);
    }
}
