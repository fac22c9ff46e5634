//! What belongs to a body on disk: a row of the index.
//!
//! Owns its checksum, so that a row that is not as it was written is none.

use bytes::Bytes;

/// See the module. Times are nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::state::cache) struct Record {
    /// The number of the file.
    pub(in crate::state::cache) id: u64,
    pub(in crate::state::cache) key: u128,
    pub(in crate::state::cache) status: u16,
    /// Head, variant and metadata, and how long the first two are.
    pub(in crate::state::cache) block: Bytes,
    pub(in crate::state::cache) lengths: [u32; 2],
    pub(in crate::state::cache) tags: Box<[u64]>,
    pub(in crate::state::cache) owner: String,
    pub(in crate::state::cache) stored: u64,
    pub(in crate::state::cache) until: u64,
    /// Bytes of the body.
    pub(in crate::state::cache) length: u64,
    pub(in crate::state::cache) checksums: Box<[u32]>,
}

impl Record {
    /// Of all that it says.
    pub(super) fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for number in [self.id, self.stored, self.until, self.length, u64::from(self.status)] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&self.key.to_le_bytes());
        for length in self.lengths {
            hasher.update(&length.to_le_bytes());
        }
        hasher.update(&self.block);
        hasher.update(&bytes_of(&self.tags, u64::to_le_bytes));
        hasher.update(self.owner.as_bytes());
        hasher.update(&bytes_of(&self.checksums, u32::to_le_bytes));
        hasher.finalize()
    }

    /// Whether its parts fit together.
    pub(super) fn is_sound(&self) -> bool {
        let [head, variant] = self.lengths.map(u64::from);
        head >= 2 && head + variant <= self.block.len() as u64
    }
}

/// Numbers one behind the other.
pub(super) fn bytes_of<T: Copy, const N: usize>(numbers: &[T], bytes: fn(T) -> [u8; N]) -> Vec<u8> {
    numbers.iter().flat_map(|number| bytes(*number)).collect()
}

/// The numbers back; what is left over is none.
pub(super) fn numbers_of<T, const N: usize>(bytes: &[u8], number: fn([u8; N]) -> T) -> Box<[T]> {
    bytes.chunks_exact(N).filter_map(|chunk| chunk.try_into().ok()).map(number).collect()
}
