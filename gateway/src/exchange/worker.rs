//! What all exchanges of one worker share.

use std::cell::RefCell;
use std::rc::Rc;

use super::AtEnd;
use crate::conn::RequestIds;
use crate::snapshot::Snapshot;
use crate::timer::Timers;

/// See the module.
#[derive(Debug)]
pub(crate) struct WorkerState {
    pub(crate) index: usize,
    pub(crate) timers: Timers,
    pub(crate) ids: RequestIds,
    /// In this order.
    pub(super) at_end: Box<[Box<dyn AtEnd>]>,
    snapshot: RefCell<Rc<Snapshot>>,
}

impl WorkerState {
    pub(crate) fn new(
        index: usize,
        timers: Timers,
        snapshot: Snapshot,
        at_end: Box<[Box<dyn AtEnd>]>,
    ) -> Self {
        let snapshot = RefCell::new(Rc::new(snapshot));
        Self { index, timers, ids: RequestIds::new(), at_end, snapshot }
    }

    /// The configuration that is in force now.
    pub(crate) fn snapshot(&self) -> Rc<Snapshot> {
        Rc::clone(&self.snapshot.borrow())
    }

    /// Puts a configuration in force: exchanges that begin from now on see it.
    pub(crate) fn put_in_force(&self, snapshot: Snapshot) {
        self.snapshot.replace(Rc::new(snapshot));
    }
}
