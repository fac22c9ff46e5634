//! An instance while it serves a hook.
//!
//! Owns what becomes of it afterwards. Must not call it.

use std::sync::atomic::Ordering;

use super::Pool;
use crate::config::Isolation;
use crate::plugin::Plugin;
use crate::plugin::bindings::BodyMode;
use crate::plugin::instance::Instance;
use crate::plugin::trap::{limits_for, mebibytes};

/// An instance that serves a hook. Dropped without [`Lease::give_back`], it is thrown away: a
/// trap or a call that was dropped halfway leaves nothing that could be used again.
pub(super) struct Lease<'a> {
    pub(super) pool: &'a Pool,
    pub(super) instance: Option<Box<Instance>>,
}

impl Lease<'_> {
    pub(super) fn instance(&mut self) -> &mut Instance {
        self.instance.as_mut().expect("it is taken out only when the lease ends")
    }

    pub(super) fn give_back(mut self) {
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
    pub(super) fn largest_body(&self) -> usize {
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
