//! Authentication of a client to an authorization server by a signed assertion (`private_key_jwt`: RFC 7523
//! section 2.2, OpenID Connect Core 1.0 section 9).
//!
//! Owns the settings and the token. The key is a secret of the gateway's configuration, which signs: no plugin reads
//! it. It sends nothing.

use std::fmt::Debug;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_plugin_sdk::prelude::JsonSchema;
use gateway_plugin_sdk::signature::Algorithm;
use gateway_plugin_sdk::{clock, random, secrets};
use serde::Deserialize;
use serde_json::json;

use crate::problems::{Pointer, Problems};

/// How long an assertion is valid, in seconds.
const LIFETIME: u64 = 60;

/// What the parameter `client_assertion_type` says (RFC 7523 section 2.2).
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The settings, as they are written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssertionConfig {
    /// The name of the secret that is the private key, in PEM. `secrets = ["NAME"]` beside `component` grants it.
    #[schemars(length(min = 1))]
    pub key: String,

    /// The algorithm by which it signs.
    pub algorithm: AssertionAlgorithm,

    /// The id by which the server knows the key: `kid`. Default none.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub key_id: Option<String>,

    /// For whom the assertion is: the server's issuer, or the address of its endpoint.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub audience: Option<String>,
}

/// An algorithm that signs with a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "they are the names of RFC 7518")]
pub enum AssertionAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

/// What makes assertions of one client.
#[derive(Debug, Clone)]
pub struct Assertion {
    key: String,
    algorithm: Algorithm,
    key_id: Option<String>,
    client: String,
    audience: Option<String>,
}

impl AssertionAlgorithm {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::RS256 => Algorithm::Rs256,
            Self::RS384 => Algorithm::Rs384,
            Self::RS512 => Algorithm::Rs512,
            Self::PS256 => Algorithm::Ps256,
            Self::PS384 => Algorithm::Ps384,
            Self::PS512 => Algorithm::Ps512,
            Self::ES256 => Algorithm::Es256,
            Self::ES384 => Algorithm::Es384,
            Self::ES512 => Algorithm::Es512,
            Self::EdDSA => Algorithm::EdDsa,
        }
    }
}

impl Assertion {
    /// Checks the settings, of which `at` is the place, and whether the key signs. `has_audience`: where none is
    /// written, the caller knows one.
    pub fn new(
        config: &AssertionConfig,
        client: &str,
        has_audience: bool,
        at: &Pointer,
        problems: &mut Problems,
    ) -> Self {
        if config.audience.is_none() && !has_audience {
            let message =
                "needs an `audience`: the server's issuer, or the address of its endpoint";
            problems.add(at, message);
        }
        let algorithm = config.algorithm.algorithm();
        if secrets::get(&config.key).is_none() {
            let name = &config.key;
            let message = format!(
                "is no secret of the plugin: write `secrets = [\"{name}\"]` beside `component`"
            );
            problems.add(&at.key("key"), message);
        } else if let Err(error) = secrets::sign(&config.key, algorithm, b"") {
            problems.add(&at.key("key"), format!("cannot sign: {error}"));
        }
        Self {
            key: config.key.clone(),
            algorithm,
            key_id: config.key_id.clone(),
            client: client.to_owned(),
            audience: config.audience.clone(),
        }
    }

    /// A new assertion, for the audience of the settings or else for this one. Each has an id of its own, and is
    /// valid for a minute.
    ///
    /// # Errors
    /// If the key does not sign. The text never repeats it.
    pub fn token(&self, audience: &str) -> Result<String, String> {
        let now = clock::now().as_secs();
        let mut header = json!({ "alg": self.algorithm.name(), "typ": "JWT" });
        if let Some(id) = &self.key_id {
            header["kid"] = json!(id);
        }
        let claims = json!({
            "iss": self.client, "sub": self.client,
            "aud": self.audience.as_deref().unwrap_or(audience),
            "jti": URL_SAFE_NO_PAD.encode(random::bytes(16)),
            "iat": now, "exp": now + LIFETIME,
        });
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = secrets::sign(&self.key, self.algorithm, token.as_bytes());
        let signature =
            signature.map_err(|error| format!("the assertion is not signed: {error}"))?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(token)
    }
}
