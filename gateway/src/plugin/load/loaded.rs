//! A plugin that can serve.
//!
//! Owns what is known of it from its configuration and its component, and what is counted under its name. Must not know how
//! it came to be, nor who calls it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use wasmtime::component::{ComponentExportIndex, InstancePre};

use crate::config::{self, Isolation, OnError};
use crate::memory_quota::{QuotaExceeded, Reservation, Reserved};
use crate::plugin::host::{HostState, Identity};
use crate::plugin::prepare::Preparer;
use crate::plugin::trap::mebibytes;
use crate::plugin::{Failure, Interest};
use crate::state::slots;
use crate::telemetry::log_line::{cut, printable};
use crate::telemetry::metrics::DrainCounts;

/// A plugin that is loaded, checked and accepted its configuration; shared by all workers.
pub(crate) struct Plugin {
    /// The name under which it is configured.
    pub(crate) name: Arc<str>,
    /// What it wants to see.
    pub(crate) interest: Interest,
    /// What happens to a request when it fails.
    pub(crate) on_error: OnError,
    /// Whether it may ask for the request's head in a later hook.
    pub(crate) reads_request: bool,
    /// Whether it may ask for another attempt, so that requests must be kept.
    pub(crate) may_attempt: bool,
    /// Whether it may hold a response back, and see another in its place.
    pub(crate) may_hold: bool,
    /// Whether it may have a response read to its end without its client.
    pub(crate) may_drain: bool,
    /// Whether it may keep and serve responses.
    pub(crate) uses_cache: bool,
    /// Attributes that a request must have, with these values, to pass it.
    pub(crate) only_if: Box<[(String, String)]>,
    pub(in crate::plugin) isolation: Isolation,
    pub(in crate::plugin) deadline: Duration,
    /// What `configure` may take.
    pub(in crate::plugin) configure: Duration,
    pub(in crate::plugin) memory: usize,
    pub(in crate::plugin) instances: usize,
    /// How much it may leave in the gateway.
    pub(crate) bounds: config::PluginBounds,
    /// Calls that may wait for their turn, on a worker and for a route.
    pub(in crate::plugin) queue: usize,
    /// Whether the log has said that its instances serve few hooks.
    pub(in crate::plugin) retirement_logged: AtomicBool,
    pub(in crate::plugin) waits: bool,
    /// The same plugin without hooks that wait, if most of its calls need not.
    pub(in crate::plugin) at_once: Option<Arc<Plugin>>,
    /// Whether its instances can be put back into the state in which they were configured, and are.
    pub(in crate::plugin) resets: bool,
    /// Whether its component comes with the binary.
    pub(in crate::plugin) is_first_party: bool,
    pub(in crate::plugin) config: String,
    pub(in crate::plugin) identity: Arc<Identity>,
    pub(in crate::plugin) pre: InstancePre<HostState>,
    pub(in crate::plugin) exports: Vec<ComponentExportIndex>,
    /// The function that says where its arguments may be laid down.
    pub(in crate::plugin) block: Option<ComponentExportIndex>,
    /// Where its instances are made for workers.
    pub(in crate::plugin) preparer: Preparer,
}

impl Plugin {
    /// The upstreams that it may forward requests to.
    pub(crate) fn forward_to(&self) -> &[String] {
        &self.identity.forward_to
    }

    /// The same plugin, linked so that no hook waits.
    pub(super) fn at_once(&self, pre: InstancePre<HostState>) -> Self {
        Self {
            name: Arc::clone(&self.name),
            interest: self.interest.clone(),
            only_if: self.only_if.clone(),
            bounds: self.bounds.clone(),
            retirement_logged: AtomicBool::new(false),
            waits: false,
            at_once: None,
            config: self.config.clone(),
            identity: Arc::clone(&self.identity),
            pre,
            exports: self.exports.clone(),
            preparer: self.preparer.clone(),
            ..*self
        }
    }

    /// As much of a body as is held for it: what it asks for, and no more than an instance can take.
    pub(crate) fn largest_buffer(&self, wanted: u64) -> u64 {
        wanted.min(self.memory as u64)
    }

    /// Counts a body that is to be held for it.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation::new(&self.identity.stores.bodies, &self.identity.state.bodies)
    }

    /// What it made instead of a body. It is counted until it is on its way, if it is more than
    /// what any message takes.
    pub(crate) fn counted(&self, bytes: Vec<u8>) -> Result<Bytes, Failure> {
        if bytes.len() <= UNCOUNTED {
            return Ok(bytes.into());
        }
        let mut reservation = self.reservation();
        reservation.grow(bytes.len()).map_err(|full| Failure::Kept(full_text(full).into()))?;
        Ok(Reserved::bytes(bytes, reservation))
    }

    /// A failure of a hook in words for the log, if there may be a line of it now.
    pub(crate) fn record(&self, hook: &str, failure: &dyn std::fmt::Display) -> Option<String> {
        self.identity.stores.volume.record(hook, &failure.to_string())
    }

    /// What it says, as those who run the gateway may see it: without secrets, and on one line.
    pub(crate) fn shown(&self, text: &str) -> String {
        printable(&self.identity.without_secrets(cut(text))).into_owned()
    }

    /// It answered a request by itself.
    pub(crate) fn answered(&self, status: u16) {
        self.identity.metrics.answered(status);
    }

    /// Whether a slot is one of its own under this key.
    pub(crate) fn has_slot(&self, held: &slots::Held, key: &str) -> bool {
        held.is_of(&self.identity.stores.slots, key)
    }

    /// What is counted of the responses that were read for it without their clients.
    pub(crate) fn drains(&self) -> Arc<DrainCounts> {
        self.identity.metrics.drains()
    }

    /// Counts a hook that failed.
    pub(crate) fn failed(&self, failure: &Failure) {
        self.identity.metrics.failed(failure.kind());
    }

    /// There was no room for as many names under which it adds to usage.
    pub(crate) fn usage_dropped(&self, names: usize) {
        self.identity.state.usage.amounts_dropped(&self.name, names);
    }
}

/// Bytes of an answer or of a chunk that are not counted: fewer than its connection takes.
const UNCOUNTED: usize = 4 << 10;

/// Which bound bodies have come to.
pub(crate) fn full_text(full: QuotaExceeded) -> String {
    match full {
        QuotaExceeded::Plugin(limit) => format!(
            "the bodies that are held for it take all of its {limit} bytes ({}, `limits.buffered`)",
            mebibytes(limit)
        ),
        QuotaExceeded::Process(limit) => format!(
            "the bodies that are held for plugins take all of {limit} bytes ({}, \
             `buffered_bodies` of `[gateway]`)",
            mebibytes(limit)
        ),
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name).finish_non_exhaustive()
    }
}
