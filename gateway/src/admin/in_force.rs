//! The configuration in force, as the admin API shows it.
//!
//! Owns which one that is, since when, and how many there were.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::ServerConfig;

use crate::config::Config;
use crate::tls;

/// A configuration that is in force, or was.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) config: Arc<Config>,
    /// The first has 1, each that follows one more.
    pub(super) generation: u64,
    /// Seconds since 1970.
    pub(super) since: u64,
    /// Of the text that it was read from, in hexadecimal digits.
    pub(super) sha256: String,
    /// How handshakes of `[admin]` go, where it has TLS.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// The addresses that listeners have, by name: port 0 is another one by then.
    pub(crate) addresses: BTreeMap<String, SocketAddr>,
}

impl InForce {
    /// A configuration that is about to be put in force.
    ///
    /// # Errors
    /// When TLS of `[admin]` cannot be set up.
    pub(crate) fn new(
        config: Arc<Config>,
        addresses: BTreeMap<String, SocketAddr>,
    ) -> Result<Self, rustls::Error> {
        let tls = config.admin.as_ref().and_then(|admin| admin.tls.as_ref());
        let tls = tls.map(tls::admin_config).transpose()?;
        let sha256 = sha256(config.source.text());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
        Ok(Self { config, generation: 1, since, sha256, tls, addresses })
    }
}

/// The digest of a text, in hexadecimal digits.
pub(super) fn sha256(text: &str) -> String {
    let digits = digest(&SHA256, text.as_bytes());
    digits.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The one that is in force now. Held for a moment only: a reload takes as long as its plugins compile, and
/// nobody waits for it.
#[derive(Debug)]
pub(crate) struct Current(Mutex<Arc<InForce>>);

impl Current {
    pub(crate) fn new(first: InForce) -> Self {
        Self(Mutex::new(Arc::new(first)))
    }

    pub(crate) fn get(&self) -> Arc<InForce> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn put(&self, mut next: InForce) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        next.generation = current.generation + 1;
        *current = Arc::new(next);
    }
}
