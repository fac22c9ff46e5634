//! State that outlives the process: in memory, and written to an SQLite file behind the requests that change it.
//!
//! Owns the thread that alone has the file. It writes what changed every [`EVERY`], so that a crash loses no more
//! than that, and for a last time when the gateway ends. Requests never wait for it: a disk that is slow or full
//! costs durability, and is a warning and a metric. So is a file that somebody takes away (`watch`).

mod database;
mod keys;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::database::Database;
pub(crate) use self::database::OpenError;
use self::watch::Lost;
use super::key_value;
use super::key_value::Entry;
use super::limits::{Limits, Written};
use crate::telemetry::metrics::{StoreCounts, StoreNumbers, StoreResult};

/// How often what changed is written.
const EVERY: Duration = Duration::from_millis(250);
/// How often what is over is removed.
const SWEEP: Duration = Duration::from_secs(10);

/// A file.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    /// With which keys of buckets are hashed.
    secret: [u64; 2],
    counts: Arc<StoreCounts>,
    sender: Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What one plugin keeps in a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    pub(crate) limits: Option<Arc<Limits>>,
    pub(crate) key_values: Option<Arc<key_value::Store>>,
}

impl Part {
    fn is(&self, other: &Self) -> bool {
        fn same<T>(one: &Option<Arc<T>>, other: &Option<Arc<T>>) -> bool {
            match (one, other) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (one, other) => one.is_none() && other.is_none(),
            }
        }
        same(&self.limits, &other.limits) && same(&self.key_values, &other.key_values)
    }
}

/// What was written of a plugin.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) buckets: Written,
    pub(crate) entries: Vec<Entry>,
}

enum Message {
    Load(Box<str>, SyncSender<Loaded>),
    Keep(Box<str>, Part),
    /// Writes what is there of a plugin, and forgets it.
    Leave(Box<str>, Part, SyncSender<()>),
    /// For who waits until it is done, or hears why it cannot be.
    Run(Run),
    Stop,
}

type Run = Box<dyn FnOnce(Result<&mut Database, String>) + Send>;

