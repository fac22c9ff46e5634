//! Calls that are done at once.
//!
//! Owns the instances whose hooks have no stack of their own, and when they are tried.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::Pool;
use super::lease::Lease;
use crate::heads::ExchangeView;
use crate::plugin::instance::{Called, Hook};
use crate::plugin::outbound::Caller;
use crate::plugin::{Failure, Plugin};
use crate::recorder::Timing;
use crate::share::{Flow, thread_time};

/// An instance that serves a hook at once.
pub(crate) struct Ready<'a> {
    pub(super) lease: Lease<'a>,
    pub(super) flow: &'a Flow,
    /// The pool that was asked for it.
    pub(super) of: &'a Pool,
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
        pool.written.set(lease.instance().take_written());
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
pub(super) struct AtOnce {
    pub(super) pool: Pool,
    /// Calls for which none is tried, and how many they are the next time.
    rest: Cell<u32>,
    next_rest: Cell<u32>,
    /// Calls since then that did not have to wait.
    done: Cell<u32>,
}

impl AtOnce {
    const SHORTEST_REST: u32 = 100;
    const LONGEST_REST: u32 = 100_000;

    pub(super) fn new(plugin: &Arc<Plugin>, caller: &Option<Caller>) -> Self {
        Self {
            pool: Pool::new(Arc::clone(plugin), caller.clone()),
            rest: Cell::new(0),
            next_rest: Cell::new(Self::SHORTEST_REST),
            done: Cell::new(0),
        }
    }

    pub(super) fn is_tried(&self) -> bool {
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
