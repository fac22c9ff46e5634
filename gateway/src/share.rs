//! Scheduling of guests on a worker.
//!
//! A worker is one thread, and a guest that computes holds it. Owns what keeps that short and fair:
//! the calls of one plugin on one route are a *flow*, and so are those of a component that answers
//! there; in one *round* of the worker (all tasks that
//! are ready, and then a look for what has come over the network) a flow computes for about two
//! milliseconds and all flows together for three. What is more waits for its turn: turns are given
//! one after the other, for about a millisecond a round, to the flow that was given least (start-time
//! fair queueing, Goyal, Vin and Cheng 1996), and within a flow in the order of arrival; requests to a
//! component, which may compute for long, take turns with each other after a while. Calls that
//! take long end their turn halfway (`slices`), so that each turn is short.
//!
//! While nobody waits nothing is owed: a flow that is alone may have the whole worker. A call that is
//! quick and need not wait costs two loads of a counter and a look at a flag. Belongs to one worker;
//! must not know what a call does, nor what runs it.

mod clock;
mod report;
mod slices;
#[cfg(test)]
mod tests;
mod turn;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::telemetry::metrics::TurnMetrics;
use report::Report;
use turn::Ticket;

pub(crate) use clock::{Clock, PATIENCE, TICK};
pub(crate) use report::Kind;
pub(crate) use slices::{Next, Slices, thread_time};
pub(crate) use turn::Turn;

/// For how long those that wait may compute in a round, if nothing else is to do.
const TURNS: Duration = TICK;

/// The same where other work takes longer: half of the worker, and not more than this.
const MOST_TURNS: Duration = Duration::from_millis(2);

/// What a flow may compute in a round before its calls wait.
const OF_A_FLOW: u64 = 2_000_000;

/// What all flows may.
const OF_ALL: u64 = 3_000_000;

/// For how long a request to a component continues before others of its flow begin. Hooks do so to their
/// end, which is never far.
const IN_ORDER: Duration = Duration::from_millis(20);

/// How often those that were slowed are checked.
const LOOK: Duration = Duration::from_secs(1);

/// The turns of one worker.
#[derive(Debug, Default)]
pub(crate) struct Share {
    /// Whether somebody gives turns. If not, nobody waits for one.
    is_open: Cell<bool>,
    /// Whether a call may have to wait: the one look of those that need not.
    is_strained: Cell<bool>,
    round: Cell<u64>,
    /// Nanoseconds that calls computed in this round.
    computed: Cell<u64>,
    /// What those that wait may compute in this round yet.
    left: Cell<u64>,
    /// The tag of the flow that had the last turn.
    reached: Cell<u64>,
    /// The time that the thread has had, as it was read at the first call of a tick, and the tick after that.
    thread_time: Cell<Duration>,
    read_before: Cell<u64>,
    /// The flows of which calls wait, in the order in which they began to.
    waiting: RefCell<Vec<Rc<Flow>>>,
    /// Those of which the log says that they are slowed.
    slowed: RefCell<Vec<Rc<Flow>>>,
    task: RefCell<Option<Waker>>,
}

/// Whose calls a flow has.
#[derive(Debug)]
pub(crate) struct Owner<'a> {
    pub(crate) kind: Kind,
    /// The name under which it is configured.
    pub(crate) name: &'a Arc<str>,
    pub(crate) clock: &'a Clock,
    pub(crate) metrics: &'a Arc<TurnMetrics>,
    /// How many of its calls may wait before no exchange is let in any more.
    pub(crate) queue: usize,
}

/// The calls of one plugin, or of one component that answers, on one route of one worker.
#[derive(Debug)]
pub(crate) struct Flow {
    share: Rc<Share>,
    kind: Kind,
    clock: Clock,
    metrics: Arc<TurnMetrics>,
    /// How many of its calls may wait before no exchange is let in any more.
    limit: usize,
    /// What it was given, in nanoseconds, if it had asked for something all the time.
    tag: Cell<u64>,
    /// The round in which it computed last, and for how long in that.
    round: Cell<u64>,
    computed: Cell<u64>,
    queue: RefCell<VecDeque<Rc<Ticket>>>,
    report: Report,
}

