//! A worker's instances of one plugin.
//!
//! Owns which instance serves a hook: the one used last, so that its memory is still in the
//! caches; a new one, which is made beside the worker, if none is free. An instance that failed, or
//! whose hook was abandoned halfway, is thrown away. Belongs to one worker; must not be shared, and
//! must not run what makes an instance, which is as slow as the plugin likes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::bindings::{BodyMode, RequestChange};
use super::change_cache::{ChangeCache, ReuseKey};
use super::edits::Edit;
use super::ends::Ends;
use super::instance::{Called, Hook, Instance};
use super::outbound::Caller;
use super::prepare::{Came, Mailbox, Order, configured};
use super::trap::{limits_for, mebibytes};
use super::{Failure, KnownHit, Plugin};
use crate::config::Isolation;
use crate::heads::ExchangeView;
use crate::memory_quota::LocalQuota;
use crate::recorder::Timing;
use crate::share::{Flow, Kind, Owner, Share, Turn, thread_time};

/// A pool of instances.
pub(crate) struct Pool {
    plugin: Arc<Plugin>,
    /// Instances whose hooks are called without a stack of their own, since most of them need not wait.
    at_once: Option<Box<AtOnce>>,
    /// Where its instances send requests to upstreams.
    caller: Option<Caller>,
    #[expect(clippy::vec_box, reason = "an instance is large, and moves in and out for each hook")]
    idle: RefCell<Vec<Box<Instance>>>,
    /// Those in use, idle, ready, ordered or not gone yet: there may be `limits.instances` of them.
    live: Cell<usize>,
    /// Those that were discarded, and of which it is not known yet that they are gone.
    discarded: Cell<usize>,
    /// Those that are ordered, and of which it is not known yet what became.
    ordered: Cell<usize>,
    /// Instances that served a hook, ever.
    made: Cell<usize>,
    mailbox: Arc<Mailbox>,
    /// Whether each call goes the longer way, since it may wait or take long.
    is_managed: Cell<bool>,
    /// Until when calls are in slices, in ticks; 0 while they are not.
    slow_until: Cell<u64>,
    /// Until when calls are measured, since one was perhaps slow; 0 while they are not.
    watched_until: Cell<u64>,
    reuse: ChangeCache,
    /// What is recorded of exchanges that end alike.
    ends: Ends,
    /// Which documents and keys what is in `reuse` is from.
    reuse_of: Cell<u64>,
    /// Of the last call, until the next one; `None` where calls are not timed.
    timing: Cell<Option<Timing>>,
    /// What it keeps with exchanges of this worker.
    kept: LocalQuota,
    every_request: Box<[Edit]>,
    every_response: Box<[Edit]>,
}

impl Pool {
    /// An empty pool; instances are made when they are needed.
    pub(crate) fn new(plugin: Arc<Plugin>, caller: Option<Caller>) -> Self {
        if let Some(shared) = &plugin.identity.stores.shared_limits {
            shared.connect_here();
        }
        if let Some(shared) = &plugin.identity.stores.shared_values {
            shared.connect_here();
        }
        if plugin.uses_cache {
            plugin.identity.cache.connect_here();
        }
        let unshared = |edits: &[Edit]| edits.iter().map(Edit::unshared).collect();
        Self {
            every_request: unshared(&plugin.interest.every_request),
            every_response: unshared(&plugin.interest.every_response),
            reuse: ChangeCache::new(plugin.bounds.reuse),
            reuse_of: Cell::new(0),
            ends: Ends::default(),
            kept: LocalQuota::new(&plugin.identity.stores.kept),
            is_managed: Cell::new(plugin.waits),
            slow_until: Cell::new(0),
            watched_until: Cell::new(0),
            at_once: plugin.at_once.as_ref().map(|it| Box::new(AtOnce::new(it, &caller))),
            plugin,
            caller,
            idle: RefCell::default(),
            live: Cell::new(0),
            ordered: Cell::new(0),
            discarded: Cell::new(0),
            made: Cell::new(0),
            timing: Cell::new(None),
            mailbox: Arc::default(),
        }
    }

