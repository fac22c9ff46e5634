//! Memory that goes back to the system when connections have ended or become idle.
//!
//! Owns the moment. How it is done is the affair of the process, which chose its allocator. Most
//! allocators give back a little with each call that they get, and nothing once no calls come: a
//! gateway that nobody asks anything after a rush would keep all that the rush took.

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
