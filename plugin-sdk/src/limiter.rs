//! Rate limits: token buckets by GCRA, and windows, shared by all workers of the gateway. Granted as
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
//!
//! What a request costs may be known only when it is answered. An estimate is reserved, and settled:
//!
//! ```
//! use gateway_plugin_sdk::limiter::{self, CalendarUnit, Quota, Settlement, Window};
//!
//! let month = Window::Calendar { unit: CalendarUnit::Month, time_zone: "Europe/Berlin" };
//! let quota = Quota { key: "ada", limit: 1000, window: month, cost: 200 };
//! let reserved = limiter::reserve(&[quota]).unwrap()[0];
//! assert!(reserved.allowed && reserved.remaining == 800);
//!
//! // It was 50: 150 go back.
//! limiter::settle(&[Settlement { quota, taken: reserved.taken, by: -150 }]).unwrap();
//! assert_eq!(limiter::reserve(&[Quota { cost: 0, ..quota }]).unwrap()[0].remaining, 950);
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

/// How a quota comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window<'a> {
    /// Evenly, token by token, as in [`take`].
    Bucket {
        /// The period in which `limit` flows in, at least 1 ns.
        period: Duration,
        /// What the bucket holds when full, at least 1.
        burst: u64,
    },
    /// All at once, at the end of each window of this length, counted from 1970: whole milliseconds,
    /// at most 366 days.
    Fixed(Duration),
    /// As with [`Fixed`](Self::Fixed), but of the window before counts as much as still overlaps with one that
    /// ends now, as if all of it had come evenly, rounded up. So nothing comes back all at once.
    Sliding(Duration),
    /// All at once, with the calendar of a place.
    Calendar {
        /// How long the window is.
        unit: CalendarUnit,
        /// The place, by its name in the IANA time zone database: `UTC`, `Europe/Berlin`.
        time_zone: &'a str,
    },
}

/// A unit of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalendarUnit {
    /// An hour of the clock.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday.
    Week,
    /// From the first to the last day of a month.
    Month,
    /// From 1 January to 31 December.
    Year,
}

/// A quota, and what to take from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota<'a> {
    /// Which quota, at most 1 KiB. Quotas that differ in their limit or window need different keys. A
    /// bucket is the one that [`take`] charges under this key; windows have keys of their own, and so have those
    /// that slide.
    pub key: &'a str,
    /// Tokens of a window, or that flow in per period, at least 1. A window has at most 10^15, and at
    /// most one for each nanosecond of the shortest window of its kind.
    pub limit: u64,
    /// How it comes back.
    pub window: Window<'a>,
    /// Tokens to take. Zero looks without taking.
    pub cost: u64,
}

/// How a quota was charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// Whether the quota had enough.
    pub allowed: bool,
    /// Whole tokens that are left.
    pub remaining: u64,
    /// Until the window ends, nothing of a window that slides counts any more, or the bucket is full again.
    pub reset: Duration,
    /// Until the same charge can be allowed: zero if it was; `None` if never, since the cost is over
    /// the limit or the burst.
    pub retry_after: Option<Duration>,
    /// How long the window is, which differs from month to month; of a bucket its period.
    pub length: Duration,
    /// What it was taken from, for [`settle`]. It means nothing else.
    pub taken: u64,
}

/// What a charge turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement<'a> {
    /// The quota, as it was charged. Its cost does not matter.
    pub quota: Quota<'a>,
    /// [`Reservation::taken`].
    pub taken: u64,
    /// Tokens to take besides, or to give back if it is negative.
    pub by: i64,
}

/// Charges all quotas if each has enough, and none otherwise; up to 16. One reservation each, in the
/// same order.
///
/// # Errors
/// If a quota is not valid or its time zone not known, or the store cannot answer. Nothing is charged
/// then.
pub fn reserve(quotas: &[Quota<'_>]) -> Result<Vec<Reservation>, LimiterError> {
    host::reserve(quotas)
}

/// Takes more, or gives back, once it is known what a charge should have been; up to 16. Each is done
/// by itself. A window that is over, and of those that slide the one before the last, stays as it is. More than is left is
/// owed: what others give back pays that first. A window owes up to its limit until it ends; a bucket goes below empty by up
/// to its burst.
///
/// # Errors
/// If a quota is not valid, or the store cannot answer: what was taken stays taken then.
pub fn settle(settlements: &[Settlement<'_>]) -> Result<(), LimiterError> {
    host::settle(settlements)
}

/// Whether there is a time zone of this name.
///
/// # Errors
/// If there is none: the nearest name that there is, if any is near.
pub fn check_time_zone(name: &str) -> Result<(), Option<String>> {
    host::check_time_zone(name)
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
