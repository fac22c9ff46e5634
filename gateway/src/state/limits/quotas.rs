//! Quotas that come back evenly or at the end of a window, charged together, and settled later.
//!
//! Owns the rule of a window. It is that of a bucket whose time stands at the window's end: the word holds the
//! end and what is used since, so that a compare-and-swap charges it, and a word of an earlier window is one that
//! is full. A token is a whole number of nanoseconds, so that a window admits exactly its limit. A clock that is
//! set back finds a later window's word, and is refused rather than admitted twice.
//!
//! Windows are in a table of their own, whose clock is that of the wall. Those that slide are two words, one for
//! each of two neighbours ([`sliding`]).

pub(in crate::state) mod sliding;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use self::sliding::Pair;
use super::calendar::{Span, Unit, Zone};
use super::table::Key;
use super::{Bucket, Charge, Limits, Moment, Rule, Verdict};

/// Windows of a fixed length are whole milliseconds: the scripts of stores count microseconds.
const STEP: u64 = 1_000_000;
const LONGEST: u64 = 366 * 86_400 * 1_000_000_000;
/// Tokens of a window, at most.
const MOST: u64 = 1_000_000_000_000_000;
/// In `taken`, below what is a time: it was charged in the memory of this gateway instead of the store.
pub(in crate::state) const LOCAL: u64 = 1;
/// It was charged nowhere.
pub(in crate::state) const NOWHERE: u64 = 2;
/// Its window slides.
pub(crate) const SLIDING: u64 = 4;
/// All marks: a time is whole milliseconds, and has none of them.
pub(in crate::state) const MARKS: u64 = LOCAL | NOWHERE | SLIDING;

/// How a quota comes back. Times are in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    Bucket { period: u64, burst: u64 },
    Fixed(u64),
    Sliding(u64),
    Calendar(Unit, Zone),
}

/// A quota, and what to take from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota<'a> {
    pub(crate) key: &'a str,
    pub(crate) limit: u64,
    pub(crate) window: Window,
    pub(crate) cost: u64,
}

/// How a quota was charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) verdict: Verdict,
    /// Of the window; of a bucket its period.
    pub(crate) length: u64,
    /// The end of the window that was charged, or zero; and one of the marks above.
    pub(crate) taken: u64,
}

/// What a charge turned out to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settlement<'a> {
    pub(crate) quota: Quota<'a>,
    pub(crate) taken: u64,
    /// Tokens to take besides, or to give back.
    pub(crate) by: i64,
}

/// The quotas of one plugin in memory.
#[derive(Debug, Clone)]
pub(crate) struct Quotas {
    pub(in crate::state) buckets: Arc<Limits>,
    pub(in crate::state) windows: Arc<Limits>,
}

/// What time it is, by the clock of each table.
#[derive(Debug, Clone, Copy)]
pub(in crate::state) struct Times {
    pub(in crate::state) process: u64,
    pub(in crate::state) wall: u64,
}

impl Window {
    pub(crate) fn is_bucket(self) -> bool {
        matches!(self, Self::Bucket { .. })
    }

    /// Whether keys of windows of both kinds are the same keys.
    pub(in crate::state) fn shares_keys(self, other: Self) -> bool {
        let kind = |window| match window {
            Self::Bucket { .. } => 0,
            Self::Fixed(_) | Self::Calendar(..) => 1,
            Self::Sliding(_) => 2,
        };
        kind(self) == kind(other)
    }

    /// Whether it can be counted with this limit.
    pub(crate) fn is_valid(self, limit: u64) -> bool {
        match self {
            Self::Bucket { period, burst } => limit > 0 && period > 0 && burst > 0,
            Self::Fixed(length) | Self::Sliding(length)
                if length == 0 || !length.is_multiple_of(STEP) || length > LONGEST =>
            {
                false
            }
            Self::Fixed(_) | Self::Sliding(_) | Self::Calendar(..) => {
                (1..=self.shortest().min(MOST)).contains(&limit)
            }
        }
    }

    fn shortest(self) -> u64 {
        match self {
            Self::Bucket { period, .. } => period,
            Self::Fixed(length) | Self::Sliding(length) => length,
            Self::Calendar(unit, _) => unit.shortest(),
        }
    }

    /// The window in which a moment is; `None` for a bucket.
    pub(in crate::state) fn span(self, now: u64) -> Option<Span> {
        match self {
            Self::Bucket { .. } => None,
            Self::Fixed(length) | Self::Sliding(length) => {
                let begin = now / length * length;
                Some(Span { begin, end: begin + length, next: begin + 2 * length })
            }
            Self::Calendar(unit, zone) => Some(unit.span(zone, now)),
        }
    }
}

