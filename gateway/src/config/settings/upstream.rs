//! `[upstreams.NAME]`, but for its targets and their health.

use std::time::Duration;

use crate::config::{
    Dns, Ejection, HealthCheck, RetryBudget, StickyKey, Target, UpstreamProtocol, UpstreamTls,
};

/// `[upstreams.NAME]`: a service behind the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The table's name.
    pub name: String,
    /// `targets`, at least one; where names stand for several, those that are known by now.
    pub targets: Vec<Target>,
    /// `targets` as the file has them, where names stand for several; else none.
    pub written: Vec<Target>,
    /// `dns`
    pub dns: Dns,
    /// `protocol`
    pub protocol: UpstreamProtocol,
    /// `host`
    pub host: HostPolicy,
    /// `tls`
    pub tls: UpstreamTls,
    /// `timeouts`
    pub timeouts: UpstreamTimeouts,
    /// `keep_alive = { connections = 64, idle = "60s" }`: idle connections kept for each target
    /// and worker.
    pub idle_connections: usize,
    /// How long one of them is kept. Default 60 s.
    pub idle_timeout: Duration,
    /// `keep_alive.ping`: how long a connection may be silent until its target is asked whether it
    /// is there. Default 30 s.
    pub ping: Duration,
    /// `keep_alive.ping_timeout`: how long the answer may take. Default 10 s.
    pub ping_timeout: Duration,
    /// `keep_alive.max_age`: how old a connection becomes; zero is no bound. Default 0 s.
    pub max_age: Duration,
    /// `limits`
    pub limits: UpstreamLimits,
    /// `added_fields`
    pub added_fields: AddedFields,
    /// `buffer_request_bodies`: up to so many bytes of a request body without a length are read before it is sent, with
    /// its length. Default none.
    pub buffer_request_bodies: Option<u64>,
    /// `balance`
    pub balance: Balance,
    /// `hash_by`: what `"consistent_hash"` goes by. Default the client's address.
    pub hash_by: StickyKey,
    /// `slow_start`: how long a target that is new or back takes until it has its whole weight. Default 0.
    pub slow_start: Duration,
    /// `overprovisioning`, in hundredths: how much more than its share the targets of a priority can take.
    /// Default 140.
    pub overprovisioning: u32,
    /// `ejection`
    pub ejection: Ejection,
    /// `health`
    pub health: Option<HealthCheck>,
    /// `retry_budget`
    pub retry_budget: RetryBudget,
    /// `capacity`
    pub capacity: Option<Capacity>,
    /// `connections`
    pub connections: Option<ConnectionBound>,
    /// `grpc_web` is `translate`
    pub grpc_web: bool,
}

/// `capacity` of an upstream: how many requests it has at a time, on all workers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// `requests` that are open, at most.
    pub requests: usize,
    /// `queue`: how many more may wait. Default 100.
    pub queue: usize,
    /// `queue_time`: for how long. Default 1 s.
    pub queue_time: Duration,
    /// `adaptive`: how the bound follows from how long responses take, up to `requests`.
    pub adaptive: Option<Adaptive>,
}

/// `adaptive` of a capacity: the bound follows from how long responses take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adaptive {
    /// `min`: the bound is never lower. Default 4.
    pub min: usize,
    /// `latency`: how long responses may take, in percent of what they take when there are few requests. Default 150.
    pub latency: u32,
    /// `interval`: how often the bound is set. Default 500 ms.
    pub interval: Duration,
    /// `remeasure`: how often only `min` requests are let through, to measure. Default 1 min.
    pub remeasure: Duration,
}

/// `connections` of an upstream: how many each of its targets has at a time, on all workers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionBound {
    /// `max`: connections that are open, at most.
    pub max: usize,
    /// `queue`: how many requests may wait for one. Default 100.
    pub queue: usize,
    /// `queue_time`: for how long. Default 1 s.
    pub queue_time: Duration,
}

/// `balance` of an upstream: how a target is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// `"round_robin"`: each in its turn, by weight.
    #[default]
    RoundRobin,
    /// `"least_requests"`: of two at random the one with fewer open requests for its weight.
    LeastRequests,
    /// `"peak_ewma"`: of two at random the one that answers sooner, by what it took and what is open.
    PeakEwma,
    /// `"consistent_hash"`: the one that a key belongs to.
    ConsistentHash,
}

/// `added_fields` of an upstream: what the gateway adds to the fields of each request. Default all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddedFields {
    /// `"x-forwarded"`: `X-Forwarded-For`, `-Proto`, `-Port` and `-Host`.
    pub x_forwarded: bool,
    /// `"forwarded"` (RFC 7239)
    pub forwarded: bool,
    /// `"via"` (RFC 9110 section 7.6.3)
    pub via: bool,
    /// `"x-request-id"`
    pub request_id: bool,
}

impl Default for AddedFields {
    fn default() -> Self {
        Self { x_forwarded: true, forwarded: true, via: true, request_id: true }
    }
}

/// `limits` of an upstream: what a response head may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// `header_count`: fields, at most. Default 1,000, 1 to 2,000.
    pub header_count: usize,
    /// `header_size`: bytes, at most. Default 64 KiB, 8 KiB to 1 MiB.
    pub header_size: usize,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self { header_count: 1000, header_size: 64 << 10 }
    }
}

/// `host` of an upstream: what its requests carry as `Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPolicy {
    /// `"preserve"` (default): what the client sent.
    Preserve,
    /// `"target"`: the target's own host and port.
    Target,
}

/// `timeouts` of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// `connect`: TCP and TLS. Default 5 s.
    pub connect: Duration,
    /// `first_byte`: from the last byte of the request to the response head. Default 60 s.
    pub first_byte: Duration,
    /// `idle`: between two bytes of the response. Default 5 min.
    pub idle: Duration,
    /// `request_body`: how long a request body that is read first may take to come whole. Default 5 min.
    pub request_body: Duration,
}
