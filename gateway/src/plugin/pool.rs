//! A worker's instances of one plugin.
//!
//! Owns which instance serves a hook: the one used last, so that its memory is still in the
//! caches; a new one if none is free. An instance that failed, or whose hook was given up halfway,
//! is thrown away. Belongs to one worker; must not be shared.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::bindings::{BodyMode, RequestChange};
use super::edits::Edit;
use super::instance::{Called, Hook, Instance};
use super::outbound::Caller;
use super::reuse::{Arrived, Reuse};
use super::{Failure, Plugin};
use crate::config::Isolation;
use crate::heads::Heads;

/// A pool of instances.
pub(crate) struct Pool {
    plugin: Arc<Plugin>,
    /// Where its instances send requests to upstreams.
    caller: Option<Caller>,
    #[expect(clippy::vec_box, reason = "an instance is large, and moves in and out for each hook")]
    idle: RefCell<Vec<Box<Instance>>>,
    live: Cell<usize>,
    /// Instances that were begun, ever.
    made: Cell<usize>,
    freed: Notify,
    reuse: Reuse,
    every_request: Box<[Edit]>,
    every_response: Box<[Edit]>,
}

impl Pool {
    /// An empty pool; instances are made when they are needed.
    pub(crate) fn new(plugin: Arc<Plugin>, caller: Option<Caller>) -> Self {
        let unshared = |edits: &[Edit]| edits.iter().map(Edit::unshared).collect();
        Self {
            every_request: unshared(&plugin.interest.every_request),
            every_response: unshared(&plugin.interest.every_response),
            reuse: Reuse::default(),
            plugin,
            caller,
            idle: RefCell::default(),
            live: Cell::new(0),
            made: Cell::new(0),
            freed: Notify::new(),
        }
    }

    /// The plugin.
    pub(crate) fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// How many instances were begun so far, for traces.
    pub(crate) fn made(&self) -> usize {
        self.made.get()
    }

    /// What becomes of every request, and of every response: this worker's own copies.
    pub(crate) fn every(&self) -> (&[Edit], &[Edit]) {
        (&self.every_request, &self.every_response)
    }

    /// Whether there may be changes to make again.
    pub(crate) fn may_reuse(&self) -> bool {
        !self.reuse.is_empty()
    }

    /// A change that the plugin made where the same arrived, and allowed to be made again.
    pub(crate) fn reuse(&self, arrived: &Arrived) -> Option<RequestChange> {
        let change = self.reuse.change(arrived)?;
        self.plugin.identity.metrics.reused();
        Some(change)
    }

    /// Whether changes are kept to be made again. Where each request is to have an instance of its
    /// own, none is.
    pub(crate) fn keeps(&self) -> bool {
        self.plugin.isolation == Isolation::Pooled
    }

    /// Keeps a change to be made again.
    pub(crate) fn keep(&self, arrived: &Arrived, change: RequestChange, time: Duration) {
        self.reuse.keep(arrived, change, time);
    }

    /// An instance that is there, of a plugin that never waits: nearly every call.
    pub(crate) fn ready(&self) -> Option<Ready<'_>> {
        if self.plugin.waits {
            return None;
        }
        self.take_idle().map(Ready)
    }

    /// Calls a hook on some instance.
    pub(crate) async fn call<H: Hook>(
        &self,
        heads: Arc<Heads>,
        params: H::Params<'_>,
    ) -> Result<Called<H::Results>, Failure> {
        if let Some(ready) = self.ready() {
            return ready.call::<H>(heads, params);
        }
        // Boxed, so that what may wait does not make every other exchange's state large.
        Box::pin(self.call_later::<H>(heads, params)).await
    }

    async fn call_later<H: Hook>(
        &self,
        heads: Arc<Heads>,
        params: H::Params<'_>,
    ) -> Result<Called<H::Results>, Failure> {
        let mut lease = self.checkout().await?;
        let called = lease.instance().call::<H>(&self.plugin, Some(heads), params).await?;
        lease.give_back();
        Ok(called)
    }

    fn take_idle(&self) -> Option<Lease<'_>> {
        let instance = self.idle.borrow_mut().pop()?;
        Some(Lease { pool: self, instance: Some(instance) })
    }

    async fn checkout(&self) -> Result<Lease<'_>, Failure> {
        loop {
            if let Some(lease) = self.take_idle() {
                return Ok(lease);
            }
            if self.live.get() < self.plugin.instances {
                return self.make().await;
            }
            // Only hooks that wait can hold all of them; the first to end wakes one waiter.
            let freed = tokio::time::timeout(EXHAUSTED, self.freed.notified()).await;
            freed.map_err(|_| Failure::Exhausted(self.plugin.instances))?;
        }
    }

    async fn make(&self) -> Result<Lease<'_>, Failure> {
        self.live.set(self.live.get() + 1);
        self.made.set(self.made.get() + 1);
        self.plugin.identity.metrics.instance_made();
        let mut lease = Lease { pool: self, instance: None };
        let mut instance = Box::new(Instance::new(&self.plugin).await?);
        if let Err(errors) = instance.configure(&self.plugin).await? {
            let errors: Vec<_> = errors.into_iter().map(|error| error.message).collect();
            return Err(Failure::breach(format!(
                "it refused the configuration that it had accepted before: {}",
                errors.join("; ")
            )));
        }
        if let Some(caller) = &self.caller {
            instance.belongs_to(caller.clone());
        }
        instance.allow_bodies(self.plugin.largest_body());
        lease.instance = Some(instance);
        Ok(lease)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.plugin.identity.metrics.instances_gone(self.live.get());
    }
}

/// An instance that serves a hook at once.
pub(crate) struct Ready<'a>(Lease<'a>);

impl Ready<'_> {
    /// Calls the hook.
    pub(crate) fn call<H: Hook>(
        mut self,
        heads: Arc<Heads>,
        params: H::Params<'_>,
    ) -> Result<Called<H::Results>, Failure> {
        let plugin = &self.0.pool.plugin;
        let called = self.0.instance().call_now::<H>(plugin, heads, params)?;
        self.0.give_back();
        Ok(called)
    }

    /// Gives the instance back as it is.
    pub(crate) fn put_back(self) {
        self.0.give_back();
    }
}

/// How long a hook waits for an instance when all of them are waiting.
const EXHAUSTED: std::time::Duration = std::time::Duration::from_secs(5);

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
        let reusable = plugin.isolation == Isolation::Pooled;
        if let Some(instance) = self.instance.take()
            && reusable
            && !instance.is_worn(plugin.memory)
        {
            self.pool.idle.borrow_mut().push(instance);
            if plugin.waits {
                self.pool.freed.notify_one();
            }
            // The instance lives on, so that the end of this lease must not count it out.
            std::mem::forget(self);
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.pool.live.set(self.pool.live.get() - 1);
        self.pool.plugin.identity.metrics.instances_gone(1);
        self.pool.freed.notify_one();
    }
}

impl Plugin {
    /// The largest body that it may hand back at once: what it may buffer, and half as much again
    /// for what it adds; for chunks, 4 MiB.
    fn largest_body(&self) -> usize {
        let of = |mode| match mode {
            BodyMode::None => 0,
            BodyMode::Buffered(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
            BodyMode::Chunks => 4 << 20,
        };
        let largest = of(self.interest.request_body).max(of(self.interest.response_body));
        largest.saturating_add(largest / 2)
    }
}
