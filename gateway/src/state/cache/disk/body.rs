//! The body of one stored response, in a file.
//!
//! Owns that it is read a piece at a time, off the worker, and that no piece is handed out that is not as it was
//! written. A file that is not is removed with its entry.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::super::lock;
use super::{Message, Record, Shared};

/// Bytes that have one checksum, and are read at once.
pub(super) const PIECE: usize = 64 << 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct StoredBody {
    shared: Arc<Shared>,
    pub(super) id: u64,
    key: u128,
    length: u64,
    /// Of each piece.
    checksums: Box<[u32]>,
    /// Since room was looked for the last time.
    is_read: AtomicBool,
    is_gone: AtomicBool,
    /// For those who still read it when it is removed.
    open: Mutex<Option<Arc<File>>>,
}

/// Checksums of a body, one for each piece.
pub(super) fn checksums(body: &[u8]) -> Box<[u32]> {
    body.chunks(PIECE).map(crc32fast::hash).collect()
}

impl StoredBody {
    pub(super) fn new(
        shared: &Arc<Shared>,
        id: u64,
        key: u128,
        length: u64,
        checksums: Box<[u32]>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::clone(shared),
            id,
            key,
            length,
            checksums,
            is_read: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            open: Mutex::default(),
        })
    }

    /// One that was there when the gateway began.
    pub(super) fn found(shared: &Arc<Shared>, record: &Record) -> Arc<Self> {
        let checksums = record.checksums.clone();
        Self::new(shared, record.id, record.key, record.length, checksums)
    }

    /// The number of the file.
    pub(in crate::state::cache) fn id(&self) -> u64 {
        self.id
    }

    /// Under which key it is found.
    pub(in crate::state::cache) fn key(&self) -> u128 {
        self.key
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(in crate::state::cache) fn checksums(&self) -> &[u32] {
        &self.checksums
    }

    /// What it takes in memory.
    pub(in crate::state::cache) fn weight(&self) -> u64 {
        (size_of::<Self>() + 4 * self.checksums.len() + 96) as u64
    }

    /// Nobody finds it any more: its file is removed.
    pub(in crate::state::cache) fn remove(self: &Arc<Self>) {
        if !self.is_gone.swap(true, Relaxed) {
            self.shared.send(Message::Remove(Arc::clone(self)));
        }
    }

    /// Whether it was removed before.
    pub(super) fn leaves(&self) -> bool {
        self.is_gone.swap(true, Relaxed)
    }

    /// Whether it was read since this was asked.
    pub(super) fn was_read(&self) -> bool {
        self.is_read.swap(false, Relaxed)
    }

    /// Removes the file. Those who read it can do so to its end.
    pub(super) fn unlink(self: &Arc<Self>) {
        let path = self.shared.file(self.id);
        let mut open = lock(&self.open);
        // This one, and the one in the list of the writer.
        if open.is_none() && Arc::strong_count(self) > 2 {
            *open = File::open(&path).ok().map(Arc::new);
        }
        let _gone_already = std::fs::remove_file(path);
    }

    /// Some of it, to be polled on a worker. `first`: its first piece, if that was read before.
    pub(crate) fn read(self: &Arc<Self>, part: Range<u64>, first: Option<Piece>) -> DiskReader {
        self.is_read.store(true, Relaxed);
        let first = first.filter(|first| first.number == number_of(part.start));
        DiskReader { body: Arc::clone(self), part, file: None, reading: None, first }
    }

    /// The piece with this byte, before anything is sent of it; `None` if it is damaged, and removed.
    pub(crate) async fn first(self: &Arc<Self>, byte: u64) -> Option<Piece> {
        let body = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || body.load(None, number_of(byte)));
        read.await.ok()?.ok()
    }

    /// Reads a piece.
    fn load(self: &Arc<Self>, file: Option<Arc<File>>, number: usize) -> io::Result<Piece> {
        let read = || {
            let file = file.map_or_else(|| self.file(), Ok)?;
            let bytes = self.piece(&file, number)?;
            Ok(Piece { number, file, bytes })
        };
        read().inspect_err(|error| self.is_damaged(error))
    }

    fn file(&self) -> io::Result<Arc<File>> {
        let open = lock(&self.open);
        match &*open {
            Some(file) => Ok(Arc::clone(file)),
            // Under the lock: so it is not removed meanwhile.
            None => File::open(self.shared.file(self.id)).map(Arc::new),
        }
    }

    /// One piece, as it was written.
    fn piece(&self, file: &File, piece: usize) -> io::Result<Bytes> {
        let start = (piece * PIECE) as u64;
        let length = self.length.saturating_sub(start).min(PIECE as u64);
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, start)?;
        if self.checksums.get(piece) != Some(&crc32fast::hash(&bytes)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is wrong"));
        }
        Ok(bytes.into())
    }

    /// It is not as it was written.
    #[cold]
    fn is_damaged(self: &Arc<Self>, why: &io::Error) {
        let shared = &self.shared;
        shared.counts.disk_damaged();
        tracing::warn!(
            cache = &*shared.name,
            "a stored response of the cache `{}` cannot be read, and is removed: {}: {why}",
            shared.name,
            shared.file(self.id).display()
        );
        match shared.cache() {
            Some(cache) => drop(cache.take_out_body(self)),
            None => self.remove(),
        }
    }
}

/// What is read at once.
#[derive(Debug)]
pub(crate) struct Piece {
    number: usize,
    file: Arc<File>,
    bytes: Bytes,
}

/// The piece that this byte is in.
fn number_of(byte: u64) -> usize {
    (byte / PIECE as u64) as usize
}

/// Reads a part of a body.
#[derive(Debug)]
pub(crate) struct DiskReader {
    body: Arc<StoredBody>,
    part: Range<u64>,
    file: Option<Arc<File>>,
    reading: Option<JoinHandle<io::Result<Piece>>>,
    /// Read before.
    first: Option<Piece>,
}

impl DiskReader {
    /// The next piece; `None` at the end.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, io::Error>>> {
        if self.part.is_empty() {
            return Poll::Ready(None);
        }
        let read = if let Some(first) = self.first.take() {
            Ok(first)
        } else {
            let number = number_of(self.part.start);
            let reading = self.reading.get_or_insert_with(|| {
                let (body, file) = (Arc::clone(&self.body), self.file.take());
                tokio::task::spawn_blocking(move || body.load(file, number))
            });
            let read = ready!(Pin::new(reading).poll(context));
            self.reading = None;
            read.unwrap_or_else(|error| Err(io::Error::other(error)))
        };
        Poll::Ready(Some(read.map(|Piece { file, bytes, .. }| {
            self.file = Some(file);
            let from = (self.part.start % PIECE as u64) as usize;
            let left = usize::try_from(self.part.end - self.part.start).unwrap_or(usize::MAX);
            let to = (from + left).min(bytes.len());
            self.part.start += (to - from) as u64;
            bytes.slice(from..to)
        })))
    }

    /// Bytes that are left.
    pub(crate) fn left(&self) -> u64 {
        self.part.end - self.part.start
    }
}
