//! One worker's connection to a store.
//!
//! Owns its life: made, lost, made anew after a pause that grows and differs between workers and gateways, so
//! that a store that comes back is not met by all of them at once.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::connect::{Connection, connect};
use super::{Redis, SCRIPTS, is_final, silent};

/// Checks in a row without an answer after which none waits any more.
const FAILURES: u32 = 5;
/// The pause before the first attempt, and the longest.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);
/// How often it is asked whether it is there.
const LOOK: Duration = Duration::from_secs(1);
/// A connection that lived so long was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Default)]
pub(super) struct Link {
    made: Mutex<Option<Made>>,
    /// How often it was made.
    generation: AtomicU32,
    /// Whether it was ever made, or could not be.
    is_known: AtomicBool,
    failures: AtomicU32,
    /// Questions under way. Its worker alone changes it.
    waiting: AtomicUsize,
    why: Mutex<String>,
    is_closed: AtomicBool,
    /// It was made.
    pub(super) up: Notify,
    /// It is to be made anew.
    lost: Notify,
}

/// A connection that can be used.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) connection: Connection,
    /// The names of the scripts.
    pub(super) shas: Arc<[String; SCRIPTS.len()]>,
    generation: u32,
}

/// A question under way.
pub(super) struct Waiting<'a>(&'a Link);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// The connection, if it can be used.
    pub(super) fn made(&self) -> Option<Made> {
        lock(&self.made).clone()
    }

    /// Whether it can be used.
    pub(super) fn is_made(&self) -> bool {
        lock(&self.made).is_some()
    }

    /// A question is under way, until it is answered or given up.
    pub(super) fn waits(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Relaxed);
        Waiting(self)
    }

    /// Questions under way.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Whether nothing is known of the store yet.
    pub(super) fn is_new(&self) -> bool {
        !self.is_known.load(Relaxed)
    }

    /// A check was answered.
    pub(super) fn answered(&self) {
        if self.failures.load(Relaxed) > 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// A check was not, by the connection that `made` was.
    #[cold]
    pub(super) fn failed(&self, made: &Made, is_final: bool, why: &str) {
        if self.generation.load(Relaxed) != made.generation {
            return;
        }
        let failures = self.failures.fetch_add(1, Relaxed) + 1;
        if (is_final || failures >= FAILURES) && lock(&self.made).take().is_some() {
            why.clone_into(&mut lock(&self.why));
            self.lost.notify_one();
        }
    }

    /// Waits until it is to be made anew. Asks now and then, since a store that no request needs is missed by
    /// none.
    async fn until_lost(&self, patience: Duration) {
        while tokio::time::timeout(LOOK, self.lost.notified()).await.is_err() {
            let Some(mut made) = self.made() else { continue };
            let ping = redis::cmd("PING");
            match tokio::time::timeout(patience, made.connection.ask(&ping)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => self.failed(&made, is_final(&error), &error.to_string()),
                Err(_) => self.failed(&made, false, &silent(patience)),
            }
        }
    }

    /// Nobody uses it any more.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Relaxed);
        self.lost.notify_one();
    }

    fn put(&self, connection: Connection, shas: [String; SCRIPTS.len()]) {
        self.failures.store(0, Relaxed);
        let generation = self.generation.fetch_add(1, Relaxed) + 1;
        *lock(&self.made) = Some(Made { connection, shas: Arc::new(shas), generation });
        self.is_known.store(true, Relaxed);
        self.up.notify_waiters();
    }
}

/// Keeps a connection of this thread's runtime, until its store is gone.
pub(super) async fn serve(link: Arc<Link>, store: Weak<Redis>) {
    let (mut pause, mut is_down) = (PAUSE, false);
    while let Some(settings) = store.upgrade().map(|store| store.settings.clone()) {
        let why = match connect(&settings).await {
            Ok((connection, shas)) => {
                link.put(connection, shas);
                match store.upgrade() {
                    Some(store) if std::mem::take(&mut is_down) => store.is_up(),
                    Some(store) => store.is_made(),
                    None => break,
                }
                let began = Instant::now();
                link.until_lost(settings.timeout).await;
                if began.elapsed() > GOOD {
                    pause = PAUSE;
                }
                std::mem::take(&mut *lock(&link.why))
            }
            Err(error) => {
                link.is_known.store(true, Relaxed);
                error.to_string()
            }
        };
        if link.is_closed.load(Relaxed) {
            break;
        }
        match store.upgrade() {
            Some(store) if !is_down => store.is_down(&why),
            Some(_) => {}
            None => break,
        }
        is_down = true;
        tokio::time::sleep(jitter(pause)).await;
        pause = (pause * 2).min(LONGEST);
    }
    lock(&link.made).take();
}

/// From half of a pause to all of it.
fn jitter(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    pause.mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0)
}
