//! JSON Web Tokens (RFC 7519), verified as RFC 8725 advises.
//!
//! Owns the order of the checks: form, type, issuer, algorithm, key, signature, claims. Nothing
//! that a token says about keys or algorithms is more than a choice among what is configured.

mod claims;
#[cfg(test)]
mod fuzz;
mod key;
mod token;
#[cfg(test)]
mod vectors;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use gateway_plugin_sdk::signature::Algorithm;
use gateway_plugin_sdk::{clock, digest};
use serde_json::Value;

use self::claims::Times;
use self::key::Key;
use self::token::{Header, MAX_TOKEN, Token};
use crate::cache::Cache;
use crate::config::{IssuerConfig, JwtConfig};
use crate::consumer::{Admission, Admitted, Consumer, MAX_ATTRIBUTE, Policy};
use crate::json;
use crate::problems::{Pointer, Problems};
use crate::time;

/// The most tokens that an instance may remember: its memory is bounded.
pub(crate) const MAX_CACHE: usize = 1024;

/// The largest difference of clocks that makes sense.
const MAX_SKEW: Duration = Duration::from_secs(600);

/// What tokens must be like.
#[derive(Debug)]
pub(crate) struct Jwt {
    issuers: Vec<Issuer>,
    /// Seconds.
    skew: f64,
    /// Media types without `application/`, in lower case.
    types: Vec<String>,
    require_type: bool,
    required_claims: Vec<String>,
    consumer_claim: String,
    scope_claims: Vec<String>,
    verified: Cache<Rc<Verified>>,
}

/// What is known of a token once it is verified: all but whether it is valid now.
#[derive(Debug)]
struct Verified {
    times: Times,
    admission: Rc<Admission>,
}

impl Verified {
    /// Whether it is valid now, and for how much longer; all in seconds.
    fn admit(&self, now: f64, skew: f64) -> Result<Admitted, &'static str> {
        self.times.check(now, skew)?;
        let left = self.times.left(now, skew).map(Duration::try_from_secs_f64);
        Ok(match left {
            Some(Ok(left)) => Admitted::for_another(&self.admission, left),
            // No end, or one that is beyond all numbers.
            Some(Err(_)) | None => Admitted::new(&self.admission),
        })
    }
}

impl Jwt {
    /// Checks the settings.
    pub(crate) fn new(config: &JwtConfig, problems: &mut Problems) -> Self {
        let at = Pointer::default().key("jwt");
        let skew = match time::duration(&config.skew) {
            Ok(skew) if skew <= MAX_SKEW => skew,
            Ok(_) => {
                problems.add(&at.key("skew"), "is longer than 10 minutes");
                MAX_SKEW
            }
            Err(message) => {
                problems.add(&at.key("skew"), message);
                MAX_SKEW
            }
        };
        if config.types.is_empty() {
            problems.add(&at.key("types"), "no type is accepted: name at least one");
        }
        if config.consumer_claim.is_empty() {
            problems.add(&at.key("consumer_claim"), "must not be empty");
        }
        if config.cache > MAX_CACHE {
            problems.add(&at.key("cache"), format!("is more than {MAX_CACHE}"));
        }
        Self {
            issuers: issuers(&config.issuers, &at.key("issuers"), problems),
            skew: skew.as_secs_f64(),
            types: config.types.iter().map(|kind| media_type(kind)).collect(),
            require_type: config.require_type,
            required_claims: config.required_claims.clone(),
            consumer_claim: config.consumer_claim.clone(),
            scope_claims: config.scope_claims.clone(),
            verified: Cache::new(config.cache.min(MAX_CACHE)),
        }
    }

