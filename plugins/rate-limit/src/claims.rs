//! What all policies together make of one request.
//!
//! Owns gathering the charges: their keys stand in one text, so that a request with many policies
//! costs no more allocations than one with a single policy. Must not decide what becomes of the
//! request.

use std::ops::Range;
use std::time::Duration;

use gateway_plugin_sdk::limiter::{self, LimiterError, Reservation, Verdict};

use crate::key::Facts;
use crate::policy::{Claim, Lack, Policy};
use crate::rate::Rate;
use crate::settle::{Kept, Reserved};

/// The buckets that a request is charged to.
pub(crate) struct Claims<'a> {
    /// The keys of all buckets, one behind the other.
    keys: String,
    charged: Vec<Charged<'a>>,
    /// For lack of what policies refuse the request.
    pub(crate) lacking: Vec<Lack<'a>>,
}

/// What was charged, and how it went.
pub(crate) struct Charges<'a> {
    pub(crate) all: Vec<Charge<'a>>,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charge<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) rate: &'a Rate,
    pub(crate) verdict: Verdict,
    /// How long its window is.
    pub(crate) length: Duration,
}

/// A bucket that is to be charged.
struct Charged<'a> {
    /// Which of the policies.
    index: usize,
    policy: &'a Policy,
    rate: &'a Rate,
    /// Where its key stands.
    key: Range<usize>,
    /// What the request says that it costs.
    estimate: u64,
    /// What is taken for it.
    cost: u64,
}

impl<'a> Claims<'a> {
    /// What the policies make of a request.
    pub(crate) fn of(facts: Facts<'_>, policies: &'a [Policy]) -> Self {
        let mut claims = Self {
            keys: String::with_capacity(policies.iter().map(Policy::key_size).sum()),
            charged: Vec::with_capacity(policies.len()),
            lacking: Vec::new(),
        };
        for (index, policy) in policies.iter().enumerate() {
            let start = claims.keys.len();
            match policy.claim(facts, &mut claims.keys) {
                Claim::Charge(rate, estimate) => {
                    let key = start..claims.keys.len();
                    // No more than would ever fit.
                    let learned = policy.learned.as_ref();
                    let cost = learned.map_or(estimate, |it| it.of(estimate).min(rate.burst));
                    claims.charged.push(Charged { index, policy, rate, key, estimate, cost });
                    continue;
                }
                Claim::Refuse(lack) => claims.lacking.push(lack),
                Claim::None => {}
            }
            claims.keys.truncate(start);
        }
        claims
    }

    /// Charges them all, or none. What is to be settled later goes to `reserved`.
    pub(crate) fn charge(&self, reserved: &mut Reserved) -> Result<Charges<'a>, LimiterError> {
        if self.charged.iter().all(|charged| charged.policy.is_plain()) {
            return self.take();
        }
        let quota = |it: &Charged<'a>| it.rate.quota(&self.keys[it.key.clone()], it.cost);
        let reservations = limiter::reserve(&self.charged.iter().map(quota).collect::<Vec<_>>())?;
        if reservations.iter().all(|reservation| reservation.allowed) {
            self.keep(&reservations, reserved);
        }
        let charge = |(charged, reservation): (&Charged<'a>, &Reservation)| {
            let Reservation { allowed, remaining, reset, retry_after, length, .. } = *reservation;
            let verdict = Verdict { allowed, remaining, reset, retry_after };
            Charge { policy: charged.policy, rate: charged.rate, verdict, length }
        };
        Ok(Charges { all: self.charged.iter().zip(&reservations).map(charge).collect() })
    }

    /// The same where buckets are all.
    fn take(&self) -> Result<Charges<'a>, LimiterError> {
        let charge = |it: &Charged<'a>| it.rate.charge(&self.keys[it.key.clone()], it.cost);
        let verdicts = limiter::take(&self.charged.iter().filter_map(charge).collect::<Vec<_>>())?;
        let charge = |(charged, verdict): (&Charged<'a>, Verdict)| {
            let length = charged.rate.length().unwrap_or_default();
            Charge { policy: charged.policy, rate: charged.rate, verdict, length }
        };
        Ok(Charges { all: self.charged.iter().zip(verdicts).map(charge).collect() })
    }

    fn keep(&self, reservations: &[Reservation], reserved: &mut Reserved) {
        for (charged, reservation) in self.charged.iter().zip(reservations) {
            if charged.policy.settle.is_some() {
                reserved.push(Kept {
                    policy: charged.index,
                    key: self.keys[charged.key.clone()].to_owned(),
                    estimate: charged.estimate,
                    cost: charged.cost,
                    taken: reservation.taken,
                });
            }
        }
    }

    /// Whether no policy applies.
    pub(crate) fn is_empty(&self) -> bool {
        self.charged.is_empty()
    }
}

impl<'a> Charges<'a> {
    /// Whether each has enough.
    pub(crate) fn are_allowed(&self) -> bool {
        self.all.iter().all(|charge| charge.verdict.allowed)
    }

    /// Those that have not.
    pub(crate) fn violated(&self) -> impl Iterator<Item = &Charge<'a>> + Clone {
        self.all.iter().filter(|charge| !charge.verdict.allowed)
    }
}
