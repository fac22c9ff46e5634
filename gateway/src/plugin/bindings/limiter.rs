//! `limiter`: limits, quotas and reservations.

use wasmtime::component::{ComponentType, Lift, Lower};

/// `limiter.charge`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Charge {
    pub(crate) key: String,
    pub(crate) limit: u64,
    pub(crate) period: u64,
    pub(crate) burst: u64,
    pub(crate) cost: u64,
}

/// `limiter.verdict`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(record)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    pub(crate) remaining: u64,
    pub(crate) reset: u64,
    #[component(name = "retry-after")]
    pub(crate) retry_after: Option<u64>,
}

/// `limiter.bucket-window`
#[derive(ComponentType, Lift, Debug, Clone, Copy)]
#[component(record)]
pub(crate) struct BucketWindow {
    pub(crate) period: u64,
    pub(crate) burst: u64,
}

/// `limiter.calendar-unit`
#[expect(dead_code, reason = "only guests make these values")]
#[derive(ComponentType, Lift, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum CalendarUnit {
    #[component(name = "hour")]
    Hour,
    #[component(name = "day")]
    Day,
    #[component(name = "week")]
    Week,
    #[component(name = "month")]
    Month,
    #[component(name = "year")]
    Year,
}

/// `limiter.calendar-window`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct CalendarWindow {
    pub(crate) unit: CalendarUnit,
    #[component(name = "time-zone")]
    pub(crate) time_zone: String,
}

/// `limiter.window`
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum Window {
    #[component(name = "bucket")]
    Bucket(BucketWindow),
    #[component(name = "fixed")]
    Fixed(u64),
    #[component(name = "calendar")]
    Calendar(CalendarWindow),
}

/// `limiter.quota`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Quota {
    pub(crate) key: String,
    pub(crate) limit: u64,
    pub(crate) window: Window,
    pub(crate) cost: u64,
}

/// `limiter.sliding-quota`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct SlidingQuota {
    pub(crate) quota: Quota,
    pub(crate) slides: bool,
}

/// `limiter.reservation`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(record)]
pub(crate) struct Reservation {
    pub(crate) allowed: bool,
    pub(crate) remaining: u64,
    pub(crate) reset: u64,
    #[component(name = "retry-after")]
    pub(crate) retry_after: Option<u64>,
    pub(crate) length: u64,
    pub(crate) taken: u64,
}

/// `limiter.settlement`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Settlement {
    pub(crate) quota: Quota,
    pub(crate) taken: u64,
    pub(crate) by: i64,
}

/// `limiter.limiter-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum LimiterError {
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "unavailable")]
    Unavailable,
}