    /// The plugin.
    pub(crate) fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// The flow of its calls on a route.
    pub(crate) fn flow(&self, share: &Rc<Share>, route: &str) -> Rc<Flow> {
        let plugin = &self.plugin;
        let (clock, metrics) = (&plugin.identity.clock, plugin.identity.metrics.turns());
        let (name, queue) = (&plugin.name, plugin.queue);
        Flow::new(share, &Owner { kind: Kind::Plugin, name, clock, metrics, queue }, route)
    }

    /// What it keeps with exchanges of this worker.
    pub(crate) fn kept(&self) -> &LocalQuota {
        &self.kept
    }

    /// How many instances served hooks so far, for traces.
    pub(crate) fn made(&self) -> usize {
        self.made.get()
    }

    /// What becomes of every request, and of every response: this worker's own copies.
    pub(crate) fn every(&self) -> (&[Edit], &[Edit]) {
        (&self.every_request, &self.every_response)
    }

    /// How long the last call took, for who asks as soon as it has returned.
    pub(crate) fn timing(&self) -> Option<Timing> {
        self.timing.get()
    }

    /// Whether there may be changes to make again.
    pub(crate) fn may_reuse(&self) -> bool {
        !self.reuse.is_empty()
    }

    /// A change that the plugin made where the same arrived, and allowed to be made again.
    pub(crate) fn reuse(
        &self,
        arrived: impl FnOnce(&mut ReuseKey),
    ) -> Option<(RequestChange, Option<Rc<KnownHit>>)> {
        if self.versions() != self.reuse_of.get() {
            return None;
        }
        self.reuse.change(arrived)
    }

    /// A change was made again.
    pub(crate) fn reused(&self) {
        self.plugin.identity.metrics.reused();
    }

    /// Whether changes are kept to be made again. Where each request is to have an instance of its
    /// own, none is.
    pub(crate) fn keeps(&self) -> bool {
        self.plugin.isolation == Isolation::Pooled
    }

    /// Which documents and keys its hooks find, to be asked before one whose change is to be kept.
    pub(crate) fn versions(&self) -> u64 {
        self.plugin.identity.versions()
    }

    /// Keeps a change to be made again, unless one of the documents or sets of keys that the hook may
    /// have read is another by now.
    pub(crate) fn keep(
        &self,
        arrived: &ReuseKey,
        change: (RequestChange, Option<Rc<KnownHit>>),
        time: Duration,
        versions: u64,
    ) {
        if versions != self.versions() {
            return;
        }
        if versions != self.reuse_of.replace(versions) {
            self.reuse.forget();
        }
        self.reuse.keep(arrived, change, time);
    }

    /// What it has recorded of exchanges that end alike.
    pub(crate) fn ends(&self) -> &Ends {
        &self.ends
    }

    /// An instance that is there, of a plugin that never waits and whose calls are quick, where none
    /// has to wait for its turn: nearly every call.
    pub(crate) fn ready<'a>(&'a self, flow: &'a Flow) -> Option<Ready<'a>> {
        if self.is_managed.get() || flow.must_wait() {
            return None;
        }
        self.take_idle().map(|lease| Ready { lease, flow, of: self })
    }

    /// An instance of a plugin that may wait, where the next call will probably need not. If it has to after all it
    /// ends with [`Failure::HasToWait`], and is to be done again by [`call_managed`](Self::call_managed).
    pub(crate) fn ready_at_once<'a>(&'a self, flow: &'a Flow) -> Option<Ready<'a>> {
        let at_once = self.at_once.as_ref()?;
        if !at_once.is_tried() || self.slow_until.get() != 0 || flow.must_wait() {
            return None;
        }
        let lease = at_once.pool.take_or_order()?;
        Some(Ready { lease, flow, of: self })
    }

    /// Whether a call would not be done at once.
    pub(crate) fn may_wait(&self, flow: &Flow) -> bool {
        self.is_managed.get() || flow.must_wait() || self.idle.borrow().is_empty()
    }

