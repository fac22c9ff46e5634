//! Sets of API keys that are added and revoked while the gateway runs.
//!
//! Owns which sets there are: one of each definition, shared by all workers and plugins, for as long as a
//! configuration has it. One thread of its own looks after all of them (`keeper`): it alone reads stores and
//! writes to them, so that no worker and no question of the admin API waits for another. Must not know plugins,
//! nor whose requests are admitted.

mod keeper;
mod place;
pub(crate) mod record;
mod redis_place;
pub(crate) mod secret;
mod set;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

use super::named::Named;
use crate::config;
use crate::telemetry::metrics::Metrics;

pub(crate) use set::{ChangeError, Found, KeySet, NotFound, Refused};

/// How long the first reading of new sets may hold up a configuration that has them.
const FIRST: Duration = Duration::from_secs(10);
/// How often it is looked whether they were read.
const LOOK: Duration = Duration::from_millis(5);
/// How long the end of sets is waited for.
const END: Duration = Duration::from_secs(5);

/// The sets of the process.
#[derive(Debug)]
pub(crate) struct KeySets {
    named: Arc<Named>,
    metrics: Arc<Metrics>,
    known: Mutex<Vec<Arc<KeySet>>>,
    thread: Mutex<Option<Thread>>,
}

#[derive(Debug)]
struct Thread {
    sets: mpsc::UnboundedSender<Arc<KeySet>>,
    handle: JoinHandle<()>,
}

impl KeySets {
    /// None yet, and nobody looks after any.
    pub(crate) fn new(named: &Arc<Named>, metrics: &Arc<Metrics>) -> Self {
        let (named, metrics) = (Arc::clone(named), Arc::clone(metrics));
        Self { named, metrics, known: Mutex::default(), thread: Mutex::default() }
    }

    /// The set of a definition: the one that is there, or a new one.
    pub(crate) fn of(&self, definition: &config::KeySet) -> Arc<KeySet> {
        let mut known = lock(&self.known);
        if let Some(same) = known.iter().find(|it| it.is_of(definition)) {
            return Arc::clone(same);
        }
        let new = Arc::new(KeySet::new(definition, self.metrics.of_key_set(&definition.name)));
        known.push(Arc::clone(&new));
        if let Some(thread) = &*lock(&self.thread) {
            let _ended = thread.sets.send(Arc::clone(&new));
        }
        new
    }

    /// The set that is configured under a name.
    pub(crate) fn find(&self, config: &config::Config, name: &str) -> Option<Arc<KeySet>> {
        let definition = config.keys.iter().find(|it| it.name == name)?;
        lock(&self.known).iter().find(|it| it.is_of(definition)).cloned()
    }

    /// Begins to look after them, on a thread that ends with [`finish`](Self::finish).
    pub(crate) fn begin(&self) {
        let (sets, comes) = mpsc::unbounded_channel();
        let named = Arc::clone(&self.named);
        let spawned = thread::Builder::new().name("keys".into()).spawn(move || run(comes, &named));
        let handle = match spawned {
            Ok(handle) => handle,
            Err(error) => return tracing::error!(%error, "keys are not read"),
        };
        for set in &*lock(&self.known) {
            set.is_of_the_start();
            let _ended = sets.send(Arc::clone(set));
        }
        *lock(&self.thread) = Some(Thread { sets, handle });
    }

    /// The sets of a configuration are these, and no others.
    pub(crate) fn keep(&self, config: &config::Config) {
        for definition in &config.keys {
            self.of(definition);
        }
        let mut known = lock(&self.known);
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut *known)
            .into_iter()
            .partition(|set| config.keys.iter().any(|definition| set.is_of(definition)));
        *known = kept;
        drop(known);
        let is_kept = |name: &str| config.keys.iter().any(|definition| definition.name == name);
        self.metrics.keep_key_sets(is_kept);
        // Before their stores are closed.
        let until = Instant::now() + END;
        gone.iter().filter_map(|set| set.end()).for_each(|ended| {
            let _in_time = ended.recv_timeout(until.saturating_duration_since(Instant::now()));
        });
    }

    /// Writes what is to be written, and ends looking after them.
    pub(crate) fn finish(&self) {
        let Some(Thread { sets, handle }) = lock(&self.thread).take() else { return };
        drop(sets);
        for set in &*lock(&self.known) {
            set.end();
        }
        if handle.join().is_err() {
            tracing::error!("the thread that keeps API keys panicked");
        }
    }

    /// Waits until each was read, or could not be, or [`FIRST`] is over. Not on a thread of a worker.
    pub(crate) fn wait_for_first(&self) {
        let until = Instant::now() + FIRST;
        while self.is_one_unread() && Instant::now() < until {
            thread::sleep(LOOK);
        }
    }

    /// As [`wait_for_first`](Self::wait_for_first), without holding up a thread.
    pub(crate) async fn first(&self) {
        let until = Instant::now() + FIRST;
        while self.is_one_unread() && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The sets that were there when the process began, and have not been read since.
    pub(crate) fn never_read(&self) -> Vec<Arc<KeySet>> {
        lock(&self.known).iter().filter(|set| set.is_missed()).cloned().collect()
    }

    /// How many keys there are of sets in a store.
    pub(crate) fn held_in(&self, store: &config::Store) -> usize {
        let known = lock(&self.known);
        known.iter().filter(|set| *set.store == *store).map(|set| set.len()).sum()
    }

    fn is_one_unread(&self) -> bool {
        lock(&self.thread).is_some() && !lock(&self.known).iter().all(|set| set.was_tried())
    }
}

impl Drop for KeySets {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Looks after sets, until no more can come and all have ended.
fn run(mut comes: mpsc::UnboundedReceiver<Arc<KeySet>>, named: &Arc<Named>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "keys are not read"),
    };
    LocalSet::new().block_on(&runtime, async {
        let mut tasks = JoinSet::new();
        while let Some(set) = comes.recv().await {
            tasks.spawn_local(keeper::keep(set, Arc::clone(named)));
        }
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(END, all).await.is_err() {
            tracing::warn!("a store did not take in time when keys were last used");
        }
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
