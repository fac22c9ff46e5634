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
pub(crate) mod edits;
mod engine;
mod host;
pub(crate) mod instance;
mod interest;
mod load;
pub(crate) mod outbound;
mod pool;
mod reuse;
mod schema;
mod sections;
pub(crate) mod values;

use std::sync::Arc;

pub(crate) use budget::thread_time;
pub(crate) use engine::{Clock, TICK};
pub(crate) use host::{MemoryLimit, log_line};
pub(crate) use instance::trap_text;
pub(crate) use interest::Interest;
pub use load::{
    INTERFACE_VERSION, Inspection, Omission, Place, PluginImport, Refusal, Want, compile_time,
    inspect, open, schema, wants,
};
pub(crate) use load::{LoadError, Loader, Plugin, component_bytes, wait};
pub(crate) use pool::{Pool, Ready};
pub(crate) use reuse::Arrived;
pub use sections::Size;

use crate::telemetry::metrics::FailureKind;

/// Why a hook gave no outcome. The request is answered as the plugin's `on_error` says.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// The guest panicked or broke a rule of Wasm; the text is its own, with a backtrace.
    #[error("it trapped: {0}")]
    Trap(Arc<str>),
    /// It computed for longer than `limits.deadline`; waiting for a processor does not count.
    #[error("it computed for longer than its deadline of {0:?}")]
    Deadline(std::time::Duration),
    /// It wanted more than `limits.memory`.
    #[error("it wanted more than its {0} bytes of memory")]
    Memory(usize),
    /// What it returned is not allowed.
    #[error("it broke the contract: {0}")]
    Breach(Arc<str>),
    /// No new instance could be made.
    #[error("no instance could be made: {0}")]
    Instantiate(Arc<str>),
    /// All of `limits.instances` were waiting for something for too long.
    #[error("all of its {0} instances are waiting")]
    Exhausted(usize),
}

impl Failure {
    /// As it is counted.
    fn kind(&self) -> FailureKind {
        match self {
            Self::Trap(_) => FailureKind::Trap,
            Self::Deadline(_) => FailureKind::Deadline,
            Self::Memory(_) => FailureKind::Memory,
            Self::Breach(_) => FailureKind::Breach,
            Self::Instantiate(_) => FailureKind::Instantiate,
            Self::Exhausted(_) => FailureKind::Exhausted,
        }
    }

    /// A breach of contract.
    pub(crate) fn breach(what: impl Into<Arc<str>>) -> Self {
        Self::Breach(what.into())
    }
}
