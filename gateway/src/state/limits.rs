//! Token buckets by the generic cell rate algorithm (ITU-T I.371), in memory.
//!
//! Owns one word for each bucket: its theoretical arrival time (TAT), the moment when the bucket
//! is full again. A charge moves it into the future by compare-and-swap, so that workers never
//! wait for each other and no interleaving admits more than the limit. Must not know what a key
//! means.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use dashmap::DashMap;
use foldhash::fast::RandomState;

/// Buckets that may be alive at once; past it, full ones are swept out, and if none is, new keys
/// are refused. 100 bytes each, so 200 MiB at the very most.
const MAX_BUCKETS: usize = 2_000_000;

/// Nanoseconds between two sweeps of a full store.
const SWEEP_PAUSE: u64 = 1_000_000_000;

/// All buckets of the process.
#[derive(Debug)]
pub(crate) struct Limits {
    buckets: DashMap<Box<str>, AtomicU64, RandomState>,
    inserts: AtomicU64,
    /// When the store may be swept again because it is full.
    next_sweep: AtomicU64,
    origin: Instant,
}

/// A bucket's rule, and what to take from it. No field but `cost` is zero.
#[derive(Debug, Clone)]
pub(crate) struct Charge<'a> {
    /// Which bucket.
    pub(crate) key: &'a str,
    /// Tokens that flow in per period.
    pub(crate) limit: u64,
    /// In nanoseconds.
    pub(crate) period: u64,
    /// What the full bucket holds.
    pub(crate) burst: u64,
    /// Tokens to take.
    pub(crate) cost: u64,
}

/// How a charge went. Times are in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether the bucket had enough.
    pub(crate) allowed: bool,
    /// Whole tokens left.
    pub(crate) remaining: u64,
    /// Until the bucket is full.
    pub(crate) reset: u64,
    /// Until the same charge would be allowed; `None` if never.
    pub(crate) retry_after: Option<u64>,
}

/// The store holds as many buckets as it may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Default for Limits {
    fn default() -> Self {
        Self {
            buckets: DashMap::with_hasher(RandomState::default()),
            inserts: AtomicU64::new(0),
            next_sweep: AtomicU64::new(0),
            origin: Instant::now(),
        }
    }
}