    /// Whether calls are in slices now.
    fn is_slow(&self, flow: &Flow) -> bool {
        let until = self.slow_until.get();
        if until != 0 && flow.now() >= until {
            self.slow_until.set(0);
            self.is_managed.set(self.plugin.waits);
        }
        self.slow_until.get() != 0
    }

    /// A call took as long. If it was not quick, those that follow are in slices: for so long that calls which are
    /// not, since nobody knows them to be slow, have the worker for no more than a small part of the time. Where it
    /// was not measured, and others of its tick may have taken most of that, those that follow are measured first.
    #[cold]
    fn took(&self, flow: &Flow, time: Duration, is_measured: bool) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        if milliseconds == 0 {
            return;
        }
        let until = flow.now().saturating_add(milliseconds.saturating_mul(SLOW_FOR));
        if is_measured || time >= CERTAIN {
            self.slow_until.set(self.slow_until.get().max(until));
            self.is_managed.set(true);
        } else {
            self.watched_until.set(self.watched_until.get().max(until));
        }
    }

    /// The thread's time before a call, where it is measured.
    #[inline]
    fn watch(&self, flow: &Flow) -> Option<Duration> {
        match self.watched_until.get() {
            0 => None,
            until if flow.now() >= until => {
                self.watched_until.set(0);
                None
            }
            _ => Some(thread_time()),
        }
    }

    /// Calls a hook on some instance.
    pub(crate) async fn call<H: Hook>(
        &self,
        flow: &Rc<Flow>,
        heads: Arc<ExchangeView>,
        params: H::Params<'_>,
    ) -> Result<Called<H::Results>, Failure> {
        if let Some(ready) = self.ready(flow) {
            return ready.call::<H>(heads, params);
        }
        // Boxed, so that what may wait does not make every other exchange's state large.
        Box::pin(self.call_managed::<H>(flow, heads, params)).await
    }

    /// As [`call`](Self::call), where [`ready`](Self::ready) has found none. To be in a box of the caller's.
    pub(crate) async fn call_managed<H: Hook>(
        &self,
        flow: &Rc<Flow>,
        heads: Arc<ExchangeView>,
        params: H::Params<'_>,
    ) -> Result<Called<H::Results>, Failure> {
        let metrics = &self.plugin.identity.metrics;
        let began = metrics.hook_begins();
        let mut waits = Waits { since: began, ..Waits::default() };
        let called = self.call_later::<H>(flow, heads, params, &mut waits).await;
        let timed = metrics.hook_ended(H::INDEX, began);
        let timing =
            timed.map(|(began, took)| Timing::new(began, took, waits.for_turn, waits.for_instance));
        self.timing.set(timing);
        called
    }

    async fn call_later<H: Hook>(
        &self,
        flow: &Rc<Flow>,
        heads: Arc<ExchangeView>,
        params: H::Params<'_>,
        waits: &mut Waits,
    ) -> Result<Called<H::Results>, Failure> {
        // Before it has an instance: those that wait for a turn hold none.
        let is_slow = self.is_slow(flow);
        let must_wait = is_slow || flow.must_wait();
        let mut turn = Turn::first(flow, is_slow).await;
        if must_wait {
            waits.for_turn = waits.lap();
        }
        let mut lease = match self.take_idle() {
            Some(lease) => lease,
            None => {
                turn.give_up();
                // Boxed, since it is large and seldom needed.
                let taken = Box::pin(self.checkout()).await;
                waits.for_instance = waits.lap();
                let lease = taken?;
                // All that waited for an instance would have the worker one after the other.
                turn.in_slices(self.is_slow(flow));
                let must_wait = flow.must_wait();
                turn.again().await;
                if must_wait {
                    let again = waits.lap();
                    waits.for_turn += again;
                }
                lease
            }
        };
        // Those before it may have been found to be slow while it waited.
        turn.in_slices(self.is_slow(flow));
        turn.measures(self.watch(flow).is_some());
        let called = lease.instance().call_in_turn::<H>(&self.plugin, heads, params, &mut turn);
        let called = called.await;
        self.took(flow, turn.computed(), turn.is_measured());
        let called = called?;
        lease.give_back();
        Ok(called)
    }

    fn take_idle(&self) -> Option<Lease<'_>> {
        let instance = self.idle.borrow_mut().pop()?;
        Some(Lease { pool: self, instance: Some(instance) })
    }

    async fn checkout(&self) -> Result<Lease<'_>, Failure> {
        if let Some(lease) = self.take_idle() {
            return Ok(lease);
        }
        let _waiter = Waiter::new(self)?;
        // Wakes the waiters one by one: by each instance that comes or that another hook ended with.
        let timeout = EXHAUSTED.saturating_add(self.plugin.configure);
        let taken = tokio::time::timeout(timeout, async {
            loop {
                if let Some(lease) = self.take_idle() {
                    return Ok(lease);
                }
                match self.take_new() {
                    Some(Ok(lease)) => return Ok(lease),
                    Some(Err(failure)) => return Err(failure),
                    None => {}
                }
                if self.ordered.get() < self.mailbox.waiting() {
                    self.order(false);
                }
                self.mailbox.arrived.notified().await;
            }
        });
        taken.await.unwrap_or_else(|_| Err(self.exhausted()))
    }

    #[cold]
    fn exhausted(&self) -> Failure {
        match self.ordered.get() {
            0 => Failure::Exhausted(self.plugin.instances),
            _ => Failure::NotReady,
        }
    }

    /// Orders an instance, if there may be one more.
    fn order(&self, is_spare: bool) {
        if self.live.get() < self.plugin.instances {
            self.live.set(self.live.get() + 1);
            self.ordered.set(self.ordered.get() + 1);
            let mailbox = Arc::clone(&self.mailbox);
            self.plugin.preparer.order(&self.plugin, Order { mailbox, is_spare });
        }
    }

    /// An instance if there is one. If not the next call finds one.
    fn take_or_order(&self) -> Option<Lease<'_>> {
        if let Some(lease) = self.take_idle() {
            return Some(lease);
        }
        match self.take_new() {
            Some(Ok(lease)) => return Some(lease),
            Some(Err(failure)) => {
                tracing::warn!(plugin = &*self.plugin.name, "no instance is ready: {failure}");
            }
            None => {}
        }
        if self.live.get() == 0 {
            self.order(true);
        }
        None
    }

    /// Whether to make an instance ready although no hook asks for it yet.
    fn needs_spare(&self) -> bool {
        self.plugin.isolation == Isolation::Fresh
            && self.ordered.get() < SPARES
            && self.idle.borrow().is_empty()
    }

    /// What came of an order: an instance, or why there is none.
    fn take_new(&self) -> Option<Result<Lease<'_>, Failure>> {
        loop {
            match self.mailbox.take()? {
                Came::Ready(instance) => {
                    self.ordered.set(self.ordered.get() - 1);
                    self.plugin.identity.metrics.instance_made();
                    return Some(Ok(self.lease_new(instance)));
                }
                Came::Void => {
                    self.ordered.set(self.ordered.get() - 1);
                    self.live.set(self.live.get() - 1);
                }
                Came::Gone => {
                    self.discarded.set(self.discarded.get() - 1);
                    self.live.set(self.live.get() - 1);
                }
                Came::Failed(failure) => {
                    self.failed_to_make();
                    return Some(Err(failure));
                }
            }
        }
    }

    fn lease_new(&self, mut instance: Box<Instance>) -> Lease<'_> {
        self.made.set(self.made.get() + 1);
        if let Some(caller) = &self.caller {
            instance.belongs_to(caller.clone());
        }
        instance.allow_bodies(self.plugin.largest_body());
        Lease { pool: self, instance: Some(instance) }
    }

    /// Makes an instance on this thread, for measurements.
    pub(crate) async fn make_here(&self) -> Result<(), Failure> {
        let instance = configured(&self.plugin).await?;
        self.live.set(self.live.get() + 1);
        self.plugin.identity.metrics.instance_made();
        self.lease_new(instance).give_back();
        Ok(())
    }
}

