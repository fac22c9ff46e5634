//! Plugins: sandboxed components that see and change requests and responses.
//!
//! Owns everything that touches wasmtime: the engine, loading and checking a component, the pools
//! of instances, and the host interfaces that a plugin may call. Nothing outside of this room
//! and of `component`, which shares the engine, names a wasmtime type. Must not know routes, upstreams or connections: the chain tells it which
//! hook to call on which heads.
//!
//! A [`Plugin`] is loaded once and shared by all workers; each worker has a [`Pool`] of its
//! instances, and takes one of them for one hook. An instance remembers nothing about a request,
//! so that losing one loses nothing else.

mod adapt;
mod backtrace;
pub(crate) mod bindings;
mod boxed;
mod budget;
mod change_cache;
mod changes;
pub(crate) mod edits;
pub(crate) mod ends;
mod engine;
mod guest_output;
mod host;
pub(crate) mod in_place;
pub(crate) mod instance;
mod interest;
mod load;
pub(crate) mod outbound;
mod pool;
mod prepare;
mod reset;
mod schema;
mod sections;
mod trap;
pub(crate) mod values;

use std::sync::Arc;

pub(crate) use change_cache::ReuseKey;
pub(crate) use guest_output::{FailureReport, OutputBuffer, OutputLine};
pub(crate) use host::{
    Alike, Asked, Drain, Hold, InBackground, KnownHit, MemoryLimit, OfCache, OfHeld, Served,
    Settled,
};
pub(crate) use interest::Interest;
pub use load::{
    Compilation, INTERFACE_VERSION, Inspection, Omission, PluginImport, Refusal, Requirement,
    SpanTarget, compile, compile_time, compile_with, inspect, open, precompile, requirements,
    schema,
};
pub(crate) use load::{LoadError, Loader, Plugin, full_text, wait};
pub(crate) use pool::{Pool, Ready};
pub use sections::Size;
use trap::MemoryRefused;
pub(crate) use trap::{is_deadline, is_full, mebibytes, trap_text};

use crate::telemetry::metrics::FailureKind;

/// Why a hook gave no outcome. The request is answered as the plugin's `on_error` says.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// The guest panicked or broke a rule of Wasm; the text is its own, with a backtrace.
    #[error("it trapped: {0}")]
    Trap(Arc<str>),
    /// It computed for longer than `limits.deadline`; waiting for a processor does not count.
    #[error("it computed for longer than its deadline of {0:?}{1}")]
    Deadline(std::time::Duration, Arc<str>),
    /// Its `configure`, or what starts its component, computed for longer than `limits.configure`.
    #[error("`configure` computed for longer than its bound of {0:?} (`limits.configure`){1}")]
    Configure(std::time::Duration, Arc<str>),
    /// It wanted more than `limits.memory`; what it said of that.
    #[error("{0}{1}")]
    Memory(MemoryRefused, Arc<str>),
    /// What it returned is not allowed.
    #[error("it broke the contract: {0}")]
    Breach(Arc<str>),
    /// It would leave more in the gateway than it may.
    #[error("{0}")]
    Kept(Arc<str>),
    /// No new instance could be made.
    #[error("no instance could be made: {0}")]
    Instantiate(Arc<str>),
    /// The process has as many instances, of all plugins and components, as the engine takes.
    #[error("no instance could be made: {0}")]
    NoPlace(Arc<str>),
    /// All of `limits.instances` were waiting for something for too long.
    #[error("all of its {0} instances are waiting")]
    Exhausted(usize),
    /// No instance was made ready in time.
    #[error("no instance of it was ready in time: its `configure` takes long for so many requests")]
    NotReady,
    /// It has to be called where it can wait.
    #[error("it has to wait")]
    HasToWait,
    /// As many calls as `limits.queue` allows wait for their turn already.
    #[error(
        "{0} of its calls wait for their turn already (`limits.queue`): it needs more of the \
         worker's time than its share"
    )]
    Busy(usize),
}

/// Bytes of the words for a breach: they may quote what the plugin wrote.
const MAX_BREACH: usize = 2 << 10;

impl Failure {
    /// As it is counted.
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Trap(_) => FailureKind::Trap,
            Self::Deadline(..) | Self::Configure(..) => FailureKind::Deadline,
            Self::Memory(..) => FailureKind::Memory,
            Self::Breach(_) => FailureKind::Breach,
            Self::Kept(_) => FailureKind::Kept,
            Self::Instantiate(_) => FailureKind::Instantiate,
            Self::Exhausted(_) | Self::NotReady | Self::NoPlace(_) | Self::HasToWait => {
                FailureKind::Exhausted
            }
            Self::Busy(_) => FailureKind::Busy,
        }
    }

    /// Whether the call itself is no worse than others, and only too many came at once.
    pub(crate) fn is_overload(&self) -> bool {
        matches!(self.kind(), FailureKind::Exhausted | FailureKind::Busy)
    }

    /// A breach of contract.
    pub(crate) fn breach(what: impl Into<Arc<str>>) -> Self {
        let what = what.into();
        if what.len() <= MAX_BREACH {
            return Self::Breach(what);
        }
        Self::Breach(format!("{}...", &what[..what.floor_char_boundary(MAX_BREACH)]).into())
    }
}
