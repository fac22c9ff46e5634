//! Which targets of upstreams take requests.
//!
//! Owns the health of each target for the life of the process, shared by all workers: what a worker finds
//! out keeps the others from the same. A reload leaves it as it was, for as long as the upstream has the
//! target. Requests tell how they ended ([`UpstreamHealth`]), and health checks what they found. Owns too how
//! many requests an upstream has at a time ([`Places`]), and how many attempts it is sent beside them
//! ([`UpstreamLoad`]). Must not choose a target, nor know what a request is.

mod adaptive;
mod capacity;
mod connections;
mod gate;
mod load;
mod outliers;
mod target;

#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::{Ejection, Upstream};

pub(crate) use self::capacity::{NoPlace, Place, Places};
pub(crate) use self::connections::{Connections, Permit};
pub(crate) use self::load::{NoRetry, UpstreamLoad};
pub(crate) use self::target::{Reason, Shown, State, TargetHealth};

/// The health of all targets of the process.
#[derive(Debug, Default)]
pub(crate) struct Health {
    targets: Mutex<Vec<Arc<TargetHealth>>>,
    /// Of each upstream, by name: targets know by it which others there are.
    upstreams: Mutex<Vec<(Box<str>, Arc<UpstreamHealth>)>>,
    loads: Mutex<Vec<Arc<UpstreamLoad>>>,
}

impl Health {
    /// Of the targets of an upstream: those that are known, or new ones.
    pub(crate) fn of(&self, upstream: &Upstream) -> Arc<UpstreamHealth> {
        let mut known = lock(&self.targets);
        // At the start all targets are new, and have their weights at once.
        let is_known = known.iter().any(|it| it.names().0 == upstream.name);
        let targets = upstream.targets.iter().map(|target| {
            let is_same =
                |it: &&Arc<TargetHealth>| it.is_of(&upstream.name, &target.authority, target.tls);
            let same = known.iter().find(is_same).cloned();
            same.unwrap_or_else(|| {
                let new = TargetHealth::new(&upstream.name, &target.authority, target.tls);
                let new = Arc::new(new);
                if is_known {
                    new.begins();
                }
                known.push(Arc::clone(&new));
                new
            })
        });
        let targets: Box<[_]> = targets.collect();
        let weights = upstream.targets.iter().map(|target| target.weight).collect();
        let priorities: Box<[u8]> = upstream.targets.iter().map(|it| it.priority).collect();
        let is_one = priorities.iter().all(|priority| *priority == priorities[0]);
        let all = Arc::new(UpstreamHealth {
            targets,
            weights,
            priorities: if is_one { Box::default() } else { priorities },
            slow_start: nanoseconds(upstream.slow_start),
            ejection: upstream.ejection.clone(),
        });
        all.targets.iter().for_each(|target| target.is_among(&all));
        let mut upstreams = lock(&self.upstreams);
        upstreams.retain(|(name, _)| **name != *upstream.name);
        upstreams.push((upstream.name.as_str().into(), Arc::clone(&all)));
        all
    }

    /// What each target of an upstream needs of it, in the order of the configuration.
    pub(crate) fn known_of(&self, upstream: &Upstream) -> Vec<Known> {
        let known = |target: &Arc<TargetHealth>| Known {
            connections: upstream.connections.map(|bound| target.connections(Some(bound))),
            sends_unasked: Arc::clone(&target.sends_unasked),
        };
        self.of(upstream).targets.iter().map(known).collect()
    }

    /// What is asked of an upstream, by all workers.
    pub(crate) fn load_of(&self, upstream: &Upstream) -> Arc<UpstreamLoad> {
        let mut known = lock(&self.loads);
        if let Some(same) = known.iter().find(|it| it.upstream() == upstream.name) {
            same.set(upstream.retry_budget);
            return Arc::clone(same);
        }
        let new = Arc::new(UpstreamLoad::new(upstream));
        known.push(Arc::clone(&new));
        new
    }

    /// What is asked of each upstream, by name.
    pub(crate) fn loads(&self) -> Vec<Arc<UpstreamLoad>> {
        let mut all = lock(&self.loads).clone();
        all.sort_by(|one, other| one.upstream().cmp(other.upstream()));
        all
    }

