//! Verification of signatures with native code. Granted as `signature`.
//!
//! ```
//! use gateway_plugin_sdk::signature::{Algorithm, VerifyingKey};
//!
//! let key = VerifyingKey::from_secret(Algorithm::Hs256, &[7; 32]).unwrap();
//! assert!(!key.verify(b"message", b"not a signature"));
//! assert_eq!("ES256".parse(), Ok(Algorithm::Es256));
//! ```

use std::fmt;
use std::str::FromStr;

use crate::host;

/// Algorithms, by their names in RFC 7518 section 3.1, RFC 8037 and RFC 8812.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256, signature as r and s (RFC 7518 section 3.4).
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// ECDSA on secp256k1 with SHA-256 (RFC 8812 section 3.2).
    Es256k,
    /// Ed25519, also by its name in RFC 9864, `Ed25519`.
    EdDsa,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Algorithm; 14] = [
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::Es256k,
        Algorithm::EdDsa,
    ];

    /// The name, such as `ES256`, as the `alg` of a token says it.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::Es512 => "ES512",
            Algorithm::Es256k => "ES256K",
            Algorithm::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not the name of an algorithm that is supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a supported signature algorithm")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Reads a name, whose case matters (RFC 7515 section 4.1.1).
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        // `EdDSA` with the one curve that there is here, said in full (RFC 9864 section 2.2).
        if name == "Ed25519" {
            return Ok(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or(UnknownAlgorithm)
    }
}

/// What is wrong with the material of a key. Never repeats it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidKey(pub(crate) String);

/// What a key is made from.
pub(crate) enum KeyMaterial<'a> {
    Secret(&'a [u8]),
    Pem(&'a str),
    Jwk(&'a str),
}

/// A key that verifies signatures of one algorithm.
pub struct VerifyingKey {
    algorithm: Algorithm,
    key: host::VerifyingKey,
}

impl VerifyingKey {
    /// A key from a shared secret, for HMAC: at least as long as the digest
    /// (RFC 7518 section 3.2).
    ///
    /// # Errors
    /// If the algorithm takes no secret, or the secret is too short.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, InvalidKey> {
        Self::parse(algorithm, KeyMaterial::Secret(secret))
    }

    /// A public key as PEM: `PUBLIC KEY` (RFC 7468 section 13), `RSA PUBLIC KEY`, or that of a
    /// `CERTIFICATE`, which is not judged otherwise.
    ///
    /// # Errors
    /// If it is not the PEM of a key of this algorithm, or an RSA key that is too weak. The text says
    /// by which command a private key and its like become a public one.
    pub fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, InvalidKey> {
        Self::parse(algorithm, KeyMaterial::Pem(pem))
    }

    /// A JSON Web Key (RFC 7517): `RSA`, `EC`, `OKP` or `oct`.
    ///
    /// # Errors
    /// If it is not the JWK of a key of this algorithm.
    pub fn from_jwk(algorithm: Algorithm, jwk: &str) -> Result<Self, InvalidKey> {
        Self::parse(algorithm, KeyMaterial::Jwk(jwk))
    }

    fn parse(algorithm: Algorithm, material: KeyMaterial<'_>) -> Result<Self, InvalidKey> {
        let key = host::VerifyingKey::parse(algorithm, material).map_err(InvalidKey)?;
        Ok(Self { algorithm, key })
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether the signature is that of the message, in constant time where the key is secret.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify(message, signature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
