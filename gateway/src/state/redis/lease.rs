//! Permits that a gateway took from the store ahead of the requests that use them.
//!
//! Owns how many are left of each key, and for how long: permits that nobody used within [`LIFE`] go back with
//! the next question about their key. A permit is taken from the bucket before it is used, so that no more are
//! handed out than the store gave. When a quarter of a lease is used it is time for the next one, so that requests for
//! a busy key seldom wait for it; of a key whose requests waited all the same, a lease more is held. Also owns refusals,
//! which hold for a moment too, so that a key without permits does not ask the store with each request.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use smallvec::smallvec;

use super::limits::{Answer, Asked, Verdicts};
use crate::state::limits::Charge;

/// How long a permit may wait for its request.
const LIFE: Duration = Duration::from_secs(1);
/// How long a refusal holds, at most.
const REFUSAL: Duration = Duration::from_millis(100);
/// Keys that have permits, at most. For others each check asks the store.
const MAX_KEYS: usize = 100_000;
/// A lease is at most this part of what a bucket holds: other gateways need permits too.
const PART: u64 = 10;
/// Keys with the same turn wait for each other.
const TURNS: usize = 256;

/// The leases of one plugin.
#[derive(Debug)]
pub(super) struct Leases {
    permits: u64,
    /// Whether the last look found enough, and some is left there.
    has_some: AtomicBool,
    by_key: Mutex<ByKey>,
    turns: Box<[Arc<tokio::sync::Mutex<()>>]>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct ByKey {
    map: HashMap<Box<str>, Lease, RandomState>,
    /// When those that are over were removed.
    swept: Option<Instant>,
}

/// What is known of a bucket. Amounts are in nanoseconds of the bucket.
#[derive(Debug)]
struct Lease {
    /// What was taken ahead and is not used yet.
    left: u64,
    /// What the store said that is used, with that.
    used: u64,
    /// When it said so.
    at: Instant,
    /// Until when nothing is admitted.
    refused_until: Option<Instant>,
    /// What a whole lease is.
    whole: u64,
    /// Whether the next one is asked for, or was not to be had when it was.
    is_renewed: bool,
    /// Whether requests had to wait although it was asked for: the store answers later than they come.
    is_short: bool,
}

/// What was taken from what is here.
pub(super) struct Taken {
    pub(super) verdicts: Verdicts,
    /// Whether the next leases are to be asked for: see [`Leases::parts_to_renew`].
    pub(super) is_low: bool,
}

/// What is asked for a charge besides itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Part {
    /// What goes back.
    pub(super) returned: u64,
    /// What one permit takes.
    pub(super) permit: u64,
    /// Permits to be had ahead.
    pub(super) ahead: u64,
}

impl Lease {
    /// What is used of the bucket now, apart from the permits that are left.
    fn used(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.at).as_nanos();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.used.saturating_sub(self.left).saturating_sub(passed)
    }

    fn has(&self, cost: u64, now: Instant) -> bool {
        self.left >= cost && now.saturating_duration_since(self.at) < LIFE
    }

    fn refuses(&self, now: Instant) -> bool {
        self.refused_until.is_some_and(|until| now < until)
    }

    /// What may be left when the next lease is asked for. With that, no more than this and a whole lease is ever held.
    fn reserve(&self) -> u64 {
        let quarters = if self.is_short { 7 } else { 3 };
        self.whole.saturating_mul(quarters) / 4
    }

    /// A request finds less than it costs.
    fn note_miss(&mut self, cost: u64, now: Instant) {
        let is_current = now.saturating_duration_since(self.at) < LIFE;
        self.is_short |= self.is_renewed && is_current && self.left < cost;
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= LIFE && !self.refuses(now)
    }

    /// Takes what [`has`](Self::has) said is there. Returns whether the next lease is to be asked for now.
    fn take(&mut self, cost: u64) -> bool {
        self.left -= cost;
        let is_low = self.left <= self.reserve() && cost > 0;
        is_low && !std::mem::replace(&mut self.is_renewed, true)
    }
}

impl Leases {
    pub(super) fn new(permits: u64) -> Self {
        Self {
            permits,
            has_some: AtomicBool::new(false),
            by_key: Mutex::default(),
            turns: (0..TURNS).map(|_| Arc::default()).collect(),
            hasher: RandomState::default(),
        }
    }

    /// Whose turn it is to ask for a key.
    pub(super) fn turn(&self, key: &str) -> &tokio::sync::Mutex<()> {
        &self.turns[self.hasher.hash_one(key) as usize % TURNS]
    }

    /// Whether the next look will probably find enough: most keys are busy ones, or none are.
    pub(super) fn has_some(&self) -> bool {
        self.has_some.load(Relaxed)
    }

    fn will_have(&self, some: bool) {
        if self.has_some.load(Relaxed) != some {
            self.has_some.store(some, Relaxed);
        }
    }

