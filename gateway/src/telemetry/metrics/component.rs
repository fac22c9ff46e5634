//! The numbers of components that answer.
//!
//! Owns them and their part of the page. They live as long as a component of that name is configured.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::text::{head, line, number};
use super::{Kind, TurnMetrics};

/// The numbers of one configured component.
#[derive(Debug)]
pub(crate) struct ComponentMetrics {
    pub(super) name: Arc<str>,
    turns: Arc<TurnMetrics>,
    /// By the place in [`FAILURES`].
    failures: [AtomicU64; FAILURES.len()],
}

/// How a component fails to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ComponentFailure {
    Trap,
    Deadline,
    Memory,
    Instantiate,
    /// All instances were busy for too long.
    Exhausted,
    /// Too many requests waited for their turn.
    Busy,
    /// No response, an error code for one, or one that cannot be passed on.
    Response,
    /// No byte in time.
    Timeout,
}

/// The words for it.
const FAILURES: [&str; 8] =
    ["trap", "deadline", "memory", "instantiate", "exhausted", "busy", "response", "timeout"];

impl ComponentMetrics {
    pub(super) fn new(name: &Arc<str>) -> Self {
        Self { name: Arc::clone(name), turns: Arc::default(), failures: Default::default() }
    }

    /// What its requests computed, and waited for that.
    pub(crate) fn turns(&self) -> &Arc<TurnMetrics> {
        &self.turns
    }

    /// A request was not answered, or not to the end.
    pub(crate) fn failed(&self, kind: ComponentFailure) {
        self.failures[kind as usize].fetch_add(1, Relaxed);
    }
}

/// What the gateway knows about each component.
pub(super) fn write(page: &mut String, components: &[Arc<ComponentMetrics>]) {
    if components.is_empty() {
        return;
    }
    let name = "gateway_component_failures_total";
    head(page, name, Kind::Counter, "Requests that a component did not answer, by how it failed.");
    for component in components {
        for (kind, count) in FAILURES.iter().zip(&component.failures) {
            let labels = [("component", &*component.name), ("kind", *kind)];
            line(page, name, &labels, count.load(Relaxed));
        }
    }
    let mut each = |name, kind, help, value: &dyn Fn(&TurnMetrics) -> String| {
        head(page, name, kind, help);
        for component in components {
            line(page, name, &[("component", &component.name)], value(&component.turns));
        }
    };
    let name = "gateway_component_requests_waiting";
    let help = "Requests to components that wait for their turn on a worker.";
    each(name, Kind::Gauge, help, &|turns| turns.waiting().to_string());
    let name = "gateway_component_computing_seconds_total";
    let help = "Time for which components computed on workers.";
    each(name, Kind::Counter, help, &|turns| number(turns.computing_seconds()));
    let name = "gateway_component_waiting_seconds_total";
    let help = "Time for which requests to components waited for their turn, added up over all.";
    each(name, Kind::Counter, help, &|turns| number(turns.waiting_seconds()));
}
