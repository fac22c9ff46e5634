//! Where an instance comes from.
//!
//! Owns how many there are, who waits for one, and what comes of the orders to the threads that make them.

use std::sync::Arc;
use std::time::Duration;

use super::Pool;
use super::lease::Lease;
use crate::config::Isolation;
use crate::plugin::Failure;
use crate::plugin::instance::Instance;
use crate::plugin::prepare::{Came, Order, configured};

/// How long a hook waits for an instance when all of them are in use. Where one is to be made, what
/// `configure` may take comes on top.
const EXHAUSTED: Duration = Duration::from_secs(5);

/// Instances that are ready before a hook asks for one, where each hook gets one of its own.
const SPARES: usize = 2;

impl Pool {
    pub(super) fn take_idle(&self) -> Option<Lease<'_>> {
        let instance = self.idle.borrow_mut().pop()?;
        Some(Lease { pool: self, instance: Some(instance) })
    }

    pub(super) async fn checkout(&self) -> Result<Lease<'_>, Failure> {
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
    pub(super) fn order(&self, is_spare: bool) {
        if self.live.get() < self.plugin.instances {
            self.live.set(self.live.get() + 1);
            self.ordered.set(self.ordered.get() + 1);
            let mailbox = Arc::clone(&self.mailbox);
            self.plugin.preparer.order(&self.plugin, Order { mailbox, is_spare });
        }
    }

    /// An instance if there is one. If not the next call finds one.
    pub(super) fn take_or_order(&self) -> Option<Lease<'_>> {
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
    pub(super) fn needs_spare(&self) -> bool {
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
