//! What the keys of one plugin are called in a server.
//!
//! Owns their form: `PREFIX:{PLUGIN}:KIND=KEY`, and a hash in the place of a long key. In braces: all keys of a plugin
//! are in one slot of a cluster, since a check is atomic.

use crate::config::RedisStore;

/// Bytes of a key that goes over as it is; of a longer one its hash does.
const MAX_PLAIN_KEY: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Names(Box<str>);

impl Names {
    pub(super) fn of(settings: &RedisStore, plugin: &str) -> Self {
        // Braces in the name would end the part that a cluster hashes.
        let plugin = plugin.replace(['{', '}'], "_");
        Self(format!("{}:{{{plugin}}}:", settings.prefix).into())
    }

    /// A key of some kind; of buckets that is the empty text.
    pub(super) fn key(&self, kind: &str, key: &str) -> String {
        let Self(prefix) = self;
        if key.len() <= MAX_PLAIN_KEY {
            return format!("{prefix}{kind}={key}");
        }
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
        let mut text = format!("{prefix}{kind}#");
        for byte in digest.as_ref() {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }
}
