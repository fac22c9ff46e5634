//! Signed requests that were admitted, so that none is admitted twice.
//!
//! Owns the keys under which they are noted. They are in the gateway's key-value store, so all workers see them, and
//! nobody waits for another: who notes it first is admitted.

use std::time::Duration;

use gateway_plugin_sdk::key_value::{self, KeyValueError};
use gateway_plugin_sdk::{clock, digest};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// A request that may be admitted once until a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Once {
    key: String,
    /// Since 1970.
    until: Duration,
}

impl Once {
    /// What names it are these parts together.
    pub(crate) fn new(parts: &[&[u8]], until: Duration) -> Self {
        let mut text = Vec::new();
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        }
        let digest = digest::sha256(&text);
        // Half of it is beyond any collision that somebody could look for.
        let key = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { key, until }
    }

    /// Notes that it is admitted now.
    ///
    /// # Errors
    /// If it was before, or cannot be noted.
    pub(crate) fn admit(&self) -> Result<(), Refusal> {
        let left = self.until.saturating_sub(clock::now()).max(Duration::from_secs(1));
        match key_value::set_if_absent(&self.key, b"", Some(left)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::Replayed),
            Err(KeyValueError::Unavailable) => Err(Refusal::NoStore),
            Err(_) => Err(Refusal::NoRoom),
        }
    }
}
