//! Keys of an issuer: from PEM, JWK, secret or JWK Set to something that verifies.
//!
//! Owns the rule that a key has one algorithm (RFC 8725 section 3.1), and that the algorithm fits
//! the key.

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::signature::{Algorithm, VerifyingKey};
use serde_json::{Map, Value};

use crate::json;
use crate::problems::{Pointer, Problems};

/// A key with which an issuer's signatures are verified: one of `pem`, `jwk` and `secret`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// The name of the key (`kid`), of one key for each algorithm. A key without one serves tokens
    /// whose `kid` no other key has.
    #[serde(default)]
    pub kid: Option<String>,

    /// The one algorithm of the key.
    pub algorithm: String,

    /// A public key as PEM: `PUBLIC KEY`, `RSA PUBLIC KEY`, or a `CERTIFICATE`, of which only the key
    /// counts.
    #[serde(default)]
    pub pem: Option<String>,

    /// A JSON Web Key (RFC 7517): its text or a table.
    #[serde(default)]
    pub jwk: Option<Value>,

    /// A shared secret, for `HS256`, `HS384` and `HS512`: the bytes of the text, at least as
    /// many as the digest has. Bytes that are no text go into a `jwk` of the type `oct`.
    #[serde(default)]
    pub secret: Option<String>,
}

/// A key with which signatures of one algorithm are verified.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) kid: Option<String>,
    pub(super) verifying: VerifyingKey,
}

impl Key {
    /// Checks a key that is configured by itself.
    pub(super) fn new(
        spec: &KeySpec,
        allowed: &[Algorithm],
        at: &Pointer,
        problems: &mut Problems,
    ) -> Option<Self> {
        let Ok(algorithm) = spec.algorithm.parse::<Algorithm>() else {
            problems.add(&at.key("algorithm"), unknown_algorithm(&spec.algorithm));
            return None;
        };
        if !allowed.contains(&algorithm) {
            problems.add(&at.key("algorithm"), "is not among the algorithms of the issuer");
        }
        let symmetric = is_symmetric(algorithm);
        let (name, made) = match (&spec.pem, &spec.jwk, &spec.secret) {
            (Some(_), None, None) if symmetric => {
                ("pem", Err("holds a public key, which is no secret for this algorithm".into()))
            }
            (Some(pem), None, None) => ("pem", from_pem(algorithm, pem)),
            (None, Some(jwk), None) => ("jwk", from_spec(algorithm, jwk, &spec.kid)),
            (None, None, Some(secret)) => ("secret", from_secret(algorithm, secret, symmetric)),
            _ => {
                problems.add(at, "needs exactly one of `pem`, `jwk` and `secret`");
                return None;
            }
        };
        match made {
            Ok((kid, verifying)) => Some(Self { kid: spec.kid.clone().or(kid), verifying }),
            Err(message) => {
                problems.add(&at.key(name), message);
                None
            }
        }
    }
}

/// The name that a key says of itself, and the key; or what is wrong.
type Made = Result<(Option<String>, VerifyingKey), String>;

/// What is where the text of a key is meant, if it is the name of a file or an address instead.
fn elsewhere(text: &str) -> Option<&'static str> {
    let text = text.trim();
    if text.starts_with("https://") || text.starts_with("http://") {
        return Some(
            "is an address: write `document = \"NAME\"` instead, and `[documents.NAME]` with `upstream` \
             and `path`",
        );
    }
    let is_name = (1..=255).contains(&text.len())
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "{}[]\"".contains(c))
        && !text.starts_with("-----");
    is_name.then_some(
        "is no text of a key; that of a file stands in place of its name by `\"${file:NAME}\"`",
    )
}

fn from_pem(algorithm: Algorithm, pem: &str) -> Made {
    if let Some(what) = elsewhere(pem) {
        return Err(what.to_owned());
    }
    match VerifyingKey::from_pem(algorithm, pem) {
        Ok(key) => Ok((None, key)),
        Err(error) => Err(format!("is no key for {algorithm}: {error}")),
    }
}

fn from_secret(algorithm: Algorithm, secret: &str, symmetric: bool) -> Made {
    if !symmetric {
        return Err(format!("{algorithm} takes a public key, no secret"));
    }
    // A public key as the secret is how a token gets forged (RFC 8725 section 2.1).
    if secret.trim_start().starts_with("-----BEGIN") {
        return Err("is a PEM document, which is no secret".to_owned());
    }
    match VerifyingKey::from_secret(algorithm, secret.as_bytes()) {
        Ok(key) => Ok((None, key)),
        Err(error) => Err(format!("is no secret for {algorithm}: {error}")),
    }
}

fn from_spec(algorithm: Algorithm, document: &Value, kid: &Option<String>) -> Made {
    let jwk = document_object(document)
        .ok_or_else(|| document.as_str().and_then(elsewhere).unwrap_or("is not a JSON object"))?;
    let named = text(&jwk, "kid").map(str::to_owned);
    if kid.is_some() && named.is_some() && *kid != named {
        return Err("has another `kid` than the one beside it".to_owned());
    }
    let key = from_jwk(algorithm, &jwk)?;
    Ok((named, key))
}