impl Share {
    /// Gives turns, for as long as the worker lives. To be run by one task of the worker's
    /// [`tokio::task::LocalSet`].
    pub(crate) async fn run(self: Rc<Self>) {
        let _open = Open::new(&self);
        let mut looked = Instant::now();
        loop {
            if self.slowed.borrow().is_empty() {
                self.needed().await;
            } else {
                let _nothing_to_do = tokio::time::timeout(LOOK, self.needed()).await;
                if looked.elapsed() >= LOOK {
                    looked = Instant::now();
                    self.slowed.borrow_mut().retain(|flow| flow.report.is_slowed(looked));
                }
            }
            let (began, computed) = (Instant::now(), self.computed.get());
            // Comes back when all others that were ready had their turn, and those to whom something
            // came over the network since are ready too.
            tokio::task::yield_now().await;
            let calls = Duration::from_nanos(self.computed.get().saturating_sub(computed));
            let others = began.elapsed().saturating_sub(calls);
            self.begin_round(others.clamp(TURNS, MOST_TURNS));
        }
    }

    async fn needed(&self) {
        let is_needed = || self.computed.get() > 0 || !self.waiting.borrow().is_empty();
        poll_fn(|context| {
            if is_needed() {
                return Poll::Ready(());
            }
            self.task.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    fn begin_round(&self, turns: Duration) {
        self.round.set(self.round.get() + 1);
        self.computed.set(0);
        self.is_strained.set(!self.waiting.borrow().is_empty());
        self.left.set(nanos(turns));
        self.give_turn();
    }

    /// Wakes the next of those that wait, if there is one.
    fn give_turn(&self) {
        let ticket = {
            let mut waiting = self.waiting.borrow_mut();
            let flows = waiting.iter().enumerate();
            let Some((index, flow)) = flows.min_by_key(|(_, flow)| flow.tag.get()) else { return };
            self.reached.set(flow.tag.get());
            let mut queue = flow.queue.borrow_mut();
            let ticket = queue.pop_front();
            let is_last = queue.is_empty();
            drop(queue);
            if is_last {
                waiting.remove(index);
            }
            ticket
        };
        if let Some(ticket) = ticket {
            ticket.give();
        }
    }

    #[cold]
    fn read_thread_time(&self, now: u64) -> Duration {
        let time = thread_time();
        self.thread_time.set(time);
        self.read_before.set(now + 1);
        time
    }

    fn wake(&self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

/// Turns are given until it is dropped: then all that wait continue at once.
struct Open<'a>(&'a Share);

impl<'a> Open<'a> {
    fn new(share: &'a Share) -> Self {
        share.is_open.set(true);
        Self(share)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.is_open.set(false);
        self.0.is_strained.set(false);
        while !self.0.waiting.borrow().is_empty() {
            self.0.give_turn();
        }
    }
}

impl Flow {
    /// The flow of such calls on a route.
    pub(crate) fn new(share: &Rc<Share>, owner: &Owner<'_>, route: &str) -> Rc<Self> {
        Rc::new(Self {
            share: Rc::clone(share),
            kind: owner.kind,
            clock: owner.clock.clone(),
            metrics: Arc::clone(owner.metrics),
            limit: owner.queue,
            tag: Cell::new(0),
            round: Cell::new(0),
            computed: Cell::new(0),
            queue: RefCell::default(),
            report: Report::new(owner.kind, owner.name, route),
        })
    }

    /// The count of ticks.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// A call begins that is not measured. Returns the count of ticks, to be given to [`called`](Self::called)
    /// after it.
    #[inline]
    pub(crate) fn begins(&self) -> u64 {
        let now = self.clock.now();
        if self.share.read_before.get() != now + 1 {
            self.share.read_thread_time(now);
        }
        now
    }

    /// Whether a call must wait for its turn.
    #[inline]
    pub(crate) fn must_wait(&self) -> bool {
        self.share.is_strained.get() && self.is_over()
    }

    /// Whether no exchange is let in any more, since too many calls wait already.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.share.is_strained.get() && self.queue.borrow().len() >= self.limit
    }

    /// How many calls may wait.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    #[cold]
    fn is_over(&self) -> bool {
        let share = &self.share;
        let own = if self.round.get() == share.round.get() { self.computed.get() } else { 0 };
        share.is_open.get()
            && (own >= OF_A_FLOW
                || share.computed.get() >= OF_ALL
                || !self.queue.borrow().is_empty())
    }

    /// A call has ended that was not measured. Returns for how long it computed beyond the tick in which it began,
    /// and that may have been nearly over.
    #[inline]
    pub(crate) fn called(&self, began: u64) -> Duration {
        let now = self.clock.now();
        match now.saturating_sub(began) {
            0 => Duration::ZERO,
            ticks => self.called_beyond(ticks - 1, now),
        }
    }

    /// The count goes on while the thread waits for a processor, and that is not computing: where it would be long,
    /// it is no more than the thread has had since the tick of its beginning.
    #[cold]
    fn called_beyond(&self, ticks: u64, now: u64) -> Duration {
        let mut beyond = TICK * u32::try_from(ticks).unwrap_or(u32::MAX);
        if ticks > 0 {
            let before = self.share.thread_time.get();
            beyond = beyond.min(self.share.read_thread_time(now).saturating_sub(before));
        }
        self.computed(TICK + beyond);
        beyond
    }

    /// A call has computed, to its end or for a turn.
    #[cold]
    fn computed(&self, time: Duration) {
        let share = &self.share;
        self.metrics.computed(time);
        self.report.computed(time);
        if !share.is_open.get() {
            return;
        }
        let time = nanos(time);
        if !share.waiting.borrow().is_empty() {
            self.tag.set(self.tag.get().max(share.reached.get()).saturating_add(time));
        }
        let own = if self.round.replace(share.round.get()) == share.round.get() {
            self.computed.get()
        } else {
            0
        };
        self.computed.set(own.saturating_add(time));
        share.computed.set(share.computed.get().saturating_add(time));
        if self.computed.get() >= OF_A_FLOW || share.computed.get() >= OF_ALL {
            share.is_strained.set(true);
        }
        share.wake();
    }

    /// A call that was given a turn has used it: the next one has it, if there is time left.
    fn used_turn(&self, time: Duration) {
        let share = &self.share;
        let left = share.left.get().saturating_sub(nanos(time));
        share.left.set(left);
        // What is given is half a slice at least.
        if left >= nanos(TURNS / 2) {
            share.give_turn();
        }
    }

    /// Whether a call that has begun, and computed for as long, continues before others begin.
    fn goes_first(&self, computed: Duration) -> bool {
        self.kind == Kind::Plugin || computed < IN_ORDER
    }

    /// A call waits, behind the others of its flow or in front of them.
    fn wait(self: &Rc<Self>, ticket: Rc<Ticket>, is_first: bool) {
        let share = &self.share;
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() {
            self.tag.set(self.tag.get().max(share.reached.get()));
            share.waiting.borrow_mut().push(Rc::clone(self));
        }
        if is_first {
            queue.push_front(ticket);
        } else {
            queue.push_back(ticket);
        }
        drop(queue);
        self.metrics.waits(1);
        share.is_strained.set(true);
        share.wake();
    }

    /// A call does not wait any more, since nobody needs its result.
    fn leave(self: &Rc<Self>, ticket: &Rc<Ticket>) {
        let mut queue = self.queue.borrow_mut();
        let before = queue.len();
        queue.retain(|other| !Rc::ptr_eq(other, ticket));
        if queue.is_empty() && before > 0 {
            self.share.waiting.borrow_mut().retain(|flow| !Rc::ptr_eq(flow, self));
        }
    }

    /// A call had to wait for as long.
    fn waited(self: &Rc<Self>, time: Duration) {
        self.metrics.waited(time);
        if self.report.waited(time, self.queue.borrow().len()) {
            self.share.slowed.borrow_mut().push(Rc::clone(self));
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
