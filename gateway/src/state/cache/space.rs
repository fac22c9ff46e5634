//! The keys, tags and owners of one plugin in a cache.
//!
//! Owns that those of two plugins are never the same, and that nobody can choose two texts with one key.

use std::hash::Hasher as _;
use std::sync::Arc;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// The keys and tags of one plugin.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    pub(crate) plugin: Arc<str>,
    pub(super) hasher: SipHasher13,
    /// Its keys and tags are the same on other gateways.
    pub(super) is_shared: bool,
}

impl Space {
    /// The key in the map: secret, so that nobody finds two texts with the same.
    pub(crate) fn key(&self, key: &[u8]) -> u128 {
        self.hash(b'k', key)
    }

    /// A tag in the index.
    pub(crate) fn tag(&self, tag: &str) -> u64 {
        self.hash(b't', tag.as_bytes()) as u64
    }

    /// An owner in the index.
    pub(crate) fn owner(&self, name: &str) -> u64 {
        self.hash(b'o', name.as_bytes()) as u64
    }

    fn hash(&self, kind: u8, text: &[u8]) -> u128 {
        if self.is_shared {
            let length = (self.plugin.len() as u64).to_be_bytes();
            return digest(&[&length, self.plugin.as_bytes(), &[kind], text]);
        }
        let mut hasher = self.hasher;
        hasher.write(&[kind]);
        hasher.write(text);
        hasher.finish128().as_u128()
    }
}

/// What gateways share has no secret: the beginning of a SHA-256 of these texts, one behind the other.
pub(super) fn digest(texts: &[&[u8]]) -> u128 {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    texts.iter().for_each(|text| context.update(text));
    let digest = context.finish();
    let first = digest.as_ref().first_chunk();
    first.map_or(0, |first| u128::from_be_bytes(*first))
}
