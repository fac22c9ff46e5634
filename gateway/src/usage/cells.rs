//! What one worker recorded and has not handed over yet.
//!
//! Owns the worker's table: adding takes no lock, and touches nothing that another worker does. A task
//! of the worker hands the table over to the writer once in each interval in which something was
//! recorded; a worker at rest does nothing.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use super::Usage;
use super::table::{Added, Dimensions, Sums, Table};

/// See the module.
pub(crate) struct Cells {
    table: RefCell<Table>,
    usage: Arc<Usage>,
    some: Notify,
}

impl std::fmt::Debug for Cells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cells").field("rows", &self.table.borrow().len()).finish()
    }
}

impl Cells {
    /// Those of a new worker.
    pub(crate) fn new(usage: &Arc<Usage>) -> Rc<Self> {
        let (table, usage) = (RefCell::default(), Arc::clone(usage));
        Rc::new(Self { table, usage, some: Notify::new() })
    }

    /// Records.
    pub(crate) fn add(&self, place: Dimensions, consumer: &str, sums: Sums) {
        let table = &mut *self.table.borrow_mut();
        if table.is_empty() {
            self.some.notify_one();
        }
        match table.add(place, consumer, sums, self.usage.bound_of_worker()) {
            Added::Own => {}
            Added::Other => self.usage.counts().other(1),
            Added::Dropped => self.usage.counts().dropped(1),
        }
    }

    /// Hands over what is recorded, again and again.
    ///
    /// # Panics
    /// Outside of a runtime with timers.
    pub(crate) async fn keep_handing_over(self: Rc<Self>) {
        loop {
            self.some.notified().await;
            tokio::time::sleep(self.usage.until_flush()).await;
            self.hand_over(false);
        }
    }

    /// Hands over what is recorded. `is_last`: it is not kept where the writer is behind.
    pub(crate) fn hand_over(&self, is_last: bool) {
        let table = self.table.take();
        if table.is_empty() {
            return;
        }
        if let Err(table) = self.usage.take(table, is_last) {
            self.table.replace(table);
            self.some.notify_one();
        }
    }
}
