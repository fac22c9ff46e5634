//! The end of an exchange, told to the plugins that asked for it.
//!
//! Owns when that happens: after the last byte, outside of the way of any answer. A plugin that
//! never waits is told at once; one that may wait is told by a task of the worker.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use http::StatusCode;
use tokio::sync::mpsc::UnboundedSender;

use super::Run;
use super::record::returned;
use crate::plugin::Pool;
use crate::plugin::bindings::{Ending, Summary};
use crate::plugin::instance::OnComplete;

/// How an exchange ended. Times are in nanoseconds.
#[derive(Debug)]
pub(crate) struct End {
    /// How.
    pub(crate) ending: Ending,
    /// What the client was answered, if it was.
    pub(crate) status: Option<StatusCode>,
    /// The upstream that answered, if one did.
    pub(crate) upstream: Option<Arc<str>>,
    /// From the head of the request to the end.
    pub(crate) duration: u64,
    /// From the head of the request to the head of the response.
    pub(crate) time_to_head: u64,
    /// Bytes of body that the client sent.
    pub(crate) request_bytes: u64,
    /// Bytes of body that the client was sent.
    pub(crate) response_bytes: u64,
}

/// A run that ended, for the worker's task.
#[derive(Debug)]
pub(crate) struct Ended {
    run: Rc<Run>,
    end: End,
}

/// Whether any plugin of the run wants to hear of the end.
pub(crate) fn wants_complete(run: &Run) -> bool {
    interested(run).next().is_some()
}

fn interested(run: &Run) -> impl DoubleEndedIterator<Item = (usize, &Rc<Pool>)> {
    let entered = run.chain.pools[..run.entered.get()].iter().enumerate();
    entered.filter(|(_, pool)| pool.plugin().interest.complete)
}

/// Tells the plugins, now or by way of the worker's task.
pub(crate) fn complete(run: Rc<Run>, end: End, later: &UnboundedSender<Ended>) {
    let ended = Ended { run, end };
    if interested(&ended.run).any(|(_, pool)| pool.plugin().may_wait()) {
        // A worker that has ended has no task any more, and nobody to tell.
        let _worker_ended = later.send(ended);
        return;
    }
    let mut told = pin!(on_complete(&ended));
    let done = told.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    debug_assert!(done.is_ready(), "plugins that never wait are never pending");
}

/// Tells the plugins, last to first.
pub(crate) async fn on_complete(Ended { run, end }: &Ended) {
    let summary = Summary {
        ending: end.ending,
        // A client that left early was not answered at all, which must not look like a 200.
        status: end.status.map_or(0, |status| status.as_u16()),
        upstream: end.upstream.as_deref(),
        duration: end.duration,
        time_to_head: end.time_to_head,
        request_bytes: end.request_bytes,
        response_bytes: end.response_bytes,
    };
    for (index, pool) in interested(run).rev() {
        let context = run.context(index);
        let mut watched = run.watch(index, "on-complete");
        let called = pool.call::<OnComplete>(run.heads(), (summary, &context)).await;
        returned(&mut watched);
        run.note_end(index, watched, None, called.as_ref().map(|_| ()));
        if let Err(failure) = called {
            pool.plugin().failed(&failure);
            // Nobody waits for an answer any more, so that `on_error` has nothing to decide.
            let heads = run.heads();
            tracing::error!(plugin = %pool.plugin().name, hook = "on-complete", fault = "plugin",
                request_id = heads.facts.request_id(), "{failure}");
        }
    }
}
