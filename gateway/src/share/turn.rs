//! The turns of one call.
//!
//! Owns its place in the queue and the measuring of what it computes. Dropped, it gives its place
//! up. Must not decide who is next.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use super::slices::{Slices, thread_time};
use super::{Flow, OF_ALL};

/// A place in a queue.
#[derive(Debug)]
pub(super) struct Ticket {
    is_given: Cell<bool>,
    /// Whether its turn came to nothing once, since it was taken late.
    was_late: Cell<bool>,
    waker: RefCell<Waker>,
    since: Instant,
}

impl Ticket {
    /// It is this one's turn.
    pub(super) fn give(&self) {
        self.is_given.set(true);
        self.waker.borrow().wake_by_ref();
    }
}

/// A call that computes when it is its turn.
#[derive(Debug)]
pub(crate) struct Turn {
    flow: Rc<Flow>,
    ticket: Option<Rc<Ticket>>,
    /// Whether it computes in slices.
    is_sliced: bool,
    /// Whether it is measured all the same.
    is_watched: bool,
    /// Whether it had a turn before: it continues before others of its flow begin, for a while.
    has_begun: bool,
    /// Whether it has a turn that it has not used yet.
    has_turn: bool,
    /// Whether the turn that it has was given to it.
    is_given: bool,
    computed: Duration,
}

impl Turn {
    /// Waits for the first turn of a call.
    pub(crate) async fn first(flow: &Rc<Flow>, is_sliced: bool) -> Self {
        let mut turn = Self {
            flow: Rc::clone(flow),
            ticket: None,
            is_sliced,
            is_watched: false,
            has_begun: false,
            has_turn: true,
            is_given: false,
            computed: Duration::ZERO,
        };
        poll_fn(|context| turn.poll(context)).await;
        turn
    }

    /// Gives its turn up, since it has nothing to compute yet, and goes on with another one.
    pub(crate) fn give_up(&mut self) {
        self.has_turn = false;
        if std::mem::take(&mut self.is_given) {
            self.flow.used_turn(Duration::ZERO);
        }
    }

    /// Waits for a turn instead of the one that it gave up.
    pub(crate) async fn again(&mut self) {
        poll_fn(|context| self.poll(context)).await;
        self.has_turn = true;
    }

    /// Whether it computes in slices.
    pub(crate) fn is_sliced(&self) -> bool {
        self.is_sliced
    }

    /// Says whether it computes in slices, before it begins.
    pub(crate) fn in_slices(&mut self, is_sliced: bool) {
        self.is_sliced = is_sliced;
    }

    /// Says whether it is measured although it is not in slices.
    pub(crate) fn measures(&mut self, is_watched: bool) {
        self.is_watched = is_watched;
    }

    /// Whether the thread's time was read for all that it computed.
    pub(crate) fn is_measured(&self) -> bool {
        self.is_sliced || self.is_watched
    }

    /// Whether it has more to compute, and waits for a turn.
    pub(crate) fn is_wanted(&self) -> bool {
        self.ticket.is_some()
    }

    /// For how long the call has computed.
    pub(crate) fn computed(&self) -> Duration {
        self.computed
    }

    fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        let share = &self.flow.share;
        if let Some(ticket) = &self.ticket {
            if ticket.is_given.get() {
                let is_late = share.is_open.get() && share.computed.get() >= OF_ALL;
                if !is_late || ticket.was_late.replace(true) {
                    self.flow.metrics.waits(-1);
                    self.flow.waited(ticket.since.elapsed());
                    (self.ticket, self.is_given, self.has_begun) = (None, true, true);
                    return Poll::Ready(());
                }
                // Others have computed instead, and it is not the only one that comes late: a client
                // that has many of its streams continue at once must not have all of their turns.
                ticket.is_given.set(false);
                self.flow.metrics.waits(-1);
                self.flow.wait(Rc::clone(ticket), true);
            }
            ticket.waker.borrow_mut().clone_from(context.waker());
            return Poll::Pending;
        }
        let must_wait = self.flow.must_wait() || (self.is_sliced && share.computed.get() > 0);
        if !must_wait || !share.is_open.get() {
            self.has_begun = true;
            return Poll::Ready(());
        }
        self.queue(context);
        Poll::Pending
    }

    fn queue(&mut self, context: &Context<'_>) {
        let ticket = Ticket {
            is_given: Cell::new(false),
            was_late: Cell::new(false),
            waker: RefCell::new(context.waker().clone()),
            since: Instant::now(),
        };
        let ticket = self.ticket.insert(Rc::new(ticket));
        let is_first = self.has_begun && self.flow.goes_first(self.computed);
        self.flow.wait(Rc::clone(ticket), is_first);
    }

    /// Computes something that does not wait.
    pub(crate) fn take<T>(&mut self, work: impl FnOnce() -> T) -> T {
        // Reading the thread's time is a call to the system, and only who was made to wait pays it.
        if !self.is_measured() && !self.is_given {
            let began = self.flow.begins();
            let result = work();
            self.computed += self.flow.called(began);
            return result;
        }
        let began = thread_time();
        let result = work();
        self.took(thread_time().saturating_sub(began));
        result
    }

    fn took(&mut self, time: Duration) {
        self.computed += time;
        self.flow.computed(time);
        if std::mem::take(&mut self.is_given) {
            self.flow.used_turn(time);
        }
    }

    /// Computes in turns what may wait in between, the first of which it has.
    pub(crate) async fn take_all<T>(
        &mut self,
        work: impl Future<Output = T>,
        slices: &Slices,
    ) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.is_sliced {
                return self.poll_slice(context, slices, work.as_mut());
            }
            if !std::mem::take(&mut self.has_turn) {
                ready!(self.poll(context));
            }
            self.take(|| work.as_mut().poll(context))
        })
        .await
    }

    /// Computes for one slice, if it is this call's turn.
    pub(crate) fn poll_slice<F: Future + ?Sized>(
        &mut self,
        context: &mut Context<'_>,
        slices: &Slices,
        work: Pin<&mut F>,
    ) -> Poll<F::Output> {
        if !std::mem::take(&mut self.has_turn) {
            ready!(self.poll(context));
        }
        self.flow.clock.is_needed();
        let began = thread_time();
        slices.begin(began);
        let polled = work.poll(context);
        let now = thread_time();
        let is_cut = slices.end(now) && polled.is_pending();
        // Before the next turn is given: this call comes before others of its flow.
        if is_cut && self.flow.share.is_open.get() {
            self.queue(context);
        }
        self.took(now.saturating_sub(began));
        polled
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.flow.metrics.waits(-1);
            self.flow.leave(&ticket);
        }
    }
}
