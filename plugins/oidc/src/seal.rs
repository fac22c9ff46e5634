//! Encrypted and authenticated texts for cookies: XChaCha20-Poly1305, whose nonce is long enough to be random.
//!
//! Owns keys and their rotation. A text opens only for the purpose that it was sealed for.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use gateway_plugin_sdk::{digest, random};

const NONCE: usize = 24;

/// The shortest secret that keys are made from, in bytes.
pub(crate) const MIN_SECRET: usize = 32;

/// What a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A session.
    Session,
    /// A login that has begun.
    Attempt,
    /// The ID token, which the provider wants to see at a logout.
    Hint,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Attempt => "attempt",
            Self::Hint => "hint",
        }
    }
}

/// The keys that seal and open.
pub(crate) struct Seal {
    /// The first seals.
    keys: Vec<XChaCha20Poly1305>,
    /// For whom all texts are.
    audience: String,
}

impl Seal {
    /// Keys from secrets, the first of which seals. What is sealed for one audience does not open for another.
    pub(crate) fn new(secrets: &[String], audience: &str) -> Self {
        let key = |secret: &String| {
            // The secret has the entropy of a key; the digest gives it the length of one.
            let text = [b"gateway oidc session key\0", secret.as_bytes()].concat();
            XChaCha20Poly1305::new(&digest::sha256(&text).into())
        };
        Self { keys: secrets.iter().map(key).collect(), audience: audience.to_owned() }
    }

    fn bound_to(&self, purpose: Purpose) -> String {
        format!("{}\0{}", purpose.name(), self.audience)
    }

    /// Seals a text. `None` if there is no key.
    pub(crate) fn seal(&self, purpose: Purpose, text: &[u8]) -> Option<String> {
        let nonce: [u8; NONCE] = random::bytes(NONCE as u32).try_into().ok()?;
        let mut buffer = text.to_vec();
        let bound = self.bound_to(purpose);
        self.keys
            .first()?
            .encrypt_in_place(&XNonce::from(nonce), bound.as_bytes(), &mut buffer)
            .ok()?;
        buffer.splice(..0, nonce);
        Some(URL_SAFE_NO_PAD.encode(buffer))
    }

    /// Opens what was sealed by one of the keys for this purpose.
    pub(crate) fn open(&self, purpose: Purpose, sealed: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, rest) = bytes.split_at_checked(NONCE)?;
        let nonce = XNonce::from(<[u8; NONCE]>::try_from(nonce).ok()?);
        let bound = self.bound_to(purpose);
        self.keys.iter().find_map(|key| {
            let mut buffer = rest.to_vec();
            key.decrypt_in_place(&nonce, bound.as_bytes(), &mut buffer).ok()?;
            Some(buffer)
        })
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Seal").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}
