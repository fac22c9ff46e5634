//! The thread that writes a folder.
//!
//! Owns the bound of the folder: the oldest body that nobody has read lately gives way. A disk that is full or broken
//! costs no request anything: what cannot be written stays in memory.

use std::collections::{HashMap, VecDeque};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use super::super::{Cache, Entry};
use super::body::checksums;
use super::index::{Changes, Index};
use super::{Message, Shared, StoredBody};

/// How often what is over is removed.
const SWEEP: Duration = Duration::from_secs(5);
/// Messages and bytes of bodies of one transaction, at most.
const BATCH: usize = 256;
const BATCH_BYTES: u64 = 16 << 20;

/// See the module.
pub(super) struct Writer {
    shared: Arc<Shared>,
    index: Index,
    size: u64,
    used: u64,
    bodies: HashMap<u64, Arc<StoredBody>, RandomState>,
    /// By when they were written, or passed over.
    order: VecDeque<u64>,
    is_up: bool,
}

/// What one transaction does.
#[derive(Default)]
struct Batch {
    changes: Changes,
    written: Vec<(Arc<Entry>, Arc<StoredBody>)>,
    flushed: Vec<SyncSender<()>>,
    bytes: u64,
    messages: usize,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        index: Index,
        size: u64,
        bodies: Vec<Arc<StoredBody>>,
    ) -> Self {
        let used = bodies.iter().map(|body| body.length()).sum();
        bodies.iter().for_each(|body| shared.counts.disk_added(body.length()));
        let mut order: VecDeque<_> = bodies.iter().map(|body| body.id).collect();
        order.make_contiguous().sort_unstable();
        let bodies = bodies.into_iter().map(|body| (body.id, body)).collect();
        Self { shared, index, size, used, bodies, order, is_up: true }
    }

    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        let mut swept = Instant::now();
        let mut is_over = false;
        while !is_over {
            let mut batch = Batch::default();
            match messages.recv_timeout(SWEEP.saturating_sub(swept.elapsed())) {
                Ok(message) => is_over = self.take(message, &mut batch),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => is_over = true,
            }
            while !is_over
                && batch.messages < BATCH
                && batch.bytes < BATCH_BYTES
                && let Ok(message) = messages.try_recv()
            {
                is_over = self.take(message, &mut batch);
            }
            if swept.elapsed() >= SWEEP {
                swept = Instant::now();
                self.sweep(&mut batch);
            }
            self.commit(batch);
        }
        for body in self.bodies.values() {
            self.shared.counts.disk_removed(body.length());
        }
    }

    /// Whether it was the last.
    fn take(&mut self, message: Message, batch: &mut Batch) -> bool {
        batch.messages += 1;
        match message {
            Message::Write(entry) => {
                self.shared.queued.fetch_sub(entry.size(), Relaxed);
                let Some(cache) = self.shared.cache() else { return false };
                self.write(&cache, entry, batch);
            }
            Message::Freshened(entry) => {
                if let Some(record) = entry.record()
                    && self.bodies.contains_key(&record.id)
                {
                    batch.changes.put.push(record);
                }
            }
            Message::Remove(body) => self.remove(&body, batch),
            Message::Space(plugin) => batch.changes.spaces.push(plugin.as_ref().into()),
            Message::Flush(done) => batch.flushed.push(done),
            Message::Stop => return true,
        }
        false
    }

    fn write(&mut self, cache: &Arc<Cache>, entry: Arc<Entry>, batch: &mut Batch) {
        let Some(bytes) = entry.bytes() else { return };
        let length = bytes.len() as u64;
        if length > self.size {
            return self.shared.counts.disk_refused();
        }
        if !cache.holds(&entry) {
            return;
        }
        self.make_room(cache, length, batch);
        let id = cache.next_id();
        if let Err(error) = self.write_file(id, bytes) {
            let _not_there = std::fs::remove_file(self.shared.file(id));
            self.shared.counts.disk_refused();
            return self.failed(&error.to_string());
        }
        let body = StoredBody::new(&self.shared, id, entry.key(), length, checksums(bytes));
        batch.bytes += length;
        self.used += length;
        self.shared.counts.disk_added(length);
        self.bodies.insert(id, Arc::clone(&body));
        self.order.push_back(id);
        batch.written.push((entry, body));
    }

    fn write_file(&self, id: u64, bytes: &[u8]) -> io::Result<()> {
        let mut open = OpenOptions::new();
        let mut file = open.write(true).create_new(true).mode(0o600).open(self.shared.file(id))?;
        file.write_all(bytes)
    }

    /// What was read lately has another turn.
    fn make_room(&mut self, cache: &Arc<Cache>, length: u64, batch: &mut Batch) {
        while self.used + length > self.size
            && let Some(id) = self.order.pop_front()
        {
            let Some(body) = self.bodies.get(&id).cloned() else { continue };
            if body.was_read() {
                self.order.push_back(id);
                continue;
            }
            // It may be of this batch, and in memory still.
            batch.written.retain(|(_, written)| written.id != id);
            if !body.leaves() && cache.take_out_body(&body) > 0 {
                cache.counts.evicted(1);
            }
            self.remove(&body, batch);
        }
    }

    /// Also one that gave way before the thread began, which is not counted.
    fn remove(&mut self, body: &Arc<StoredBody>, batch: &mut Batch) {
        body.unlink();
        batch.changes.put.retain(|record| record.id != body.id);
        batch.changes.removed.push(body.id);
        if self.bodies.remove(&body.id).is_some() {
            self.used -= body.length();
            self.shared.counts.disk_removed(body.length());
        }
        if self.order.len() > 2 * self.bodies.len() + 64 {
            self.order.retain(|id| self.bodies.contains_key(id));
        }
    }

    /// Removes what is over.
    fn sweep(&mut self, batch: &mut Batch) {
        let over = match self.index.over() {
            Ok(over) => over,
            Err(error) => return self.failed(&error.to_string()),
        };
        let Some(cache) = self.shared.cache() else { return };
        for id in over {
            match self.bodies.get(&id).cloned() {
                // Freshened meanwhile, and not in the index yet.
                Some(body) if cache.finds_body(&body) => {}
                Some(body) => {
                    body.leaves();
                    cache.take_out_body(&body);
                    self.remove(&body, batch);
                }
                None => batch.changes.removed.push(id),
            }
        }
    }

    /// Writes the index, and only then hands over what was written.
    fn commit(&mut self, mut batch: Batch) {
        let rows = batch.written.iter().map(|(entry, body)| entry.record_with(body));
        batch.changes.put.extend(rows);
        let changes = &batch.changes;
        let is_empty =
            changes.put.is_empty() && changes.removed.is_empty() && changes.spaces.is_empty();
        let committed = if is_empty { Ok(()) } else { self.index.write(changes) };
        let mut again = Batch::default();
        match committed {
            Ok(()) => {
                if !is_empty && !std::mem::replace(&mut self.is_up, true) {
                    let name = &self.shared.name;
                    tracing::info!(
                        cache = &**name,
                        "the folder of the cache `{name}` is written again"
                    );
                }
                let cache = self.shared.cache();
                for (entry, body) in batch.written {
                    if cache.as_ref().is_some_and(|cache| cache.moved(&entry, &body)) {
                        self.shared.counts.disk_stored();
                    } else if !body.leaves() {
                        self.remove(&body, &mut again);
                    }
                }
            }
            Err(error) => {
                for (_, body) in &batch.written {
                    self.shared.counts.disk_refused();
                    body.leaves();
                    self.remove(body, &mut again);
                }
                self.failed(&error.to_string());
            }
        }
        if !again.changes.removed.is_empty()
            && let Err(error) = self.index.write(&again.changes)
        {
            self.failed(&error.to_string());
        }
        for done in batch.flushed {
            let _gone = done.send(());
        }
    }

    fn failed(&mut self, why: &str) {
        if std::mem::replace(&mut self.is_up, false) {
            let name = &self.shared.name;
            tracing::warn!(
                cache = &**name,
                "the folder of the cache `{name}` cannot be written, and responses are kept in memory alone: {}: {why}",
                self.shared.folder.display()
            );
        }
    }
}