    /// The upstreams in force are these: knows all of their targets, and forgets the others.
    pub(crate) fn keep(&self, upstreams: &[Upstream]) {
        for upstream in upstreams {
            self.of(upstream);
        }
        lock(&self.upstreams).retain(|(name, _)| upstreams.iter().any(|it| *it.name == **name));
        lock(&self.loads).retain(|known| upstreams.iter().any(|it| it.name == known.upstream()));
        lock(&self.targets).retain(|known| {
            let of = upstreams.iter().find(|upstream| {
                let mut targets = upstream.targets.iter();
                targets.any(|it| known.is_of(&upstream.name, &it.authority, it.tls))
            });
            if let Some(upstream) = of {
                known.bounds(upstream.connections);
            }
            if of.is_some_and(|upstream| upstream.health.is_none()) {
                // Nobody would say that it is up again.
                known.is_unchecked();
            }
            of.is_some()
        });
    }

    /// The target of an upstream, if it is known.
    pub(crate) fn target(
        &self,
        upstream: &str,
        target: &str,
        tls: bool,
    ) -> Option<Arc<TargetHealth>> {
        lock(&self.targets).iter().find(|it| it.is_of(upstream, target, tls)).cloned()
    }

    /// All of them, by upstream and target.
    pub(crate) fn all(&self) -> Vec<Arc<TargetHealth>> {
        let mut all = lock(&self.targets).clone();
        all.sort_by(|one, other| one.names().cmp(&other.names()));
        all
    }
}

/// What the connections of a target need of what is known of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// How many there may be, if that is bounded.
    pub(crate) connections: Option<Arc<Connections>>,
    /// It has sent a body with a response that has none by its kind.
    pub(crate) sends_unasked: Arc<AtomicBool>,
}

/// The health of the targets of one upstream, in the order of its configuration.
#[derive(Debug)]
pub(crate) struct UpstreamHealth {
    targets: Box<[Arc<TargetHealth>]>,
    weights: Box<[u32]>,
    /// Of each target; none where all have the same.
    priorities: Box<[u8]>,
    /// In nanoseconds.
    slow_start: u64,
    ejection: Ejection,
}

/// The whole weight of a target, in the parts of [`UpstreamHealth::share`].
pub(crate) const WHOLE: u32 = 1000;

/// What a target has of its weight in the first moment.
const LEAST_SHARE: u64 = 100;

impl UpstreamHealth {
    /// Whether the next request may be a target's.
    #[inline]
    pub(crate) fn may_take(&self, index: usize) -> bool {
        self.targets[index].gate.may_take()
    }

    /// Whether a target that [may](Self::may_take) have the request takes it. One whose time is over takes
    /// a single request, which shows whether it is back.
    #[inline]
    pub(crate) fn takes(&self, index: usize) -> bool {
        self.targets[index].gate.takes(self.ejection.time)
    }

    /// Whether a target was taken out by hand.
    #[cold]
    pub(crate) fn is_drained(&self, index: usize) -> bool {
        self.targets[index].is_drained()
    }

    /// Whether so few targets take requests that all get some.
    #[inline]
    pub(crate) fn is_ignored(&self) -> bool {
        self.ejection.panic_threshold > 0 && self.is_below(self.ejection.panic_threshold)
    }

