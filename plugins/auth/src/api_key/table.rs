//! Digests of keys, and what belongs to them.
//!
//! The time of a look-up must reveal nothing about the digests. So the keys are sorted by
//! a secret hash of their digests, which no client can compute, and the digest that is found
//! there is compared in constant time.

use gateway_plugin_sdk::random;

/// Something for each digest.
#[derive(Debug)]
pub(super) struct Table<T> {
    /// Sorted by tag.
    rows: Vec<Row<T>>,
}

#[derive(Debug)]
struct Row<T> {
    tag: u32,
    digest: [u8; 32],
    key: T,
}

impl<T> Table<T> {
    /// Keys with their digests.
    pub(super) fn new(keys: impl IntoIterator<Item = ([u8; 32], T)>, tagger: &Tagger) -> Self {
        let row = |(digest, key)| Row { tag: tagger.tag(&digest), digest, key };
        let mut rows: Vec<_> = keys.into_iter().map(row).collect();
        rows.sort_unstable_by_key(|row| row.tag);
        Self { rows }
    }

    /// The key that has a digest, and so its tag.
    pub(super) fn find(&self, tag: u32, digest: &[u8; 32]) -> Option<&T> {
        let first = self.rows.partition_point(|row| row.tag < tag);
        let candidates = self.rows[first..].iter().take_while(|row| row.tag == tag);
        let mut candidates = candidates.filter(|row| equal(&row.digest, digest));
        candidates.next().map(|row| &row.key)
    }
}

/// A secret hash: multiplications by random numbers (a universal family, after Dietzfelbinger), which a processor does
/// at once: by numbers of twice as many bits they are a function of many instructions in WebAssembly. Tags of 32 bits
/// that two keys share are looked through.
#[derive(Debug)]
pub(super) struct Tagger([u64; 8]);

impl Tagger {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| random::number()))
    }

    pub(super) fn tag(&self, digest: &[u8; 32]) -> u32 {
        let (words, _) = digest.as_chunks::<4>();
        let products = words
            .iter()
            .zip(&self.0)
            .map(|(word, factor)| u64::from(u32::from_le_bytes(*word)).wrapping_mul(*factor));
        (products.fold(0, u64::wrapping_add) >> 32) as u32
    }
}

/// Whether two digests are equal, in a time that does not depend on them.
fn equal(left: &[u8; 32], right: &[u8; 32]) -> bool {
    let (left, right) = (left.as_chunks::<8>().0, right.as_chunks::<8>().0);
    let words = left.iter().zip(right);
    let difference = words.fold(0, |all, (left, right)| {
        all | (u64::from_le_bytes(*left) ^ u64::from_le_bytes(*right))
    });
    // Keeps the compiler from leaving the loop at the first difference.
    std::hint::black_box(difference) == 0
}
