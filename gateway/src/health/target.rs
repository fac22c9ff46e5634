//! The health of one target.
//!
//! Owns why a target takes no requests, when it takes some again, and the one line in the log for each
//! change. What is rare is behind a lock; requests that succeed at a healthy target read two numbers.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::connections::Connections;
use super::gate::Gate;
use super::outliers::Tally;
use super::{UpstreamHealth, lock, now};
use crate::config::{ConnectionBound, Ejection, HealthCheck};

/// For how long a request that failed is held against a target, in nanoseconds.
const DOUBTED: u64 = 1_000_000_000;

/// Why a target was ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It could not be connected to.
    Connect,
    /// No response, or none that is one.
    NoResponse,
    /// Responses with a status of `ejection.statuses`.
    Status,
    /// More requests failed at it than at the others.
    SuccessRate,
    /// Its responses took longer than those of the others.
    Latency,
}

impl Reason {
    pub(crate) const ALL: [Self; 5] =
        [Self::Connect, Self::NoResponse, Self::Status, Self::SuccessRate, Self::Latency];

    /// Whether a single request that succeeds says nothing against it.
    fn is_of_many(self) -> bool {
        matches!(self, Self::SuccessRate | Self::Latency)
    }

    /// In a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::NoResponse => "no_response",
            Self::Status => "status",
            Self::SuccessRate => "success_rate",
            Self::Latency => "latency",
        }
    }
}

/// Whether a target takes requests, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Up,
    /// Requests failed.
    Ejected,
    /// Health checks failed.
    Down,
    /// It was taken out by hand.
    Drained,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Ejected => "ejected",
            Self::Down => "down",
            Self::Drained => "drained",
        }
    }
}

/// The health of a target, for whoever asks.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) state: State,
    /// Why it was ejected last, if it is.
    pub(crate) reason: Option<Reason>,
    /// Until when it is ejected.
    pub(crate) until: Option<Instant>,
    /// Requests that failed one after the other.
    pub(crate) failures: u32,
    /// Ejections, by the place in [`Reason::ALL`].
    pub(crate) ejections: [u64; Reason::ALL.len()],
    /// Checks that passed, and that failed.
    pub(crate) checks: [u64; 2],
    /// What the last check that failed found.
    pub(crate) check_error: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct TargetHealth {
    upstream: Box<str>,
    target: Box<str>,
    tls: bool,
    /// The others of its upstream, in the configuration in force.
    among: Mutex<Weak<UpstreamHealth>>,
    pub(super) gate: Gate,
    /// Requests that failed one after the other.
    failures: AtomicU32,
    /// When the last of them did, since the process began.
    failed_at: AtomicU64,
    /// When it began to take requests, since the process began; 0 once that no longer matters.
    began: AtomicU64,
    /// By the place in [`Reason::ALL`].
    ejections: [AtomicU64; Reason::ALL.len()],
    rest: Mutex<Rest>,
    pub(super) tally: Tally,
    /// Of the first target of an upstream: when its targets are compared again.
    pub(super) round: AtomicU64,
    /// Once they are bounded.
    connections: OnceLock<Arc<Connections>>,
    /// It has sent a body with a response that has none by its kind.
    pub(super) sends_unasked: Arc<AtomicBool>,
}

/// What only changes need.
#[derive(Debug, Default)]
struct Rest {
    ejected: Option<Ejected>,
    /// Ejections one soon after the other.
    times: u32,
    back_since: Option<Instant>,
    is_down: bool,
    is_drained: bool,
    /// Checks one after the other with the same result.
    passed: u32,
    failed: u32,
    checks: [u64; 2],
    check_error: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Ejected {
    reason: Reason,
    until: Instant,
    /// For how long.
    time: Duration,
}

impl TargetHealth {
    pub(super) fn new(upstream: &str, target: &str, tls: bool) -> Self {
        Self {
            upstream: upstream.into(),
            target: target.into(),
            tls,
            among: Mutex::default(),
            gate: Gate::default(),
            failures: AtomicU32::new(0),
            failed_at: AtomicU64::new(0),
            began: AtomicU64::new(0),
            ejections: Default::default(),
            rest: Mutex::default(),
            tally: Tally::default(),
            round: AtomicU64::new(0),
            connections: OnceLock::new(),
            sends_unasked: Arc::default(),
        }
    }

    pub(super) fn is_of(&self, upstream: &str, target: &str, tls: bool) -> bool {
        *self.upstream == *upstream && *self.target == *target && self.tls == tls
    }

    /// What it means for requests that its health checks fail.
    pub(super) fn down_words(&self) -> String {
        match self.why_all_the_same() {
            Some(why) => {
                format!("the target's health checks fail: it gets requests all the same, {why}")
            }
            None => "the target takes no requests: its health checks fail".to_owned(),
        }
    }

