//! Rate limits: token buckets by GCRA, shared by all workers of the gateway. Granted as
//! `limiter`. Keys belong to the configured plugin: another does not see them.
//!
//! ```
//! use gateway_plugin_sdk::limiter::{self, Charge};
//! use std::time::Duration;
//!
//! let charge = Charge { burst: 1, ..Charge::new("ada", 60, Duration::from_secs(60)) };
//! assert!(limiter::take(&[charge]).unwrap()[0].allowed);
//!
//! let verdict = limiter::take(&[charge]).unwrap()[0];
//! assert!(!verdict.allowed);
//! assert!(verdict.retry_after.unwrap() <= Duration::from_secs(1));
//! ```

use std::time::Duration;

use crate::host;

/// One bucket to charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge<'a> {
    /// Which bucket, at most 1 KiB. Buckets that differ in rate or burst need different keys.
    pub key: &'a str,
    /// Tokens that flow in per `period`, at least 1.
    pub limit: u64,
    /// The period, at least 1 ns.
    pub period: Duration,
    /// What the bucket holds when full, at least 1; `limit` for a plain quota.
    pub burst: u64,
    /// Tokens to take. Zero looks without taking.
    pub cost: u64,
}

impl<'a> Charge<'a> {
    /// One token of a plain quota: `limit` a `period`, all of which may come at once.
    pub fn new(key: &'a str, limit: u64, period: Duration) -> Self {
        Self { key, limit, period, burst: limit, cost: 1 }
    }
}

/// How a charge went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether this bucket had enough.
    pub allowed: bool,
    /// Whole tokens that are left.
    pub remaining: u64,
    /// Until the bucket is full again.
    pub reset: Duration,
    /// Until the same charge would be allowed: zero if it was; `None` if never, since the cost
    /// is over the burst.
    pub retry_after: Option<Duration>,
}

/// Why nothing was charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimiterError {
    /// A charge is not valid: a key too long, a zero, or over 16 charges.
    #[error("a charge is not valid")]
    Invalid,
    /// The limiter's store is out of reach. The gateway's own, in memory, never is.
    #[error("the limiter's store is out of reach")]
    Unavailable,
}

/// Charges all buckets if each has enough, and none otherwise. One verdict a charge, in the same
/// order.
///
/// # Errors
/// If a charge is not valid, or the store cannot answer. Nothing is charged then.
pub fn take(charges: &[Charge<'_>]) -> Result<Vec<Verdict>, LimiterError> {
    host::take(charges)
}

/// A span as the gateway counts it: nanoseconds, at most 584 years.
pub(crate) fn nanoseconds(span: Duration) -> u64 {
    // Not by `as_nanos`, which computes with 128 bits.
    let whole = span.as_secs().checked_mul(1_000_000_000);
    let all = whole.and_then(|whole| whole.checked_add(u64::from(span.subsec_nanos())));
    all.unwrap_or(u64::MAX)
}