impl<'a> Quota<'a> {
    /// The bucket of a charge.
    pub(crate) fn of(charge: &Charge<'a>) -> Self {
        let Charge { key, limit, period, burst, cost } = *charge;
        Self { key, limit, window: Window::Bucket { period, burst }, cost }
    }

    /// The charge of a bucket.
    pub(in crate::state) fn as_charge(&self) -> Option<Charge<'a>> {
        let Self { key, limit, window, cost } = *self;
        match window {
            Window::Bucket { period, burst } => Some(Charge { key, limit, period, burst, cost }),
            Window::Fixed(_) | Window::Sliding(_) | Window::Calendar(..) => None,
        }
    }

    /// The rule of the share of one of so many gateways. It is not less than one charge: some are admitted.
    fn rule(&self, instances: u64) -> Rule {
        let share = |all: u64, cost: u64| all.div_ceil(instances).max(cost.min(all));
        if let Some(charge) = self.as_charge() {
            let (period, burst) = (charge.period.saturating_mul(instances), charge.burst);
            return Rule::of(&Charge { period, burst: share(burst, charge.cost), ..charge });
        }
        let token = (self.window.shortest() / self.limit).max(1);
        let cost = self.cost.saturating_mul(token).min(u64::MAX / 4);
        Rule { token, cost, depth: token * share(self.limit, self.cost) }
    }
}

/// One quota on its way through a table.
struct Step<'a> {
    table: &'a Limits,
    key: Key,
    rule: Rule,
    moment: Moment,
    /// `None` for a bucket.
    span: Option<Span>,
    period: u64,
    /// The word of the window before, of one that slides.
    before: Option<Key>,
}