/// Makes a key from a JWK, if that is one for signatures of the algorithm.
fn from_jwk(algorithm: Algorithm, jwk: &Map<String, Value>) -> Result<VerifyingKey, String> {
    if text(jwk, "kty") != Some("oct") && jwk.contains_key("d") {
        return Err("holds a private key; leave the public part only".to_owned());
    }
    let (kind, curve) = needed_type(algorithm);
    if text(jwk, "kty") != Some(kind) || (curve.is_some() && text(jwk, "crv") != curve) {
        let curve = curve.map_or(String::new(), |curve| format!(" with the curve `{curve}`"));
        return Err(format!("is not of the type `{kind}`{curve}, which {algorithm} needs"));
    }
    if text(jwk, "alg").is_some_and(|named| named.parse() != Ok(algorithm)) {
        return Err(format!("is for another algorithm than {algorithm}"));
    }
    if !is_for_verification(jwk) {
        return Err("is not for the verification of signatures".to_owned());
    }
    let text = Value::Object(jwk.clone()).to_string();
    VerifyingKey::from_jwk(algorithm, &text)
        .map_err(|error| format!("is no key for {algorithm}: {error}"))
}

/// The usable keys of a JWK Set. What is not meant for these signatures is left out, as RFC 7517
/// section 5 advises, and the log says so; what is, and is wrong or weak, is an error.
pub(super) fn jwk_set(
    document: &Value,
    allowed: &[Algorithm],
    issuer: &str,
    at: &Pointer,
    problems: &mut Problems,
) -> Vec<Key> {
    let set = document_object(document);
    let Some(Value::Array(items)) = set.as_ref().and_then(|set| set.get("keys")) else {
        let what = document.as_str().and_then(elsewhere);
        problems.add(at, what.unwrap_or("is not a JWK Set: a JSON object with the list `keys`"));
        return Vec::new();
    };
    let mut keys = Vec::new();
    let (mut left_out, mut is_wrong) = (Vec::new(), false);
    for (index, item) in items.iter().enumerate() {
        match from_set(item, allowed) {
            Ok(usable) => keys.extend(usable),
            Err(Unusable::Wrong(reason)) => {
                is_wrong = true;
                problems.add(at, format!("{} {reason}", name(index, item)));
            }
            Err(Unusable::NotForThis(reason)) => {
                let reason = format!("{} {reason}", name(index, item));
                log::warn!("of the keys of the issuer {issuer:?}, one is not used: {reason}");
                left_out.push(reason);
            }
        }
    }
    if keys.is_empty() && !is_wrong {
        let reasons =
            if left_out.is_empty() { "it is empty".to_owned() } else { left_out.join("; ") };
        problems.add(at, format!("holds no usable key: {reasons}"));
    }
    keys
}

/// Keys of a set that is fetched, at most.
const MAX_KEYS: usize = 64;

/// The usable keys of a JWK Set that its issuer serves. Nobody who reads the configuration can put one
/// right that is of no use: it is left out, and the log says so. Secrets are never among them, since
/// what is fetched is not secret.
pub(super) fn fetched_set(document: &[u8], allowed: &[Algorithm]) -> Result<Vec<Key>, String> {
    let document = document.strip_prefix("\u{feff}".as_bytes()).unwrap_or(document);
    let set = json::object(document);
    let Some(Value::Array(items)) = set.as_ref().and_then(|set| set.get("keys")) else {
        return Err("it is not a JWK Set: a JSON object with the list `keys`".to_owned());
    };
    if items.len() > MAX_KEYS {
        return Err(format!("it has more than {MAX_KEYS} keys"));
    }
    let allowed: Vec<_> = allowed.iter().copied().filter(|it| !is_symmetric(*it)).collect();
    let mut keys = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match from_set(item, &allowed) {
            Ok(usable) => keys.extend(usable),
            Err(Unusable::Wrong(reason)) => {
                log::warn!("of a fetched JWK Set, {} {reason}", name(index, item));
            }
            Err(Unusable::NotForThis(reason)) => {
                log::debug!("of a fetched JWK Set, {} {reason}", name(index, item));
            }
        }
    }
    Ok(keys)
}

/// Whether keys of this algorithm are secrets.
pub(super) fn is_symmetric(algorithm: Algorithm) -> bool {
    needed_type(algorithm).0 == "oct"
}

/// A key of a set in a message: its place, and its name if it has one.
fn name(index: usize, item: &Value) -> String {
    let kid = item.get("kid").and_then(Value::as_str);
    kid.map_or(format!("key {index}"), |kid| format!("key {index} (`kid` {kid:?})"))
}

/// Why a key of a set verifies nothing.
enum Unusable {
    /// It is for something else.
    NotForThis(String),
    /// It is for this, and nothing to trust.
    Wrong(String),
}

