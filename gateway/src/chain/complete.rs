//! The end of an exchange, reported to the plugins that asked for it.
//!
//! Owns when that happens: after the last byte, in a task of the worker. An exchange ends in a
//! `Drop`, anywhere on the worker's thread. No guest may run there: it would run inside of
//! the code that dropped the exchange.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use http::StatusCode;
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::Run;
use super::record::returned;
use crate::plugin::Pool;
use crate::plugin::bindings::{Ending, Summary};
use crate::plugin::ends::{Key, RecordedEnd};
use crate::plugin::instance::OnComplete;
use crate::usage::OfExchange;

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

impl End {
    /// A client that left early was not answered at all, which must not look like a 200.
    fn status(&self) -> u16 {
        self.status.map_or(0, |status| status.as_u16())
    }

    /// What exchanges that end alike have in common, for a plugin with this context.
    fn key(&self, context: &[u8], usage: &OfExchange) -> Option<Key> {
        Key::new(context, self.status(), self.ending, usage.names())
    }
}

/// A run that ended, and how.
struct Ended {
    run: Rc<Run>,
    end: End,
}

impl Ended {
    fn may_wait(&self) -> bool {
        interested(&self.run).any(|(index, pool)| pool.may_wait(self.run.flow(index)))
    }
}

/// Exchanges of one worker that ended and whose plugins have not heard of it yet.
#[derive(Clone, Default)]
pub(crate) struct Endings(Rc<Queue>);

#[derive(Default)]
struct Queue {
    ended: RefCell<VecDeque<Ended>>,
    /// Hooks that run, or wait for something.
    running: Cell<usize>,
    more: Notify,
    /// There may be nothing left to do.
    less: Notify,
}

impl std::fmt::Debug for Endings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endings").field("waiting", &self.0.ended.borrow().len()).finish()
    }
}

/// Exchanges that are reported one after the other before other tasks of the worker have a turn.
const AT_ONCE: usize = 16;

impl Endings {
    /// Takes the end of an exchange whose plugins [want to be called](wants_complete). Calls none.
    pub(crate) fn push(&self, run: Rc<Run>, end: End) {
        self.0.ended.borrow_mut().push_back(Ended { run, end });
        self.0.more.notify_one();
    }

    /// Reports what comes, for as long as the worker lives. A plugin that waits holds nobody up.
    ///
    /// # Panics
    /// Outside of a running [`tokio::task::LocalSet`].
    pub(crate) async fn report(self) {
        loop {
            self.0.more.notified().await;
            let mut count = 0;
            while let Some(ended) = self.next() {
                let running = Running::begin(&self.0);
                if ended.may_wait() {
                    tokio::task::spawn_local(async move {
                        on_complete(&ended).await;
                        drop(running);
                    });
                } else {
                    on_complete(&ended).await;
                    drop(running);
                }
                count += 1;
                if count % AT_ONCE == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Waits until everything is reported.
    pub(crate) async fn reported(&self) {
        while self.0.running.get() > 0 || !self.0.ended.borrow().is_empty() {
            self.0.less.notified().await;
        }
    }

    /// Reports what is left when the worker's tasks are gone.
    pub(crate) async fn finish(&self) {
        while let Some(ended) = self.next() {
            on_complete(&ended).await;
        }
    }

    fn next(&self) -> Option<Ended> {
        self.0.ended.borrow_mut().pop_front()
    }
}

/// Counts a report until it is done or dropped.
struct Running(Rc<Queue>);

impl Running {
    fn begin(queue: &Rc<Queue>) -> Self {
        queue.running.set(queue.running.get() + 1);
        Self(Rc::clone(queue))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
        self.0.less.notify_one();
    }
}

/// Whether any plugin of the run has an `on-complete` hook.
pub(crate) fn wants_complete(run: &Run) -> bool {
    interested(run).next().is_some()
}

fn interested(run: &Run) -> impl DoubleEndedIterator<Item = (usize, &Rc<Pool>)> {
    let entered = run.chain.pools[..run.entered.get()].iter().enumerate();
    entered.filter(|(index, pool)| pool.plugin().interest.complete && !run.is_left_out(*index))
}

/// Records the end if that needs no call of any plugin; `false` if nothing was done. A trace shows each call, and so has all
/// of them made.
pub(crate) fn record_alike(run: &Run, end: &End) -> bool {
    if run.recording.is_some() {
        return false;
    }
    let mut all = SmallVec::<[_; 4]>::new();
    for (index, pool) in interested(run) {
        let Some(recorded) = recorded_alike(run, end, index, pool) else { return false };
        all.push((pool, recorded));
    }
    all.iter().for_each(|(pool, recorded)| pool.ends().record(recorded, end.duration, &run.usage));
    true
}

/// What a plugin has recorded of exchanges that end as this one does.
fn recorded_alike(run: &Run, end: &End, index: usize, pool: &Pool) -> Option<Rc<RecordedEnd>> {
    if pool.ends().is_empty() {
        return None;
    }
    let key = run.with_context(index, |context| end.key(context, &run.usage))?;
    pool.ends().get(&key, end.time_to_head)
}

/// Calls the plugins, last to first.
async fn on_complete(Ended { run, end }: &Ended) {
    let summary = Summary {
        ending: end.ending,
        status: end.status(),
        upstream: end.upstream.as_deref(),
        duration: end.duration,
        time_to_head: end.time_to_head,
        request_bytes: end.request_bytes,
        response_bytes: end.response_bytes,
    };
    for (index, pool) in interested(run).rev() {
        if run.recording.is_none()
            && let Some(recorded) = recorded_alike(run, end, index, pool)
        {
            pool.ends().record(&recorded, end.duration, &run.usage);
            continue;
        }
        let context = run.context(index);
        if let Some(amounts) = run.usage.so_far() {
            run.change(|heads| heads.facts.amounts = Some(amounts));
        }
        run.note_passed(index);
        let counted = pool.ends().called();
        let tells = !counted.is_empty();
        if tells {
            let counted = counted.into_iter().map(|it| (it.context, it.status, it.count)).collect();
            run.change(|heads| heads.facts.counted = Some(counted));
        }
        let mut watched = run.watch(index, "on-complete");
        let flow = run.flow(index);
        let called = pool.call::<OnComplete>(flow, run.heads(), (summary, &context)).await;
        returned(&mut watched);
        if tells {
            // It is nothing for other plugins.
            run.change(|heads| heads.facts.counted = None);
        }
        run.note_end(index, watched, None, called.as_ref().map(|_| ()));
        let called = called.map(|called| {
            if let Some(recorded) = called.ends {
                recorded.record(end.duration, &run.usage);
                let is_alike = !called.impure && called.usage.is_none();
                let key = end.key(&context, &run.usage);
                if let Some(key) = key.filter(|_| is_alike && pool.keeps()) {
                    pool.ends().keep(key, end.time_to_head, recorded);
                }
            }
            run.add_usage(index, called.usage);
        });
        if let Err(failure) = called {
            pool.plugin().failed(&failure);
            // Nobody waits for an answer any more, so that `on_error` has nothing to decide.
            if let Some(failure) = pool.plugin().record("on-complete", &failure) {
                let heads = run.heads();
                tracing::error!(plugin = %pool.plugin().name, hook = "on-complete",
                    fault = "plugin", request_id = heads.facts.request_id(), "{failure}");
            }
        }
    }
}