/// For what a call waited before it began, where that is timed.
#[derive(Default)]
struct Waits {
    since: Option<Instant>,
    for_turn: Duration,
    for_instance: Duration,
}

impl Waits {
    /// The time since the last look at the clock.
    fn lap(&mut self) -> Duration {
        let Some(since) = &mut self.since else { return Duration::ZERO };
        let now = Instant::now();
        let lap = now.saturating_duration_since(*since);
        *since = now;
        lap
    }
}

/// Hooks that may wait for an instance of one plugin on one worker. More than that fail at once.
const QUEUE: usize = 1_000;

/// A hook that waits for an instance.
struct Waiter<'a>(&'a Pool);

impl<'a> Waiter<'a> {
    fn new(pool: &'a Pool) -> Result<Self, Failure> {
        if pool.mailbox.waiting() >= QUEUE {
            return Err(pool.exhausted());
        }
        if pool.mailbox.begin_waiting() == 1 {
            pool.forget_failures();
        }
        Ok(Self(pool))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.mailbox.end_waiting();
    }
}

impl Pool {
    /// Nobody waited any more for what failed meanwhile: it is no answer to who comes now.
    fn forget_failures(&self) {
        for failure in self.mailbox.take_failures() {
            self.failed_to_make();
            tracing::warn!(plugin = &*self.plugin.name, "no instance is ready: {failure}");
        }
    }

