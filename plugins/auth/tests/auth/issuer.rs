//! Somebody who issues tokens: keys made for the test, and signatures by them.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z, where the clock of a test begins.
pub(crate) const NOW: i64 = 1_767_225_600;

/// A key that signs.
pub(crate) enum Signer {
    Secret(&'static str, Vec<u8>),
    Rsa(&'static str, RsaKeyPair),
    Ecdsa(&'static str, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    /// A new key for an algorithm.
    pub(crate) fn new(algorithm: &'static str) -> Self {
        match algorithm {
            "HS256" | "HS384" | "HS512" => {
                let secret = "a secret that is as long as the longest digest, 64 bytes or more..";
                Self::Secret(algorithm, secret.into())
            }
            "ES256" | "ES384" | "ES512" | "ES256K" => {
                let kind = match algorithm {
                    "ES256" => &ECDSA_P256_SHA256_FIXED_SIGNING,
                    "ES256K" => &ECDSA_P256K1_SHA256_FIXED_SIGNING,
                    "ES384" => &ECDSA_P384_SHA384_FIXED_SIGNING,
                    _ => &ECDSA_P521_SHA512_FIXED_SIGNING,
                };
                Self::Ecdsa(algorithm, EcdsaKeyPair::generate(kind).unwrap())
            }
            "EdDSA" => Self::Ed25519(Ed25519KeyPair::generate().unwrap()),
            _ => Self::Rsa(algorithm, RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        }
    }

    /// The name of the algorithm.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Secret(algorithm, _) | Self::Rsa(algorithm, _) | Self::Ecdsa(algorithm, _) => {
                algorithm
            }
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// The key as the configuration names it.
    pub(crate) fn config(&self) -> Value {
        match self {
            Self::Secret(algorithm, secret) => {
                json!({ "algorithm": algorithm, "secret": String::from_utf8_lossy(secret) })
            }
            _ => json!({ "algorithm": self.algorithm(), "pem": self.pem() }),
        }
    }

    /// The public key as PEM.
    pub(crate) fn pem(&self) -> String {
        let der = match self {
            Self::Secret(..) => panic!("a secret has no public key"),
            Self::Rsa(_, key) => key.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ecdsa(_, key) => key.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.public_key().as_der().unwrap().as_ref().to_vec(),
        };
        let base64 = STANDARD.encode(der);
        let lines: Vec<&str> =
            base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// The private key as PEM.
    pub(crate) fn private_pem(&self) -> String {
        let der = match self {
            Self::Secret(..) => panic!("a secret is no private key"),
            Self::Rsa(_, key) => AsDer::<Pkcs8V1Der<'_>>::as_der(key).unwrap().as_ref().to_vec(),
            Self::Ecdsa(_, key) => key.to_pkcs8v1().unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.to_pkcs8v1().unwrap().as_ref().to_vec(),
        };
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der)
        )
    }

    /// The public key as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Secret(_, secret) => json!({ "kty": "oct", "k": encode(secret) }),
            Self::Rsa(_, key) => {
                let key = key.public_key();
                let (n, e) = (key.modulus(), key.exponent());
                let (n, e) =
                    (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
                json!({ "kty": "RSA", "n": encode(n), "e": encode(e) })
            }
            Self::Ecdsa(algorithm, key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = match *algorithm {
                    "ES256" => "P-256",
                    "ES384" => "P-384",
                    "ES256K" => "secp256k1",
                    _ => "P-521",
                };
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
            Self::Ed25519(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref()) })
            }
        }
    }

    /// A token with the claims, and no more in its header than the algorithm and the type.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "alg": self.algorithm(), "typ": "JWT" }), claims)
    }

    /// A token with header and claims.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    /// A token with header and payload as they are.
    pub(crate) fn token_of(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", encoded(header), encoded(payload));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Secret(algorithm, secret) => {
                let kind = match *algorithm {
                    "HS256" => hmac::HMAC_SHA256,
                    "HS384" => hmac::HMAC_SHA384,
                    _ => hmac::HMAC_SHA512,
                };
                hmac::sign(&hmac::Key::new(kind, secret), message).as_ref().to_vec()
            }
            Self::Rsa(algorithm, key) => {
                let kind: &'static dyn RsaEncoding = match *algorithm {
                    "RS256" => &RSA_PKCS1_SHA256,
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    _ => &RSA_PSS_SHA512,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(kind, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
            Self::Ecdsa(_, key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().into(),
            Self::Ed25519(key) => key.sign(message).as_ref().into(),
        }
    }
}

/// Base64url without padding.
pub(crate) fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// The claims of a token that is in order.
pub(crate) fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": "api", "sub": "ada", "iat": NOW - 10,
        "nbf": NOW - 10, "exp": NOW + 600, "scope": "orders:read orders:write", "plan": "pro",
    })
}

/// The claims of a token that is in order but for some, `null` for none.
pub(crate) fn claims_but(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            _ => claims[name] = value.clone(),
        }
    }
    claims
}

/// A configuration that trusts these keys, all of one issuer.
pub(crate) fn trusting(signers: &[&Signer]) -> Value {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.config()).collect();
    let mut algorithms: Vec<&str> = signers.iter().map(|signer| signer.algorithm()).collect();
    algorithms.dedup();
    json!({ "jwt": { "issuers": [{
        "issuer": "https://issuer.example", "audiences": ["api"], "algorithms": algorithms,
        "keys": keys,
    }] } })
}
