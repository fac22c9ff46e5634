//! Verification of password hashes. It takes milliseconds by design, so the gateway does it on
//! other threads, and the hook waits. Granted as `password`.

use crate::host;

/// Why there is no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The hash is neither an argon2 PHC string nor a bcrypt hash, or asks for more than 256 MiB
    /// or 16 passes (argon2), or for a cost over 14 (bcrypt).
    #[error("the hash is not supported, or asks for too much")]
    Unsupported,
    /// Too many verifications are under way.
    #[error("too many verifications are under way")]
    Busy,
}

/// Whether the password is that of the hash: argon2id, argon2i or argon2d as a PHC string
/// (RFC 9106), or bcrypt (`$2a$`, `$2b$`, `$2y$`).
///
/// # Errors
/// If there is no verdict. That is neither yes nor no: do not let the request pass for it.
pub fn verify(hash: &str, password: &str) -> Result<bool, PasswordError> {
    host::verify_password(hash, password)
}