    fn failed_to_make(&self) {
        self.ordered.set(self.ordered.get() - 1);
        self.live.set(self.live.get() - 1);
        self.plugin.identity.metrics.instance_made();
        self.plugin.identity.metrics.instances_gone(1);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.mailbox.close();
        self.plugin
            .identity
            .metrics
            .instances_gone(self.live.get() - self.ordered.get() - self.discarded.get());
    }
}

/// What others of its tick can hardly have taken of a call that was not measured.
const CERTAIN: Duration = Duration::from_millis(4);

/// For how many times as long as a slow call took calls are in slices.
const SLOW_FOR: u64 = 500;

/// An instance that serves a hook at once.
pub(crate) struct Ready<'a> {
    lease: Lease<'a>,
    flow: &'a Flow,
    /// The pool that was asked for it.
    of: &'a Pool,
}

impl Ready<'_> {
    /// Calls the hook.
    pub(crate) fn call<H: Hook>(
        mut self,
        heads: Arc<ExchangeView>,
        params: H::Params<'_>,
    ) -> Result<Called<H::Results>, Failure> {
        let Self { ref mut lease, flow, of: pool } = self;
        let metrics = &pool.plugin.identity.metrics;
        let watched = pool.watch(flow);
        let (began, time) = (flow.begins(), metrics.hook_begins());
        let called = lease.instance().call_now::<H>(&pool.plugin, heads, params);
        let mut took = flow.called(began);
        if let Some(before) = watched {
            took = thread_time().saturating_sub(before);
        }
        if let Some(at_once) = &pool.at_once {
            let has_to_wait = matches!(called, Err(Failure::HasToWait));
            at_once.called(has_to_wait);
            if has_to_wait {
                return called;
            }
        }
        let timed = metrics.hook_ended(H::INDEX, time);
        pool.timing.set(
            timed.map(|(began, took)| Timing::new(began, took, Duration::ZERO, Duration::ZERO)),
        );
        if !took.is_zero() {
            pool.took(flow, took, watched.is_some());
        }
        let called = called?;
        self.lease.give_back();
        Ok(called)
    }

    /// Gives the instance back as it is.
    pub(crate) fn put_back(self) {
        self.lease.give_back();
    }
}

/// The instances of a plugin whose hooks are tried without waiting, and whether they are.
///
/// A hook that has to wait costs its instance. So after one no other is tried for a while, which is the longer the
/// more often that happens.
struct AtOnce {
    pool: Pool,
    /// Calls for which none is tried, and how many they are the next time.
    rest: Cell<u32>,
    next_rest: Cell<u32>,
    /// Calls since then that did not have to wait.
    done: Cell<u32>,
}

impl AtOnce {
    const SHORTEST_REST: u32 = 100;
    const LONGEST_REST: u32 = 100_000;

