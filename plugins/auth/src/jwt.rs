//! JSON Web Tokens (RFC 7519), verified as RFC 8725 advises.
//!
//! Owns the order of the checks: form, type, issuer, algorithm, key, signature, claims. Nothing
//! that a token says about keys or algorithms is more than a choice among what is configured.

mod issuer;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use gateway_plugin_identity::consumer::{
    Admission, Admitted, Consumer, MAX_ATTRIBUTE, Policy, check_claim,
};
use gateway_plugin_identity::jwt::{self, Header, MAX_TOKEN, NotAdmitted, Times, Token};
use gateway_plugin_identity::problems::{Pointer, Problems};
use gateway_plugin_identity::{json, time};
use gateway_plugin_sdk::{clock, digest};
use serde_json::Value;

use self::issuer::Issuer;
use crate::cache::Cache;
use crate::config::JwtConfig;

/// The most tokens that an instance may remember: its memory is bounded.
pub(crate) const MAX_CACHE: usize = 1024;

/// The largest difference of clocks that makes sense.
const MAX_SKEW: Duration = Duration::from_secs(600);

/// The longest that a request may wait for keys.
const MAX_WAIT: Duration = Duration::from_secs(10);

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
    /// Of which versions of the issuers' documents those are.
    verified_by: Cell<u64>,
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
                problems.add(&at.key("skew"), "is longer than 10m, which is the most");
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
        check_claim(&config.consumer_claim, &at.key("consumer_claim"), problems);
        for (key, claims) in
            [("scope_claims", &config.scope_claims), ("required_claims", &config.required_claims)]
        {
            for (index, claim) in claims.iter().enumerate() {
                check_claim(claim, &at.key(key).index(index), problems);
            }
        }
        if config.cache > MAX_CACHE {
            problems.add(&at.key("cache"), format!("is more than {MAX_CACHE}"));
        }
        let wait = match time::duration(&config.key_wait) {
            Ok(wait) if wait <= MAX_WAIT => wait,
            Ok(_) => {
                problems.add(&at.key("key_wait"), "is longer than 10s, which is the most");
                MAX_WAIT
            }
            Err(message) => {
                problems.add(&at.key("key_wait"), message);
                MAX_WAIT
            }
        };
        Self {
            issuers: issuer::all(&config.issuers, wait, &at.key("issuers"), problems),
            skew: skew.as_secs_f64(),
            types: config.types.iter().map(|kind| jwt::media_type(kind)).collect(),
            require_type: config.require_type,
            required_claims: config.required_claims.clone(),
            consumer_claim: config.consumer_claim.clone(),
            scope_claims: config.scope_claims.clone(),
            verified: Cache::new(config.cache.min(MAX_CACHE)),
            verified_by: Cell::new(0),
        }
    }

    /// Whether verifying a token never waits for anything.
    pub(crate) fn never_waits(&self) -> bool {
        !self.issuers.iter().any(|issuer| issuer.keys.have_document())
    }

    /// What follows from a token, or why it is refused.
    pub(crate) fn verify(&self, text: &[u8], policy: &Policy) -> Result<Admitted, NotAdmitted> {
        if text.len() > MAX_TOKEN {
            return Err("the token is longer than 16 KiB".into());
        }
        // A key that is gone verifies nothing any more.
        let versions = self.versions();
        if self.verified_by.replace(versions) != versions {
            self.verified.clear();
        }
        let digest = self.verified.is_on().then(|| digest::sha256(text));
        let known = digest.as_ref().and_then(|digest| self.verified.value(digest));
        let now = clock::now().as_secs_f64();
        if let Some(known) = known {
            return Ok(known.admit(now, self.skew)?);
        }
        let verified = self.verify_anew(text, policy)?;
        let admitted = verified.admit(now, self.skew)?;
        if let Some(digest) = digest.filter(|_| self.versions() == versions) {
            self.verified.remember(digest, Rc::new(verified));
        }
        Ok(admitted)
    }

    /// The versions of all documents together: they only grow.
    fn versions(&self) -> u64 {
        self.issuers.iter().map(|issuer| issuer.keys.document_version()).sum()
    }

    fn verify_anew(&self, text: &[u8], policy: &Policy) -> Result<Verified, NotAdmitted> {
        let token = Token::parse(text)?;
        self.check_type(&token.jws.header)?;
        let name = token.claims.get("iss").and_then(Value::as_str);
        let name = name.ok_or("the token has no issuer")?;
        let issuer = self.issuers.iter().find(|issuer| issuer.name == name);
        let issuer = issuer.ok_or("the token's issuer is not known")?;
        let kid = issuer.keys.verify(&token.jws)?;
        let times = Times::new(&token.claims)?;
        let claim = issuer.audience_claim.as_deref();
        jwt::check_audience(&token.claims, &issuer.audiences, claim)?;
        let present = |claim: &String| {
            json::claim(&token.claims, claim).is_some_and(|value| !value.is_null())
        };
        if !self.required_claims.iter().all(present) {
            return Err("the token lacks a required claim".into());
        }
        let consumer = jwt::consumer(&token.claims, &self.consumer_claim)?;
        let scopes = jwt::scopes(&token.claims, &self.scope_claims);
        if scopes.iter().map(|scope| scope.len() + 1).sum::<usize>() > MAX_ATTRIBUTE {
            return Err("the token's scopes are longer than 8 KiB".into());
        }
        let admission = policy.admit(&Consumer {
            id: &format!("{}{consumer}", issuer.consumer_prefix),
            method: "jwt",
            key_id: kid.as_deref().unwrap_or_default(),
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
            Some(kind) if !self.types.contains(&jwt::media_type(kind)) => {
                Err("the token is of another type")
            }
            None | Some(_) => Ok(()),
        }
    }
}
