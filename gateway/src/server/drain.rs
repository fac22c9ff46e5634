//! The end of the connections of a listener on one worker.
//!
//! Owns the notice to finish, and which connections are open. There are two: with the first, of a worker that
//! leaves, each connection ends behind its next response; with the second, of a listener or a process that ends, idle
//! ones end at once too.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::task::AbortHandle;

/// Tells connections to finish, and waits for them.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    draining: Cell<bool>,
    leaving: Cell<bool>,
    cut: Cell<bool>,
    /// Either has begun.
    start: Notify,
    /// By number. Without a handle until its task is known.
    open: RefCell<HashMap<u64, Option<AbortHandle>, foldhash::fast::RandomState>>,
    next: Cell<u64>,
    empty: Notify,
}

impl Drain {
    /// Tells everybody to finish.
    pub(crate) fn start(&self) {
        self.draining.set(true);
        self.start.notify_waiters();
    }

    /// Whether it has started.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Its worker leaves, or does not any more: a response is the last of its connection.
    pub(crate) fn leave(&self, leaves: bool) {
        if leaves != self.leaving.replace(leaves) && leaves {
            self.start.notify_waiters();
        }
    }

    /// Whether its worker leaves.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// Those that are left are ended, by whoever owns their tasks.
    pub(crate) fn cut(&self) {
        self.cut.set(true);
    }

    /// Ends those that are left.
    pub(crate) fn abort(&self) {
        self.cut();
        let left: Vec<_> = self.open.borrow().values().flatten().cloned().collect();
        left.iter().for_each(AbortHandle::abort);
    }

    /// Whether those that are left are ended.
    pub(crate) fn has_cut(&self) -> bool {
        self.cut.get()
    }

    /// Ends when it starts.
    pub(crate) async fn started(&self) {
        while !self.is_draining() {
            self.start.notified().await;
        }
    }

    /// Ends when it starts, or when the worker begins to leave. To be polled once before either is asked.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.start.notified()
    }

    /// Counts a connection while it lives.
    pub(crate) fn enter(self: &Rc<Self>) -> Open {
        let number = self.next.replace(self.next.get() + 1);
        self.open.borrow_mut().insert(number, None);
        Open { drain: Rc::clone(self), number }
    }

    /// This task is that of a connection.
    pub(crate) fn runs(&self, number: u64, task: AbortHandle) {
        if let Some(known) = self.open.borrow_mut().get_mut(&number) {
            *known = Some(task);
        }
    }

    /// Ends when no connection is left.
    pub(crate) async fn emptied(&self) {
        while !self.open.borrow().is_empty() {
            self.empty.notified().await;
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Open {
    drain: Rc<Drain>,
    pub(crate) number: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        let _finished = self.drain.open.borrow_mut().remove(&self.number);
        if self.drain.open.borrow().is_empty() {
            self.drain.empty.notify_waiters();
        }
    }
}
