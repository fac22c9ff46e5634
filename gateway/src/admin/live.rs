//! What passes at the moment, for those who look on: a snapshot a second, and a short history.
//!
//! Owns when the cells are read, how many listen, and that neither history nor listeners grow: a listener
//! that reads slowly misses snapshots. All of it runs on the thread of the API, and workers do nothing for
//! it. Must not know how it is asked for.

mod difference;
mod events;
mod figures;
mod history;
mod look;
mod snapshot;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

pub(super) use events::Events;
pub(super) use figures::{percentiles, rounded};

use super::{Admin, mask};
use history::History;
use look::Sampler;

/// Who listens at a time. Each takes one of the places for connections, and probes need some too.
pub(super) const LISTENERS: usize = 8;
/// Between two snapshots.
const SECOND: Duration = Duration::from_secs(1);
/// Between two points of the history.
const POINT: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(crate) struct Live {
    /// The last snapshot, as an event.
    snapshots: watch::Sender<Bytes>,
    places: Arc<Semaphore>,
    /// Somebody listens from now on.
    wakes: Notify,
    history: Mutex<History>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            snapshots: watch::Sender::new(Bytes::new()),
            places: Arc::new(Semaphore::new(LISTENERS)),
            wakes: Notify::new(),
            history: Mutex::default(),
        }
    }
}

impl Live {
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The points after the one of this number: of all requests, or of one route.
    pub(super) fn points(&self, route: Option<&str>, after: u64) -> Value {
        self.history().json(route, after)
    }

    /// A place among those who listen, and what they hear from now on; nothing if all are taken.
    fn listen(&self) -> Option<(OwnedSemaphorePermit, watch::Receiver<Bytes>)> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let mut snapshots = self.snapshots.subscribe();
        // The last may be of a time long gone.
        snapshots.mark_unchanged();
        self.wakes.notify_one();
        Some((place, snapshots))
    }

    fn is_heard(&self) -> bool {
        self.snapshots.receiver_count() > 0
    }
}

impl Admin {
    /// Looks at the cells for as long as the API is served.
    pub(super) async fn look_on(&self) {
        let live = &self.0.live;
        let mut sampler = Sampler::default();
        loop {
            let began = Instant::now();
            let look = sampler.look(&self.0.metrics, live.is_heard());
            let points = {
                let mut history = live.history();
                if let Some(point) = sampler.point(&look, POINT) {
                    history.push(point);
                }
                history.last()
            };
            if live.is_heard() {
                let mut snapshot = snapshot::json(&look, points);
                mask::hide(&self.in_force().config.source, &mut snapshot);
                let event = format!("event: snapshot\ndata: {snapshot}\n\n");
                live.snapshots.send_replace(event.into());
            }
            if live.is_heard() {
                sleep_until(began + SECOND).await;
                continue;
            }
            tokio::select! {
                () = sleep_until(began + POINT) => {}
                () = live.wakes.notified() => sleep_until(began + SECOND).await,
            }
        }
    }
}
