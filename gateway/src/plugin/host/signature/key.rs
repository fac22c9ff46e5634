//! Verifying keys: from secret, PEM or JWK to something that verifies.
//!
//! Owns which material fits which algorithm. Error texts never repeat the material.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED, ECDSA_P384_SHA384_FIXED,
    ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::public_key::{self, Wanted};
use crate::plugin::bindings::{Algorithm, KeyMaterial};

/// A key that verifies signatures of one algorithm.
pub(super) enum VerifyingKey {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// What an algorithm needs.
pub(super) enum Family {
    /// A secret of at least this many bytes (RFC 7518 section 3.2).
    Hmac(hmac::Algorithm, usize),
    /// Whether it is RSASSA-PSS.
    Rsa(&'static RsaParameters, bool),
    /// A curve by its name in a JWK, and the bytes of a coordinate.
    Ecdsa(&'static dyn VerificationAlgorithm, &'static str, usize),
    Ed25519,
}

impl VerifyingKey {
    pub(super) fn parse(family: &Family, material: &KeyMaterial) -> Result<Self, String> {
        match material {
            KeyMaterial::Secret(secret) => family.secret(secret),
            KeyMaterial::Pem(text) => family.pem(text),
            KeyMaterial::Jwk(text) => family.jwk(text),
        }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

impl Family {
    pub(super) fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Hs256 => Self::Hmac(hmac::HMAC_SHA256, 32),
            Algorithm::Hs384 => Self::Hmac(hmac::HMAC_SHA384, 48),
            Algorithm::Hs512 => Self::Hmac(hmac::HMAC_SHA512, 64),
            Algorithm::Rs256 => Self::Rsa(&RSA_PKCS1_2048_8192_SHA256, false),
            Algorithm::Rs384 => Self::Rsa(&RSA_PKCS1_2048_8192_SHA384, false),
            Algorithm::Rs512 => Self::Rsa(&RSA_PKCS1_2048_8192_SHA512, false),
            Algorithm::Ps256 => Self::Rsa(&RSA_PSS_2048_8192_SHA256, true),
            Algorithm::Ps384 => Self::Rsa(&RSA_PSS_2048_8192_SHA384, true),
            Algorithm::Ps512 => Self::Rsa(&RSA_PSS_2048_8192_SHA512, true),
            Algorithm::Es256 => Self::Ecdsa(&ECDSA_P256_SHA256_FIXED, "P-256", 32),
            Algorithm::Es384 => Self::Ecdsa(&ECDSA_P384_SHA384_FIXED, "P-384", 48),
            Algorithm::Es512 => Self::Ecdsa(&ECDSA_P521_SHA512_FIXED, "P-521", 66),
            Algorithm::Eddsa => Self::Ed25519,
        }
    }

    /// By the name of an algorithm; those that the interface had at first, and those after.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        Ok(Self::of(match name {
            "HS256" => Algorithm::Hs256,
            "HS384" => Algorithm::Hs384,
            "HS512" => Algorithm::Hs512,
            "RS256" => Algorithm::Rs256,
            "RS384" => Algorithm::Rs384,
            "RS512" => Algorithm::Rs512,
            "PS256" => Algorithm::Ps256,
            "PS384" => Algorithm::Ps384,
            "PS512" => Algorithm::Ps512,
            "ES256" => Algorithm::Es256,
            "ES384" => Algorithm::Es384,
            "ES512" => Algorithm::Es512,
            "EdDSA" | "Ed25519" => Algorithm::Eddsa,
            "ES256K" => return Ok(Self::Ecdsa(&ECDSA_P256K1_SHA256_FIXED, "secp256k1", 32)),
            _ => return Err("the algorithm is not supported".to_owned()),
        }))
    }

    fn secret(&self, secret: &[u8]) -> Result<VerifyingKey, String> {
        match self {
            Self::Hmac(algorithm, least) if secret.len() >= *least => {
                Ok(VerifyingKey::Secret(Box::new(hmac::Key::new(*algorithm, secret))))
            }
            Self::Hmac(_, least) => Err(format!(
                "the secret has {} bytes, and this algorithm needs at least {least}",
                secret.len()
            )),
            Self::Rsa(..) | Self::Ecdsa(..) | Self::Ed25519 => {
                Err("a shared secret does not fit an algorithm with public keys".into())
            }
        }
    }

    fn pem(&self, text: &str) -> Result<VerifyingKey, String> {
        let (algorithm, wanted): (&'static dyn VerificationAlgorithm, _) = match self {
            Self::Hmac(..) => return Err("a public key does not fit an HMAC algorithm".into()),
            Self::Rsa(parameters, pss) => (*parameters, Wanted::Rsa { pss: *pss }),
            Self::Ecdsa(algorithm, curve, _) => (*algorithm, Wanted::Curve(curve)),
            Self::Ed25519 => (&ED25519, Wanted::Ed25519),
        };
        public(ParsedPublicKey::new(algorithm, public_key::from_pem(text, wanted)?))
    }

    fn jwk(&self, text: &str) -> Result<VerifyingKey, String> {
        let jwk: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| "the JWK is not a JSON object".to_owned())?;
        match self {
            Self::Hmac(..) => {
                kty(&jwk, "oct")?;
                self.secret(&member(&jwk, "k")?)
            }
            Self::Rsa(parameters, _) => {
                kty(&jwk, "RSA")?;
                let number = |name| member(&jwk, name).map(|it| public_key::digits(&it).to_vec());
                let key = RsaPublicKeyComponents { n: number("n")?, e: number("e")? };
                public_key::check_rsa(&key.n, &key.e)?;
                public(key.to_parsed_public_key(parameters))
            }
            Self::Ecdsa(algorithm, curve, width) => {
                kty(&jwk, "EC")?;
                crv(&jwk, curve)?;
                let (x, y) = (member(&jwk, "x")?, member(&jwk, "y")?);
                if x.len() != *width || y.len() != *width {
                    return Err(format!("the JWK's `x` and `y` must have {width} bytes each"));
                }
                // SEC 1 section 2.3.3: an uncompressed point.
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                public(ParsedPublicKey::new(*algorithm, point))
            }
            Self::Ed25519 => {
                kty(&jwk, "OKP")?;
                crv(&jwk, "Ed25519")?;
                public(ParsedPublicKey::new(&ED25519, member(&jwk, "x")?))
            }
        }
    }
}

