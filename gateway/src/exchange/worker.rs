//! What all exchanges of one worker share.

use std::cell::RefCell;
use std::rc::Rc;

use super::{AtEnd, Drains};
use crate::config::ListenerId;
use crate::conn::{ListenerKey, RequestIds};
use crate::snapshot::Snapshot;
use crate::timer::Timers;

/// See the module.
#[derive(Debug)]
pub(crate) struct WorkerState {
    pub(crate) index: usize,
    pub(crate) timers: Timers,
    pub(crate) ids: RequestIds,
    /// What is read for clients that have left.
    pub(crate) drains: Drains,
    /// In this order.
    pub(super) at_end: Box<[Box<dyn AtEnd>]>,
    snapshot: RefCell<Rc<Snapshot>>,
    /// Listeners that are gone and have connections, each with the last configuration that had it.
    retired: RefCell<Vec<(ListenerKey, Rc<Snapshot>)>>,
}

impl WorkerState {
    pub(crate) fn new(
        index: usize,
        timers: Timers,
        snapshot: Snapshot,
        at_end: Box<[Box<dyn AtEnd>]>,
    ) -> Self {
        let snapshot = RefCell::new(Rc::new(snapshot));
        Self {
            index,
            timers,
            ids: RequestIds::new(),
            drains: Drains::default(),
            at_end,
            snapshot,
            retired: RefCell::default(),
        }
    }

    /// The configuration that is in force now.
    pub(crate) fn snapshot(&self) -> Rc<Snapshot> {
        Rc::clone(&self.snapshot.borrow())
    }

    /// The configuration that is in force for connections of a listener, and its place there: where it is
    /// gone, the last one that had it.
    pub(crate) fn snapshot_of(&self, listener: ListenerKey) -> (Rc<Snapshot>, ListenerId) {
        let current = self.snapshot();
        if let Some(id) = current.listener_of(listener) {
            return (current, id);
        }
        let retired = self.retired.borrow();
        let last = retired.iter().find(|(key, _)| *key == listener);
        let found = last.and_then(|(_, last)| Some((Rc::clone(last), last.listener_of(listener)?)));
        // Its connections have ended before it is forgotten.
        found.unwrap_or((current, ListenerId(0)))
    }

    /// A listener is not in the next configuration.
    pub(crate) fn retire(&self, listener: ListenerKey) {
        self.retired.borrow_mut().push((listener, self.snapshot()));
    }

    /// A listener that was retired has no connections any more.
    pub(crate) fn forget(&self, listener: ListenerKey) {
        self.retired.borrow_mut().retain(|(key, _)| *key != listener);
    }

    /// Puts a configuration in force: exchanges that begin from now on see it.
    pub(crate) fn put_in_force(&self, snapshot: Snapshot) {
        let snapshot = Rc::new(snapshot);
        let before = self.snapshot.replace(Rc::clone(&snapshot));
        snapshot.succeeds(&before);
    }
}
