//! Token buckets by the generic cell rate algorithm (ITU-T I.371), in memory.
//!
//! Owns one word for each bucket: its theoretical arrival time (TAT), the moment when the bucket
//! is full again. A charge moves it into the future by compare-and-swap, so that workers never
//! wait for each other and no interleaving admits more than the limit. Must not know what a key
//! means.
//!
//! The buckets of a plugin have a bound in bytes. Past it the bucket that is full first gives way
//! ([`table`]), and a key that gave way, or might have, begins again with what the fullest of those
//! that gave way had used: it may be refused too early, and is never admitted beyond its limit.
//!
//! Windows are counted by the same words in a table of their own ([`quotas`]).

pub(crate) mod calendar;
mod consumers;
mod durable;
pub(crate) mod quotas;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

pub(in crate::state) use self::calendar::Span;
pub(crate) use self::consumers::Bucket;
use self::consumers::Consumers;
pub(in crate::state) use self::durable::{Written, wall};
use self::quotas::Quota;
pub(in crate::state) use self::table::Key;
use self::table::Table;
use super::journal::Journal;
use crate::telemetry::metrics::PluginMetrics;

/// The buckets of one plugin.
pub(crate) struct Limits {
    buckets: Table,
    metrics: Arc<PluginMetrics>,
    clock: Clock,
    /// The buckets that changed, where they are written to a file.
    journal: Option<Journal<Key>>,
    consumers: Consumers,
}

/// By what time goes. In nanoseconds, from 1 on, so that an empty bucket's zero lies in the past.
#[derive(Debug, Clone, Copy)]
enum Clock {
    /// That of the process, since then: nobody sets it.
    Process(Instant),
    /// That of the wall, since 1970.
    Wall,
}