    /// Why targets that are taken out get requests all the same, if they do.
    #[cold]
    fn why_all_the_same(&self) -> Option<&'static str> {
        if self.targets.len() == 1 {
            return Some("as its upstream has no other");
        }
        let is_any_open = self.targets.iter().any(|target| target.gate.is_open());
        let too_few = self.is_ignored() || !is_any_open;
        too_few.then_some("as too few targets of its upstream take any")
    }

    /// Whether a target takes requests.
    #[inline]
    pub(crate) fn is_open(&self, index: usize) -> bool {
        self.targets[index].gate.is_open()
    }

    /// Whether a request that cannot be sent again may be a target's: it takes requests, and none failed there lately
    /// since the last that succeeded; or neither a check nor another request has shown yet whether it is back.
    #[inline]
    pub(crate) fn may_take_once(&self, index: usize) -> bool {
        let target = &self.targets[index];
        match target.gate.is_open() {
            true => !target.is_doubtful(),
            false => target.gate.is_overdue(),
        }
    }

    /// How much of its weight a target has: less while it is new or has just come back.
    #[inline]
    pub(crate) fn share(&self, index: usize) -> u32 {
        if self.slow_start == 0 {
            return WHOLE;
        }
        let Some(age) = self.targets[index].age() else { return WHOLE };
        if age >= self.slow_start {
            self.targets[index].has_begun();
            return WHOLE;
        }
        let grown = u128::from(age) * u128::from(WHOLE) / u128::from(self.slow_start);
        u32::try_from(grown.max(u128::from(LEAST_SHARE))).unwrap_or(WHOLE)
    }

    fn is_below(&self, threshold: u32) -> bool {
        if self.priorities.is_empty() {
            return self.is_level_below(threshold, None);
        }
        // One priority that has enough takes what the others cannot.
        self.priorities.iter().all(|priority| self.is_level_below(threshold, Some(*priority)))
    }

    fn is_level_below(&self, threshold: u32, priority: Option<u8>) -> bool {
        let (mut open, mut all) = (0, 0);
        for (index, (target, weight)) in self.targets.iter().zip(&self.weights).enumerate() {
            if priority.is_some_and(|priority| self.priorities[index] != priority) {
                continue;
            }
            all += u64::from(*weight);
            open += if target.gate.is_open() { u64::from(*weight) } else { 0 };
        }
        open * 1000 < u64::from(threshold) * all
    }

    /// A response came from a target.
    #[inline]
    pub(crate) fn answered(&self, index: usize, status: http::StatusCode, began: Option<Instant>) {
        let target = &self.targets[index];
        if status.is_server_error() && self.ejection.statuses.contains(&status.as_u16()) {
            self.failed(index, Reason::Status);
            return;
        }
        if let Some(began) = began {
            target.tally.answered(began.elapsed());
            self.compare();
        }
        if !target.is_at_rest() {
            target.succeeded();
        }
    }

    /// When a request begins, where it matters how long it takes.
    #[inline]
    pub(crate) fn begins(&self) -> Option<Instant> {
        self.ejection.outliers.as_ref().map(|_| Instant::now())
    }

    /// Looks for targets that do worse than the others, if it is time.
    fn compare(&self) {
        let Some(outliers) = &self.ejection.outliers else { return };
        let (round, now) = (&self.targets[0].round, now());
        let due = round.load(Relaxed);
        let next = now.saturating_add(nanoseconds(outliers.interval));
        if now < due || round.compare_exchange(due, next, Relaxed, Relaxed).is_err() {
            return;
        }
        let tallies: Vec<_> = self.targets.iter().map(|target| target.tally.take()).collect();
        // What came before belongs to no stretch.
        if due == 0 {
            return;
        }
        for (index, reason) in outliers::found(outliers, &tallies) {
            let target = &self.targets[index];
            if target.gate.is_open() && self.may_eject(index, reason) {
                target.eject(&self.ejection, reason, 0);
            }
        }
    }

    /// A request failed at a target, by the target's fault.
    #[cold]
    pub(crate) fn failed(&self, index: usize, reason: Reason) {
        let policy = &self.ejection;
        let target = &self.targets[index];
        if policy.outliers.is_some() {
            target.tally.failed();
            self.compare();
        }
        let failures = target.failed();
        let is_probe = target.gate.is_ejected();
        if policy.consecutive_failures == 0 {
            return;
        }
        if !is_probe && (failures < policy.consecutive_failures || !self.may_eject(index, reason)) {
            return;
        }
        target.eject(policy, reason, failures);
    }

    /// One target stays, and where targets answer, if badly, more than one: the fault may be in the
    /// requests.
    fn may_eject(&self, index: usize, reason: Reason) -> bool {
        let others = self.targets.iter().enumerate().filter(|(other, _)| *other != index);
        let open = others.filter(|(_, target)| target.gate.is_open()).count();
        if reason == Reason::Connect || self.targets[index].fails_checks() {
            return open > 0;
        }
        // The target itself is among those that are not open: one may always be.
        let (all, ejected) = (self.targets.len() as u64, (self.targets.len() - open) as u64);
        let most = (u64::from(self.ejection.max_share) * all / 1000).max(1);
        open > 0 && ejected <= most
    }
}

/// Since the process began, in nanoseconds. Not 0, which stands for an open gate.
fn now() -> u64 {
    static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let origin = *ORIGIN.get_or_init(Instant::now);
    nanoseconds(origin.elapsed()).max(1)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