    /// What it means for requests that it is ejected.
    pub(super) fn ejected_words(&self, reason: Reason) -> String {
        let cause = match reason.is_of_many() {
            true => "it does worse than the others",
            false => "too many failed in a row",
        };
        match self.why_all_the_same() {
            Some(why) => {
                format!("the target is ejected, and gets requests all the same, {why}: {cause}")
            }
            None => format!("the target takes no requests for a while: {cause}"),
        }
    }

    /// Why it gets requests though it is taken out, if it does.
    fn why_all_the_same(&self) -> Option<&'static str> {
        lock(&self.among).upgrade().and_then(|all| all.why_all_the_same())
    }

    /// Its upstream has these, in the configuration in force.
    pub(super) fn is_among(&self, all: &Arc<UpstreamHealth>) {
        *lock(&self.among) = Arc::downgrade(all);
    }

    /// Its connections, with this bound.
    pub(super) fn connections(&self, bound: Option<ConnectionBound>) -> Arc<Connections> {
        let connections = self.connections.get_or_init(Arc::default);
        connections.set(bound);
        Arc::clone(connections)
    }

    /// The configuration in force says so.
    pub(super) fn bounds(&self, bound: Option<ConnectionBound>) {
        self.connections.get().inspect(|connections| connections.set(bound));
    }

    /// Its connections, if they were ever bounded.
    pub(crate) fn known_connections(&self) -> Option<&Arc<Connections>> {
        self.connections.get()
    }

    /// Its upstream's name, and its own.
    pub(crate) fn names(&self) -> (&str, &str) {
        (&self.upstream, &self.target)
    }

    /// Whether there is nothing that a success would change.
    #[inline]
    pub(super) fn is_at_rest(&self) -> bool {
        self.failures.load(Relaxed) == 0 && self.gate.is_open()
    }

    /// It is new, or back.
    pub(super) fn begins(&self) {
        self.began.store(now(), Relaxed);
    }

    /// For how long it has taken requests, in nanoseconds; `None` if that no longer matters.
    #[inline]
    pub(super) fn age(&self) -> Option<u64> {
        let began = self.began.load(Relaxed);
        (began != 0).then(|| now().saturating_sub(began))
    }

    /// It has its whole weight.
    pub(super) fn has_begun(&self) {
        self.began.store(0, Relaxed);
    }

    /// A request was answered.
    #[cold]
    pub(super) fn succeeded(&self) {
        self.failures.store(0, Relaxed);
        if !self.gate.is_ejected() {
            return;
        }
        let mut rest = lock(&self.rest);
        // One that was under way already.
        let is_early = |it: Ejected| it.reason.is_of_many() && it.until > Instant::now();
        if rest.ejected.is_some_and(is_early) {
            return;
        }
        if rest.ejected.take().is_some() {
            rest.back_since = Some(Instant::now());
            self.apply(&rest);
            tracing::info!(
                upstream = &*self.upstream,
                target = &*self.target,
                "the target answers again, and takes requests"
            );
        }
    }

