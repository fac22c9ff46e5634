//! Shared secrets, where they come from and how they are written.
//!
//! Owns how short a secret may be.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_plugin_sdk::secrets;
use gateway_plugin_sdk::signature::{Algorithm, VerifyingKey};

use crate::config::{Secret, SecretEncoding};

/// The shortest secret, in bytes: a shorter one can be guessed.
const SHORTEST: usize = 16;

/// The key that a secret makes, or what is wrong with it.
pub(crate) fn key(
    algorithm: Algorithm,
    secret: &Secret,
    encoding: SecretEncoding,
) -> Result<VerifyingKey, String> {
    let text = match secret {
        Secret::Text(text) => text.clone(),
        Secret::Named { name } => secrets::get(name).ok_or_else(|| {
            format!("is no secret of the plugin: write `secrets = [\"{name}\"]` beside `component`")
        })?,
    };
    if text.trim_start().starts_with("-----BEGIN") {
        return Err(
            "is a PEM document, which is no secret: keys in PEM are for `message`".to_owned()
        );
    }
    let mut bytes = match encoding {
        SecretEncoding::Text => text.into_bytes(),
        SecretEncoding::Base64 => {
            let text = text.strip_prefix("whsec_").unwrap_or(&text);
            STANDARD.decode(text).map_err(|_| "is not base64: write `secret_encoding = \"text\"` if its bytes are the secret themselves".to_owned())?
        }
    };
    if bytes.len() < SHORTEST {
        return Err(format!(
            "has {} bytes, and needs {SHORTEST}: make one with `openssl rand -base64 32`",
            bytes.len()
        ));
    }
    // HMAC fills a key up with zeros to the length of a block (RFC 2104 section 2), which is longer than this: the
    // gateway asks for as many bytes as the digest has, and the key stays the same.
    let length = match algorithm {
        Algorithm::Hs384 => 48,
        Algorithm::Hs512 => 64,
        _ => 32,
    };
    if bytes.len() < length {
        bytes.resize(length, 0);
    }
    VerifyingKey::from_secret(algorithm, &bytes).map_err(|error| error.to_string())
}