/// When a bucket is charged.
#[derive(Debug, Clone, Copy)]
struct Moment {
    now: u64,
    /// What the charge counts from: for windows their end.
    base: u64,
    /// No bucket of this rule is full later than this after now.
    hold: u64,
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

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl Limits {
    /// The buckets of the plugin with these metrics, in as many bytes.
    pub(crate) fn new(metrics: Arc<PluginMetrics>, bytes: usize) -> Self {
        Self {
            buckets: Table::new(bytes),
            metrics,
            clock: Clock::Process(Instant::now()),
            journal: None,
            consumers: Consumers::default(),
        }
    }

    /// The windows of the plugin with these metrics, in as many bytes.
    pub(crate) fn of_windows(metrics: Arc<PluginMetrics>, bytes: usize) -> Self {
        Self { clock: Clock::Wall, ..Self::new(metrics, bytes) }
    }

    fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Lets the buckets take as many bytes from now on.
    pub(crate) fn bound(&self, bytes: usize) {
        self.bound_at(bytes, self.now());
    }

    /// How many buckets are not full.
    pub(in crate::state) fn held(&self) -> usize {
        self.buckets.all(self.now()).len()
    }

    /// How many buckets changed that are not written yet.
    pub(in crate::state) fn unwritten_changes(&self) -> usize {
        self.journal.as_ref().map_or(0, |journal| journal.len().unwrap_or_else(|| self.held()))
    }

    fn bound_at(&self, bytes: usize, now: u64) {
        self.metrics.buckets_displaced(self.buckets.bound(bytes, now));
    }

    /// Charges all buckets if each has enough, none otherwise; one verdict a charge.
    pub(crate) fn take(&self, charges: &[Charge<'_>]) -> Vec<Verdict> {
        self.take_for(charges, || None)
    }

    /// The same, and notes the buckets that begin with the consumer that they are for.
    pub(crate) fn take_for(
        &self,
        charges: &[Charge<'_>],
        consumer: impl FnOnce() -> Option<String>,
    ) -> Vec<Verdict> {
        let now = self.now();
        let (verdicts, has_begun) = self.take_at(charges, now);
        // Those of a file began before the process did.
        let may_be_new = has_begun || self.journal.is_some();
        if may_be_new
            && let Some(consumer) = consumer()
            && !self.consumers.has(&consumer, charges.iter().map(Quota::of))
        {
            self.note(&consumer, charges, now);
        }
        verdicts
    }

    #[cold]
    fn note(&self, consumer: &str, charges: &[Charge<'_>], now: u64) {
        let quotas = charges.iter().map(Quota::of);
        self.consumers.note(consumer, quotas, now, |bucket| self.is_full(bucket, now));
    }

    /// Whether a bucket is known to be full. Of a window, which is not here, nothing is known.
    fn is_full(&self, bucket: &Bucket, now: u64) -> bool {
        let charge = bucket.look().as_charge();
        charge.is_some_and(|charge| self.charge(&charge, now, false, &mut false).reset == 0)
    }

    /// A consumer has these buckets in a store that several gateways share.
    pub(crate) fn note_shared<'a>(
        &self,
        consumer: &str,
        quotas: impl ExactSizeIterator<Item = Quota<'a>> + Clone,
    ) {
        if !self.consumers.has(consumer, quotas.clone()) {
            // Whether they are full is known to the store alone: the oldest knowledge is as good.
            self.consumers.note(consumer, quotas, self.now(), |_| true);
        }
    }

    /// A check was decided elsewhere.
    pub(in crate::state) fn decided(&self, is_allowed: bool) {
        self.metrics.limited(is_allowed);
    }

    /// The buckets that are known of a consumer.
    pub(crate) fn of_consumer(&self, consumer: &str) -> Vec<Bucket> {
        self.consumers.of(consumer)
    }

    /// Makes a bucket full. Returns whether it was not at `base`.
    fn reset(&self, key: Key, base: u64) -> bool {
        let before = self.buckets.held(key, |full_at| full_at.swap(0, Relaxed));
        self.changed(key);
        before.is_some_and(|before| before > base)
    }

    fn changed(&self, key: Key) {
        if let Some(journal) = &self.journal {
            journal.note(key);
        }
    }

    /// Also whether a bucket has begun.
    pub(in crate::state) fn take_at(
        &self,
        charges: &[Charge<'_>],
        now: u64,
    ) -> (Vec<Verdict>, bool) {
        let mut has_begun = false;
        let verdicts = self.charge_all(charges, now, &mut has_begun);
        if let Some(journal) = &self.journal {
            // Also after a refusal: what was given back may have been written in between.
            charges.iter().for_each(|charge| journal.note(self.buckets.key(charge.key)));
        }
        (verdicts, has_begun)
    }

    fn charge_all(&self, charges: &[Charge<'_>], now: u64, has_begun: &mut bool) -> Vec<Verdict> {
        let mut verdicts = Vec::with_capacity(charges.len());
        let mut all_allowed = true;
        for (index, charge) in charges.iter().enumerate() {
            let verdict = self.charge(charge, now, all_allowed, has_begun);
            if all_allowed && !verdict.allowed {
                all_allowed = false;
                self.give_back(&charges[..index]);
                self.look_again(&charges[..index], now, &mut verdicts);
            }
            verdicts.push(verdict);
        }
        if !charges.is_empty() {
            self.metrics.limited(all_allowed);
        }
        verdicts
    }

    /// Takes from one bucket, or with `commit` false only says how it would go.
    fn charge(&self, charge: &Charge<'_>, now: u64, commit: bool, has_begun: &mut bool) -> Verdict {
        let (key, rule) = (self.buckets.key(charge.key), Rule::of(charge));
        let moment = Moment { now, base: now, hold: rule.depth };
        self.charge_at(key, &rule, moment, commit, has_begun)
    }

    fn charge_at(
        &self,
        key: Key,
        rule: &Rule,
        moment: Moment,
        commit: bool,
        has_begun: &mut bool,
    ) -> Verdict {
        let base = moment.base;
        if let Some(verdict) = self.buckets.held(key, |bucket| settle(bucket, rule, base, commit)) {
            // It was full: whoever it was for may have been forgotten since.
            *has_begun |= commit && verdict.reset <= rule.cost;
            return verdict;
        }
        if commit && rule.cost > 0 {
            *has_begun = true;
            return self.put(key, moment, |bucket| settle(bucket, rule, base, true));
        }
        let full_at = AtomicU64::new(self.buckets.unheld(key, moment.hold));
        settle(&full_at, rule, base, false)
    }

    /// Charges a bucket that is not held.
    fn put<T>(&self, key: Key, moment: Moment, charge: impl FnOnce(&AtomicU64) -> T) -> T {
        let (charged, displaced) = self.buckets.put(key, moment.hold, moment.now, charge);
        if displaced > 0 {
            self.metrics.buckets_displaced(displaced);
        }
        charged
    }

    /// Charges a bucket, with nobody else at it or at the one beside it, whose word it is told.
    fn put_beside<T>(
        &self,
        key: Key,
        other: Key,
        moment: Moment,
        charge: impl FnOnce(&AtomicU64, (u64, bool)) -> T,
    ) -> T {
        let Moment { now, hold, .. } = moment;
        let (charged, displaced) = self.buckets.put_beside(key, other, hold, now, charge);
        if displaced > 0 {
            self.metrics.buckets_displaced(displaced);
        }
        charged
    }

    /// Returns what charges took whose neighbour was refused.
    fn give_back(&self, charges: &[Charge<'_>]) {
        for charge in charges {
            let cost = Rule::of(charge).cost;
            let less = |bucket: &AtomicU64| {
                // A failed update cannot happen: the closure never declines.
                let _ = bucket.fetch_update(Relaxed, Relaxed, |tat| Some(tat.saturating_sub(cost)));
            };
            // One that has given way meanwhile stays charged: too little is admitted, not too much.
            let _held = self.buckets.held(self.buckets.key(charge.key), less);
        }
    }

    /// After a refusal the verdicts before it speak of charges that were not made.
    fn look_again(&self, charges: &[Charge<'_>], now: u64, verdicts: &mut [Verdict]) {
        for (charge, verdict) in charges.iter().zip(verdicts) {
            *verdict = self.charge(charge, now, false, &mut false);
        }
    }
}

/// A charge in units of time: a token is the time in which it flows in.
pub(in crate::state) struct Rule {
    pub(in crate::state) token: u64,
    pub(in crate::state) cost: u64,
    pub(in crate::state) depth: u64,
}

impl Rule {
    pub(in crate::state) fn of(charge: &Charge<'_>) -> Self {
        let scaled = |tokens: u64| {
            // Dividing 128 bits takes several times as long, and is hardly ever needed.
            let time = match tokens.checked_mul(charge.period) {
                Some(product) => product / charge.limit,
                None => {
                    let product = u128::from(tokens) * u128::from(charge.period);
                    u64::try_from(product / u128::from(charge.limit)).unwrap_or(u64::MAX)
                }
            };
            time.min(u64::MAX / 4)
        };
        Self { token: scaled(1).max(1), cost: scaled(charge.cost), depth: scaled(charge.burst) }
    }

    /// What is said of a bucket that is full again at `tat`.
    pub(in crate::state) fn verdict(&self, allowed: bool, tat: u64, now: u64) -> Verdict {
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

fn settle(bucket: &AtomicU64, rule: &Rule, now: u64, commit: bool) -> Verdict {
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

impl Clock {
    fn now(self) -> u64 {
        match self {
            Self::Process(origin) => {
                u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX / 2) + 1
            }
            Self::Wall => wall().max(1),
        }
    }
}