    /// A request failed; how many have now, one after the other.
    pub(super) fn failed(&self) -> u32 {
        self.failed_at.store(now(), Relaxed);
        self.failures.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// Whether a request failed within the last second, and none has succeeded since.
    #[inline]
    pub(super) fn is_doubtful(&self) -> bool {
        self.failures.load(Relaxed) > 0 && self.has_failed_lately()
    }

    #[cold]
    fn has_failed_lately(&self) -> bool {
        now().saturating_sub(self.failed_at.load(Relaxed)) < DOUBTED
    }

    /// Whether the last health check failed.
    pub(super) fn fails_checks(&self) -> bool {
        lock(&self.rest).failed > 0
    }

    /// Takes it out for a while: longer each time, unless it was well for long.
    pub(super) fn eject(&self, policy: &Ejection, reason: Reason, failures: u32) {
        let mut rest = lock(&self.rest);
        let now = Instant::now();
        // Another worker was faster, or this is a request from before. Those that are let through to see
        // whether it is back come when the time is over.
        if rest.ejected.is_some_and(|ejected| ejected.until > now) {
            return;
        }
        let was_well = rest.back_since.is_some_and(|since| now - since >= policy.max_time);
        rest.times = if was_well { 1 } else { rest.times.saturating_add(1) };
        let time = policy.time.saturating_mul(rest.times).min(policy.max_time);
        let before = rest.ejected.map(|ejected| ejected.time);
        rest.ejected = Some(Ejected { reason, until: now + time, time });
        self.ejections[reason as usize].fetch_add(1, Relaxed);
        self.apply(&rest);
        if rest.is_down || rest.is_drained {
            return;
        }
        // Once it is out for as long as it can be, nothing new is told.
        if before.is_some_and(|before| before != time) {
            tracing::info!(
                upstream = &*self.upstream,
                target = &*self.target,
                reason = reason.word(),
                seconds = time.as_secs_f64(),
                "the target is not back, and {}",
                self.why_all_the_same().map_or_else(
                    || "takes no requests for longer".to_owned(),
                    |why| format!("gets requests all the same, {why}")
                )
            );
        }
        if before.is_none() {
            tracing::warn!(
                upstream = &*self.upstream,
                target = &*self.target,
                reason = reason.word(),
                failures,
                seconds = time.as_secs_f64(),
                "{}",
                self.ejected_words(reason)
            );
        }
    }

    /// A health check has ended.
    pub(crate) fn checked(&self, check: &HealthCheck, result: Result<(), String>) {
        let mut rest = lock(&self.rest);
        let was_down = rest.is_down;
        match result {
            Ok(()) => {
                (rest.passed, rest.failed) = (rest.passed.saturating_add(1), 0);
                rest.checks[0] += 1;
                if rest.passed >= check.healthy {
                    (rest.is_down, rest.check_error) = (false, None);
                    // A check has connected, and where the time is over it stands for the request that would
                    // see whether the target is back.
                    let is_over = |it: Ejected| it.until <= Instant::now();
                    if rest.ejected.is_some_and(|it| it.reason == Reason::Connect || is_over(it)) {
                        rest.ejected = None;
                        rest.back_since = Some(Instant::now());
                        self.failures.store(0, Relaxed);
                    }
                }
            }
            Err(why) => {
                // Said at once: that it was never there may be a mistake in the file.
                if rest.checks == [0, 0] && check.unhealthy > 1 {
                    let (upstream, target) = (&*self.upstream, &*self.target);
                    tracing::warn!(
                        upstream,
                        target,
                        why = why.as_str(),
                        unhealthy = check.unhealthy,
                        "the first health check of the target failed: it is taken out when so many fail in a row"
                    );
                }
                (rest.passed, rest.failed) = (0, rest.failed.saturating_add(1));
                rest.checks[1] += 1;
                rest.is_down |= rest.failed >= check.unhealthy;
                rest.check_error = Some(why);
            }
        }
        self.apply(&rest);
        let (upstream, target) = (&*self.upstream, &*self.target);
        match (was_down, rest.is_down) {
            (false, true) => {
                let why = rest.check_error.as_deref().unwrap_or_default();
                tracing::warn!(upstream, target, why, "{}", self.down_words());
            }
            (true, false) => {
                tracing::info!(upstream, target, "the target's health checks pass again");
            }
            _ => {}
        }
    }

    /// Nobody checks it any more.
    pub(super) fn is_unchecked(&self) {
        let mut rest = lock(&self.rest);
        if rest.is_down {
            rest.is_down = false;
            self.apply(&rest);
        }
        (rest.passed, rest.failed, rest.check_error) = (0, 0, None);
    }

    /// Takes it out by hand, or lets it in again, with all that was held against it forgotten.
    pub(crate) fn drain(&self, is_drained: bool) {
        let mut rest = lock(&self.rest);
        let before = rest.is_drained;
        rest.is_drained = is_drained;
        if !is_drained {
            (rest.ejected, rest.times) = (None, 0);
            self.failures.store(0, Relaxed);
            self.sends_unasked.store(false, Relaxed);
        }
        self.apply(&rest);
        let (upstream, target) = (&*self.upstream, &*self.target);
        match (before, is_drained) {
            (false, true) => tracing::info!(upstream, target, "the target was drained by hand"),
            (true, false) => tracing::info!(upstream, target, "the target was enabled by hand"),
            _ => {}
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        lock(&self.rest).is_drained
    }

    /// Sets the gate by all that there is.
    fn apply(&self, rest: &Rest) {
        if rest.is_down || rest.is_drained {
            return self.gate.shut();
        }
        match rest.ejected {
            Some(ejected) => {
                self.gate.close_for(ejected.until.saturating_duration_since(Instant::now()));
            }
            None => {
                if !self.gate.is_open() {
                    self.begins();
                }
                self.gate.open();
            }
        }
    }

    /// For metrics and the admin API.
    pub(crate) fn show(&self) -> Shown {
        let rest = lock(&self.rest);
        let state = match rest.ejected {
            _ if rest.is_drained => State::Drained,
            _ if rest.is_down => State::Down,
            Some(_) => State::Ejected,
            None => State::Up,
        };
        let ejected = rest.ejected.filter(|_| state == State::Ejected);
        Shown {
            state,
            reason: ejected.map(|it| it.reason),
            until: ejected.map(|it| it.until),
            failures: self.failures.load(Relaxed),
            ejections: self.ejections.each_ref().map(|count| count.load(Relaxed)),
            checks: rest.checks,
            check_error: rest.check_error.clone(),
        }
    }

    /// How long it is still ejected.
    pub(crate) fn left(until: Instant) -> Duration {
        until.saturating_duration_since(Instant::now())
    }
}
