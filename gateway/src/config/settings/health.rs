//! What tells whether targets of an upstream are well: `health` and `ejection`.

use std::time::Duration;

/// `ejection` of an upstream: when a target gets no requests for a while, since requests failed at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ejection {
    /// `consecutive_failures`: so many, one after the other. 0 is never. Default 5.
    pub consecutive_failures: u32,
    /// `time`: for how long the first time; the next time soon after for twice as long, and so on.
    /// Default 30 s.
    pub time: Duration,
    /// `max_time`: for how long at most. Default 5 min.
    pub max_time: Duration,
    /// `max_share`: in thousandths, how many of the targets at most for what they respond, but always one.
    /// Default 500.
    pub max_share: u32,
    /// `statuses` that are failures. Default 502, 503 and 504.
    pub statuses: Vec<u16>,
    /// `panic_threshold`: in thousandths of all weights; while fewer targets take requests, all get some.
    /// Default 0: only while none does.
    pub panic_threshold: u32,
    /// `outliers`
    pub outliers: Option<Outliers>,
}

/// `ejection.outliers` of an upstream: when a target is ejected for what it does worse than the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outliers {
    /// `interval` at which targets are compared. Default 10 s.
    pub interval: Duration,
    /// `min_requests` of a target in it, to be compared. Default 100.
    pub min_requests: u32,
    /// `min_targets` that have so many. Default 5.
    pub min_targets: u32,
    /// `success_rate`: in hundredths of the standard deviation. 0 is off. Default 190.
    pub success_rate: u32,
    /// `latency`: in hundredths of the median of the others. 0 is off. Default 0.
    pub latency: u32,
}

impl Default for Outliers {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            min_requests: 100,
            min_targets: 5,
            success_rate: 190,
            latency: 0,
        }
    }
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            time: Duration::from_secs(30),
            max_time: Duration::from_secs(300),
            max_share: 500,
            statuses: vec![502, 503, 504],
            panic_threshold: 0,
            outliers: None,
        }
    }
}

/// `health` of an upstream: how it is found out whether a target is there, without requests of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// `kind`, `path` and `service`
    pub kind: CheckKind,
    /// `interval`: from the end of one check to the beginning of the next. Default 10 s.
    pub interval: Duration,
    /// `timeout` of a check. Default 2 s.
    pub timeout: Duration,
    /// `unhealthy`: so many checks that failed one after the other take a target out. Default 3.
    pub unhealthy: u32,
    /// `healthy`: so many that passed let it in again. Default 2.
    pub healthy: u32,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// `"http"`: `GET` of a path.
    Http {
        /// `path`
        path: http::uri::PathAndQuery,
        /// `statuses` that pass. Default: 200 to 299.
        statuses: Option<Vec<u16>>,
    },
    /// `"tcp"`: a connection.
    Tcp,
    /// `"grpc"`: `grpc.health.v1.Health/Check`.
    Grpc {
        /// `service`; empty for the whole server.
        service: String,
    },
}
