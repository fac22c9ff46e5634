//! One stored response.
//!
//! Owns how it lies in memory: the head, what tells variants apart and what the plugin noted in one piece, the body
//! in another, or in a file. Both are handed out without a copy.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::disk::{Record, StoredBody};
use super::index::Index;
use super::{Cache, Partition, Space, now};
use crate::memory_file;
use crate::state::limits::wall;

/// What an entry takes beside its bytes: itself, its place in the map, and what allocations add.
const BESIDE: u64 = 160 + size_of::<Entry>() as u64;
/// What a tag takes in the index.
const TAG: u64 = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(super) key: u128,
    pub(crate) status: u16,
    /// Whether the body is all there.
    pub(crate) is_whole: bool,
    block: Block,
    pub(crate) body: Content,
    /// When it was stored or freshened, by [`now`].
    pub(super) stored: u64,
    /// Until when it may be found.
    pub(super) until: u64,
    pub(super) tags: Box<[u64]>,
    pub(super) partition: Option<Arc<Partition>>,
    /// Of what the second level had then; 0 if there is none.
    pub(super) generation: u64,
    /// Where it is counted, if it is stored.
    index: Option<Arc<Index>>,
}

/// Where a body is.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Memory(Bytes),
    Disk(Arc<StoredBody>),
}

impl Content {
    /// Bytes of the body.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk(body) => body.length(),
        }
    }

    /// Bytes that it takes in memory.
    fn weight(&self) -> u64 {
        match self {
            Self::Memory(bytes) => memory_file::taken_by(bytes),
            Self::Disk(body) => body.weight(),
        }
    }

    /// Whether it is in this file.
    pub(super) fn is_in(&self, body: &Arc<StoredBody>) -> bool {
        matches!(self, Self::Disk(known) if Arc::ptr_eq(known, body))
    }
}

/// Head, variant and metadata in one piece.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    bytes: Bytes,
    head: u32,
    variant: u32,
}

/// What a plugin wants stored.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) key: u128,
    pub(crate) status: u16,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) variant: &'a [u8],
    pub(crate) metadata: &'a [u8],
    pub(crate) tags: &'a [String],
    pub(crate) partition: &'a str,
    pub(crate) ttl: u64,
}

/// What is different in an entry that was freshened.
#[derive(Debug)]
pub(crate) struct Freshened {
    pub(crate) headers: HeaderMap,
    pub(crate) metadata: Option<Vec<u8>>,
    pub(crate) ttl: u64,
}

/// What came from the second level. Times are nanoseconds.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) key: u128,
    pub(super) status: u16,
    pub(super) block: Bytes,
    /// Of the head and of the variant.
    pub(super) lengths: [u32; 2],
    pub(super) body: Bytes,
    pub(super) resident: u64,
    pub(super) left: u64,
    pub(super) tags: Box<[u64]>,
    pub(super) generation: u64,
    pub(super) partition: Option<Arc<Partition>>,
}

impl Block {
    /// Whether it can be read: [`new`](Self::new) has not written it.
    fn is_sound(&self) -> bool {
        let (length, head) = (self.bytes.len() as u64, self.head as usize);
        if head < 2 || u64::from(self.head) + u64::from(self.variant) > length {
            return false;
        }
        let mut at = 2;
        while at < head {
            let Some(lengths) = self.bytes[..head].get(at..at + 6) else { return false };
            let name = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
            let value = u32::from_le_bytes([lengths[2], lengths[3], lengths[4], lengths[5]]);
            at += 6 + name + value as usize;
        }
        at == head
    }

