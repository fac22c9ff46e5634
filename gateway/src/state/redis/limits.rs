//! One plugin's rate limits in a store that several gateways share.
//!
//! Owns what is asked of the store for a check, what its answer means, and what becomes of a check without one.
//! The arithmetic is that of the limits in memory: amounts go over in nanoseconds, rounded to what a floating
//! point number holds, so that exactly as much is admitted as the limit says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use smallvec::{SmallVec, smallvec};
use tokio::time::timeout;

use super::lease::{Leases, Part};
use super::names::Names;
use super::{Argument, Redis, TAKE, Unavailable};
use crate::config::{LimiterUse, OnStoreError};
use crate::state::limits::quotas::Quotas;
use crate::state::limits::{Charge, Rule, Verdict};

/// Amounts below this are exact in a floating point number.
const EXACT: u64 = 1 << 52;

/// One for each charge.
pub(crate) type Verdicts = SmallVec<[Verdict; 1]>;

/// See the module.
#[derive(Debug)]
pub(crate) struct SharedLimits {
    pub(super) store: Arc<Redis>,
    names: Names,
    pub(super) on_error: OnStoreError,
    leases: Option<Leases>,
    /// Whether hooks ask or tell something before they ask here.
    is_asked_late: AtomicBool,
    /// Gateways that share the store.
    pub(super) instances: u64,
    /// For checks that the store does not answer.
    pub(super) local: Quotas,
}

/// What is asked for one charge.
pub(super) struct Asked {
    pub(super) rule: Rule,
    /// The step in which amounts of its size are exact.
    pub(super) step: u64,
}

impl Asked {
    pub(super) fn of(charge: &Charge<'_>) -> Self {
        let rule = Rule::of(charge);
        let step = (rule.depth / EXACT + 1).next_power_of_two();
        let depth = rule.depth / step * step;
        let cost = match rule.cost <= rule.depth {
            true => rule.cost / step * step,
            // It stays too much.
            false => depth.saturating_add(step),
        };
        Self { rule: Rule { token: rule.token, cost, depth }, step }
    }
}

impl SharedLimits {
    /// The limits of a plugin in a store.
    pub(crate) fn new(store: &Arc<Redis>, plugin: &str, used: &LimiterUse, local: &Quotas) -> Self {
        let settings = store.settings();
        Self {
            names: Names::of(settings, plugin),
            on_error: used.on_store_error,
            leases: (used.lease > 0).then(|| Leases::new(used.lease)),
            is_asked_late: AtomicBool::new(false),
            instances: settings.instances,
            local: local.clone(),
            store: Arc::clone(store),
        }
    }

    /// Connects the worker of this thread.
    pub(crate) fn connect_here(&self) {
        self.store.connect_here();
    }

    /// A hook had asked or told something before.
    pub(crate) fn is_not_asked_first(&self) {
        if !self.is_asked_late.load(Relaxed) {
            self.is_asked_late.store(true, Relaxed);
        }
    }

    /// Whether the next hook will probably find what it asks for here, and could be called again if it does not.
    pub(crate) fn answers_at_once(&self) -> bool {
        self.leases.as_ref().is_some_and(Leases::has_some) && !self.is_asked_late.load(Relaxed)
    }

