//! The admin API: the gateway's own listener, for those who run it.
//!
//! Owns what may be asked and who may ask, on a thread of its own, so that no worker waits for an answer
//! and no load keeps one waiting. What takes long has further threads, a bounded number. The table of
//! endpoints is in `router`; each group of them is a file below. Must not touch what belongs to a worker:
//! it reads the configuration in force and shared counters, and has changes made by the [`Operator`].

mod audit;
mod authorisation;
mod caches;
mod call;
mod certificates;
mod chain;
mod configuration;
mod dashboard;
mod documents;
mod events;
mod experiments;
mod explain;
mod health;
mod in_force;
mod key_input;
mod keys;
mod limits;
mod listener;
mod listeners;
mod live;
mod log_level;
mod mask;
mod metrics;
mod models;
mod openapi;
mod operator;
mod page;
mod plugins;
mod recorded;
mod reload;
mod requests;
mod router;
mod routes;
mod stores;
mod traffic;
mod upstreams;
mod usage;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Semaphore;

pub(crate) use audit::open as open_audit;
pub(crate) use in_force::{Current, InForce};
pub(crate) use live::Live;
pub use operator::{Busy, Operator, Reloaded};

use crate::documents::Documents;
use crate::recorder::Recorder;
use crate::state::key_sets::KeySets;
use crate::telemetry::metrics::Metrics;
use crate::usage::Usage;
use authorisation::Failures;

/// Answers at a time that take long: they have a thread each.
const APART: usize = 2;
/// Questions about usage that are answered at a time.
const QUESTIONS: usize = 2;

/// What the endpoints know.
#[derive(Debug, Clone)]
pub(crate) struct Admin(Arc<State>);

/// See [`Admin`].
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) usage: Arc<Usage>,
    pub(crate) documents: Arc<Documents>,
    pub(crate) key_sets: Arc<KeySets>,
    /// What plugins keep.
    pub(crate) limits: crate::state::State,
    /// What happened to single requests.
    pub(crate) recorder: Arc<Recorder>,
    /// The configuration in force.
    pub(crate) current: Arc<Current>,
    /// Whether the gateway takes no new connections.
    pub(crate) is_draining: Arc<AtomicBool>,
    /// How many workers accept connections.
    pub(crate) workers: Arc<AtomicUsize>,
    /// Who makes changes; nobody where the gateway is a part of another program.
    pub(crate) operator: Option<Arc<dyn Operator>>,
    pub(crate) places: Places,
    pub(crate) live: Live,
}

/// What is bounded.
#[derive(Debug)]
pub(crate) struct Places {
    apart: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    failures: Failures,
}

impl Default for Places {
    fn default() -> Self {
        let of = |places| Arc::new(Semaphore::new(places));
        Self { apart: of(APART), questions: of(QUESTIONS), failures: Failures::default() }
    }
}

impl Admin {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(state))
    }

    fn in_force(&self) -> Arc<InForce> {
        self.0.current.get()
    }

    fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::Relaxed)
    }
}
