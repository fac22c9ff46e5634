//! Requests that wait for a connection to a target that has as many as it may have.
//!
//! Owns who is woken on this worker, and when a connection that has become free goes to another worker instead. How many
//! there may be and how many may wait is counted for all workers together ([`Connections`]). Opens no connection.

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::care::Wants;
use super::error::{ConnectError, UpstreamError};
use super::target::{Ready, Target};
use crate::health::Connections;
use crate::timer::Timers;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Cell<usize>,
    /// A connection of this worker is free.
    freed: Notify,
    /// Whether the next one that becomes free is for another worker.
    is_others_turn: Cell<bool>,
}

impl Queue {
    /// A connection of this worker may be free: it is for one who waits, on this worker and on others in turns.
    pub(super) fn has_room(&self, bound: &Connections, give_up: impl FnOnce() -> bool) {
        let own = self.waiting.get();
        let others = bound.waiting().saturating_sub(own);
        let is_for_others = own == 0 || (others > 0 && self.is_others_turn.get());
        self.is_others_turn.set(!is_for_others);
        if is_for_others {
            let _there_may_be_none = give_up();
        } else {
            self.freed.notify_one();
        }
    }
}

/// Counts one that waits on this worker.
struct Waits<'a>(&'a Queue);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
        // It may have been woken for what it has left to another.
        if self.0.waiting.get() > 0 {
            self.0.freed.notify_one();
        }
    }
}

/// A connection to a target that has as many as it may have, as soon as one is free or one more may be opened.
pub(super) async fn wait(
    target: &Rc<Target>,
    wants: Wants,
    time: Duration,
    timers: &Timers,
) -> Result<Ready, UpstreamError> {
    let refused =
        |source| UpstreamError::NoConnection { target: Arc::clone(&target.authority), source };
    let failed = |cause| UpstreamError::Connect { target: Arc::clone(&target.authority), cause };
    let no_upgrade = || UpstreamError::NoUpgrade { target: Arc::clone(&target.authority) };
    let Some(bound) = target.bound() else { return Err(failed(ConnectError::Full)) };
    let queue = &target.queue;
    queue.waiting.set(queue.waiting.get() + 1);
    let _own = Waits(queue);
    let _all = bound.wait().map_err(refused)?;
    let served = async {
        loop {
            // Before it looks: a bound that a reload raises meanwhile wakes only those who listen.
            let freed = bound.freed();
            if let Some(ready) = target.pooled(wants) {
                return Ok(ready);
            }
            match target.connected(wants).await {
                Err(ConnectError::Full) => {}
                Err(ConnectError::NoTunnel) => return Err(no_upgrade()),
                other => return other.map_err(failed),
            }
            tokio::select! {
                () = queue.freed.notified() => {}
                () = freed => {}
            }
        }
    };
    tokio::select! {
        biased;
        served = served => served,
        () = timers.after(time) => Err(refused(bound.gives_up(time))),
    }
}

/// Gives up connections of this worker that are idle while requests of others wait for one.
pub(super) async fn give_up_idle(target: Weak<Target>, bound: Arc<Connections>) {
    loop {
        let wanted = bound.wanted();
        {
            let Some(target) = target.upgrade() else { return };
            if bound.waiting() > target.queue.waiting.get() {
                target.gives_one_up();
            }
        }
        wanted.await;
    }
}