    /// What follows from a token, or why it is refused.
    pub(crate) fn verify(&self, text: &[u8], policy: &Policy) -> Result<Admitted, &'static str> {
        if text.len() > MAX_TOKEN {
            return Err("the token is longer than 16 KiB");
        }
        let digest = self.verified.is_on().then(|| digest::sha256(text));
        let known = digest.as_ref().and_then(|digest| self.verified.value(digest));
        let now = clock::now().as_secs_f64();
        if let Some(known) = known {
            return known.admit(now, self.skew);
        }
        let verified = self.verify_anew(text, policy)?;
        let admitted = verified.admit(now, self.skew)?;
        if let Some(digest) = digest {
            self.verified.remember(digest, Rc::new(verified));
        }
        Ok(admitted)
    }

    fn verify_anew(&self, text: &[u8], policy: &Policy) -> Result<Verified, &'static str> {
        let token = Token::parse(text)?;
        self.check_type(&token.header)?;
        let name = token.claims.get("iss").and_then(Value::as_str);
        let name = name.ok_or("the token has no issuer")?;
        let issuer = self.issuers.iter().find(|issuer| issuer.name == name);
        let issuer = issuer.ok_or("the token's issuer is not known")?;
        let key = issuer.verify(&token)?;
        let times = Times::new(&token.claims)?;
        let claim = issuer.audience_claim.as_deref();
        claims::check_audience(&token.claims, &issuer.audiences, claim)?;
        let present = |claim: &String| {
            json::claim(&token.claims, claim).is_some_and(|value| !value.is_null())
        };
        if !self.required_claims.iter().all(present) {
            return Err("the token lacks a required claim");
        }
        let consumer = claims::consumer(&token.claims, &self.consumer_claim)?;
        let scopes = claims::scopes(&token.claims, &self.scope_claims);
        if scopes.iter().map(|scope| scope.len() + 1).sum::<usize>() > MAX_ATTRIBUTE {
            return Err("the token's scopes are longer than 8 KiB");
        }
        let admission = policy.admit(&Consumer {
            id: &format!("{}{consumer}", issuer.consumer_prefix),
            method: "jwt",
            key_id: key.kid.as_deref().unwrap_or_default(),
            scopes: &scopes,
            claims: &token.claims,
            group: None,
        });
        Ok(Verified { times, admission: Rc::new(admission) })
    }

    /// Whether the token is of a type that is meant for this (RFC 8725 section 3.11).
    fn check_type(&self, header: &Header) -> Result<(), &'static str> {
        match &header.kind {
            None if self.require_type => Err("the token does not name its type"),
            Some(kind) if !self.types.contains(&media_type(kind)) => {
                Err("the token is of another type")
            }
            None | Some(_) => Ok(()),
        }
    }
}

/// A type without regard to case and `application/` (RFC 7515 section 4.1.9).
fn media_type(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    kind.strip_prefix("application/").map_or(kind.clone(), str::to_owned)
}

/// Who issues tokens.
#[derive(Debug)]
struct Issuer {
    name: String,
    audiences: Vec<String>,
    /// What stands for `aud` in tokens that have none.
    audience_claim: Option<String>,
    algorithms: Vec<Algorithm>,
    keys: Vec<Key>,
    consumer_prefix: String,
}

fn issuers(configs: &[IssuerConfig], at: &Pointer, problems: &mut Problems) -> Vec<Issuer> {
    if configs.is_empty() {
        problems.add(at, "no issuer is named, so no token could be admitted");
    }
    let mut names = BTreeSet::new();
    let mut issuers = Vec::with_capacity(configs.len());
    for (index, config) in configs.iter().enumerate() {
        let at = at.index(index);
        if config.issuer.is_empty() {
            problems.add(&at.key("issuer"), "must not be empty");
        }
        if !names.insert(&config.issuer) {
            problems.add(&at.key("issuer"), "is the name of another issuer");
        }
        issuers.push(Issuer::new(config, &at, problems));
    }
    issuers
}

impl Issuer {
    fn new(config: &IssuerConfig, at: &Pointer, problems: &mut Problems) -> Self {
        if config.audiences.is_empty() {
            let message = "no audience is named: a token for anybody must not be admitted";
            problems.add(&at.key("audiences"), message);
        }
        if config.audience_claim.as_deref().is_some_and(|claim| matches!(claim, "" | "aud")) {
            let message = "is no claim besides `aud`, such as `client_id`";
            problems.add(&at.key("audience_claim"), message);
        }
        if config.consumer_prefix.chars().any(char::is_control) {
            problems.add(&at.key("consumer_prefix"), "holds a control character");
        }
        let algorithms = algorithms(&config.algorithms, &at.key("algorithms"), problems);
        let keys = keys(config, &algorithms, at, problems);
        Self {
            name: config.issuer.clone(),
            audiences: config.audiences.clone(),
            audience_claim: config.audience_claim.clone(),
            algorithms,
            keys,
            consumer_prefix: config.consumer_prefix.clone(),
        }
    }

