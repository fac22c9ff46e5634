//! Where the body of an entry is.
//!
//! Owns that it takes no more memory than it needs, and that it is handed out without a copy.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::Entry;
use super::disk::StoredBody;
use crate::memory_file;

/// See the module.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// One that is too short for the file of memory. `Bytes` would take 40 bytes more.
    Short(Box<[u8]>),
    Other(Box<Elsewhere>),
}

#[derive(Debug, Clone)]
pub(super) enum Elsewhere {
    Memory(Bytes),
    Disk(Arc<StoredBody>),
}

impl Content {
    /// None yet.
    pub(super) fn none() -> Self {
        Self::Short(Box::default())
    }

    /// One that is in the file of memory.
    pub(super) fn kept(body: Bytes) -> Self {
        Self::Other(Box::new(Elsewhere::Memory(body)))
    }

    pub(super) fn memory(body: Vec<u8>) -> Self {
        match body.len() < memory_file::FROM {
            true => Self::Short(body.into()),
            false => Self::kept(body.into()),
        }
    }

    pub(super) fn disk(body: &Arc<StoredBody>) -> Self {
        Self::Other(Box::new(Elsewhere::Disk(Arc::clone(body))))
    }

    /// The body, if it is in memory.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Short(bytes) => Some(bytes),
            Self::Other(other) => match &**other {
                Elsewhere::Memory(bytes) => Some(bytes),
                Elsewhere::Disk(_) => None,
            },
        }
    }

    /// The body, if it is on disk.
    pub(super) fn on_disk(&self) -> Option<&Arc<StoredBody>> {
        match self {
            Self::Short(_) => None,
            Self::Other(other) => match &**other {
                Elsewhere::Memory(_) => None,
                Elsewhere::Disk(body) => Some(body),
            },
        }
    }

    /// Bytes of the body.
    pub(super) fn length(&self) -> u64 {
        match self.on_disk() {
            Some(body) => body.length(),
            None => self.bytes().map_or(0, |bytes| bytes.len() as u64),
        }
    }

    /// Bytes that it takes in memory.
    pub(super) fn weight(&self) -> u64 {
        let beside = block_of(size_of::<Elsewhere>()) as u64;
        match self {
            Self::Short(bytes) => block_of(bytes.len()) as u64,
            Self::Other(other) => match &**other {
                Elsewhere::Memory(bytes) => memory_file::taken_by(bytes) + beside,
                Elsewhere::Disk(body) => body.weight() + beside,
            },
        }
    }

    /// A part of the body of an entry; nothing if it is on disk.
    pub(super) fn part(entry: Arc<Entry>, part: Range<usize>) -> Bytes {
        let body = match &entry.body {
            Self::Short(bytes) if bytes.is_empty() => return Bytes::new(),
            Self::Short(_) => Bytes::from_owner(Served(entry)),
            Self::Other(other) => match &**other {
                Elsewhere::Memory(bytes) => bytes.clone(),
                Elsewhere::Disk(_) => return Bytes::new(),
            },
        };
        if part.len() == body.len() { body } else { body.slice(part) }
    }
}

/// An entry that is there for as long as its body is read.
struct Served(Arc<Entry>);

impl AsRef<[u8]> for Served {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes().unwrap_or_default()
    }
}

/// Bytes that so many take: an allocator has blocks of four sizes between two powers of two, as mimalloc does.
pub(super) fn block_of(size: usize) -> usize {
    match size {
        0..=64 => size.next_multiple_of(16),
        _ => size.next_multiple_of(size.next_power_of_two() / 8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_as_the_allocator_has_them() {
        for (size, block) in [
            (0, 0),
            (1, 16),
            (64, 64),
            (65, 80),
            (112, 112),
            (129, 160),
            (1_024, 1_024),
            (1_025, 1_280),
            (1_300, 1_536),
        ] {
            assert_eq!(block_of(size), block, "{size}");
        }
    }
}