    pub(crate) fn new(headers: &HeaderMap, variant: &[u8], metadata: &[u8]) -> Self {
        let fields = headers.iter().map(|(name, value)| 6 + name.as_str().len() + value.len());
        let head = 2 + fields.sum::<usize>();
        let mut bytes = Vec::with_capacity(head + variant.len() + metadata.len());
        bytes.extend_from_slice(&(headers.len() as u16).to_le_bytes());
        for (name, value) in headers {
            bytes.extend_from_slice(&(name.as_str().len() as u16).to_le_bytes());
            bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        bytes.extend_from_slice(variant);
        bytes.extend_from_slice(metadata);
        Self { bytes: bytes.into(), head: head as u32, variant: variant.len() as u32 }
    }

    /// Name and value of each line. What was written by [`new`](Self::new) can be read.
    fn lines(&self) -> impl Iterator<Item = (&[u8], std::ops::Range<usize>)> {
        let head = &self.bytes[..self.head as usize];
        let mut at = 2;
        std::iter::from_fn(move || {
            let lengths = head.get(at..at + 6)?;
            let name = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
            let value = u32::from_le_bytes([lengths[2], lengths[3], lengths[4], lengths[5]]);
            let (start, end) = (at + 6 + name, at + 6 + name + value as usize);
            let line = (head.get(at + 6..start)?, start..end);
            at = end;
            Some(line)
        })
    }

    fn variant(&self) -> &[u8] {
        let start = self.head as usize;
        &self.bytes[start..start + self.variant as usize]
    }

    fn metadata(&self) -> &[u8] {
        &self.bytes[(self.head + self.variant) as usize..]
    }

    fn headers(&self) -> HeaderMap {
        let count = usize::from(u16::from_le_bytes([self.bytes[0], self.bytes[1]]));
        let mut headers = HeaderMap::with_capacity(count + 4);
        for (name, value) in self.lines() {
            let name = HeaderName::from_lowercase(name);
            let value = HeaderValue::from_maybe_shared(self.bytes.slice(value));
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        headers
    }
}

impl Entry {
    /// The head of what is to be stored.
    pub(crate) fn head(cache: &Cache, space: &Space, wanted: &Wanted<'_>) -> Self {
        let tags = wanted.tags.iter().map(|tag| space.tag(tag));
        let owner = (!wanted.partition.is_empty()).then(|| space.owner(wanted.partition));
        let mut tags: Vec<_> = tags.chain(owner).collect();
        tags.sort_unstable();
        tags.dedup();
        let now = now();
        Self {
            id: cache.next_id(),
            key: wanted.key,
            status: wanted.status,
            is_whole: false,
            block: Block::new(wanted.headers, wanted.variant, wanted.metadata),
            body: Content::Memory(Bytes::new()),
            stored: now,
            until: now.saturating_add(wanted.ttl),
            tags: tags.into(),
            partition: cache.partition(space, wanted.partition),
            generation: cache.generation(),
            index: None,
        }
    }

    /// The same, with its body.
    pub(super) fn with_body(&self, body: Bytes, metadata: Option<&[u8]>) -> Self {
        let block = match metadata {
            None => self.block.clone(),
            Some(metadata) => Block::new(&self.block.headers(), self.block.variant(), metadata),
        };
        Self {
            id: self.id,
            key: self.key,
            status: self.status,
            is_whole: true,
            block,
            body: Content::Memory(body),
            stored: self.stored,
            until: self.until,
            tags: self.tags.clone(),
            partition: self.partition.clone(),
            generation: self.generation,
            index: None,
        }
    }

    pub(super) fn freshened(&self, freshened: Freshened, id: u64, generation: u64) -> Self {
        let Freshened { headers, metadata, ttl } = freshened;
        let metadata = metadata.as_deref().unwrap_or_else(|| self.metadata());
        let now = now();
        Self {
            id,
            key: self.key,
            status: self.status,
            is_whole: self.is_whole,
            block: Block::new(&headers, self.block.variant(), metadata),
            body: self.body.clone(),
            stored: now,
            until: now.saturating_add(ttl),
            tags: self.tags.clone(),
            partition: self.partition.clone(),
            generation,
            index: None,
        }
    }

    /// It is stored now, and counted until it is dropped.
    pub(super) fn counted(mut self, index: &Arc<Index>) -> Self {
        index.add(&self.tags, (self.key, self.id), self.size());
        if let Some(partition) = &self.partition {
            partition.bytes.fetch_add(self.owned(), Relaxed);
            partition.objects.fetch_add(1, Relaxed);
        }
        self.index = Some(Arc::clone(index));
        self
    }

    /// Bytes that it takes in memory.
    pub(super) fn size(&self) -> u64 {
        let head = BESIDE + self.block.bytes.len() as u64 + TAG * self.tags.len() as u64;
        head + self.body.weight()
    }

    /// Bytes that it counts for its owner, wherever they are.
    pub(super) fn owned(&self) -> u64 {
        match &self.body {
            Content::Memory(_) => self.size(),
            Content::Disk(body) => self.size() + body.length(),
        }
    }

    /// The body, if it is in memory.
    pub(super) fn bytes(&self) -> Option<&Bytes> {
        match &self.body {
            Content::Memory(bytes) => Some(bytes),
            Content::Disk(_) => None,
        }
    }

    pub(super) fn key(&self) -> u128 {
        self.key
    }

    /// Whether it may still be found.
    pub(super) fn is_current(&self) -> bool {
        self.until > now()
    }

    /// The same, with its body in a file.
    pub(super) fn on_disk(&self, body: &Arc<StoredBody>, id: u64) -> Self {
        Self {
            id,
            key: self.key,
            status: self.status,
            is_whole: self.is_whole,
            block: self.block.clone(),
            body: Content::Disk(Arc::clone(body)),
            stored: self.stored,
            until: self.until,
            tags: self.tags.clone(),
            partition: self.partition.clone(),
            generation: self.generation,
            index: None,
        }
    }

    /// What is written of it beside its body, if that is in a file.
    pub(super) fn record(&self) -> Option<Record> {
        match &self.body {
            Content::Memory(_) => None,
            Content::Disk(body) => Some(self.record_with(body)),
        }
    }

    /// What is written of it beside its body, which is in this file.
    pub(super) fn record_with(&self, body: &Arc<StoredBody>) -> Record {
        let (now, wall) = (now(), wall());
        Record {
            id: body.id(),
            key: self.key,
            status: self.status,
            block: self.block.bytes.clone(),
            lengths: [self.block.head, self.block.variant],
            tags: self.tags.clone(),
            owner: self.partition.as_ref().map(|it| it.name.to_string()).unwrap_or_default(),
            stored: wall.saturating_sub(now.saturating_sub(self.stored)),
            until: wall.saturating_add(self.until.saturating_sub(now)),
            length: body.length(),
            checksums: body.checksums().into(),
        }
    }

    /// What was written.
    pub(super) fn restored(
        cache: &Cache,
        record: Record,
        body: &Arc<StoredBody>,
        partition: Option<Arc<Partition>>,
    ) -> Self {
        let (now, wall) = (now(), wall());
        let [head, variant] = record.lengths;
        Self {
            id: cache.next_id(),
            key: record.key,
            status: record.status,
            is_whole: true,
            block: Block { bytes: record.block, head, variant },
            body: Content::Disk(Arc::clone(body)),
            // A clock that was set back makes nothing younger than new.
            stored: now.saturating_sub(wall.saturating_sub(record.stored)),
            until: now.saturating_add(record.until.saturating_sub(wall)),
            tags: record.tags,
            partition,
            generation: 0,
            index: None,
        }
    }

    /// What came from the second level, if its parts fit together.
    pub(super) fn of_second(cache: &Cache, restored: Restored) -> Option<Self> {
        let Restored { key, status, block, lengths, body, resident, left, .. } = restored;
        let [head, variant] = lengths;
        let block = Block { bytes: block, head, variant };
        let now = now();
        block.is_sound().then(|| Self {
            id: cache.next_id(),
            key,
            status,
            is_whole: true,
            block,
            body: Content::Memory(body),
            stored: now.saturating_sub(resident),
            until: now.saturating_add(left),
            tags: restored.tags,
            partition: restored.partition,
            generation: restored.generation,
            index: None,
        })
    }

    /// Head, variant and metadata.
    pub(super) fn block_bytes(&self) -> &[u8] {
        &self.block.bytes
    }

    /// How long the first two are.
    pub(super) fn block_lengths(&self) -> [u32; 2] {
        [self.block.head, self.block.variant]
    }

    /// Whose it is, with the plugin before it.
    pub(super) fn owner(&self) -> &str {
        self.partition.as_ref().map_or("", |partition| &partition.name)
    }

    pub(crate) fn variant(&self) -> &[u8] {
        self.block.variant()
    }

    pub(crate) fn metadata(&self) -> &[u8] {
        self.block.metadata()
    }

    /// The head, whose values are not copied.
    pub(crate) fn headers(&self) -> HeaderMap {
        self.block.headers()
    }

    /// The fields, in the order in which they came.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.block.lines().map(|(name, value)| (name, &self.block.bytes[value]))
    }

    /// Nanoseconds since it was stored or freshened.
    pub(crate) fn resident(&self) -> u64 {
        now().saturating_sub(self.stored)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(index) = &self.index else { return };
        index.remove(&self.tags, (self.key, self.id), self.size());
        if let Some(partition) = &self.partition {
            partition.bytes.fetch_sub(self.owned(), Relaxed);
            partition.objects.fetch_sub(1, Relaxed);
        }
    }
}
