//! Keys that verify signatures of messages.
//!
//! Owns that a key is of one algorithm, and what of a configured key is refused.

use std::collections::BTreeSet;
use std::fmt;

use gateway_plugin_sdk::signature::{Algorithm, VerifyingKey};
use serde_json::Value;

use crate::config::{KeySpec, SignatureAlgorithm};
use crate::consumer::{Consumer, Owner, is_name};
use crate::secret;
use gateway_plugin_identity::problems::{Pointer, Problems};

/// A key, and whose it is.
pub(super) struct Key {
    pub(super) id: String,
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) verifying: VerifyingKey,
    pub(super) consumer: Consumer,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SignatureAlgorithm {
    /// Its name in the registry of RFC 9421 section 6.2.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The algorithm of JSON Web Signatures that is the same.
    fn same(self) -> Algorithm {
        match self {
            Self::HmacSha256 => Algorithm::Hs256,
            Self::RsaPssSha512 => Algorithm::Ps512,
            Self::RsaV15Sha256 => Algorithm::Rs256,
            Self::EcdsaP256Sha256 => Algorithm::Es256,
            Self::EcdsaP384Sha384 => Algorithm::Es384,
            Self::Ed25519 => Algorithm::EdDsa,
        }
    }
}

/// Checks all keys.
pub(super) fn all(specs: &[KeySpec], at: &Pointer, problems: &mut Problems) -> Vec<Key> {
    if specs.is_empty() {
        problems.add(at, "no key is named, so no request could be admitted");
    }
    let names_groups = specs.iter().any(|spec| spec.group.is_some());
    let mut ids = BTreeSet::new();
    let mut keys = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let at = at.index(index);
        if !is_name(&spec.id) {
            problems.add(&at.key("id"), "is no name of 1 to 1024 bytes on one line");
        }
        if !ids.insert(&spec.id) {
            problems.add(&at.key("id"), "is the id of another key: give each key an id of its own");
        }
        let owner = Owner {
            id: spec.consumer.as_deref().unwrap_or(&spec.id),
            key_id: &spec.id,
            group: spec.group.as_deref(),
            names_groups,
            scopes: &spec.scopes,
            claims: &spec.claims,
        };
        let consumer = Consumer::new(&owner, &at, problems);
        match verifying(spec) {
            Ok(verifying) => keys.push(Key {
                id: spec.id.clone(),
                algorithm: spec.algorithm,
                verifying,
                consumer,
            }),
            Err((member, message)) => {
                let place = if member.is_empty() { at } else { at.key(member) };
                problems.add(&place, message);
            }
        }
    }
    keys
}

/// The key of the material, or what is wrong and with which member.
fn verifying(spec: &KeySpec) -> Result<VerifyingKey, (&'static str, String)> {
    let algorithm = spec.algorithm.same();
    let name = spec.algorithm.name();
    let is_shared = spec.algorithm == SignatureAlgorithm::HmacSha256;
    let wrong =
        |member| move |error: &dyn fmt::Display| (member, format!("is no key for {name}: {error}"));
    match (&spec.pem, &spec.jwk, &spec.secret) {
        (Some(pem), None, None) => {
            VerifyingKey::from_pem(algorithm, pem).map_err(|error| wrong("pem")(&error))
        }
        (None, Some(jwk), None) => {
            let text = match jwk {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let members: Option<Value> = serde_json::from_str(&text).ok();
            let is_private = members.is_some_and(|members| members.get("d").is_some());
            if is_private {
                let message = "holds a private key; leave the public part only";
                return Err(("jwk", message.to_owned()));
            }
            VerifyingKey::from_jwk(algorithm, &text).map_err(|error| wrong("jwk")(&error))
        }
        (None, None, Some(_)) if !is_shared => {
            Err(("secret", format!("{name} takes a public key, no secret")))
        }
        (None, None, Some(secret)) => secret::key(algorithm, secret, spec.secret_encoding)
            .map_err(|message| ("secret", message)),
        _ => Err(("", "needs one of `pem`, `jwk` and `secret`".to_owned())),
    }
}
