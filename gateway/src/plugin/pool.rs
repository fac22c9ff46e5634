//! A worker's instances of one plugin.
//!
//! Owns which instance serves a hook: the one used last, so that its memory is still in the
//! caches; a new one, which is made beside the worker, if none is free. An instance that failed, or
//! whose hook was abandoned halfway, is thrown away. Belongs to one worker; must not be shared, and
//! must not run what makes an instance, which is as slow as the plugin likes.

mod lease;
mod pace;
mod ready;
mod reuse;
mod stock;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::ready::AtOnce;
pub(crate) use self::ready::Ready;
use super::change_cache::ChangeCache;
use super::edits::Edit;
use super::ends::Ends;
use super::instance::{Called, Hook, Instance};
use super::outbound::Caller;
use super::prepare::Mailbox;
use super::{Failure, Plugin};
use crate::heads::ExchangeView;
use crate::memory_quota::LocalQuota;
use crate::recorder::{Timing, Written};
use crate::share::{Flow, Kind, Owner, Share, Turn};

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
    /// What the last call wrote to the log.
    written: Cell<Option<Box<Written>>>,
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
            written: Cell::new(None),
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

    /// The last lines that the last call wrote to the log, for who asks as soon as it has returned.
    pub(crate) fn take_written(&self) -> Option<Box<Written>> {
        self.written.take()
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
        self.written.set(lease.instance().take_written());
        self.took(flow, turn.computed(), turn.is_measured());
        let called = called?;
        lease.give_back();
        Ok(called)
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

impl Drop for Pool {
    fn drop(&mut self) {
        self.mailbox.close();
        self.plugin
            .identity
            .metrics
            .instances_gone(self.live.get() - self.ordered.get() - self.discarded.get());
    }
}
