//! One worker's connections to a store.
//!
//! Owns its life: made, lost, made anew after a pause that grows and differs between workers and gateways, so
//! that a store that comes back is not met by all of them at once.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::{RedisResult, Value};
use tokio::sync::Notify;

use super::connect::{Connected, Connection, connect, ping};
use super::pipe::Pipe;
use super::{Question, Redis, SCRIPTS, evaluate, is_final, silent};

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
    made: Mutex<Option<Arc<Made>>>,
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

/// Connections that can be used.
pub(super) struct Made {
    pub(super) connection: Connection,
    /// That for checks; none towards a cluster, whose nodes the other one knows.
    pub(super) pipe: Option<Pipe>,
    /// The names of the scripts.
    pub(super) shas: [String; SCRIPTS.len()],
    generation: u32,
}

impl Made {
    /// Asks by the connection that is not for checks.
    pub(super) async fn question(&self, question: Question<'_>) -> RedisResult<Value> {
        let mut connection = self.connection.clone();
        let command = match question {
            Question::Command(command) => return connection.ask(command).await,
            Question::Script(script, keys, arguments) => {
                evaluate("EVALSHA", &self.shas[script], keys, arguments)
            }
            Question::Own(script, keys, arguments) => {
                evaluate("EVALSHA", &script.sha, keys, arguments)
            }
        };
        match connection.ask(&command).await {
            // Nothing of the check was done. The store began anew, or forgot its scripts.
            Err(error) if error.code() == Some("NOSCRIPT") => {
                let command = match question {
                    Question::Command(_) => return Err(error),
                    Question::Script(script, keys, arguments) => {
                        evaluate("EVAL", SCRIPTS[script], keys, arguments)
                    }
                    Question::Own(script, keys, arguments) => {
                        evaluate("EVAL", script.text, keys, arguments)
                    }
                };
                connection.ask(&command).await
            }
            answered => answered,
        }
    }

    /// Whether the server answers by both.
    async fn look(&self) -> RedisResult<()> {
        self.connection.clone().ask(&redis::cmd("PING")).await?;
        match &self.pipe {
            Some(pipe) => ping(pipe).await,
            None => Ok(()),
        }
    }
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
    pub(super) fn made(&self) -> Option<Arc<Made>> {
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
            let Some(made) = self.made() else { continue };
            match tokio::time::timeout(patience, made.look()).await {
                Ok(Ok(())) => {}
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

    fn put(&self, Connected { connection, pipe, shas }: Connected) {
        self.failures.store(0, Relaxed);
        let generation = self.generation.fetch_add(1, Relaxed) + 1;
        *lock(&self.made) = Some(Arc::new(Made { connection, pipe, shas, generation }));
        self.is_known.store(true, Relaxed);
        self.up.notify_waiters();
    }
}

/// Keeps a connection of this thread's runtime, until its store is gone.
pub(super) async fn serve(link: Arc<Link>, store: Weak<Redis>) {
    let (mut pause, mut is_down) = (PAUSE, false);
    while let Some(settings) = store.upgrade().map(|store| store.settings.clone()) {
        let why = match connect(&settings).await {
            Ok(connected) => {
                link.put(connected);
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
