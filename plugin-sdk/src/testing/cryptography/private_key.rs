//! Signatures by private keys in PEM, as `openssl` writes them.
//!
//! Owns which sections and algorithms there are. Error texts never repeat the key. The gateway compiles this
//! file too, so that a test signs as the gateway does.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self as lc, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN ";

/// What an algorithm needs.
enum Kind {
    Rsa(&'static dyn RsaEncoding),
    Ecdsa(&'static EcdsaSigningAlgorithm),
    Ed25519,
}

/// Signs a message with the key in a PEM text.
pub(crate) fn sign(pem: &str, algorithm: &str, message: &[u8]) -> Result<Vec<u8>, String> {
    let kind = match algorithm {
        "RS256" => Kind::Rsa(&lc::RSA_PKCS1_SHA256),
        "RS384" => Kind::Rsa(&lc::RSA_PKCS1_SHA384),
        "RS512" => Kind::Rsa(&lc::RSA_PKCS1_SHA512),
        "PS256" => Kind::Rsa(&lc::RSA_PSS_SHA256),
        "PS384" => Kind::Rsa(&lc::RSA_PSS_SHA384),
        "PS512" => Kind::Rsa(&lc::RSA_PSS_SHA512),
        "ES256" => Kind::Ecdsa(&lc::ECDSA_P256_SHA256_FIXED_SIGNING),
        "ES384" => Kind::Ecdsa(&lc::ECDSA_P384_SHA384_FIXED_SIGNING),
        "ES512" => Kind::Ecdsa(&lc::ECDSA_P521_SHA512_FIXED_SIGNING),
        "EdDSA" | "Ed25519" => Kind::Ed25519,
        _ => return Err("the algorithm is not one that signs with a private key".to_owned()),
    };
    let (label, der) = section(pem)?;
    let misfit = || format!("the section `{label}` holds no key that fits {algorithm}");
    let fails = |_| "the key does not sign".to_owned();
    match (kind, label) {
        (Kind::Rsa(encoding), "PRIVATE KEY" | "RSA PRIVATE KEY") => {
            let pair = match label {
                "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der),
                _ => RsaKeyPair::from_der(&der),
            };
            let pair = pair.map_err(|_| misfit())?;
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), message, &mut signature).map_err(fails)?;
            Ok(signature)
        }
        (Kind::Ecdsa(curve), "PRIVATE KEY" | "EC PRIVATE KEY") => {
            let pair = match label {
                "PRIVATE KEY" => EcdsaKeyPair::from_pkcs8(curve, &der),
                _ => EcdsaKeyPair::from_private_key_der(curve, &der),
            };
            let pair = pair.map_err(|_| misfit())?;
            let signature = pair.sign(&SystemRandom::new(), message).map_err(fails)?;
            Ok(signature.as_ref().to_vec())
        }
        (Kind::Ed25519, "PRIVATE KEY") => {
            let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| misfit())?;
            Ok(pair.sign(message).as_ref().to_vec())
        }
        _ => Err(misfit()),
    }
}

/// The one section with a private key. Its lines may have lost their ends, as those of a variable of the
/// environment do.
fn section(pem: &str) -> Result<(&'static str, Vec<u8>), String> {
    let labels = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
    let found = labels.into_iter().find_map(|label| {
        let (_, rest) = pem.split_once(&format!("{BEGIN}{label}-----"))?;
        Some((label, rest))
    });
    let Some((label, rest)) = found else {
        let explained = [
            ("ENCRYPTED PRIVATE KEY", "is encrypted: `openssl pkey -in FILE` writes it in clear"),
            ("OPENSSH PRIVATE KEY", "is OpenSSH's: `ssh-keygen -p -m PKCS8 -f FILE` converts it"),
            ("PUBLIC KEY", "cannot sign: the private key is needed"),
            ("CERTIFICATE", "cannot sign: its private key is needed"),
        ];
        let known = explained.iter().find(|(label, _)| pem.contains(&format!("{label}-----")));
        return Err(match known {
            Some((label, why)) => format!("the section `{label}` {why}"),
            None => "is no PEM of a private key: it has no line `-----BEGIN PRIVATE KEY-----`"
                .to_owned(),
        });
    };
    let Some((body, _)) = rest.split_once("-----END ") else {
        return Err(format!("the section `{label}` has no end"));
    };
    let body: String = body.chars().filter(|it| !it.is_ascii_whitespace()).collect();
    let der = STANDARD.decode(body).map_err(|_| format!("the section `{label}` is not base64"))?;
    Ok((label, der))
}
