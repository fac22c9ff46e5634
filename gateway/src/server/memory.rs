//! Returns memory to the system when connections have ended or become idle.
//!
//! Owns the moment. The process, which chose its allocator, does it. Most allocators return a little
//! memory with each call, and nothing without calls: a gateway that is idle after a peak would keep the
//! memory of the peak.

use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::Notify;

use crate::timer::Timers;

/// How long after the first of them: connections become idle together.
const AFTER: Duration = Duration::from_secs(1);

static GIVE_BACK: OnceLock<fn()> = OnceLock::new();

/// Lets each worker call this, on its own thread, a second after connections have ended or come to
/// rest, and once more a second later, for what the first call only prepared. Default: nothing is
/// called. The first call of a process counts, if it comes before the gateway runs.
pub fn give_back_memory_with(give_back: fn()) {
    let _is_known = GIVE_BACK.set(give_back);
}

/// What a worker knows of its memory.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    freed: Notify,
}

impl Memory {
    /// A connection has ended or become idle.
    pub(super) fn was_freed(&self) {
        self.freed.notify_one();
    }
}

/// Gives memory back from time to time, as long as there is any.
pub(super) async fn keep_giving_back(memory: Rc<Memory>, timers: Timers) {
    let Some(give_back) = GIVE_BACK.get() else { return };
    loop {
        memory.freed.notified().await;
        for _ in 0..2 {
            timers.after(AFTER).await;
            give_back();
        }
    }
}
