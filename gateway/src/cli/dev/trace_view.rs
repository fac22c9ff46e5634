//! The view of the traces.
//!
//! Owns the thread that shows them, in the order in which exchanges end, and the last one, which can
//! be shown or sent again. Must not delay a worker: a trace that cannot be shown in time is skipped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use gateway::trace::{Decision, Trace, Tracer};

use super::lines::{Line, Lines};
use super::replay::Replays;
use super::show::Show;

/// Traces that wait to be shown.
const MAX_WAITING: usize = 256;

/// See the module.
#[derive(Clone)]
pub(super) struct TraceView(Arc<Inner>);

struct Inner {
    show: Show,
    lines: Lines,
    replays: Replays,
    /// Whether every trace is shown in full.
    is_thorough: bool,
    unshown: AtomicUsize,
    last: Mutex<Option<Last>>,
    /// The last that a client sent: it alone is sent again.
    sent: Mutex<Option<Trace>>,
}

struct Last {
    trace: Trace,
    lines: Vec<Line>,
}

impl TraceView {
    /// Starts to show what the tracer receives.
    pub(super) fn new(
        show: Show,
        lines: Lines,
        replays: Replays,
        is_thorough: bool,
    ) -> (Self, Tracer) {
        let inner = Inner {
            show,
            lines,
            replays,
            is_thorough,
            unshown: AtomicUsize::new(0),
            last: Mutex::new(None),
            sent: Mutex::new(None),
        };
        let trace_view = Self(Arc::new(inner));
        let (sender, traces) = sync_channel::<Trace>(MAX_WAITING);
        let (reader, writer) = (trace_view.clone(), trace_view.clone());
        std::thread::spawn(move || reader.read(&traces));
        let tracer = Tracer::new(move |trace| {
            if let Err(full) = sender.try_send(trace) {
                let (std::sync::mpsc::TrySendError::Full(trace)
                | std::sync::mpsc::TrySendError::Disconnected(trace)) = full;
                drop(writer.0.lines.take(&trace.request_id));
                writer.0.unshown.fetch_add(1, Ordering::Relaxed);
            }
        });
        (trace_view, tracer)
    }

    fn read(&self, traces: &Receiver<Trace>) {
        while let Ok(trace) = traces.recv() {
            let lines = self.0.lines.take(&trace.request_id);
            let is_replay = self.0.replays.take(trace.peer);
            self.show(&trace, &lines, is_replay);
            if !is_replay {
                *lock(&self.0.sent) = Some(trace.clone());
            }
            *lock(&self.0.last) = Some(Last { trace, lines });
        }
    }

    fn show(&self, trace: &Trace, lines: &[Line], is_replay: bool) {
        let show = &self.0.show;
        if show.terminal.is_json() {
            let mut object = show.object(trace, lines);
            object["replay"] = is_replay.into();
            show.terminal.object(&object);
            return;
        }
        let unshown = self.0.unshown.swap(0, Ordering::Relaxed);
        if unshown > 0 {
            show.terminal.say(&format!("{unshown} requests were too many to be shown"));
        }
        let has_verdict = lines.iter().any(|line| line.is_verdict);
        let is_full = is_replay || self.0.is_thorough || has_verdict || has_failed(trace);
        let text = if is_full { show.full(trace, lines) } else { show.brief(trace) };
        show.terminal.write(&text);
    }

    /// Shows the last trace in full.
    pub(super) fn show_last(&self) {
        let show = &self.0.show;
        match &*lock(&self.0.last) {
            None => show.terminal.say("there was no request yet"),
            Some(Last { trace, lines }) if show.terminal.is_json() => {
                show.terminal.object(&show.object(trace, lines));
            }
            Some(Last { trace, lines }) => show.terminal.write(&show.full(trace, lines)),
        }
    }

    /// The last request that a client sent, and what is to be known before it is sent again.
    pub(super) fn last_sent(&self) -> Option<(Trace, String)> {
        let sent = lock(&self.0.sent).clone()?;
        let about = self.0.show.of_replay(&sent);
        Some((sent, about))
    }
}

/// Whether a plugin failed: that is what the run is for.
fn has_failed(trace: &Trace) -> bool {
    let is_failure =
        |decision: &Decision| matches!(decision, Decision::Failed { .. } | Decision::CutOff(_));
    trace.steps.iter().any(|step| is_failure(&step.decision))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
