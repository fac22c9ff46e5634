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
        let mut text = String::with_capacity(prefix.len() + kind.len() + 1 + 64);
        text.extend([&**prefix, kind, "#"]);
        // With each check: formatting took several times as long as the digest itself.
        const DIGITS: [char; 16] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        for byte in digest.as_ref() {
            text.push(DIGITS[usize::from(byte >> 4)]);
            text.push(DIGITS[usize::from(byte & 15)]);
        }
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