    /// As [`take`](Self::take), where permits are here that were taken ahead.
    pub(crate) fn take_leased(self: &Arc<Self>, charges: &[Charge<'_>]) -> Option<Verdicts> {
        let leases = self.leases.as_ref()?;
        let asked: SmallVec<[_; 1]> = charges.iter().map(Asked::of).collect();
        let taken = leases.take(charges, &asked)?;
        self.store.leased();
        self.local.buckets.decided(taken.verdicts.iter().all(|verdict| verdict.allowed));
        if taken.is_low {
            self.renew(charges);
        }
        Some(taken.verdicts)
    }

    /// Asks for the next leases, for which nobody waits yet.
    fn renew(self: &Arc<Self>, charges: &[Charge<'_>]) {
        let keys: Vec<_> = charges.iter().map(|charge| charge.key.to_owned()).collect();
        let rules: Vec<_> = charges.iter().map(|it| (it.limit, it.period, it.burst)).collect();
        let limits = Arc::clone(self);
        tokio::spawn(async move {
            let charges: Vec<_> = keys
                .iter()
                .zip(rules)
                .map(|(key, (limit, period, burst))| Charge { key, limit, period, burst, cost: 0 })
                .collect();
            let (Some(leases), Some(first)) = (&limits.leases, charges.first()) else { return };
            let _turn = leases.turn(first.key).lock().await;
            let asked: Vec<_> = charges.iter().map(Asked::of).collect();
            let parts = leases.parts_to_renew(&charges, &asked);
            let answer = limits.ask(&charges, &parts, "").await;
            leases.renew(&charges, &parts, answer.ok().as_ref());
        });
    }

    /// Charges all buckets if each has enough, none otherwise; one verdict a charge.
    ///
    /// # Errors
    /// When the store does not answer, and the plugin is to hear of it.
    pub(crate) async fn take(
        self: &Arc<Self>,
        charges: &[Charge<'_>],
    ) -> Result<Verdicts, Unavailable> {
        let answered = match &self.leases {
            // What a hook without leases holds while it waits should be small.
            Some(leases) => Box::pin(self.lease(leases, charges)).await,
            None => self.ask(charges, &[], "").await.map(|answer| answer.verdicts),
        };
        match answered {
            Ok(verdicts) => {
                self.local.buckets.decided(verdicts.iter().all(|verdict| verdict.allowed));
                Ok(verdicts)
            }
            Err(Unavailable) => self.take_without_store(charges),
        }
    }

    /// What becomes of a check without an answer.
    ///
    /// # Errors
    /// When the plugin is to hear of it.
    pub(crate) fn take_without_store(
        &self,
        charges: &[Charge<'_>],
    ) -> Result<Verdicts, Unavailable> {
        match self.on_error {
            OnStoreError::Closed => Err(Unavailable),
            OnStoreError::Open => {
                let passed = |charge: &Charge<'_>| Rule::of(charge).verdict(true, 0, 0);
                Ok(charges.iter().map(passed).collect())
            }
            OnStoreError::Local => Ok(self.take_share(charges).into()),
        }
    }

    /// This gateway's share, in memory.
    fn take_share(&self, charges: &[Charge<'_>]) -> Vec<Verdict> {
        if self.instances == 1 {
            return self.local.buckets.take(charges);
        }
        let mut shares = charges.to_vec();
        for share in &mut shares {
            share.period = share.period.saturating_mul(self.instances);
            // Not less than one request costs: some are admitted.
            let least = share.cost.min(share.burst);
            share.burst = share.burst.div_ceil(self.instances).max(least);
        }
        self.local.buckets.take(&shares)
    }

    /// Takes permits ahead.
    async fn lease(
        self: &Arc<Self>,
        leases: &Leases,
        charges: &[Charge<'_>],
    ) -> Result<Verdicts, Unavailable> {
        let asked: Vec<_> = charges.iter().map(Asked::of).collect();
        // One at a time asks for a key: the others find what it brings.
        let Some(first) = charges.first() else { return Ok(Verdicts::new()) };
        let (began, most) = (Instant::now(), self.store.settings.timeout);
        let (_turn, has_waited) = match leases.turn(first.key).try_lock() {
            Ok(turn) => (turn, false),
            Err(_) => {
                let turn = timeout(most, leases.turn(first.key).lock()).await;
                (turn.map_err(|_| Unavailable)?, true)
            }
        };
        if let Some(taken) = leases.take(charges, &asked) {
            self.store.leased();
            if taken.is_low {
                self.renew(charges);
            }
            return Ok(taken.verdicts);
        }
        let parts = leases.parts(charges, &asked);
        let answer = match has_waited {
            false => self.ask(charges, &parts, "").await?,
            // Those before it have taken a part of the time that it may wait.
            true => {
                let left = most.saturating_sub(began.elapsed());
                let asked = timeout(left, self.ask(charges, &parts, "")).await;
                asked.map_err(|_| Unavailable)??
            }
        };
        leases.put(charges, &asked, &parts, &answer);
        Ok(answer.verdicts)
    }

    /// Asks the store. `time`: in microseconds, for tests.
    pub(super) async fn ask(
        &self,
        charges: &[Charge<'_>],
        parts: &[Part],
        time: &str,
    ) -> Result<Answer, Unavailable> {
        if charges.is_empty() {
            return Ok(Answer { verdicts: Verdicts::new(), used: Vec::new(), ahead: Vec::new() });
        }
        let key = |charge: &Charge<'_>| self.key("", charge.key);
        let keys: SmallVec<[_; 1]> = charges.iter().map(key).collect();
        let asked: SmallVec<[_; 1]> = charges.iter().map(Asked::of).collect();
        let mut arguments: SmallVec<[Argument<'_>; 7]> = smallvec![time.into()];
        for (index, Asked { rule, step }) in asked.iter().enumerate() {
            let part = parts.get(index).copied().unwrap_or_default();
            let numbers = [rule.cost, rule.depth, *step, part.returned, part.permit, part.ahead];
            arguments.extend(numbers.map(Argument::from));
        }
        let numbers = self.store.run(TAKE, &keys, &arguments).await?;
        Answer::read(&numbers, &asked).ok_or(Unavailable)
    }

    /// The key of a bucket in the server, and with a `kind` that of something else.
    pub(super) fn key(&self, kind: &str, key: &str) -> String {
        self.names.key(kind, key)
    }
}

/// What the store said.
pub(super) struct Answer {
    pub(super) verdicts: Verdicts,
    /// What is used of each bucket, in nanoseconds.
    pub(super) used: Vec<u64>,
    /// Permits that were taken ahead.
    pub(super) ahead: Vec<u64>,
}

impl Answer {
    fn read(numbers: &[i64], asked: &[Asked]) -> Option<Self> {
        let number = |index: usize| u64::try_from(*numbers.get(index)?).ok();
        let refused = usize::try_from(number(0)?).ok()?;
        let mut answer = Self { verdicts: Verdicts::new(), used: Vec::new(), ahead: Vec::new() };
        for (index, Asked { rule, .. }) in asked.iter().enumerate() {
            let (used, ahead) = (number(1 + 2 * index)?, number(2 + 2 * index)?);
            let allowed = match refused {
                0 => true,
                _ => refused != index + 1 && used.saturating_add(rule.cost) <= rule.depth,
            };
            answer.verdicts.push(rule.verdict(allowed, used, 0));
            answer.used.push(used);
            answer.ahead.push(ahead);
        }
        Some(answer)
    }
}
