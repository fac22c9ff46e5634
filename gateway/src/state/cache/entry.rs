//! One stored response.
//!
//! Owns how it lies in memory: itself; tags and a packed head, variant and metadata in one piece; the body in another, or in a
//! file. The body is handed out without a copy.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::HeaderMap;

use super::block::Block;
use super::content::{Content, block_of};
use super::disk::{Record, StoredBody};
use super::head::Head;
use super::owner::Partition;
use super::{Cache, Space, now};
use crate::state::limits::wall;

/// What an entry takes in the map: its place there, and a share of the table by which that is found.
const PLACE: u64 = 52;
/// What a tag takes in the index, and a place in the order of an owner.
const TAG: u64 = 28;
const TURN: u64 = 24;
/// What it takes to be shared.
const SHARED: usize = 16;
/// A block of the allocator: eight bytes more would take 16.
const _: () = assert!(SHARED + size_of::<Entry>() <= 112);

/// See the module. What is there a million times is as small as it can be.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    /// Of 16 bytes without their alignment.
    key: [u64; 2],
    /// When it was stored or freshened, by [`now`].
    pub(super) stored: u64,
    /// Until when it may be found.
    pub(super) until: u64,
    owner: Arc<Partition>,
    /// Of what the second level had then; 0 if there is none.
    pub(super) generation: u64,
    pub(super) body: Content,
    head: Head,
    pub(crate) status: u16,
    /// Whether the body is all there.
    pub(crate) is_whole: bool,
    /// Whether it is stored.
    is_counted: bool,
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
    pub(super) body: Content,
    pub(super) resident: u64,
    pub(super) left: u64,
    pub(super) tags: Box<[u64]>,
    pub(super) generation: u64,
    pub(super) owner: Arc<Partition>,
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
        let block = Block::new(wanted.headers, wanted.variant, wanted.metadata);
        Self {
            id: cache.next_id(),
            key: halves(wanted.key),
            stored: now,
            until: now.saturating_add(wanted.ttl),
            owner: cache.partition(space, wanted.partition),
            generation: cache.generation(),
            body: Content::none(),
            head: Head::new(&cache.home.texts, &tags, &block),
            status: wanted.status,
            is_whole: false,
            is_counted: false,
        }
    }

    /// The same, not counted yet, with another head or another body.
    fn with(&self, id: u64, head: Option<Head>, body: Content) -> Self {
        Self {
            id,
            key: self.key,
            stored: self.stored,
            until: self.until,
            owner: Arc::clone(&self.owner),
            generation: self.generation,
            body,
            head: head.unwrap_or_else(|| self.head.clone()),
            status: self.status,
            is_whole: self.is_whole,
            is_counted: false,
        }
    }

    /// The same, with its body.
    pub(super) fn with_body(&self, body: Content, metadata: Option<&[u8]>) -> Self {
        let head = metadata.map(|metadata| {
            let block = self.block();
            let block = Block::new(&block.headers(), block.variant(), metadata);
            self.head.with(&self.owner.home.texts, &block)
        });
        let mut whole = self.with(self.id, head, body);
        whole.is_whole = true;
        whole
    }

    pub(super) fn freshened(&self, freshened: Freshened, id: u64, generation: u64) -> Self {
        let Freshened { headers, metadata, ttl } = freshened;
        let block = self.block();
        let metadata = metadata.as_deref().unwrap_or_else(|| block.metadata());
        let block = Block::new(&headers, block.variant(), metadata);
        let head = self.head.with(&self.owner.home.texts, &block);
        let mut new = self.with(id, Some(head), self.body.clone());
        new.stored = now();
        new.until = new.stored.saturating_add(ttl);
        new.generation = generation;
        new
    }

    /// The same, with its body in a file.
    pub(super) fn moved(&self, body: &Arc<StoredBody>, id: u64) -> Self {
        self.with(id, None, Content::disk(body))
    }

    /// It is stored now, and counted until it is dropped.
    pub(super) fn counted(mut self) -> Self {
        self.owner.home.index.add(self.tags(), self.spot(), self.size());
        if self.owner.is_bounded() {
            self.owner.bytes.fetch_add(self.owned(), Relaxed);
            self.owner.objects.fetch_add(1, Relaxed);
        }
        self.is_counted = true;
        self
    }

    /// Bytes that it takes in memory.
    pub(super) fn size(&self) -> u64 {
        let itself = block_of(SHARED + size_of::<Self>()) + block_of(self.head.length());
        let turn = if self.owner.is_bounded() { TURN } else { 0 };
        let tags = TAG * self.tags().len() as u64;
        itself as u64 + self.body.weight() + PLACE + tags + turn
    }

    /// Bytes that it counts for its owner, wherever they are.
    pub(super) fn owned(&self) -> u64 {
        self.size() + self.body.on_disk().map_or(0, |body| body.length())
    }

    /// The body, if it is in memory.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.body.bytes()
    }

    /// The body, if it is on disk.
    pub(crate) fn on_disk(&self) -> Option<&Arc<StoredBody>> {
        self.body.on_disk()
    }

    /// Bytes of the body, wherever it is.
    pub(crate) fn length(&self) -> u64 {
        self.body.length()
    }

    /// A part of the body, if that is in memory. It is not copied.
    pub(crate) fn part(self: Arc<Self>, part: Range<usize>) -> Bytes {
        Content::part(self, part)
    }

    pub(super) fn key(&self) -> u128 {
        let [high, low] = self.key.map(u128::from);
        high << 64 | low
    }

    /// Where it is in the map, with others of the same half of a key.
    pub(super) fn spot(&self) -> u64 {
        self.key[1]
    }

    pub(super) fn tags(&self) -> impl ExactSizeIterator<Item = u64> {
        self.head.tags()
    }

    pub(super) fn has_tag(&self, tag: u64) -> bool {
        self.tags().any(|known| known == tag)
    }

    pub(super) fn owner(&self) -> &Arc<Partition> {
        &self.owner
    }

    /// Whether it may still be found.
    pub(super) fn is_current(&self) -> bool {
        self.until > now()
    }

    /// What is written of it beside its body, if that is in a file.
    pub(super) fn record(&self) -> Option<Record> {
        self.on_disk().map(|body| self.record_with(body))
    }

    /// What is written of it beside its body, which is in this file.
    pub(super) fn record_with(&self, body: &Arc<StoredBody>) -> Record {
        let (now, wall) = (now(), wall());
        let block = self.block();
        Record {
            id: body.id(),
            key: self.key(),
            status: self.status,
            lengths: block.lengths(),
            block: block.bytes().clone(),
            tags: self.tags().collect(),
            owner: self.owner.name.to_string(),
            stored: wall.saturating_sub(now.saturating_sub(self.stored)),
            until: wall.saturating_add(self.until.saturating_sub(now)),
            length: body.length(),
            checksums: body.checksums().into(),
        }
    }

    /// What was written, if its parts fit together.
    pub(super) fn restored(
        cache: &Cache,
        record: Record,
        body: &Arc<StoredBody>,
        owner: Arc<Partition>,
    ) -> Option<Self> {
        let (now, wall) = (now(), wall());
        let block = Block::written(record.block, record.lengths)?;
        Some(Self {
            id: cache.next_id(),
            key: halves(record.key),
            // A clock that was set back makes nothing younger than new.
            stored: now.saturating_sub(wall.saturating_sub(record.stored)),
            until: now.saturating_add(record.until.saturating_sub(wall)),
            owner,
            generation: 0,
            body: Content::disk(body),
            head: Head::new(&cache.home.texts, &record.tags, &block),
            status: record.status,
            is_whole: true,
            is_counted: false,
        })
    }

    /// What came from the second level, if its parts fit together.
    pub(super) fn of_second(cache: &Cache, restored: Restored) -> Option<Self> {
        let Restored { key, status, block, lengths, body, resident, left, .. } = restored;
        let block = Block::written(block, lengths).filter(Block::is_sound)?;
        let now = now();
        Some(Self {
            id: cache.next_id(),
            key: halves(key),
            stored: now.saturating_sub(resident),
            until: now.saturating_add(left),
            owner: restored.owner,
            generation: restored.generation,
            body,
            head: Head::new(&cache.home.texts, &restored.tags, &block),
            status,
            is_whole: true,
            is_counted: false,
        })
    }

    /// Head, variant and metadata, which are unpacked each time.
    pub(crate) fn block(&self) -> Block {
        self.head.block(&self.owner.home.texts)
    }

    /// Nanoseconds since it was stored or freshened.
    pub(crate) fn resident(&self) -> u64 {
        now().saturating_sub(self.stored)
    }
}

fn halves(key: u128) -> [u64; 2] {
    [(key >> 64) as u64, key as u64]
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.is_counted {
            return;
        }
        self.owner.home.index.remove(self.tags(), self.spot(), self.size());
        if self.owner.is_bounded() {
            self.owner.bytes.fetch_sub(self.owned(), Relaxed);
            self.owner.objects.fetch_sub(1, Relaxed);
        }
    }
}
