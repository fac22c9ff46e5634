//! The end of a worker's connections.
//!
//! Owns the notice to finish and the count of open connections.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Tells the connections of one worker to finish, and waits for them.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    draining: Cell<bool>,
    cut: Cell<bool>,
    start: Notify,
    open: Cell<usize>,
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

    /// Those that are left are ended.
    pub(crate) fn cut(&self) {
        self.cut.set(true);
    }

    /// Whether those that are left are ended.
    pub(crate) fn has_cut(&self) -> bool {
        self.cut.get()
    }

    /// Ends when it starts. To be polled once before [`is_draining`](Self::is_draining) is asked.
    pub(crate) fn started(&self) -> Notified<'_> {
        self.start.notified()
    }

    /// Counts a connection while it lives.
    pub(crate) fn enter(self: &Rc<Self>) -> Open {
        self.open.set(self.open.get() + 1);
        Open(Rc::clone(self))
    }

    /// Ends when no connection is left.
    pub(crate) async fn emptied(&self) {
        while self.open.get() > 0 {
            self.empty.notified().await;
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Open(Rc<Drain>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        if self.0.open.get() == 0 {
            self.0.empty.notify_one();
        }
    }
}
