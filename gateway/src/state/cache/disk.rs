//! The folder of a cache: bodies that are too large for memory, and what was stored before the gateway began.
//!
//! Owns the queue to the thread that alone writes there, and its bound: what finds it full stays in memory. A body is a
//! file; what else belongs to it is a row of an index, written when the file is whole. So after a crash there is a
//! response as a whole or not at all. Must not decide what is stored: the cache does.

mod body;
mod index;
mod record;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Flock, FlockType};

pub(crate) use self::body::{DiskReader, Piece, StoredBody};
use self::index::Index;
pub(super) use self::record::Record;
use self::writer::Writer;
use super::{Cache, Entry, lock};
use crate::config::CacheFolder;
use crate::telemetry::metrics::CacheCounts;

/// Bytes of what waits to be written.
const QUEUE: u64 = 64 << 20;
/// How long who purges waits for the folder.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a folder cannot be used.
#[derive(Debug)]
pub(crate) struct OpenError(String);

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether files can be made in a folder, and its index be written; if it is wanted, also that no other process has it.
/// Leaves nothing there. Where it is not wanted the index is not opened: to close that would give up the lock of a gateway
/// in this process.
pub(crate) fn try_folder(folder: &Path, is_wanted: bool) -> Result<(), OpenError> {
    let bodies = folder.join("bodies");
    let within = if bodies.is_dir() { &*bodies } else { folder };
    let file = within.join(format!(".check-{}", std::process::id()));
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&file);
    drop(made.map_err(|error| OpenError(format!("{}: {error}", within.display())))?);
    let _gone = std::fs::remove_file(&file);
    let index = folder.join("index.db");
    match rustix::fs::access(&index, rustix::fs::Access::WRITE_OK) {
        Err(error) if index.exists() => {
            return Err(OpenError(format!("{}: {error}", index.display())));
        }
        _ => {}
    }
    let file = is_wanted.then(|| std::fs::File::open(&index).ok()).flatten();
    let write = Flock::from(FlockType::WriteLock);
    let other = file.and_then(|file| rustix::process::fcntl_getlk(file, &write).ok().flatten());
    let Some(other) = other else { return Ok(()) };
    let number = other.pid.map(|pid| format!(" ({})", pid.as_raw_nonzero())).unwrap_or_default();
    Err(OpenError(format!("another process{number} uses it")))
}

/// See the module.
#[derive(Debug)]
pub(super) struct Disk {
    shared: Arc<Shared>,
    /// With which keys and tags are hashed.
    secret: [u64; 2],
    thread: Mutex<Option<JoinHandle<()>>>,
    /// What the thread begins with.
    waiting: Mutex<Option<(Index, Receiver<Message>)>>,
}

/// What bodies and the thread have in common.
#[derive(Debug)]
struct Shared {
    name: Box<str>,
    folder: PathBuf,
    sender: Sender<Message>,
    /// Bytes that wait to be written.
    queued: AtomicU64,
    cache: Mutex<Weak<Cache>>,
    counts: Arc<CacheCounts>,
}

#[derive(Debug)]
enum Message {
    /// An entry of the memory, to be moved.
    Write(Arc<Entry>),
    /// The head of what is there has changed.
    Freshened(Arc<Entry>),
    Remove(Arc<StoredBody>),
    /// A plugin has keys here.
    Space(Arc<str>),
    /// For who waits until all before it is done.
    Flush(SyncSender<()>),
    Stop,
}

/// What was stored before the gateway began.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) spaces: Vec<String>,
    /// In the order in which they were written.
    pub(super) records: Vec<(Record, Arc<StoredBody>)>,
    /// The largest number that a file has.
    pub(super) last: u64,
}

impl Disk {
    /// Opens a folder, which no other process has then, and reads what is in it.
    pub(super) fn open(
        name: &str,
        settings: &CacheFolder,
        counts: Arc<CacheCounts>,
    ) -> Result<(Self, Found), OpenError> {
        let (index, opened) = Index::open(&settings.path)?;
        let (sender, receiver) = channel();
        let shared = Arc::new(Shared {
            name: name.into(),
            folder: settings.path.clone(),
            sender,
            queued: AtomicU64::new(0),
            cache: Mutex::default(),
            counts,
        });
        let (secret, spaces) = (opened.secret, opened.spaces);
        let mut found = Found { spaces, ..Found::default() };
        let kept = opened.records.into_iter().map(|record| {
            found.last = found.last.max(record.id);
            let body = StoredBody::found(&shared, &record);
            (record, body)
        });
        let records = kept.collect();
        found.records = records;
        let (thread, waiting) = (Mutex::default(), Mutex::new(Some((index, receiver))));
        Ok((Self { shared, secret, thread, waiting }, found))
    }

    pub(super) fn secret(&self) -> [u64; 2] {
        self.secret
    }

    pub(super) fn path(&self) -> &Path {
        &self.shared.folder
    }

    /// Writes for this cache from now on.
    pub(super) fn begin(&self, cache: &Arc<Cache>, size: u64) {
        *lock(&self.shared.cache) = Arc::downgrade(cache);
        let Some((index, messages)) = lock(&self.waiting).take() else { return };
        let bodies = cache.bodies_on_disk();
        let writer = Writer::new(Arc::clone(&self.shared), index, size, bodies);
        let thread = std::thread::Builder::new().name("cache-disk".to_owned());
        match thread.spawn(move || writer.run(&messages)) {
            Ok(thread) => *lock(&self.thread) = Some(thread),
            Err(error) => tracing::error!(
                cache = &*self.shared.name,
                "the folder of the cache `{}` cannot be written: {error}",
                self.shared.name
            ),
        }
    }

    /// Moves an entry from memory, if there is room in the queue.
    pub(super) fn write(&self, entry: &Arc<Entry>) {
        let size = entry.size();
        if self.shared.queued.fetch_add(size, Relaxed) + size > QUEUE {
            self.shared.queued.fetch_sub(size, Relaxed);
            self.shared.counts.disk_refused();
            return;
        }
        self.shared.send(Message::Write(Arc::clone(entry)));
    }

    /// The head of an entry has changed.
    pub(super) fn freshened(&self, entry: &Arc<Entry>) {
        self.shared.send(Message::Freshened(Arc::clone(entry)));
    }

    /// A plugin has keys here.
    pub(super) fn has_space(&self, plugin: &Arc<str>) {
        self.shared.send(Message::Space(Arc::clone(plugin)));
    }

    /// Waits until all that was asked for is done.
    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        self.shared.send(Message::Flush(done));
        let _late = wait.recv_timeout(PATIENCE);
    }

    /// Does what was asked for, and lets the folder go. What is asked for from then on is not done.
    pub(super) fn close(&self) {
        drop(lock(&self.waiting).take());
        let Some(thread) = lock(&self.thread).take() else { return };
        self.shared.send(Message::Stop);
        if thread.join().is_err() {
            tracing::error!("the writer of the cache `{}` panicked", self.shared.name);
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn send(&self, message: Message) {
        let _closed = self.sender.send(message);
    }

    /// Where the body of this number is.
    fn file(&self, id: u64) -> PathBuf {
        index::file(&self.folder, id)
    }

    fn cache(&self) -> Option<Arc<Cache>> {
        lock(&self.cache).upgrade()
    }
}

#[cfg(test)]
mod tests;
