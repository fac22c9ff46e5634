//! What the keys of one plugin are called in a server.
//!
//! Owns their form: `PREFIX:{PLUGIN}:KIND=KEY`, and a hash in the place of a long key. In braces: all keys of a plugin
//! are in one slot of a cluster, since a check is atomic.

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

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
        let prefix = &*self.0;
        if key.len() <= MAX_PLAIN_KEY {
            let mut text = String::with_capacity(prefix.len() + kind.len() + 1 + key.len());
            text.extend([prefix, kind, "=", key]);
            return text;
        }
        let digest = digest(&SHA256, key.as_bytes());
        // With each check: formatting took several times as long as the digest itself.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; 2 * SHA256_OUTPUT_LEN];
        for (byte, two) in digest.as_ref().iter().zip(digits.as_chunks_mut().0) {
            *two = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        }
        let mut text = String::with_capacity(prefix.len() + kind.len() + 1 + digits.len());
        text.extend([prefix, kind, "#", str::from_utf8(&digits).unwrap_or_default()]);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_goes_over_as_its_digest() {
        let names = Names("gateway:{p}:".into());
        assert_eq!(names.key("w", "short"), "gateway:{p}:w=short");
        // As `sha256sum` has it.
        let digest = "f39cdc2584758c99cf81c1f41d2572f54e17066afffc9d187aeafe5f7cbe2122";
        assert_eq!(names.key("", &"k".repeat(65)), format!("gateway:{{p}}:#{digest}"));
    }
}