impl Quotas {
    /// Charges all if each has enough, none otherwise. Notes those that begin with the consumer that they are for.
    pub(crate) fn reserve(
        &self,
        quotas: &[Quota<'_>],
        consumer: impl FnOnce() -> Option<String>,
    ) -> Vec<Reservation> {
        let times = self.times();
        let (reservations, has_begun) = self.reserve_at(quotas, times, 1);
        let may_be_new = has_begun || self.windows.journal.is_some();
        if may_be_new
            && let Some(consumer) = consumer()
            && !self.buckets.consumers.has(&consumer, quotas.iter().copied())
        {
            let is_full = |bucket: &Bucket| self.is_full(bucket, times);
            let quotas = quotas.iter().copied();
            self.buckets.consumers.note(&consumer, quotas, times.process, is_full);
        }
        reservations
    }

    /// The same with the share of one of several gateways.
    pub(in crate::state) fn reserve_share(
        &self,
        quotas: &[Quota<'_>],
        instances: u64,
    ) -> Vec<Reservation> {
        let mut reservations = self.reserve_at(quotas, self.times(), instances).0;
        reservations.iter_mut().for_each(|it| it.taken |= LOCAL);
        reservations
    }

    pub(in crate::state) fn reserve_at(
        &self,
        quotas: &[Quota<'_>],
        times: Times,
        instances: u64,
    ) -> (Vec<Reservation>, bool) {
        let steps: Vec<_> = quotas.iter().map(|quota| self.step(quota, times, instances)).collect();
        let mut reservations = Vec::with_capacity(steps.len());
        let (mut all_allowed, mut has_begun) = (true, false);
        for (index, step) in steps.iter().enumerate() {
            let reservation = step.charge(all_allowed, &mut has_begun);
            if all_allowed && !reservation.verdict.allowed {
                all_allowed = false;
                steps[..index].iter().for_each(Step::give_back);
                for (step, before) in steps[..index].iter().zip(&mut reservations) {
                    *before = step.charge(false, &mut false);
                }
            }
            reservations.push(reservation);
        }
        if !steps.is_empty() {
            self.buckets.decided(all_allowed);
        }
        steps.iter().for_each(|step| step.table.changed(step.key));
        (reservations, has_begun)
    }

    /// Takes more, or gives back. A window that is over stays as it is.
    pub(crate) fn settle(&self, settlements: &[Settlement<'_>]) {
        self.settle_share(settlements, 1);
    }

    /// The same of what was reserved with the share of one of several gateways.
    pub(in crate::state) fn settle_share(&self, settlements: &[Settlement<'_>], instances: u64) {
        self.settle_at(settlements, self.times(), instances);
    }

    pub(in crate::state) fn settle_at(
        &self,
        settlements: &[Settlement<'_>],
        times: Times,
        instances: u64,
    ) {
        for Settlement { quota, taken, by } in settlements {
            if taken & NOWHERE > 0 {
                continue;
            }
            let cost = by.unsigned_abs();
            // Of a window all that was taken can be settled, whatever the share was.
            let instances = if quota.window.is_bucket() { instances } else { 1 };
            let mut step = self.step(&Quota { cost, ..*quota }, times, instances);
            if step.span.is_some() {
                step.go_to(quota, taken & !MARKS);
                if step.moment.base <= times.wall {
                    continue;
                }
            }
            step.change(*by < 0);
            step.table.changed(step.key);
        }
    }

    /// How a quota is.
    pub(crate) fn look(&self, bucket: &Bucket) -> Reservation {
        self.step(&bucket.look(), self.times(), 1).charge(false, &mut false)
    }

    fn is_full(&self, bucket: &Bucket, times: Times) -> bool {
        let step = self.step(&bucket.look(), times, 1);
        if step.before.is_some() {
            return step.charge(false, &mut false).verdict.reset == 0;
        }
        let full_at = step.table.buckets.held(step.key, |word| word.load(Relaxed));
        full_at.is_none_or(|full_at| full_at <= step.moment.base)
    }

    /// Makes a quota whole. Returns whether it was not.
    pub(crate) fn reset(&self, bucket: &Bucket) -> bool {
        let step = self.step(&bucket.look(), self.times(), 1);
        let before = step.before.zip(step.span);
        let before = before.map(|(key, span)| step.table.reset(key, span.end));
        if step.span.is_some() {
            step.table.reset(step.key.owed(), step.moment.base);
        }
        step.table.reset(step.key, step.moment.base) | before.unwrap_or(false)
    }

    fn times(&self) -> Times {
        Times { process: self.buckets.now(), wall: self.windows.now() }
    }

    fn step(&self, quota: &Quota<'_>, times: Times, instances: u64) -> Step<'_> {
        let (rule, span) = (quota.rule(instances), quota.window.span(times.wall));
        let (table, moment) = match (quota.window, span) {
            (Window::Sliding(length), Some(Span { end, .. })) => {
                let hold = length.saturating_mul(2).saturating_add(rule.depth);
                (&self.windows, Moment { now: times.wall, base: end + length, hold })
            }
            (Window::Fixed(length), Some(Span { end, .. })) => {
                let hold = length.saturating_add(rule.depth);
                (&self.windows, Moment { now: times.wall, base: end, hold })
            }
            (Window::Calendar(unit, _), Some(Span { end, .. })) => {
                let hold = unit.longest().saturating_add(rule.depth);
                (&self.windows, Moment { now: times.wall, base: end, hold })
            }
            (Window::Bucket { .. }, _) | (_, None) => {
                // What is settled may bring it below empty.
                let hold = rule.depth.saturating_mul(2);
                (&self.buckets, Moment { now: times.process, base: times.process, hold })
            }
        };
        let (key, period) = (table.buckets.key(quota.key), quota.window.shortest());
        let (key, before) = match (quota.window, span) {
            (Window::Sliding(length), Some(Span { begin, .. })) => {
                let number = begin / length;
                (key.beside(number), Some(key.beside(number + 1)))
            }
            _ => (key, None),
        };
        Step { table, key, rule, moment, span, period, before }
    }
}

impl Step<'_> {
    /// Takes, or with `commit` false only says how it would go.
    fn charge(&self, commit: bool, has_begun: &mut bool) -> Reservation {
        let Self { table, key, rule, moment, .. } = self;
        if let (Some(before), Some(span)) = (self.before, self.span) {
            return self.charge_pair(before, span, commit, has_begun);
        }
        let verdict = table.charge_at(*key, rule, *moment, commit, has_begun);
        let Some(span) = self.span else {
            return Reservation { verdict, length: self.period, taken: 0 };
        };
        Reservation::of_window(verdict, span, moment.now)
    }

    /// The same of a window that slides. Nobody else changes either word meanwhile.
    fn charge_pair(
        &self,
        before: Key,
        span: Span,
        commit: bool,
        has_begun: &mut bool,
    ) -> Reservation {
        let Self { table, key, rule, moment, .. } = self;
        let Rule { token, cost, depth } = *rule;
        let (limit, cost) = (depth / token, cost / token);
        let verdict = table.put_beside(*key, before, *moment, |word, (before, is_held)| {
            let tokens = |word: u64, base: u64| word.saturating_sub(base).div_ceil(token);
            let left = span.end.saturating_sub(moment.now);
            let length = span.end - span.begin;
            let mut used = tokens(word.load(Relaxed), moment.base);
            let before = tokens(before, span.end);
            if is_held && before > limit {
                // The clock was set back: it is a later window's.
                used = used.max(limit);
            }
            let before = before.min(limit);
            let mut pair = Pair { used, before, left, length };
            let allowed = pair.counted().saturating_add(cost) <= limit;
            if allowed && commit && cost > 0 {
                pair.used += cost;
                word.store(moment.base + pair.used * token, Relaxed);
                *has_begun |= before == 0 && used == 0;
            }
            pair.verdict(allowed, cost, limit)
        });
        Reservation { verdict, length: span.end - span.begin, taken: span.end | SLIDING }
    }

    /// Turns to the window that ends then.
    fn go_to(&mut self, quota: &Quota<'_>, end: u64) {
        self.moment.base = end;
        if let Window::Sliding(length) = quota.window {
            self.moment.base = end.saturating_add(length);
            self.key = self.table.buckets.key(quota.key).beside((end / length).wrapping_sub(1));
        }
    }

    /// Returns what was taken, if nobody is in a later window by now.
    fn give_back(&self) {
        self.change(true);
    }

    /// Takes the cost besides, or gives it back.
    fn change(&self, is_returned: bool) {
        let Self { table, key, moment, rule, .. } = self;
        let cost = if is_returned { rule.cost - self.pay(rule.cost) } else { rule.cost };
        let change = |word: &AtomicU64| {
            let changed = |tat| self.changed(tat, cost, is_returned);
            // It declines where there is nothing to do.
            let before = word.fetch_update(Relaxed, Relaxed, changed).ok()?;
            Some(before.saturating_sub(moment.base).saturating_add(cost))
        };
        let after = match table.buckets.held(*key, change) {
            Some(after) => after,
            None if is_returned => None,
            None => table.put(*key, *moment, change),
        };
        let excess = after.map_or(0, |after| after.saturating_sub(rule.depth));
        if self.span.is_some() && !is_returned && excess > 0 {
            self.owe(excess);
        }
    }

    fn changed(&self, tat: u64, cost: u64, is_returned: bool) -> Option<u64> {
        let depth = self.rule.depth;
        let base = self.moment.base;
        let used = tat.saturating_sub(base);
        let most = match self.span {
            // It is a later window's.
            Some(_) if used > depth => return None,
            Some(_) => depth,
            None => depth.saturating_mul(2).max(used),
        };
        match is_returned {
            true => (used > 0).then(|| base + used.saturating_sub(cost)),
            false => (cost > 0).then(|| base + used.saturating_add(cost).min(most)),
        }
    }

    /// A window is used up by more than it had: that is owed, up to as much again, until it ends. Otherwise what others
    /// give back could be taken though it was used.
    #[cold]
    fn owe(&self, excess: u64) {
        let (base, depth) = (self.moment.base, self.rule.depth);
        let key = self.key.owed();
        let more = |word: &AtomicU64| {
            let more = |owed: u64| {
                let owed = owed.saturating_sub(base);
                (owed <= depth).then(|| base + owed.saturating_add(excess).min(depth))
            };
            let _ = word.fetch_update(Relaxed, Relaxed, more);
        };
        self.table.put(key, self.moment, more);
        self.table.changed(key);
    }

    /// Pays what is owed with what is given back. Returns how much of it that takes.
    fn pay(&self, cost: u64) -> u64 {
        if self.span.is_none() {
            return 0;
        }
        let (base, depth) = (self.moment.base, self.rule.depth);
        let key = self.key.owed();
        let less = |word: &AtomicU64| {
            let less = |owed: u64| {
                let owed = owed.saturating_sub(base);
                (1..=depth).contains(&owed).then(|| base + owed.saturating_sub(cost))
            };
            let before = word.fetch_update(Relaxed, Relaxed, less).unwrap_or(base);
            before.saturating_sub(base).min(cost)
        };
        let paid = self.table.buckets.held(key, less).unwrap_or(0);
        if paid > 0 {
            self.table.changed(key);
        }
        paid
    }
}

impl Reservation {
    /// What is said of a window: it comes back at its end.
    pub(in crate::state) fn of_window(verdict: Verdict, span: Span, now: u64) -> Self {
        let left = span.end.saturating_sub(now);
        let retry_after = verdict.retry_after.map(|_| if verdict.allowed { 0 } else { left });
        Self {
            verdict: Verdict { reset: left, retry_after, ..verdict },
            length: span.end.saturating_sub(span.begin),
            taken: span.end,
        }
    }
}
