//! Random numbers fit for cryptography. Always granted.

use crate::host;

/// This many bytes, at most 64 KiB; a larger wish fails the hook.
pub fn bytes(count: u32) -> Vec<u8> {
    host::random_bytes(count)
}

/// 64 random bits.
pub fn number() -> u64 {
    host::random_number()
}
