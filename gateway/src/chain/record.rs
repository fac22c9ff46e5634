//! What the hooks of a run do, for a trace.
//!
//! Owns what is recorded before a hook and what is reported after it. Where nobody asked for traces each
//! step here is one look at an `Option`: no clock is read and nothing is allocated.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Response};

use super::Run;
use crate::body::Body;
use crate::config::OnError;
use crate::heads::ExchangeView;
use crate::plugin::Failure;
use crate::trace::{self, Change, Decision, Step};

/// A hook that is being traced. Boxed, so that it takes one word in the state of a request.
pub(super) struct Watched(Box<Before>);

/// What became of a hook: an answer of the plugin's own, if there is any.
type HookOutcome = Result<Option<Box<Response<Body>>>, Failure>;

struct Before {
    hook: &'static str,
    /// Held, so that the hook's changes are made in a copy.
    heads: Arc<ExchangeView>,
    upstream: Option<String>,
    /// Instances of the plugin so far.
    made: usize,
    began: Instant,
    took: Duration,
}

impl Run {
    /// Before a hook is called.
    #[inline]
    pub(super) fn watch(&self, index: usize, hook: &'static str) -> Option<Watched> {
        self.recording.as_ref().map(|_| self.begin(index, hook))
    }

    #[cold]
    fn begin(&self, index: usize, hook: &'static str) -> Watched {
        let (heads, upstream) = (self.heads(), self.upstream.borrow().clone());
        let made = self.pool(index).made();
        let (began, took) = (Instant::now(), Duration::ZERO);
        Watched(Box::new(Before { hook, heads, upstream, made, began, took }))
    }

    /// After a hook of a head, when its outcome is applied.
    #[inline]
    pub(super) fn note(&self, index: usize, watched: Option<Watched>, outcome: &HookOutcome) {
        self.note_body(index, watched, None, outcome);
    }

    /// After a hook that was given a body. `body` is how long a body was and is, if it is another.
    #[inline]
    pub(super) fn note_body(
        &self,
        index: usize,
        watched: Option<Watched>,
        body: Option<(usize, usize)>,
        outcome: &HookOutcome,
    ) {
        if let Some(watched) = watched {
            let decided = match outcome {
                Ok(None) => Ok(Decision::Next),
                Ok(Some(answer)) => Ok(Decision::Answered(answer.status())),
                Err(failure) => Err(failure),
            };
            self.tell(index, watched, body, decided);
        }
    }

    /// After a hook that gives no answer of its own. `body` as in [`note_body`](Self::note_body).
    #[inline]
    pub(super) fn note_end(
        &self,
        index: usize,
        watched: Option<Watched>,
        body: Option<(usize, usize)>,
        outcome: Result<(), &Failure>,
    ) {
        if let Some(watched) = watched {
            self.tell(index, watched, body, outcome.map(|()| Decision::Next));
        }
    }

    /// After a hook that cut a body off.
    #[inline]
    pub(super) fn note_cut(&self, index: usize, watched: Option<Watched>, why: &str) {
        if let Some(watched) = watched {
            self.tell(index, watched, None, Ok(Decision::CutOff(why.to_owned())));
        }
    }

    #[cold]
    fn tell(
        &self,
        index: usize,
        Watched(before): Watched,
        body: Option<(usize, usize)>,
        decision: Result<Decision, &Failure>,
    ) {
        let Some(recording) = &self.recording else { return };
        let plugin = self.pool(index).plugin();
        let mut changes = trace::heads(&before.heads, &self.heads());
        let upstream = self.upstream.borrow();
        if *upstream != before.upstream {
            changes.extend(upstream.clone().map(Change::Upstream));
        }
        changes.extend(body.map(|(before, after)| Change::Body(before, after)));
        let decision = decision.unwrap_or_else(|failure| Decision::Failed {
            why: failure.to_string(),
            goes_on: plugin.on_error == OnError::Open,
        });
        let Before { hook, began, took, .. } = *before;
        let is_first = self.pool(index).made() > before.made;
        let plugin = plugin.name.clone();
        let step =
            Step { plugin, hook, began, took, is_first, was_noted: false, decision, changes };
        recording.write(|trace| trace.step(step));
    }

    /// The fields of a response, if somebody wants to know what becomes of them.
    #[inline]
    pub(super) fn fields_before(&self, headers: &HeaderMap) -> Option<HeaderMap> {
        self.recording.as_ref().map(|_| headers.clone())
    }

    /// Fields were written without a hook: those of every request or response, or what request
    /// hooks wanted in the response.
    pub(super) fn note_written(
        &self,
        index: usize,
        hook: &'static str,
        before: &HeaderMap,
        after: &HeaderMap,
    ) {
        let Some(recording) = &self.recording else { return };
        let mut changes = Vec::new();
        trace::fields(before, after, &mut changes);
        let step = Step {
            plugin: self.pool(index).plugin().name.clone(),
            hook,
            began: Instant::now(),
            took: Duration::ZERO,
            is_first: false,
            was_noted: true,
            decision: Decision::Next,
            changes,
        };
        recording.write(|trace| trace.step(step));
    }
}

/// The hook has returned: what is done with its outcome is not its time.
#[inline]
pub(super) fn returned(watched: &mut Option<Watched>) {
    if let Some(Watched(before)) = watched {
        before.took = before.began.elapsed();
    }
}