    fn new(plugin: &Arc<Plugin>, caller: &Option<Caller>) -> Self {
        Self {
            pool: Pool::new(Arc::clone(plugin), caller.clone()),
            rest: Cell::new(0),
            next_rest: Cell::new(Self::SHORTEST_REST),
            done: Cell::new(0),
        }
    }

    fn is_tried(&self) -> bool {
        let shared = &self.pool.plugin.identity.stores.shared_limits;
        if !shared.as_ref().is_some_and(|shared| shared.answers_at_once()) {
            return false;
        }
        let rest = self.rest.get();
        self.rest.set(rest.saturating_sub(1));
        rest == 0
    }

    fn called(&self, had_to_wait: bool) {
        let next = self.next_rest.get();
        if had_to_wait {
            self.rest.set(next);
            self.next_rest.set(next.saturating_mul(2).min(Self::LONGEST_REST));
            self.done.set(0);
        } else if next > Self::SHORTEST_REST {
            self.done.set(self.done.get() + 1);
            if self.done.get() >= next {
                self.next_rest.set(Self::SHORTEST_REST);
            }
        }
    }
}

/// How long a hook waits for an instance when all of them are in use. Where one is to be made, what
/// `configure` may take comes on top.
const EXHAUSTED: Duration = Duration::from_secs(5);

/// Instances that are ready before a hook asks for one, where each hook gets one of its own.
const SPARES: usize = 2;

/// An instance that serves a hook. Dropped without [`Lease::give_back`], it is thrown away: a
/// trap or a call that was dropped halfway leaves nothing that could be used again.
struct Lease<'a> {
    pool: &'a Pool,
    instance: Option<Box<Instance>>,
}

impl Lease<'_> {
    fn instance(&mut self) -> &mut Instance {
        self.instance.as_mut().expect("it is taken out only when the lease ends")
    }

    fn give_back(mut self) {
        let plugin = &self.pool.plugin;
        let Some(instance) = &mut self.instance else { return };
        match plugin.isolation {
            Isolation::Pooled if instance.should_retire(plugin.memory) => {
                return worn(plugin, instance);
            }
            // It forgets what the hook left, or ends here.
            Isolation::Fresh if !instance.reset() => return,
            Isolation::Pooled | Isolation::Fresh => {}
        }
        self.pool.idle.borrow_mut().extend(self.instance.take());
        if self.pool.mailbox.waiting() > 0 {
            self.pool.mailbox.arrived.notify_one();
        }
        // The instance lives on, so that the end of this lease must not count it out.
        std::mem::forget(self);
    }
}

/// Says once of a plugin that its instances serve few hooks.
#[cold]
fn worn(plugin: &Plugin, instance: &Instance) {
    const FEW: u32 = 100;
    let (uses, memory) = instance.wear();
    if uses < FEW && !plugin.retirement_logged.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            plugin = &*plugin.name,
            uses,
            "an instance is thrown away, since its memory is {}, over three quarters of its limit \
             of {} (`limits.memory`); a new one takes milliseconds: write `{}`",
            mebibytes(memory),
            mebibytes(plugin.memory),
            limits_for(memory)
        );
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let pool = self.pool;
        pool.plugin.identity.metrics.instances_gone(1);
        if let Some(instance) = self.instance.take() {
            pool.discarded.set(pool.discarded.get() + 1);
            pool.plugin.preparer.discard(instance, &pool.mailbox);
        }
        if pool.mailbox.waiting() > 0 {
            pool.mailbox.arrived.notify_one();
        } else if pool.needs_spare() {
            // The next hook finds it.
            pool.order(true);
        }
    }
}

impl Plugin {
    /// The largest body that it may hand back at once: what it may buffer, and half as much again
    /// for what it adds; for chunks, 4 MiB.
    fn largest_body(&self) -> usize {
        let of = |mode| match mode {
            BodyMode::None => 0,
            BodyMode::Buffered(limit) => {
                usize::try_from(self.largest_buffer(limit)).unwrap_or(usize::MAX)
            }
            BodyMode::Chunks => 4 << 20,
        };
        let largest = of(self.interest.request_body).max(of(self.interest.response_body));
        largest.saturating_add(largest / 2)
    }
}
