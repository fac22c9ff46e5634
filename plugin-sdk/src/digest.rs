//! Message digests at native speed. Always granted.

use crate::host;

/// The SHA-256 digest (FIPS 180-4).
///
/// ```
/// use gateway_plugin_sdk::digest;
///
/// assert_eq!(digest::sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
/// ```
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let (a, b, c, d) = host::sha256(data);
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(8).zip([a, b, c, d]) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}
