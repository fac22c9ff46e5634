//! What is logged of a plugin or component whose calls wait.
//!
//! Owns the words, and when they are said: once when it begins and once when it is over.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A flow counts as slowed if one of its calls waits for as long.
const LONG: Duration = Duration::from_millis(25);

/// It is no longer slowed when for as long none did.
const OVER: Duration = Duration::from_secs(10);

/// The sliding window over which the share of a flow is reported.
const WINDOW: Duration = Duration::from_secs(1);

/// What calls a flow has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The hooks of a plugin.
    Plugin,
    /// Requests that a component answers.
    Component,
}

/// What is reported of one flow.
#[derive(Debug)]
pub(super) struct Report {
    kind: Kind,
    name: Arc<str>,
    route: Box<str>,
    /// When the window that fills began, what was computed in it, and in the one before it.
    began: Cell<Instant>,
    now: Cell<Duration>,
    before: Cell<Duration>,
    /// When one of its calls last waited for long, if that is not over.
    slowed: Cell<Option<Instant>>,
}

impl Report {
    pub(super) fn new(kind: Kind, name: &Arc<str>, route: &str) -> Self {
        Self {
            kind,
            name: Arc::clone(name),
            route: route.into(),
            began: Cell::new(Instant::now()),
            now: Cell::default(),
            before: Cell::default(),
            slowed: Cell::default(),
        }
    }

    /// The flow has computed for as long.
    pub(super) fn computed(&self, time: Duration) {
        self.turn_over(Instant::now());
        self.now.set(self.now.get() + time);
    }

    fn turn_over(&self, now: Instant) {
        let age = now.saturating_duration_since(self.began.get());
        if age >= WINDOW {
            let last = self.now.take();
            self.before.set(if age < 2 * WINDOW { last } else { Duration::ZERO });
            let over = if age < 2 * WINDOW { WINDOW } else { age };
            self.began.set(self.began.get() + over);
        }
    }

    /// Of the last second, in percent: what was computed in the window that fills, and of the one
    /// before it the part that is not over yet.
    fn share(&self, now: Instant) -> u32 {
        self.turn_over(now);
        let age = now.saturating_duration_since(self.began.get()).as_secs_f64();
        let left = (1.0 - age / WINDOW.as_secs_f64()).max(0.0);
        let computed = self.now.get().as_secs_f64() + left * self.before.get().as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is at most a little over 100"
        )]
        let percent = (100.0 * computed / WINDOW.as_secs_f64()).round().min(100.0) as u32;
        percent
    }

    /// A call had to wait, and as many wait still. Returns whether the flow begins to be slowed.
    pub(super) fn waited(&self, time: Duration, waiting: usize) -> bool {
        if time < LONG {
            return false;
        }
        let now = Instant::now();
        if self.slowed.replace(Some(now)).is_some() {
            return false;
        }
        let share = self.share(now);
        let (name, route) = (&*self.name, &*self.route);
        match self.kind {
            Kind::Plugin => tracing::warn!(
                plugin = name,
                route,
                share_percent = share,
                waiting,
                fault = "plugin",
                "the plugin is slowed, so that others have their turn: its hooks computed for \
                 {share} % of the last second of their worker, and a call waited for {time:.0?}"
            ),
            Kind::Component => tracing::warn!(
                component = name,
                route,
                share_percent = share,
                waiting,
                fault = "upstream",
                "the component is slowed, so that others have their turn: it computed for {share} % \
                 of the last second of its worker, and a request waited for {time:.0?}"
            ),
        }
        true
    }

    /// Whether it is still slowed.
    pub(super) fn is_slowed(&self, now: Instant) -> bool {
        let Some(last) = self.slowed.get() else { return false };
        if now.saturating_duration_since(last) < OVER {
            return true;
        }
        self.slowed.set(None);
        let (name, route) = (&*self.name, &*self.route);
        match self.kind {
            Kind::Plugin => tracing::info!(
                plugin = name,
                route,
                "the plugin is no longer slowed: for {OVER:?} no call waited for {LONG:?}"
            ),
            Kind::Component => tracing::info!(
                component = name,
                route,
                "the component is no longer slowed: for {OVER:?} no request waited for {LONG:?}"
            ),
        }
        false
    }
}
