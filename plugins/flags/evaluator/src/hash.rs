//! MurmurHash3 for 32 bits on x86, by which flagd assigns.

/// The hash of these bytes.
#[must_use]
pub fn murmur3(data: &[u8], seed: u32) -> u32 {
    let mut hash = seed;
    let (blocks, rest) = data.as_chunks::<4>();
    for block in blocks {
        hash ^= scrambled(u32::from_le_bytes(*block));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        hash ^= scrambled(u32::from_le_bytes(last));
    }
    // The length is taken modulo 2^32, as the algorithm has it.
    hash ^= data.len() as u32;
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

fn scrambled(block: u32) -> u32 {
    block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

#[cfg(test)]
mod tests {
    use super::murmur3;

    /// Values that the reference implementation prints.
    #[test]
    fn hashes_are_those_of_the_reference() {
        for (data, seed, hash) in [
            ("", 0, 0),
            ("", 1, 0x514e_28b7),
            ("hello", 0, 0x248b_fa47),
            ("hello", 1, 0xbb4a_bcad),
            ("abc", 0, 0xb3dd_93fa),
            ("abcd", 0, 0x43ed_676a),
            ("The quick brown fox jumps over the lazy dog", 0, 0x2e4f_f723),
        ] {
            assert_eq!(murmur3(data.as_bytes(), seed), hash, "{data:?} {seed}");
        }
    }
}
