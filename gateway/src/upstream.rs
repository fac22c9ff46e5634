//! Upstreams: from a request that is ready to go to the head of its response.
//!
//! Owns the choice of a target, its connections, the bounds on connecting and on the first byte,
//! and what is tried again: another target while nothing was sent, a fresh connection when a pooled
//! one turns out to have been closed before it took any of the request, or before it answered one
//! that may be repeated, and another connection when the target says over HTTP/2 that it has processed
//! none of it. Nothing else is ever sent twice. Reading the response's body, and bounding that, is the caller's.
//!
//! Everything here belongs to one worker thread and its [`tokio::task::LocalSet`]: no locks, and
//! no task for an exchange, unless its request outlasts the wait for its response.

mod added;
mod addresses;
mod balance;
mod care;
mod connect;
mod error;
mod exchange;
mod gauge;
mod head;
mod http1;
mod http2;
mod idle_time;
mod lingering;
mod payload;
mod peers;
mod pool;
mod progress;
mod queue;
mod resting;
mod retry;
mod silence;
mod switched;
mod target;
mod tls;
mod tries;

#[cfg(test)]
pub(crate) mod tests;

use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;

pub(crate) use self::added::{Added, write_fields, write_line};
use self::balance::Balance;
pub(crate) use self::balance::Tried;
use self::care::Wants;
pub use self::error::{Cause, ConnectError, Excess, SetupError, UpstreamError};
pub(crate) use self::exchange::Along;
pub use self::exchange::Lease;
use self::exchange::{Failed, ResponseDeadline};
pub(crate) use self::gauge::PoolGauge;
pub(crate) use self::http1::ResponseBody;
pub(crate) use self::http2::Http2Body;
pub(crate) use self::lingering::keep;
pub(crate) use self::payload::Payload;
pub use self::progress::Resume;
pub(crate) use self::retry::{Policy, Repeat};
use self::silence::Silence;
pub(crate) use self::switched::Switched;
use self::target::{Ready, Target};
use self::tls::Tls;
pub(crate) use self::tries::{Seen, Shown, Tries};
use crate::config::{self, HostPolicy, UpstreamId};
use crate::health::{Health, Known, NoPlace, Place, Places, Reason, UpstreamHealth, UpstreamLoad};
use crate::names::Names;
use crate::timer::Timers;

/// How often connections that were idle for too long are looked for, at most and at least; in
/// between it is the upstream's idle timeout. One that is asked for is checked anyway.
const MOST_OFTEN: Duration = Duration::from_millis(100);
const LEAST_OFTEN: Duration = Duration::from_secs(5);

/// Connections that may close one after the other before they take a request, until it is abandoned.
const MOST_RESENDS: usize = 3;

/// Turns that a worker may skip at its start; enough to distinguish workers.
const MOST_SKIPPED: u32 = 256;

/// All upstreams of a configuration, for one worker.
#[derive(Default)]
pub struct Upstreams {
    list: Vec<Rc<Upstream>>,
}

impl Upstreams {
    /// Sets them up; connects to nothing yet.
    ///
    /// # Errors
    /// [`SetupError`], for TLS.
    ///
    /// # Panics
    /// Outside of a running [`tokio::task::LocalSet`].
    pub(crate) fn new(
        upstreams: &[config::Upstream],
        names: &Names,
        timers: &Timers,
    ) -> Result<Self, SetupError> {
        Self::default().succeeded_by(upstreams, &Health::default(), names, timers)
    }

    /// Those of a new configuration. An upstream that did not change continues as it is, with its
    /// connections, and where targets alone changed, the others continue. What is found out about targets goes to `health`, and comes from there.
    ///
    /// # Errors
    /// [`SetupError`], for TLS.
    ///
    /// # Panics
    /// Outside of a running [`tokio::task::LocalSet`].
    pub(crate) fn succeeded_by(
        &self,
        upstreams: &[config::Upstream],
        health: &Health,
        names: &Names,
        timers: &Timers,
    ) -> Result<Self, SetupError> {
        let list = upstreams.iter().map(|config| {
            let same = self.list.iter().find(|known| known.config == *config);
            let similar = || self.list.iter().find(|known| known.differs_in_targets(config));
            let new = || Upstream::begin(config, similar(), health, names, timers);
            same.map_or_else(new, |known| Ok(Rc::clone(known)))
        });
        Ok(Self { list: list.collect::<Result<_, _>>()? })
    }