/// The key of a set, once for each algorithm that it is for: where it names none, all that are
/// allowed and fit its type.
fn from_set(item: &Value, allowed: &[Algorithm]) -> Result<Vec<Key>, Unusable> {
    let not_for_this = |reason: String| Err(Unusable::NotForThis(reason));
    let Some(jwk) = item.as_object() else {
        return not_for_this("is not a JSON object".to_owned());
    };
    if !is_for_verification(jwk) {
        return not_for_this(
            "is not for the verification of signatures (`use`, `key_ops`)".to_owned(),
        );
    }
    let names = || allowed.iter().map(|it| it.name()).collect::<Vec<_>>().join(", ");
    let algorithms: Vec<Algorithm> = match jwk.get("alg") {
        Some(Value::String(name)) => match name.parse::<Algorithm>() {
            Ok(algorithm) if allowed.contains(&algorithm) => vec![algorithm],
            _ => {
                let names = names();
                return not_for_this(format!(
                    "is for {name:?}, which is not among the algorithms of the issuer ({names})"
                ));
            }
        },
        Some(_) => return Err(Unusable::Wrong("has an `alg` that is no text".to_owned())),
        None => {
            let fits = |algorithm: &Algorithm| {
                let (kind, curve) = needed_type(*algorithm);
                text(jwk, "kty") == Some(kind) && (curve.is_none() || text(jwk, "crv") == curve)
            };
            allowed.iter().copied().filter(fits).collect()
        }
    };
    if algorithms.is_empty() {
        let shown = |name| text(jwk, name).map_or(String::new(), |it| format!(" {name} {it:?}"));
        return not_for_this(format!(
            "is of a type that none of the algorithms of the issuer ({}) takes:{}{}",
            names(),
            shown("kty"),
            shown("crv"),
        ));
    }
    let mut keys = Vec::new();
    let mut reason = None;
    for algorithm in algorithms {
        match from_jwk(algorithm, jwk) {
            Ok(verifying) => {
                keys.push(Key { kid: text(jwk, "kid").map(str::to_owned), verifying });
            }
            // Of HS256, HS384 and HS512 the first asks for the least.
            Err(why) if reason.as_ref().is_none_or(|(of, _)| algorithm.name() < *of) => {
                reason = Some((algorithm.name(), why));
            }
            Err(_) => {}
        }
    }
    // A secret may be long enough for one algorithm and too short for another.
    match reason {
        Some((_, reason)) if keys.is_empty() => Err(Unusable::Wrong(reason)),
        _ => Ok(keys),
    }
}

/// `kty` and `crv` of the keys that an algorithm takes (RFC 7518 section 3.1, RFC 8037, RFC 8812).
fn needed_type(algorithm: Algorithm) -> (&'static str, Option<&'static str>) {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => ("oct", None),
        Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => ("RSA", None),
        Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 => ("RSA", None),
        Algorithm::Es256 => ("EC", Some("P-256")),
        Algorithm::Es384 => ("EC", Some("P-384")),
        Algorithm::Es512 => ("EC", Some("P-521")),
        Algorithm::Es256k => ("EC", Some("secp256k1")),
        Algorithm::EdDsa => ("OKP", Some("Ed25519")),
    }
}

/// Whether `use` and `key_ops` allow it (RFC 7517 sections 4.2 and 4.3).
fn is_for_verification(jwk: &Map<String, Value>) -> bool {
    let operations = jwk.get("key_ops").map(Value::as_array);
    let verifies = operations.is_none_or(|listed| {
        listed.is_some_and(|listed| listed.iter().any(|operation| operation == "verify"))
    });
    verifies && jwk.get("use").is_none_or(|purpose| purpose == "sig")
}

/// An object that is in place, or as text.
fn document_object(document: &Value) -> Option<Map<String, Value>> {
    match document {
        Value::String(text) => json::object(text.trim_start_matches('\u{feff}').as_bytes()),
        other => other.as_object().cloned(),
    }
}

fn text<'j>(jwk: &'j Map<String, Value>, name: &str) -> Option<&'j str> {
    jwk.get(name).and_then(Value::as_str)
}

/// The message about a name that no algorithm has.
pub(super) fn unknown_algorithm(text: &str) -> String {
    let mut names = Algorithm::ALL.map(Algorithm::name).to_vec();
    names.push("Ed25519");
    let near = |name: &&&str| is_near(text, name);
    let meant = match names.iter().filter(near).collect::<Vec<_>>()[..] {
        [only] => format!("; did you mean `{only}`?"),
        _ => String::new(),
    };
    format!("is not the name of an algorithm, of which there are {}{meant}", names.join(", "))
}

/// Whether a name is the text in another case, or differs from it in one letter or digit.
fn is_near(text: &str, name: &str) -> bool {
    let pairs = text.chars().zip(name.chars());
    let others = pairs.filter(|(one, other)| !one.eq_ignore_ascii_case(other)).count();
    text.chars().count() == name.chars().count() && others <= 1
}
