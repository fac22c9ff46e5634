//! API keys that are added, changed and revoked while the gateway runs. The configured plugin is granted them
//! set by set, by `keys = ["NAME"]`.
//!
//! A look-up costs no more than a call: all keys are in the memory of the gateway. What a plugin allows to be
//! made again ([`Request::reuse_for`](crate::Request::reuse_for)) is forgotten once any key of a set that it was
//! granted has changed, so a revoked key is refused at once. It must not be allowed for longer than
//! [`Key::expires`] says.
//!
//! ```
//! use gateway_plugin_sdk::keys::{Key, KeySet};
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! struct Doors {
//!     guests: KeySet,
//! }
//!
//! impl Plugin for Doors {
//!     type Config = NoConfig;
//!     type Context = ();
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         Ok(Self { guests: KeySet::new("guests")? })
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_request().header("x-api-key")
//!     }
//!
//!     fn on_request(&self, request: &mut Request, _: &mut ()) -> Outcome {
//!         let secret = request.header("x-api-key").unwrap_or_default().to_owned();
//!         match self.guests.find(secret.as_bytes()) {
//!             Ok(Some(key)) => {
//!                 request.set_header("x-guest", key.consumer);
//!                 Outcome::Next
//!             }
//!             Ok(None) => Outcome::respond(Response::forbidden("who is there?")),
//!             Err(_) => Outcome::respond(Response::forbidden("come another time")),
//!         }
//!     }
//! }
//!
//! let harness = Harness::<Doors>::prepare().keys("guests").configure(NoConfig {}).unwrap();
//! let ask = || harness.request(testing::request().header("x-api-key", "secret"));
//! assert_eq!(ask().answer().unwrap().status(), 403);
//! harness.add_key("guests", "secret", Key::new("1", "ada"));
//! assert_eq!(ask().request().header("x-guest"), Some("ada"));
//! harness.revoke_key("guests", "1");
//! assert_eq!(ask().answer().unwrap().status(), 403);
//! ```

use std::time::Duration;

use crate::{ConfigError, digest, host};

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Key {
    /// Its name in its set, which is no secret.
    pub id: String,
    /// Whose it is.
    pub consumer: String,
    /// The group of the consumer, such as a plan or a team.
    pub group: Option<String>,
    /// What it allows.
    pub scopes: Vec<String>,
    /// Further facts about the consumer: names with JSON texts.
    pub claims: Vec<(String, String)>,
    /// When it ends, for who has the secret that was looked for: a time as of [`clock::now`](crate::clock::now).
    pub expires: Option<Duration>,
}

impl Key {
    /// A key of which no more is known.
    pub fn new(id: impl Into<String>, consumer: impl Into<String>) -> Self {
        let (id, consumer) = (id.into(), consumer.into());
        let (scopes, claims) = (Vec::new(), Vec::new());
        Self { id, consumer, group: None, scopes, claims, expires: None }
    }
}

/// Why a key could not be looked for, or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// The plugin was not granted a set of this name.
    NotGranted,
    /// The keys of the set have not been read yet.
    Unavailable,
    /// It was a key, and is none any more.
    Expired,
    /// A digest has 32 bytes.
    Invalid,
}

/// Finds a key by the SHA-256 digest of the whole secret, and notes that it is used; `None` if there is no such
/// key, or it was revoked.
///
/// # Errors
/// Why it cannot be known, or that it has expired.
pub fn find(set: &str, digest: &[u8; 32]) -> Result<Option<Key>, KeyError> {
    host::find_key(set, digest)
}

/// A set that the plugin was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    name: String,
}

impl KeySet {
    /// A set of this name.
    ///
    /// # Errors
    /// If the plugin was not granted it.
    pub fn new(name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        if find(&name, &[0; 32]) == Err(KeyError::NotGranted) {
            let message = format!("needs `keys = [\"{name}\"]` beside `component`");
            return Err(ConfigError::new(message));
        }
        Ok(Self { name })
    }

    /// Finds a key by its secret; see [`find`].
    ///
    /// # Errors
    /// Why it cannot be known, or that it has expired.
    pub fn find(&self, secret: &[u8]) -> Result<Option<Key>, KeyError> {
        find(&self.name, &digest::sha256(secret))
    }
}