    fn by_key(&self) -> MutexGuard<'_, ByKey> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes from what is here. `None`: the store is to be asked.
    pub(super) fn take(&self, charges: &[Charge<'_>], asked: &[Asked]) -> Option<Taken> {
        let mut by_key = self.by_key();
        let (by_key, now) = (&mut by_key.map, Instant::now());
        // Nearly every check is of one bucket, which is looked up once.
        if let ([charge], [Asked { rule, .. }]) = (charges, asked) {
            let Some(lease) = by_key.get_mut(charge.key) else {
                self.will_have(false);
                return None;
            };
            let refuses = lease.refuses(now) && rule.cost > 0;
            if !refuses && !lease.has(rule.cost, now) {
                lease.note_miss(rule.cost, now);
                self.will_have(false);
                return None;
            }
            let is_low = !refuses && lease.take(rule.cost);
            self.will_have(refuses || lease.left >= rule.cost);
            let allowed = !refuses;
            let verdicts = smallvec![rule.verdict(allowed, lease.used(now), 0)];
            return Some(Taken { verdicts, is_low });
        }
        let has = |(charge, asked): (&Charge<'_>, &Asked)| {
            by_key.get(charge.key).is_some_and(|it| it.has(asked.rule.cost, now))
        };
        let all = charges.iter().zip(asked).all(has);
        // One key twice would need the sum.
        let is_twice = |(index, it): (usize, &Charge<'_>)| {
            charges[..index].iter().any(|other| other.key == it.key)
        };
        let found = all && !charges.iter().enumerate().any(is_twice);
        self.will_have(found);
        if !found {
            for (charge, asked) in charges.iter().zip(asked) {
                if let Some(lease) = by_key.get_mut(charge.key) {
                    lease.note_miss(asked.rule.cost, now);
                }
            }
            return None;
        }
        let mut taken = Taken { verdicts: Verdicts::with_capacity(charges.len()), is_low: false };
        for (charge, asked) in charges.iter().zip(asked) {
            let lease = by_key.get_mut(charge.key)?;
            taken.is_low |= lease.take(asked.rule.cost);
            taken.verdicts.push(asked.rule.verdict(true, lease.used(now), 0));
        }
        Some(taken)
    }

    /// What to ask for besides the charges themselves. What is left of their keys goes back.
    pub(super) fn parts(&self, charges: &[Charge<'_>], asked: &[Asked]) -> Vec<Part> {
        let mut by_key = self.by_key();
        let by_key = &mut by_key.map;
        let part = |(charge, Asked { rule, step }): (&Charge<'_>, &Asked)| {
            let returned = by_key.get_mut(charge.key).map_or(0, |it| std::mem::take(&mut it.left));
            let is_new = !by_key.contains_key(charge.key);
            let permit = (rule.token / step * step).max(1);
            let most = rule.depth / permit / PART;
            let ahead = match is_new && by_key.len() >= MAX_KEYS {
                true => 0,
                false => self.permits.min(most),
            };
            // It takes as many permits as it costs.
            Part { returned, permit, ahead }
        };
        charges.iter().zip(asked).map(part).collect()
    }

    /// What to ask for where leases are low, besides what is left of them.
    pub(super) fn parts_to_renew(&self, charges: &[Charge<'_>], asked: &[Asked]) -> Vec<Part> {
        let by_key = self.by_key();
        let part = |(charge, Asked { rule, step }): (&Charge<'_>, &Asked)| {
            let permit = (rule.token / step * step).max(1);
            let lease = by_key.map.get(charge.key).filter(|lease| lease.is_renewed);
            // Up to what may be held: more than a lease, if more was used since it was time to ask.
            let ahead = lease.map_or(0, |lease| {
                (lease.reserve() + lease.whole).saturating_sub(lease.left) / permit
            });
            Part { returned: 0, permit, ahead }
        };
        charges.iter().zip(asked).map(part).collect()
    }

    /// Adds what the store gave to what is left. `None`: it did not answer.
    pub(super) fn renew(&self, charges: &[Charge<'_>], parts: &[Part], answer: Option<&Answer>) {
        let (mut by_key, now) = (self.by_key(), Instant::now());
        for (index, charge) in charges.iter().enumerate() {
            let Some(lease) = by_key.map.get_mut(charge.key) else { continue };
            let Some(answer) = answer else {
                lease.is_renewed = false;
                continue;
            };
            let given = answer.ahead[index];
            lease.left += given.saturating_mul(parts[index].permit);
            self.will_have(lease.left > 0);
            (lease.used, lease.at) = (answer.used[index], now);
            // Where the bucket is nearly empty, the request that finds no permit asks.
            lease.is_renewed &= given < parts[index].ahead;
        }
    }

    /// Keeps what the store gave.
    pub(super) fn put(
        &self,
        charges: &[Charge<'_>],
        asked: &[Asked],
        parts: &[Part],
        answer: &Answer,
    ) {
        let (mut by_key, now) = (self.by_key(), Instant::now());
        let ByKey { map, swept } = &mut *by_key;
        if map.len() >= MAX_KEYS && swept.is_none_or(|at| now.duration_since(at) >= LIFE) {
            map.retain(|_, lease| !lease.is_over(now));
            *swept = Some(now);
        }
        for (index, charge) in charges.iter().enumerate() {
            let (verdict, used) = (answer.verdicts[index], answer.used[index]);
            let left = answer.ahead[index].saturating_mul(parts[index].permit);
            self.will_have(left > 0);
            let wait = verdict.retry_after.map_or(REFUSAL, Duration::from_nanos).min(REFUSAL);
            // Only of one permit it is known that nothing less is admitted.
            let is_refused = !verdict.allowed && asked[index].rule.cost <= parts[index].permit;
            let lease = Lease {
                left,
                used,
                at: now,
                refused_until: is_refused.then(|| now + wait),
                whole: parts[index].ahead.saturating_mul(parts[index].permit),
                is_renewed: false,
                is_short: false,
            };
            if map.len() < MAX_KEYS || map.contains_key(charge.key) {
                map.insert(charge.key.into(), lease);
            }
        }
    }
}

#[cfg(test)]
mod tests;