impl Limits {
    /// Charges all buckets if each has enough, none otherwise; one verdict a charge.
    pub(crate) fn take(&self, charges: &[Charge<'_>]) -> Result<Vec<Verdict>, Full> {
        self.take_at(charges, nanos(self.origin))
    }

    fn take_at(&self, charges: &[Charge<'_>], now: u64) -> Result<Vec<Verdict>, Full> {
        let mut verdicts = Vec::with_capacity(charges.len());
        let mut all_allowed = true;
        for (index, charge) in charges.iter().enumerate() {
            let verdict = match self.charge(charge, now, all_allowed) {
                Ok(verdict) => verdict,
                Err(full) => {
                    self.give_back(&charges[..if all_allowed { index } else { 0 }]);
                    return Err(full);
                }
            };
            if all_allowed && !verdict.allowed {
                all_allowed = false;
                self.give_back(&charges[..index]);
                self.look_again(&charges[..index], now, &mut verdicts);
            }
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }

    /// Takes from one bucket, or with `commit` false only says how it would go.
    fn charge(&self, charge: &Charge<'_>, now: u64, commit: bool) -> Result<Verdict, Full> {
        if let Some(bucket) = self.buckets.get(charge.key) {
            return Ok(settle(&bucket, charge, now, commit));
        }
        if !commit || charge.cost == 0 {
            return Ok(settle(&AtomicU64::new(0), charge, now, false));
        }
        self.make_room(now)?;
        let bucket = self.buckets.entry(charge.key.into()).or_default();
        Ok(settle(&bucket, charge, now, commit))
    }

    /// Returns what charges took whose neighbour was refused.
    fn give_back(&self, charges: &[Charge<'_>]) {
        for charge in charges {
            if let Some(bucket) = self.buckets.get(charge.key) {
                let cost = Rule::of(charge).cost;
                // A failed update cannot happen: the closure never declines.
                let _ = bucket.fetch_update(Relaxed, Relaxed, |tat| Some(tat.saturating_sub(cost)));
            }
        }
    }

    /// After a refusal the verdicts before it speak of charges that were not made.
    fn look_again(&self, charges: &[Charge<'_>], now: u64, verdicts: &mut [Verdict]) {
        for (charge, verdict) in charges.iter().zip(verdicts) {
            if let Ok(seen) = self.charge(charge, now, false) {
                *verdict = seen;
            }
        }
    }

    /// Every so many inserts, drops buckets that are full: they equal ones that are not there. A
    /// store without room is swept too, but at most once in a while: whoever fills it up must not
    /// make each new key cost a look at all the others.
    fn make_room(&self, now: u64) -> Result<(), Full> {
        let inserts = self.inserts.fetch_add(1, Relaxed);
        let is_full = self.buckets.len() >= MAX_BUCKETS;
        if inserts % 65_536 == 65_535 || is_full && self.may_sweep(now) {
            self.buckets.retain(|_, tat| tat.load(Relaxed) > now);
        } else if is_full {
            return Err(Full);
        }
        if self.buckets.len() >= MAX_BUCKETS { Err(Full) } else { Ok(()) }
    }

    fn may_sweep(&self, now: u64) -> bool {
        let next = self.next_sweep.load(Relaxed);
        let later = now.saturating_add(SWEEP_PAUSE);
        now >= next && self.next_sweep.compare_exchange(next, later, Relaxed, Relaxed).is_ok()
    }
}

/// A charge in units of time: a token is the time in which it flows in.
struct Rule {
    token: u64,
    cost: u64,
    depth: u64,
}

impl Rule {
    fn of(charge: &Charge<'_>) -> Self {
        let scaled = |tokens: u64| {
            let time = u128::from(tokens) * u128::from(charge.period) / u128::from(charge.limit);
            u64::try_from(time).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
        };
        Self { token: scaled(1).max(1), cost: scaled(charge.cost), depth: scaled(charge.burst) }
    }

    fn verdict(&self, allowed: bool, tat: u64, now: u64) -> Verdict {
        let used = tat.saturating_sub(now);
        let short = used.saturating_add(self.cost).saturating_sub(self.depth);
        Verdict {
            allowed,
            remaining: self.depth.saturating_sub(used) / self.token,
            reset: used,
            retry_after: match (allowed, self.cost > self.depth) {
                (true, _) => Some(0),
                (false, true) => None,
                (false, false) => Some(short),
            },
        }
    }
}

fn settle(bucket: &AtomicU64, charge: &Charge<'_>, now: u64, commit: bool) -> Verdict {
    let rule = Rule::of(charge);
    let mut tat = bucket.load(Relaxed);
    loop {
        let next = tat.max(now).saturating_add(rule.cost);
        if next - now > rule.depth {
            return rule.verdict(false, tat, now);
        }
        if !commit {
            return rule.verdict(true, tat, now);
        }
        match bucket.compare_exchange_weak(tat, next, Relaxed, Relaxed) {
            Ok(_) => return rule.verdict(true, next, now),
            Err(seen) => tat = seen,
        }
    }
}

/// Nanoseconds since the origin, from 1 on, so that an empty bucket's zero lies in the past.
fn nanos(origin: Instant) -> u64 {
    u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX / 2) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn ten_a_minute(key: &str) -> Charge<'_> {
        Charge { key, limit: 10, period: 60 * SECOND, burst: 10, cost: 1 }
    }

    fn one(limits: &Limits, charge: Charge<'_>, now: u64) -> Verdict {
        limits.take_at(&[charge], now).expect("there is room")[0]
    }

    #[test]
    fn admits_the_burst_then_one_for_each_token_that_flows_in() {
        let limits = Limits::default();
        for left in (0..10).rev() {
            let verdict = one(&limits, ten_a_minute("a"), SECOND);
            assert!(verdict.allowed);
            assert_eq!(verdict.remaining, left);
        }
        let refused = one(&limits, ten_a_minute("a"), SECOND);
        assert!(!refused.allowed);
        assert_eq!(refused.retry_after, Some(6 * SECOND));
        assert_eq!(refused.reset, 60 * SECOND);
        assert!(!one(&limits, ten_a_minute("a"), 7 * SECOND - 1).allowed);
        assert!(one(&limits, ten_a_minute("a"), 7 * SECOND).allowed);
    }

    #[test]
    fn keys_do_not_share_a_bucket() {
        let limits = Limits::default();
        for _ in 0..10 {
            one(&limits, ten_a_minute("a"), SECOND);
        }
        assert!(one(&limits, ten_a_minute("b"), SECOND).allowed);
    }

    #[test]
    fn takes_nothing_from_any_bucket_when_one_refuses() {
        let limits = Limits::default();
        let tight = Charge { key: "tight", limit: 1, period: 60 * SECOND, burst: 1, cost: 1 };
        let both = [ten_a_minute("wide"), tight];
        let first = limits.take_at(&both, SECOND).expect("there is room");
        assert!(first.iter().all(|verdict| verdict.allowed));
        for _ in 0..5 {
            let verdicts = limits.take_at(&both, SECOND).expect("there is room");
            assert!(!verdicts[1].allowed);
            assert_eq!(verdicts[0].remaining, 9, "the wide bucket keeps its tokens");
        }
    }

    #[test]
    fn a_cost_over_the_burst_is_never_allowed() {
        let limits = Limits::default();
        let charge = Charge { cost: 11, ..ten_a_minute("a") };
        let verdict = one(&limits, charge, SECOND);
        assert_eq!((verdict.allowed, verdict.retry_after), (false, None));
    }

    #[test]
    fn a_cost_of_zero_looks_without_taking() {
        let limits = Limits::default();
        let look = Charge { cost: 0, ..ten_a_minute("a") };
        assert_eq!(one(&limits, look.clone(), SECOND).remaining, 10);
        one(&limits, ten_a_minute("a"), SECOND);
        assert_eq!(one(&limits, look, SECOND).remaining, 9);
    }

    #[test]
    fn many_threads_together_admit_exactly_the_limit() {
        let limits = Limits::default();
        let admitted = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let charge = Charge {
                            key: "k",
                            limit: 1000,
                            period: 3600 * SECOND,
                            burst: 1000,
                            cost: 1,
                        };
                        if one(&limits, charge, SECOND).allowed {
                            admitted.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(admitted.load(Relaxed), 1000);
    }

    #[test]
    fn full_buckets_are_swept_out() {
        let limits = Limits::default();
        for key in 0..70_000u64 {
            let name = key.to_string();
            let charge = Charge { key: &name, limit: 1, period: 1, burst: 1, cost: 1 };
            one(&limits, charge, SECOND * (key + 1));
        }
        assert!(limits.buckets.len() < 10_000, "{} are left", limits.buckets.len());
    }
}
