//! One API key as it is kept.
//!
//! Owns what is written to a store, and the forms of identifiers and digests. The secret itself is never here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// The SHA-256 digest of a whole key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Digest(pub(crate) [u8; 32]);

/// What is known of a key, as it is written to the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Another one with each change, so that no change is made to what somebody else changed meanwhile.
    pub(crate) tag: Box<str>,
    pub(crate) digest: Digest,
    pub(crate) consumer: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scopes: Vec<Box<str>>,
    /// Names with JSON texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) claims: Vec<(Box<str>, Box<str>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<Box<str>>,
    /// In seconds since 1970, as all times here.
    pub(crate) created: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotated: Option<u64>,
    /// The first second in which it is none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<u64>,
    /// What the secret was before, while that is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) old: Option<Old>,
}

/// A secret that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Old {
    pub(crate) digest: Digest,
    pub(crate) until: u64,
}

/// A key in force.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) id: Box<str>,
    pub(crate) record: Record,
    used: Arc<Used>,
}

/// When a key was last used, 0 before it was; and what of that the store has.
#[derive(Debug, Default)]
pub(super) struct Used {
    at: AtomicU64,
    written: AtomicU64,
}

/// Uses of a key that come sooner after another are not noted, so that workers do not write to the same memory
/// for each request.
const GRAIN: u64 = 10;

impl Digest {
    pub(crate) fn of(secret: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, secret).as_ref());
        Self(bytes)
    }

    /// Reads `sha256:` and 64 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:")?.as_bytes();
        let (pairs, rest) = digits.as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return None;
        }
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|it| u8::try_from(it).ok());
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }
}

impl From<Digest> for String {
    fn from(Digest(bytes): Digest) -> Self {
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        format!("sha256:{}", digits.collect::<Self>())
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a digest is `sha256:` and 64 hexadecimal digits")
    }
}

impl Record {
    /// The digests by which it is found.
    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> {
        [Some(self.digest), self.old.map(|old| old.digest)].into_iter().flatten()
    }

    /// When it ends, for who has the secret of this digest.
    pub(super) fn until(&self, digest: Digest) -> Option<u64> {
        let old = self.old.filter(|old| old.digest == digest && digest != self.digest);
        [self.expires, old.map(|old| old.until)].into_iter().flatten().min()
    }

    /// All times at which something of it ends.
    pub(super) fn ends(&self) -> impl Iterator<Item = u64> {
        self.expires.into_iter().chain(self.old.map(|old| old.until))
    }
}

impl Key {
    pub(super) fn new(id: Box<str>, record: Record, used: Arc<Used>) -> Self {
        Self { id, record, used }
    }

    /// It was used now.
    pub(super) fn note_use(&self, now: u64) {
        if now >= self.used.at.load(Relaxed) + GRAIN {
            self.used.at.store(now, Relaxed);
        }
    }

    /// When it was last used, as far as this gateway knows; 0 before it was.
    pub(crate) fn last_used(&self) -> u64 {
        self.used.at.load(Relaxed)
    }

    /// The same, if the store does not have it.
    pub(super) fn unwritten_use(&self) -> Option<u64> {
        let at = self.last_used();
        (at > self.used.written.load(Relaxed)).then_some(at)
    }

    /// The store has this use.
    pub(super) fn use_is_written(&self, at: u64) {
        self.used.written.fetch_max(at, Relaxed);
        self.used.at.fetch_max(at, Relaxed);
    }

    pub(super) fn used(&self) -> &Arc<Used> {
        &self.used
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
}
