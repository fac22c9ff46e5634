//! Keys and verification of signatures.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    self as lc, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::public_key::{self, Wanted};
use crate::signature::{Algorithm, KeyMaterial};

/// A key that verifies signatures of one algorithm.
pub(crate) enum Key {
    Secret(Box<hmac::Key>),
    Public(Box<ParsedPublicKey>),
}

/// What kind of key an algorithm takes.
enum Kind {
    Secret(hmac::Algorithm),
    Rsa(&'static RsaParameters),
    /// With the name of the curve and the length of a coordinate.
    Curve(&'static EcdsaVerificationAlgorithm, &'static str, usize),
    Edwards,
}

/// A JSON Web Key (RFC 7517), its parameters as RFC 7518 section 6 and RFC 8037 name them.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    k: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Key {
    pub(crate) fn parse(algorithm: Algorithm, material: KeyMaterial<'_>) -> Result<Self, String> {
        let kind = kind(algorithm);
        match (&kind, material) {
            (Kind::Secret(hmac), KeyMaterial::Secret(secret)) => from_secret(*hmac, secret),
            (Kind::Secret(_), KeyMaterial::Pem(_)) => {
                Err(format!("{algorithm} takes a secret, not a public key"))
            }
            (_, KeyMaterial::Secret(_)) => {
                Err(format!("{algorithm} takes a public key, not a secret"))
            }
            (_, KeyMaterial::Pem(pem)) => {
                let key = public_key::from_pem(pem, wanted(algorithm, &kind))?;
                from_public(&kind, &key)
            }
            (_, KeyMaterial::Jwk(jwk)) => from_jwk(algorithm, &kind, jwk),
        }
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Key::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Key::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

fn kind(algorithm: Algorithm) -> Kind {
    match algorithm {
        Algorithm::Hs256 => Kind::Secret(hmac::HMAC_SHA256),
        Algorithm::Hs384 => Kind::Secret(hmac::HMAC_SHA384),
        Algorithm::Hs512 => Kind::Secret(hmac::HMAC_SHA512),
        Algorithm::Rs256 => Kind::Rsa(&lc::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Kind::Rsa(&lc::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Kind::Rsa(&lc::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Kind::Rsa(&lc::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Kind::Rsa(&lc::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Kind::Rsa(&lc::RSA_PSS_2048_8192_SHA512),
        Algorithm::Es256 => Kind::Curve(&lc::ECDSA_P256_SHA256_FIXED, "P-256", 32),
        Algorithm::Es384 => Kind::Curve(&lc::ECDSA_P384_SHA384_FIXED, "P-384", 48),
        Algorithm::Es512 => Kind::Curve(&lc::ECDSA_P521_SHA512_FIXED, "P-521", 66),
        Algorithm::Es256k => Kind::Curve(&lc::ECDSA_P256K1_SHA256_FIXED, "secp256k1", 32),
        Algorithm::EdDsa => Kind::Edwards,
    }
}

fn from_secret(algorithm: hmac::Algorithm, secret: &[u8]) -> Result<Key, String> {
    let least = algorithm.tag_len();
    if secret.len() < least {
        return Err(format!("the secret has {} bytes, and needs {least}", secret.len()));
    }
    Ok(Key::Secret(Box::new(hmac::Key::new(algorithm, secret))))
}

fn from_public(kind: &Kind, key: &[u8]) -> Result<Key, String> {
    let algorithm: &'static dyn VerificationAlgorithm = match kind {
        Kind::Rsa(parameters) => *parameters,
        Kind::Curve(algorithm, ..) => *algorithm,
        Kind::Edwards => &lc::ED25519,
        Kind::Secret(_) => return Err("a secret is not a public key".to_owned()),
    };
    let key = ParsedPublicKey::new(algorithm, key);
    key.map(|key| Key::Public(Box::new(key)))
        .map_err(|_| "not a public key of this algorithm".to_owned())
}

/// What a public key must be for.
fn wanted(algorithm: Algorithm, kind: &Kind) -> Wanted {
    match kind {
        Kind::Curve(_, name, _) => Wanted::Curve(name),
        Kind::Edwards => Wanted::Ed25519,
        Kind::Rsa(_) | Kind::Secret(_) => Wanted::Rsa { pss: algorithm.name().starts_with("PS") },
    }
}

fn from_jwk(algorithm: Algorithm, kind: &Kind, jwk: &str) -> Result<Key, String> {
    let jwk: Jwk = serde_json::from_str(jwk).map_err(|_| "not a JSON Web Key".to_owned())?;
    if jwk.alg.as_ref().is_some_and(|alg| alg.parse() != Ok(algorithm)) {
        return Err(format!("the key is not for {algorithm}: its alg is another"));
    }
    if jwk.purpose.as_ref().is_some_and(|purpose| purpose != "sig") {
        return Err("the key is not for signatures: its use is another".to_owned());
    }
    match kind {
        Kind::Secret(hmac) => {
            expect(&jwk.kty, "oct", "kty")?;
            from_secret(*hmac, &bytes(&jwk.k, "k")?)
        }
        Kind::Rsa(parameters) => {
            expect(&jwk.kty, "RSA", "kty")?;
            let number = |text, name| bytes(text, name).map(|it| public_key::digits(&it).to_vec());
            let key = RsaPublicKeyComponents { n: number(&jwk.n, "n")?, e: number(&jwk.e, "e")? };
            public_key::check_rsa(&key.n, &key.e)?;
            let key = key.to_parsed_public_key(parameters);
            key.map(|key| Key::Public(Box::new(key))).map_err(|_| "not an RSA key".to_owned())
        }
        Kind::Curve(_, name, length) => {
            expect(&jwk.kty, "EC", "kty")?;
            expect(jwk.crv.as_deref().unwrap_or_default(), name, "crv")?;
            let (x, y) = (bytes(&jwk.x, "x")?, bytes(&jwk.y, "y")?);
            if x.len() != *length || y.len() != *length {
                return Err(format!("x and y have {length} bytes on {name}"));
            }
            // An uncompressed point (SEC 1 section 2.3.3).
            from_public(kind, &[&[4], x.as_slice(), &y].concat())
        }
        Kind::Edwards => {
            expect(&jwk.kty, "OKP", "kty")?;
            expect(jwk.crv.as_deref().unwrap_or_default(), "Ed25519", "crv")?;
            from_public(kind, &bytes(&jwk.x, "x")?)
        }
    }
}

fn expect(value: &str, expected: &str, name: &str) -> Result<(), String> {
    if value == expected { Ok(()) } else { Err(format!("{name} must be {expected}")) }
}

fn bytes(value: &Option<String>, name: &str) -> Result<Vec<u8>, String> {
    let text = value.as_deref().ok_or_else(|| format!("{name} is missing"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("{name} is not base64url"))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;

    fn jwk(algorithm: Algorithm, jwk: serde_json::Value) -> Result<Key, String> {
        Key::parse(algorithm, KeyMaterial::Jwk(&jwk.to_string()))
    }

    fn url(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn pem(der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    #[test]
    fn verifies_hmac_by_the_vector_of_rfc_7515() {
        // RFC 7515 appendix A.1.
        let key = json!({
            "kty": "oct",
            "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        });
        let key = jwk(Algorithm::Hs256, key).unwrap();
        let message = concat!(
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.",
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        );
        let tag = URL_SAFE_NO_PAD.decode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert!(key.verify(message.as_bytes(), &tag));
        assert!(!key.verify(&message.as_bytes()[1..], &tag));
    }

    #[test]
    fn verifies_ecdsa_on_each_curve() {
        let curves = [
            (Algorithm::Es256, &lc::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            (Algorithm::Es384, &lc::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            (Algorithm::Es512, &lc::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            (Algorithm::Es256k, &lc::ECDSA_P256K1_SHA256_FIXED_SIGNING, "secp256k1"),
        ];
        for (algorithm, signing, curve) in curves {
            let pair = EcdsaKeyPair::generate(signing).unwrap();
            let signature = pair.sign(&SystemRandom::new(), b"message").unwrap();
            let point = &pair.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            let key = json!({ "kty": "EC", "crv": curve, "x": url(x), "y": url(y) });
            let key = jwk(algorithm, key).unwrap();
            assert!(key.verify(b"message", signature.as_ref()), "{algorithm}");
            assert!(!key.verify(b"massage", signature.as_ref()), "{algorithm}");
        }
    }

    #[test]
    fn verifies_rsa_from_pem_and_from_jwk() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&lc::RSA_PSS_SHA256, &SystemRandom::new(), b"message", &mut signature).unwrap();
        let der = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key());
        let pem = pem(der.unwrap().as_ref());
        let key = Key::parse(Algorithm::Ps256, KeyMaterial::Pem(&pem)).unwrap();
        assert!(key.verify(b"message", &signature));
        let key = Key::parse(Algorithm::Rs256, KeyMaterial::Pem(&pem)).unwrap();
        assert!(!key.verify(b"message", &signature));

        let public = pair.public_key();
        let n = public.modulus().big_endian_without_leading_zero().to_vec();
        let e = public.exponent().big_endian_without_leading_zero().to_vec();
        let key = jwk(Algorithm::Ps256, json!({ "kty": "RSA", "n": url(&n), "e": url(&e) }));
        assert!(key.unwrap().verify(b"message", &signature));
    }

    #[test]
    fn verifies_ed25519() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let signature = pair.sign(b"message");
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": url(pair.public_key().as_ref()) });
        let key = jwk(Algorithm::EdDsa, key).unwrap();
        assert!(key.verify(b"message", signature.as_ref()));
        assert!(!key.verify(b"message", &signature.as_ref()[1..]));
    }

    #[test]
    fn refuses_keys_that_do_not_fit_the_algorithm() {
        assert!(Key::parse(Algorithm::Hs256, KeyMaterial::Secret(&[1; 31])).is_err());
        assert!(Key::parse(Algorithm::Es256, KeyMaterial::Secret(&[1; 32])).is_err());
        assert!(Key::parse(Algorithm::Hs256, KeyMaterial::Pem(&pem(b"key"))).is_err());
        assert!(Key::parse(Algorithm::Rs256, KeyMaterial::Pem(&pem(b"key"))).is_err());
        let key = json!({ "kty": "oct", "alg": "HS512", "k": url(&[1; 64]) });
        assert!(jwk(Algorithm::Hs256, key).is_err());
    }
}
