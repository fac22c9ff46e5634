//! Small values under keys, shared by all workers of the gateway, in memory: gone when the
//! gateway ends, unless the configuration names another store: a file, or a server that several gateways
//! share. Granted as `key-value`. Keys belong to the configured plugin: another does not see them.
//!
//! A plugin holds at most 64 MiB, unless the configuration says otherwise; each key counts with its
//! value and 128 bytes more. In a server there is what the server has. A key has at most 1 KiB, a value 1 MiB. A `ttl` of `None` keeps a value
//! until it is removed.
//!
//! ```
//! use gateway_plugin_sdk::key_value;
//!
//! key_value::set("colour", b"blue", None).unwrap();
//! assert!(!key_value::set_if_absent("colour", b"red", None).unwrap());
//! assert_eq!(key_value::get("colour").as_deref(), Some(b"blue".as_slice()));
//! assert_eq!(key_value::increment("visits", 2, None), Ok(2));
//! ```

use std::time::Duration;

use crate::host;
use crate::limiter::nanoseconds;

/// Why a value could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyValueError {
    /// The key or the value is too long.
    #[error("the key or the value is too long")]
    TooLarge,
    /// The plugin's share is used up.
    #[error("the plugin's share of the store is used up")]
    Full,
    /// [`increment`] met a value that is not an integer in decimal digits, or ran over 64 bits.
    #[error("the value is not a number, or the sum does not fit")]
    NotANumber,
    /// The store, which several gateways share, is out of reach. What was to be written may have been.
    #[error("the store is out of reach")]
    Unavailable,
}

/// The value under a key, where it matters whether the store answered: one that several gateways share may be
/// out of reach, and then says of no key whether it is there.
///
/// # Errors
/// If the store is out of reach.
pub fn try_get(key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
    let value = host::value(key);
    if value.is_none() && !host::was_answered() {
        return Err(KeyValueError::Unavailable);
    }
    Ok(value)
}

/// The value under a key. None, too, if the store is out of reach: see [`try_get`].
pub fn get(key: &str) -> Option<Vec<u8>> {
    host::value(key)
}

/// Writes a value, in place of what was there.
///
/// # Errors
/// If something is too long, the plugin's share is used up, or the store is out of reach.
pub fn set(key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), KeyValueError> {
    host::set_value(key, value, ttl.map(nanoseconds))
}

/// Writes a value if there is none, and says whether it did.
///
/// # Errors
/// If something is too long, the plugin's share is used up, or the store is out of reach.
pub fn set_if_absent(
    key: &str,
    value: &[u8],
    ttl: Option<Duration>,
) -> Result<bool, KeyValueError> {
    host::set_value_if_absent(key, value, ttl.map(nanoseconds))
}

/// Removes a value, and says whether there was one. None, too, if the store is out of reach: it may be removed.
pub fn delete(key: &str) -> bool {
    host::delete_value(key)
}

/// Adds to an integer, atomically, and returns the sum. Where there is none it begins at zero,
/// and lives for `ttl`; an existing one keeps its time.
///
/// # Errors
/// If what is there is not an integer, the sum does not fit, the plugin's share is used up, or the store is out of
/// reach.
pub fn increment(key: &str, by: i64, ttl: Option<Duration>) -> Result<i64, KeyValueError> {
    host::increment_value(key, by, ttl.map(nanoseconds))
}