    /// These are in force now in place of others: connections to targets that are gone take no further request.
    pub(crate) fn succeed(&self, others: &Self) {
        let is_kept = |target: &Rc<Target>| {
            let mut all = self.list.iter().flat_map(|upstream| &upstream.targets);
            all.any(|kept| Rc::ptr_eq(kept, target))
        };
        let gone = others.list.iter().flat_map(|upstream| &upstream.targets);
        gone.filter(|target| !is_kept(target)).for_each(|target| target.retire());
    }

    /// The upstream of this id, which must be of the same configuration.
    #[must_use]
    pub fn upstream(&self, UpstreamId(index): UpstreamId) -> &Rc<Upstream> {
        &self.list[index]
    }
}

/// Whether these upstreams can be set up on this machine, found out without doing so: all that keeps
/// them from it, of TLS and of names.
#[must_use]
pub fn check(upstreams: &[config::Upstream]) -> Vec<SetupError> {
    let mut errors = Vec::new();
    for upstream in upstreams {
        if upstream.targets.iter().any(|target| target.tls) {
            errors.extend(Tls::new(upstream).err());
        }
        let targets = upstream.targets.iter();
        errors.extend(targets.filter_map(|target| target::check(upstream, target).err()));
    }
    errors
}

async fn sweep(upstream: Weak<Upstream>, period: Duration, timers: Timers) {
    loop {
        timers.after(period).await;
        let Some(upstream) = upstream.upgrade() else {
            return;
        };
        let now = timers.now();
        upstream.targets.iter().for_each(|target| target.sweep(now));
        lingering::sweep(now);
    }
}

/// A service behind the gateway, as one worker sees it.
pub struct Upstream {
    targets: Vec<Rc<Target>>,
    balance: Balance,
    /// Which targets take requests, where there is a choice.
    health: Option<Arc<UpstreamHealth>>,
    /// Which of them are silent; none where there is no choice.
    silence: Box<[Silence]>,
    /// How much all workers ask of it.
    load: Arc<UpstreamLoad>,
    /// Which requests it has at a time, if that is bounded.
    places: Option<Arc<Places>>,
    /// What it was made of, to know it again.
    config: config::Upstream,
    host: HostPolicy,
    first_byte: Duration,
    timers: Timers,
}

/// A response whose head is there, and how it came.
pub struct Answered {
    /// The response. Its framing over HTTP/1.1 is unambiguous; hop-by-hop fields are still in it.
    pub(crate) response: Response<Payload>,
    /// To be dropped when the body has ended.
    pub lease: Lease,
    /// For the log and the metrics.
    pub info: AnswerInfo,
}

/// How an exchange was made.
#[derive(Debug, Clone)]
pub struct AnswerInfo {
    /// Index of the target in the configuration's list.
    pub target: usize,
    /// The target, as `host:port`.
    pub authority: Arc<str>,
    /// Whether the connection had served before.
    pub reused: bool,
    /// How many targets could not be connected to before this one.
    pub refused: usize,
    /// How long this request waited for a new connection (name, TCP and TLS).
    pub connect: Option<Duration>,
}

impl Upstream {
    /// Sets it up, and looks after its idle connections for as long as it lives.
    fn begin(
        config: &config::Upstream,
        similar: Option<&Rc<Self>>,
        health: &Health,
        names: &Names,
        timers: &Timers,
    ) -> Result<Rc<Self>, SetupError> {
        let similar = similar.map(|similar| &**similar);
        let known = health.known_of(config);
        let mut upstream = Self::succeeding(config, similar, &known, names, timers)?;
        upstream.load = health.load_of(config);
        upstream.places = upstream.load.places(config);
        upstream.health = (config.targets.len() > 1).then(|| health.of(config));
        let upstream = Rc::new(upstream);
        let period = config.idle_timeout.clamp(MOST_OFTEN, LEAST_OFTEN);
        tokio::task::spawn_local(sweep(Rc::downgrade(&upstream), period, timers.clone()));
        Ok(upstream)
    }
}

impl Upstream {
    /// Sets it up; connects to nothing yet.
    ///
    /// # Errors
    /// [`SetupError`], for TLS.
    #[cfg(test)]
    pub(crate) fn new(
        upstream: &config::Upstream,
        names: &Names,
        timers: &Timers,
    ) -> Result<Self, SetupError> {
        Self::succeeding(upstream, None, &[], names, timers)
    }