impl File {
    /// Opens a file, or makes it.
    pub(crate) fn open(
        name: &str,
        path: &Path,
        counts: Arc<StoreCounts>,
    ) -> Result<Arc<Self>, OpenError> {
        let database = Database::open(path)?;
        let secret = database.secret();
        counts.is_up();
        let (sender, messages) = channel();
        let writer = Writer {
            name: name.into(),
            database,
            counts: Arc::clone(&counts),
            parts: HashMap::new(),
            is_up: true,
        };
        let thread = std::thread::Builder::new().name("store".to_owned());
        let thread = thread.spawn(move || writer.run(&messages));
        let thread = thread.map_err(|error| OpenError(error.to_string()))?;
        let thread = Mutex::new(Some(thread));
        Ok(Arc::new(Self { path: path.to_owned(), secret, counts, sender, thread }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What became of writing to it.
    pub(crate) fn numbers(&self) -> StoreNumbers {
        self.counts.numbers()
    }

    pub(crate) fn secret(&self) -> [u64; 2] {
        self.secret
    }

    /// What was written of a plugin.
    pub(crate) fn load(&self, plugin: &str) -> Loaded {
        let (sender, loaded) = sync_channel(1);
        // Dropped where nobody takes it: what it holds would keep the answer from ending.
        drop(self.sender.send(Message::Load(plugin.into(), sender)));
        loaded.recv().unwrap_or_default()
    }

    /// Writes what changes of a plugin from now on.
    pub(crate) fn keep(&self, plugin: &str, part: Part) {
        let _ended = self.sender.send(Message::Keep(plugin.into(), part));
    }

    /// A plugin is configured no more. What it had stays in the file.
    pub(crate) fn leave(&self, plugin: &str, part: Part) {
        let (sender, left) = sync_channel(1);
        drop(self.sender.send(Message::Leave(plugin.into(), part, sender)));
        let _ended = left.recv();
    }

    /// Does something with the file, and waits for it.
    ///
    /// # Errors
    /// Why it could not be done, in words.
    pub(in crate::state) async fn run<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Database) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let (sender, done) = tokio::sync::oneshot::channel();
        let run: Run = Box::new(move |database| {
            let done = database.and_then(|it| run(it).map_err(|error| error.to_string()));
            drop(sender.send(done));
        });
        // Dropped at once where nobody takes it: it holds the other end of what is waited for.
        drop(self.sender.send(Message::Run(run)));
        done.await.map_err(|_| "the store is closed".to_owned())?
    }

    /// Writes what is there, and closes the file.
    pub(crate) fn finish(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let _ended = self.sender.send(Message::Stop);
        if thread.join().is_err() {
            tracing::error!("the writer of the store in {} panicked", self.path.display());
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.finish();
    }
}

struct Writer {
    name: Box<str>,
    database: Database,
    counts: Arc<StoreCounts>,
    parts: HashMap<Box<str>, Part>,
    is_up: bool,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        let (mut next, mut swept) = (Instant::now() + EVERY, Instant::now());
        loop {
            match messages.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Message::Load(plugin, answer)) => {
                    self.write();
                    let loaded = self.database.load(&plugin);
                    let loaded = loaded.inspect_err(|error| {
                        tracing::error!(
                            store = &*self.name,
                            plugin = &*plugin,
                            "what the plugin kept in {} cannot be read: {error}",
                            self.database.path().display()
                        );
                    });
                    let _gone = answer.send(loaded.unwrap_or_default());
                }
                Ok(Message::Run(run)) => {
                    let has_file = self.has_its_file();
                    if let Err(why) = &has_file {
                        self.failed(why);
                    }
                    run(has_file.map(|()| &mut self.database));
                    self.database.is_done_with();
                }
                Ok(Message::Keep(plugin, part)) => drop(self.parts.insert(plugin, part)),
                Ok(Message::Leave(plugin, part, answer)) => {
                    self.write();
                    // It may have come back already, with another part.
                    if self.parts.get(&plugin).is_some_and(|known| known.is(&part)) {
                        self.parts.remove(&plugin);
                    }
                    let _gone = answer.send(());
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    self.write();
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.write();
                    if self.is_up && swept.elapsed() >= SWEEP {
                        swept = Instant::now();
                        if let Err(error) = self.database.sweep() {
                            self.failed(&error.to_string());
                        }
                        self.database.is_done_with();
                    }
                    next = Instant::now() + EVERY;
                }
            }
        }
    }

    /// Whether there is the file to write to, or one was made in the place of it.
    fn has_its_file(&mut self) -> Result<(), String> {
        let Err(lost) = self.database.look() else { return Ok(()) };
        match lost {
            Lost::Gone => {
                self.database
                    .write_anew()
                    .map_err(|error| format!("{lost}, and there is no other: {error}"))?;
                tracing::warn!(
                    store = &*self.name,
                    "the file of the store `{}` was deleted or moved away: all that it has is in a new file {}",
                    self.name,
                    self.database.path().display()
                );
                self.counts.called(StoreResult::Error, Duration::ZERO);
                Ok(())
            }
            Lost::Overwritten => {
                self.database.let_go();
                Err(lost.to_string())
            }
            Lost::Another => {
                if self.is_up {
                    self.database.empty_log();
                }
                Err(lost.to_string())
            }
            Lost::Unknown(_) => Err(lost.to_string()),
        }
    }

    /// Writes what changed, in one transaction.
    fn write(&mut self) {
        if let Err(why) = self.has_its_file() {
            return self.failed(&why);
        }
        let changes: Vec<_> =
            self.parts.iter().filter_map(|(plugin, part)| changes(plugin, part)).collect();
        if changes.is_empty() && self.is_up {
            return;
        }
        let began = Instant::now();
        let written = self.database.write(&changes);
        self.database.is_done_with();
        match written {
            Ok(()) => {
                self.counts.called(StoreResult::Answered, began.elapsed());
                if !std::mem::replace(&mut self.is_up, true) {
                    tracing::info!(
                        store = &*self.name,
                        "the store `{}` is written again",
                        self.name
                    );
                    self.counts.is_up();
                }
            }
            Err(error) => {
                for Change { plugin, .. } in &changes {
                    let Some(part) = self.parts.get(&**plugin) else { continue };
                    part.limits.iter().for_each(|limits| limits.unwritten());
                    part.key_values.iter().for_each(|values| values.unwritten());
                }
                self.failed(&error.to_string());
                self.counts.called(StoreResult::Error, began.elapsed());
            }
        }
    }

    fn failed(&mut self, why: &str) {
        if std::mem::replace(&mut self.is_up, false) {
            tracing::warn!(
                store = &*self.name,
                "the store `{}` cannot be written, and is lost if the gateway ends now: {}: {why}",
                self.name,
                self.database.path().display()
            );
            // Who sees the metric finds the reason in the log.
            self.counts.is_down(why);
        }
    }
}

/// What changed of a plugin.
struct Change {
    plugin: Box<str>,
    buckets: Written,
    entries: Vec<Entry>,
    /// Whether these entries are all there are.
    are_all: bool,
}

fn changes(plugin: &str, part: &Part) -> Option<Change> {
    let buckets = part.limits.as_ref().map(|limits| limits.changes()).unwrap_or_default();
    let (entries, are_all) = part.key_values.as_ref().map(|it| it.changes()).unwrap_or_default();
    let is_something =
        !buckets.buckets.is_empty() || buckets.floor > 0 || !entries.is_empty() || are_all;
    is_something.then(|| Change { plugin: plugin.into(), buckets, entries, are_all })
}
