//! What all policies together make of one request.
//!
//! Owns gathering the charges: their keys stand in one text, so that a request with many policies
//! costs no more allocations than one with a single policy. Must not decide what becomes of the
//! request.

use std::ops::Range;

use gateway_plugin_sdk::limiter::{Charge, Verdict};
use gateway_plugin_sdk::prelude::Request;

use crate::key::Part;
use crate::policy::{Claim, Policy};

/// The buckets that a request is charged to.
pub(crate) struct Claims<'a> {
    /// The keys of all buckets, one behind the other.
    keys: String,
    charged: Vec<Charged<'a>>,
    /// The parts of keys for lack of which policies refuse the request.
    pub(crate) lacking: Vec<&'a Part>,
}

/// A bucket that is to be charged.
struct Charged<'a> {
    policy: &'a Policy,
    /// Where its key stands.
    key: Range<usize>,
    cost: u64,
}

impl<'a> Claims<'a> {
    /// What the policies make of a request.
    pub(crate) fn of(request: &Request, policies: &'a [Policy], ipv6_prefix: u8) -> Self {
        let mut claims = Self {
            keys: String::with_capacity(policies.iter().map(Policy::key_size).sum()),
            charged: Vec::with_capacity(policies.len()),
            lacking: Vec::new(),
        };
        for policy in policies {
            let start = claims.keys.len();
            match policy.claim(request, ipv6_prefix, &mut claims.keys) {
                Claim::Charge(cost) => {
                    let key = start..claims.keys.len();
                    claims.charged.push(Charged { policy, key, cost });
                    continue;
                }
                Claim::Refuse(part) => claims.lacking.push(part),
                Claim::None => {}
            }
            claims.keys.truncate(start);
        }
        claims
    }

    /// The charges, for the limiter.
    pub(crate) fn charges(&self) -> Vec<Charge<'_>> {
        let charge = |charged: &Charged<'_>| Charge {
            key: &self.keys[charged.key.clone()],
            limit: charged.policy.limit,
            period: charged.policy.period,
            burst: charged.policy.burst,
            cost: charged.cost,
        };
        self.charged.iter().map(charge).collect()
    }

    /// The policies with the limiter's verdicts on their charges.
    pub(crate) fn with<'b>(
        &self,
        verdicts: &'b [Verdict],
    ) -> impl Iterator<Item = (&'a Policy, &'b Verdict)> {
        self.charged.iter().map(|charged| charged.policy).zip(verdicts)
    }

    /// Whether no policy applies.
    pub(crate) fn is_empty(&self) -> bool {
        self.charged.is_empty()
    }
}