    /// The same, with the targets of another one that it has too.
    fn succeeding(
        upstream: &config::Upstream,
        similar: Option<&Self>,
        known: &[Known],
        names: &Names,
        timers: &Timers,
    ) -> Result<Self, SetupError> {
        let uses_tls = upstream.targets.iter().any(|target| target.tls);
        let tls = uses_tls.then(|| Tls::new(upstream)).transpose()?;
        let targets = upstream.targets.iter().enumerate().map(|(index, target)| {
            if let Some(same) = similar.and_then(|similar| similar.target(target)) {
                return Ok(Rc::clone(same));
            }
            let name = names.of(upstream, target);
            let known = known.get(index).cloned().unwrap_or_default();
            let target = Target::new(upstream, target, tls.as_ref(), name, known, timers)?;
            let target = Rc::new(target);
            if let Some(bound) = target.bound() {
                let gives_up = queue::give_up_idle(Rc::downgrade(&target), Arc::clone(bound));
                tokio::task::spawn_local(gives_up);
            }
            Ok(target)
        });
        // Where there is no randomness, all workers start alike: uneven for a moment, not wrong.
        let skip = getrandom::u32().unwrap_or(0) % MOST_SKIPPED;
        let balance = Balance::new(upstream, skip);
        let count = if balance.is_free() { upstream.targets.len() } else { 0 };
        let now = timers.now();
        Ok(Self {
            targets: targets.collect::<Result<_, _>>()?,
            balance,
            health: None,
            silence: (0..count).map(|_| Silence::new(now)).collect(),
            load: Health::default().load_of(upstream),
            places: None,
            config: upstream.clone(),
            host: upstream.host.clone(),
            first_byte: upstream.timeouts.first_byte,
            timers: timers.clone(),
        })
    }

    /// Whether this and another differ in their targets, and in nothing else.
    fn differs_in_targets(&self, other: &config::Upstream) -> bool {
        let without = |upstream: &config::Upstream| config::Upstream {
            targets: Vec::new(),
            written: Vec::new(),
            ..upstream.clone()
        };
        self.config.name == other.name && without(&self.config) == without(other)
    }

    /// The target that is the same, whatever its share.
    fn target(&self, other: &config::Target) -> Option<&Rc<Target>> {
        let is_same = |known: &config::Target| {
            let config::Target { weight, priority, .. } = *other;
            config::Target { weight, priority, ..known.clone() } == *other
        };
        let index = self.config.targets.iter().position(is_same)?;
        self.targets.get(index)
    }

    /// Opens a connection to its first target, and closes it.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub(crate) async fn reach(&self) -> Result<(), ConnectError> {
        self.targets[0].reach().await
    }

    /// What its requests carry as `Host`, unless the route says something else.
    #[must_use]
    pub fn host_policy(&self) -> &HostPolicy {
        &self.host
    }

    /// Whether there is a bound on its requests, so that each needs a [place](Self::place).
    pub(crate) fn has_places(&self) -> bool {
        self.places.is_some()
    }

    /// A place among its requests, of which there may be so many at a time; `None` without a bound.
    ///
    /// # Errors
    /// When too many wait, or this one has waited for too long.
    pub(crate) async fn place(&self) -> Result<Option<Place>, NoPlace> {
        let (Some(places), Some(capacity)) = (&self.places, self.config.capacity) else {
            return Ok(None);
        };
        if let Some(place) = places.take() {
            return Ok(Some(place));
        }
        tokio::select! {
            biased;
            place = places.wait() => place.map(Some),
            () = self.timers.after(capacity.queue_time) => {
                Err(places.gives_up(capacity.queue_time))
            }
        }
    }

    /// Where the connections to each target are counted, in the order of the configuration.
    pub(crate) fn gauges(&self) -> impl Iterator<Item = &Arc<PoolGauge>> {
        self.targets.iter().map(|target| target.gauge())
    }

    /// Connections that are open and can take a request.
    #[must_use]
    pub fn pool_size(&self) -> usize {
        self.targets.iter().map(|target| target.pool_size()).sum()
    }
}