    /// The key that verifies the token's signature.
    ///
    /// A `kid` that names a key leaves only that one. Keys without a name serve tokens whose
    /// `kid` names none, since many are configured from a PEM file that has no place for it.
    fn verify(&self, token: &Token<'_>) -> Result<&Key, &'static str> {
        let algorithm = token.header.algorithm.parse::<Algorithm>();
        let algorithm = algorithm.map_err(|_| "the token's algorithm is not supported")?;
        if !self.algorithms.contains(&algorithm) {
            return Err("the token's algorithm is not allowed for its issuer");
        }
        let kid = token.header.kid.as_ref();
        let named =
            kid.is_some_and(|kid| self.keys.iter().any(|key| key.kid.as_ref() == Some(kid)));
        let candidate =
            |key: &&Key| kid.is_none() || key.kid.as_ref() == if named { kid } else { None };
        let fits = |key: &&Key| key.verifying.algorithm() == algorithm && candidate(key);
        let mut fitting = self.keys.iter().filter(fits).peekable();
        if fitting.peek().is_none() {
            return Err(match kid {
                Some(_) if named => "the key that the token's `kid` names is for another algorithm",
                Some(_) if self.keys.iter().any(|key| key.kid.is_some()) => {
                    "no key of the issuer has the token's `kid`"
                }
                _ => "no key of the issuer is for the token's algorithm",
            });
        }
        let verifies = |key: &&Key| key.verifying.verify(token.signed, &token.signature);
        fitting.find(verifies).ok_or("the token's signature is wrong")
    }
}

fn algorithms(names: &[String], at: &Pointer, problems: &mut Problems) -> Vec<Algorithm> {
    if names.is_empty() {
        problems.add(at, "no algorithm is allowed: name at least one");
    }
    let mut algorithms = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        match name.parse::<Algorithm>() {
            // `EdDSA` and `Ed25519` are two names of one (RFC 9864).
            Ok(algorithm) if algorithms.contains(&algorithm) => {
                if names[..index].contains(name) {
                    problems.add(&at.index(index), "is named twice");
                }
            }
            Ok(algorithm) => algorithms.push(algorithm),
            Err(_) => problems.add(&at.index(index), key::unknown_algorithm()),
        }
    }
    algorithms
}

fn keys(
    config: &IssuerConfig,
    allowed: &[Algorithm],
    at: &Pointer,
    problems: &mut Problems,
) -> Vec<Key> {
    if config.keys.is_empty() && config.jwks.is_none() {
        problems.add(&at.key("keys"), "no key is named, and there is no `jwks`");
    }
    let mut keys: Vec<Key> = Vec::new();
    // One name may be that of keys of several types, of which a token's `alg` takes one (RFC 7517
    // section 4.5).
    let mut kids = BTreeSet::new();
    let mut is_new = |key: &Key| {
        let name = key.kid.as_ref().map(|kid| (kid.clone(), key.verifying.algorithm()));
        name.is_none_or(|name| kids.insert(name))
    };
    for (index, spec) in config.keys.iter().enumerate() {
        let at = at.key("keys").index(index);
        let Some(key) = Key::new(spec, allowed, &at, problems) else {
            continue;
        };
        if !is_new(&key) {
            let algorithm = key.verifying.algorithm();
            let message = format!("is the name of another key of the issuer for {algorithm}");
            problems.add(&at.key("kid"), message);
        }
        keys.push(key);
    }
    if let Some(document) = &config.jwks {
        let at = at.key("jwks");
        for key in key::jwk_set(document, allowed, &config.issuer, &at, problems) {
            if !is_new(&key) {
                let (kid, algorithm) = (key.kid.as_deref(), key.verifying.algorithm());
                let kid = kid.unwrap_or_default();
                let message = format!("the `kid` {kid:?} names more than one key for {algorithm}");
                problems.add(&at, message);
            }
            keys.push(key);
        }
    }
    keys
}