fn public(
    parsed: Result<ParsedPublicKey, aws_lc_rs::error::KeyRejected>,
) -> Result<VerifyingKey, String> {
    parsed
        .map(VerifyingKey::Public)
        .map_err(|why| format!("the key is not valid for this algorithm: {why}"))
}

fn kty(jwk: &Map<String, Value>, wanted: &str) -> Result<(), String> {
    is(jwk, "kty", wanted)
}

fn crv(jwk: &Map<String, Value>, wanted: &str) -> Result<(), String> {
    is(jwk, "crv", wanted)
}

fn is(jwk: &Map<String, Value>, name: &str, wanted: &str) -> Result<(), String> {
    if jwk.get(name).and_then(Value::as_str) == Some(wanted) {
        return Ok(());
    }
    Err(format!("the JWK's `{name}` must be `{wanted}` for this algorithm"))
}

fn member(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let text = jwk.get(name).and_then(Value::as_str);
    let text = text.ok_or_else(|| format!("the JWK has no `{name}`"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("the JWK's `{name}` is not base64url"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(algorithm: Algorithm, material: KeyMaterial) -> String {
        VerifyingKey::parse(&Family::of(algorithm), &material).err().expect("refused")
    }

    #[test]
    fn verifies_the_example_of_rfc_7515_appendix_a_1() {
        let jwk = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
        let key = VerifyingKey::parse(&Family::of(Algorithm::Hs256), &KeyMaterial::Jwk(jwk.into()));
        let key = key.unwrap_or_else(|error| panic!("{error}"));
        let message = b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = URL_SAFE_NO_PAD
            .decode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
            .expect("base64url");
        assert!(key.verify(message, &signature));
        assert!(!key.verify(&message[1..], &signature));
    }

    #[test]
    fn verifies_the_example_of_rfc_8037_appendix_a_4() {
        let jwk =
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let key = VerifyingKey::parse(&Family::of(Algorithm::Eddsa), &KeyMaterial::Jwk(jwk.into()));
        let key = key.unwrap_or_else(|error| panic!("{error}"));
        let signature = URL_SAFE_NO_PAD
            .decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
            .expect("base64url");
        assert!(
            key.verify(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc", &signature)
        );
    }

    #[test]
    fn a_public_key_is_never_a_shared_secret() {
        let pem = KeyMaterial::Pem("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----".into());
        assert_eq!(error(Algorithm::Hs256, pem), "a public key does not fit an HMAC algorithm");
        let secret = KeyMaterial::Secret(vec![0; 64]);
        assert!(error(Algorithm::Rs256, secret).contains("does not fit"));
    }

    #[test]
    fn refuses_a_secret_shorter_than_the_digest() {
        assert!(error(Algorithm::Hs512, KeyMaterial::Secret(vec![7; 63])).contains("at least 64"));
    }

    #[test]
    fn refuses_a_curve_that_is_not_the_algorithms() {
        let jwk = r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#;
        assert!(error(Algorithm::Es256, KeyMaterial::Jwk(jwk.into())).contains("`P-256`"));
    }
}