impl Upstream {
    /// Sends the request to a target and waits for the head of the response. On return `request` is
    /// partially consumed; do not reuse it.
    ///
    /// The request comes with its final fields, without hop-by-hop ones (except `Upgrade` and its
    /// `Connection`, which make it go over HTTP/1.1, or for a WebSocket as extended CONNECT over HTTP/2). Its version and the form of its target are
    /// put right here, and so is its `Host`, by `host`: [`HostPolicy::Target`] names the target
    /// that it really goes to. A route that rewrites `Host` passes [`HostPolicy::Preserve`].
    ///
    /// Dropping the future cancels the exchange: over HTTP/1.1 its connection is closed, over
    /// HTTP/2 its stream is reset.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn send<B>(
        &self,
        request: &mut Request<B>,
        host: &HostPolicy,
    ) -> Result<Answered, UpstreamError>
    where
        B: Body<Data = Bytes> + Default + Resume + Unpin + 'static,
        B::Error: Into<Cause>,
    {
        let tries = Tries::default();
        self.send_noting(request, host, Along::default(), &tries, &mut Tried::new()).await
    }

    /// As [`send`](Self::send), with what goes along, and notes what is tried. Targets that were `tried`
    /// already are passed over; those that cannot be connected to are put there.
    pub(crate) async fn send_noting<B>(
        &self,
        request: &mut Request<B>,
        host: &HostPolicy,
        along: Along<'_>,
        tries: &Tries,
        tried: &mut Tried,
    ) -> Result<Answered, UpstreamError>
    where
        B: Body<Data = Bytes> + Default + Resume + Unpin + 'static,
        B::Error: Into<Cause>,
    {
        let wants = Wants::of(request);
        tried.key = along.key;
        let mut index = self.choose(tried, wants).expect("an upstream has a target");
        if wants.http1 && !wants.tunnel && self.targets[index].has_no_upgrade() {
            let target = Arc::clone(&self.targets[index].authority);
            return Err(UpstreamError::NoUpgrade { target });
        }
        let mut resends = 0;
        loop {
            let connecting = self.connection(&mut index, tried, tries, resends == 0, wants);
            let Ready { channel, reused, connect } = connecting.await?;
            tries.connected(connect, self.timers.now());
            let target = &self.targets[index];
            let authority = Arc::clone(&target.authority);
            let refused = tried.len();
            let info = AnswerInfo { target: index, authority, reused, refused, connect };
            let mut open = self.balance.begin(index);
            let began = self.health.as_deref().and_then(UpstreamHealth::begins);
            let waits = self.silence.get(index).map(|silence| silence.begin(self.timers.now()));
            match exchange::exchange(
                target,
                (channel, reused),
                request,
                host,
                along,
                self.bound(along),
            )
            .await
            {
                Ok((response, mut lease)) => {
                    tries.answered(self.timers.now());
                    if let Some(waits) = waits {
                        waits.is_answered(self.timers.now());
                    }
                    if let Some(health) = &self.health {
                        health.answered(index, response.status(), began);
                    }
                    if let Some(open) = &mut open {
                        open.is_answered();
                    }
                    lease.counts(open);
                    return Ok(Answered { response, lease, info });
                }
                Err(Failed::Unanswered(error)) if resends < MOST_RESENDS => {
                    tries.failed(tries::no_response(&error), self.timers.now());
                    // Who closes fresh connections gets one more.
                    resends = if reused { resends + 1 } else { MOST_RESENDS };
                }
                Err(Failed::Unprocessed(unprocessed)) => {
                    let (error, avoid) = *unprocessed;
                    tries.failed(tries::no_response(&error), self.timers.now());
                    // Boxed, since it is rare.
                    let again = self.send_elsewhere(request, host, along, tries, info, avoid);
                    return Box::pin(again).await;
                }
                Err(failed) => {
                    let error = failed.into_error();
                    tries.failed(tries::no_response(&error), self.timers.now());
                    if let Some(health) = &self.health
                        && error.is_by_target()
                    {
                        health.failed(index, Reason::NoResponse);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// The next target that takes requests and was not tried. Where none does, any that was not tried, but
    /// no drained one, unless all are. A request that cannot be sent again goes to one that shows signs of life.
    fn choose(&self, tried: &Tried, wants: Wants) -> Option<usize> {
        let untried = |index: usize| !tried.contains(index);
        let Some(health) = self.health.as_deref().filter(|health| !health.is_ignored()) else {
            return self.balance.choose(tried.key, None, untried);
        };
        if wants.once && !self.silence.is_empty() {
            let now = self.timers.now();
            let answers = |index: usize| {
                let is_silent = self.silence[index].is_silent(now);
                !is_silent && untried(index) && health.may_take_once(index)
            };
            while let Some(index) = self.balance.choose(tried.key, Some(health), answers) {
                if health.takes(index) {
                    return Some(index);
                }
            }
        }
        let may = |index: usize| untried(index) && health.may_take(index);
        while let Some(index) = self.balance.choose(tried.key, Some(health), may) {
            if health.takes(index) {
                return Some(index);
            }
        }
        let undrained = |index: usize| untried(index) && !health.is_drained(index);
        let undrained = self.balance.choose(tried.key, None, undrained);
        undrained.or_else(|| self.balance.choose(tried.key, None, |_| tried.is_empty()))
    }

    /// What a request is hashed by, where that decides which target it goes to.
    pub(crate) fn hash_by(&self) -> Option<&config::StickyKey> {
        let is_hashed = self.config.balance == config::Balance::ConsistentHash;
        (is_hashed && self.targets.len() > 1).then_some(&self.config.hash_by)
    }

    /// Sends a request again of which the target has processed nothing (RFC 9113 section 8.7), once, over
    /// another connection to it.
    async fn send_elsewhere<B>(
        &self,
        request: &mut Request<B>,
        host: &HostPolicy,
        along: Along<'_>,
        tries: &Tries,
        info: AnswerInfo,
        avoid: Rc<http2::Connection>,
    ) -> Result<Answered, UpstreamError>
    where
        B: Body<Data = Bytes> + Default + Resume + Unpin + 'static,
        B::Error: Into<Cause>,
    {
        let target = &self.targets[info.target];
        tries.begin(info.target, self.timers.now());
        let ready = target.elsewhere(&avoid).await;
        let failed = |error: UpstreamError| {
            tries.failed(tries::no_response(&error), self.timers.now());
            error
        };
        let Ready { channel, reused, connect } = ready.map_err(|cause| {
            failed(UpstreamError::Connect { target: Arc::clone(&target.authority), cause })
        })?;
        tries.connected(connect, self.timers.now());
        let bound = self.bound(along);
        let sent = exchange::exchange(target, (channel, reused), request, host, along, bound).await;
        let (response, mut lease) = sent.map_err(|error| failed(error.into_error()))?;
        lease.counts(self.balance.begin(info.target));
        tries.answered(self.timers.now());
        Ok(Answered { response, lease, info: AnswerInfo { reused, connect, ..info } })
    }

    /// A connection to the target, or to the next one that can be connected to.
    async fn connection(
        &self,
        index: &mut usize,
        tried: &mut Tried,
        tries: &Tries,
        mut pooled: bool,
        wants: Wants,
    ) -> Result<Ready, UpstreamError> {
        let mut full = None;
        loop {
            let target = &self.targets[*index];
            tries.begin(*index, self.timers.now());
            if pooled && let Some(ready) = target.pooled(wants) {
                return Ok(ready);
            }
            // Boxed, since it is rare and its state is large.
            match Box::pin(target.connected(wants)).await {
                Ok(ready) => return Ok(ready),
                Err(ConnectError::NoTunnel) => {
                    let target = Arc::clone(&target.authority);
                    let error = UpstreamError::NoUpgrade { target };
                    tries.failed(tries::no_response(&error), self.timers.now());
                    return Err(error);
                }
                Err(ConnectError::Full) => {
                    tries.failed("full", self.timers.now());
                    let first = *full.get_or_insert(*index);
                    tried.push(*index);
                    match self.choose(tried, wants) {
                        Some(next) => *index = next,
                        None => {
                            *index = first;
                            return self.wait_for_connection(first, tries, wants).await;
                        }
                    }
                }
                Err(cause) => {
                    tries.failed(tries::no_connection(&cause), self.timers.now());
                    if let Some(health) = &self.health {
                        health.failed(*index, Reason::Connect);
                    }
                    match (self.after_refusal(*index, tried, cause, wants), full) {
                        (Ok(next), _) => *index = next,
                        (Err(_), Some(first)) => {
                            *index = first;
                            return self.wait_for_connection(first, tries, wants).await;
                        }
                        (Err(error), None) => return Err(error),
                    }
                }
            }
            pooled = true;
        }
    }

    /// Where no target has a connection free: the first one is waited for.
    #[cold]
    async fn wait_for_connection(
        &self,
        index: usize,
        tries: &Tries,
        wants: Wants,
    ) -> Result<Ready, UpstreamError> {
        let time = self.config.connections.map(|bound| bound.queue_time).unwrap_or_default();
        tries.begin(index, self.timers.now());
        let ready = queue::wait(&self.targets[index], wants, time, &self.timers);
        let ready = Box::pin(ready).await;
        ready.inspect_err(|error| tries.failed(tries::no_response(error), self.timers.now()))
    }

    fn after_refusal(
        &self,
        index: usize,
        tried: &mut Tried,
        cause: ConnectError,
        wants: Wants,
    ) -> Result<usize, UpstreamError> {
        tried.push(index);
        let target = &self.targets[index].authority;
        match self.choose(tried, wants) {
            Some(next) => {
                tracing::debug!(%target, %cause, "cannot connect; trying the next target");
                Ok(next)
            }
            None => Err(UpstreamError::Connect { target: Arc::clone(target), cause }),
        }
    }

    fn bound(&self, along: Along<'_>) -> ResponseDeadline<'_> {
        let own = self.first_byte;
        let first_byte = along.first_byte.map_or(own, |bound| bound.min(own));
        ResponseDeadline { timers: &self.timers, first_byte }
    }
}
