//! The response fields that tell a client about its limits.
//!
//! Owns their syntax: `RateLimit-Policy` and `RateLimit` of
//! draft-ietf-httpapi-ratelimit-headers-11, lists of strings with parameters (RFC 9651), and the
//! older `X-RateLimit-*`. Policy names need no escaping, since `policy` admits only tame ones.

use std::time::Duration;

use gateway_plugin_sdk::limiter::Verdict;

use crate::claims::{Charge, Charges};
use crate::policy::Policy;
use crate::rate::Rate;

/// The values of `X-RateLimit-*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Legacy {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// In seconds.
    pub(crate) reset: u64,
}

impl Legacy {
    /// Names and values.
    pub(crate) fn fields(self) -> [(&'static str, u64); 3] {
        [
            ("x-ratelimit-limit", self.limit),
            ("x-ratelimit-remaining", self.remaining),
            ("x-ratelimit-reset", self.reset),
        ]
    }
}

/// The value of `RateLimit-Policy`, if it is the same for all requests.
///
/// `w` counts whole seconds only (section 3.1.3), so a window that is none goes without it. A
/// bucket that holds something else than its quota says so in a parameter of our own.
pub(crate) fn policies(policies: &[Policy]) -> Option<String> {
    let mut value = String::new();
    for policy in policies {
        let rate = policy.only_rate()?;
        describe(&mut value, policy, rate, rate.length()?);
    }
    Some(value)
}

/// The same of what a request is charged to: plans differ, and months do.
pub(crate) fn policies_of(charges: &Charges<'_>) -> String {
    let mut value = String::with_capacity(64);
    for charge in &charges.all {
        describe(&mut value, charge.policy, charge.rate, charge.length);
    }
    value
}

fn describe(value: &mut String, policy: &Policy, rate: &Rate, length: Duration) {
    open(value, policy);
    push(value, ";q=", rate.limit);
    if length.subsec_nanos() == 0 {
        push(value, ";w=", length.as_secs());
    }
    if rate.burst != rate.limit {
        push(value, ";gateway-burst=", rate.burst);
    }
}

/// The value of `RateLimit` for an admitted request: what is left of each policy, and when it is
/// whole again.
pub(crate) fn admitted(charges: &Charges<'_>) -> String {
    let mut value = String::with_capacity(64);
    for Charge { policy, verdict, .. } in &charges.all {
        open(&mut value, policy);
        push(&mut value, ";r=", verdict.remaining);
        push(&mut value, ";t=", seconds(verdict.reset));
    }
    value
}

/// The value of `RateLimit` for a refused request: the violated policies only, each with the time
/// until it has room for the request. A policy that had room may well be whole again only
/// tomorrow, and `Retry-After` must not be earlier than any `t` beside it (section 6).
pub(crate) fn refused(charges: &Charges<'_>) -> String {
    let mut value = String::with_capacity(64);
    for Charge { policy, rate, verdict, .. } in charges.violated() {
        open(&mut value, policy);
        push(&mut value, ";r=", verdict.remaining.min(rate.burst));
        if let Some(wait) = verdict.retry_after {
            push(&mut value, ";t=", seconds(wait));
        }
    }
    value
}

/// `X-RateLimit-*` know one policy: for an admitted request the one with the least left.
pub(crate) fn tightest(charges: &Charges<'_>) -> Option<Legacy> {
    let tightest = charges.all.iter().min_by_key(|charge| charge.verdict.remaining);
    tightest.map(|Charge { rate, verdict, .. }| Legacy {
        limit: rate.limit,
        remaining: verdict.remaining,
        reset: seconds(verdict.reset),
    })
}

/// `X-RateLimit-*` know one policy: for a refused request the one with the longest wait.
pub(crate) fn longest_wait(charges: &Charges<'_>) -> Option<Legacy> {
    let wait = |verdict: &Verdict| verdict.retry_after.unwrap_or(verdict.reset);
    let longest = charges.violated().max_by_key(|charge| wait(&charge.verdict));
    longest.map(|Charge { rate, verdict, .. }| Legacy {
        limit: rate.limit,
        remaining: verdict.remaining.min(rate.burst),
        reset: seconds(wait(verdict)),
    })
}

/// Whole seconds, rounded up: who comes back after them is not too early.
pub(crate) fn seconds(span: Duration) -> u64 {
    span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0))
}

fn open(value: &mut String, policy: &Policy) {
    if !value.is_empty() {
        value.push_str(", ");
    }
    value.push('"');
    value.push_str(&policy.name);
    value.push('"');
}

fn push(value: &mut String, parameter: &str, number: u64) {
    value.push_str(parameter);
    value.push_str(itoa::Buffer::new().format(number));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_seconds_up() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_nanos(1)), 1);
        assert_eq!(seconds(Duration::from_secs(1)), 1);
        assert_eq!(seconds(Duration::from_nanos(1_000_000_001)), 2);
        assert_eq!(seconds(Duration::MAX), u64::MAX);
    }
}
