//! The keys of an issuer, and the choice of the one that verifies a token.
//!
//! Owns that keys belong to their issuer, and when its document is asked to be fetched: for a token that
//! another set of keys could verify. What comes of that costs strangers nothing but time: the gateway
//! fetches once for all that ask, and not again for a while if that brought nothing.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use gateway_plugin_sdk::documents::{self, Parsed, Refreshed};
use gateway_plugin_sdk::signature::Algorithm;
use serde_json::Value;

use super::NotAdmitted;
use super::key::{self, Key, KeySpec};
use super::token::Jws;
use crate::problems::{Pointer, Problems};

/// How often an issuer is asked for the key of one token: what comes first may have been under way when the key was published.
const QUESTIONS: usize = 2;

/// The keys of an issuer as the configuration names them: at least one of `keys`, `jwks` and `document`.
#[derive(Debug, Clone, Copy)]
pub struct KeySources<'c> {
    /// Who has them, for messages.
    pub issuer: &'c str,
    /// The names of the algorithms that tokens may be signed with, at least one.
    pub algorithms: &'c [String],
    /// Keys, one by one.
    pub keys: &'c [KeySpec],
    /// A JWK Set: its text, or a table.
    pub jwks: Option<&'c Value>,
    /// The name of a document that is a JWK Set.
    pub document: Option<&'c str>,
    /// How long a token waits for the document to be fetched, if no key is there that could verify it.
    pub wait: Duration,
}

/// The keys of an issuer, ready to verify.
#[derive(Debug)]
pub struct Keys {
    algorithms: Vec<Algorithm>,
    /// Those of the configuration.
    pub(super) configured: Vec<Key>,
    /// Those that it serves.
    document: Option<Parsed<Vec<Key>>>,
    wait: Duration,
}

/// Why no key verifies a token.
enum NoKey {
    /// Another set of keys could.
    Unknown(&'static str),
    /// None could.
    Wrong(&'static str),
}

impl NoKey {
    fn reason(&self) -> &'static str {
        match self {
            Self::Unknown(reason) | Self::Wrong(reason) => reason,
        }
    }
}

impl Keys {
    /// Checks the settings. `at` is the table that has `algorithms`, `keys`, `jwks` and `document`.
    pub fn new(sources: KeySources<'_>, at: &Pointer, problems: &mut Problems) -> Self {
        let algorithms = algorithms(sources.algorithms, &at.key("algorithms"), problems);
        let configured = keys(&sources, &algorithms, at, problems);
        let document = sources.document;
        let document = document.and_then(|name| document_of(name, &algorithms, at, problems));
        Self { algorithms, configured, document, wait: sources.wait }
    }

    /// Whether some are in a document, so that verifying may wait.
    pub fn have_document(&self) -> bool {
        self.document.is_some()
    }

    /// The version of the document; 0 without one.
    pub fn document_version(&self) -> u64 {
        self.document.as_ref().map_or(0, Parsed::version)
    }

    /// Verifies the token's signature. Returns the name of the key, if it has one.
    ///
    /// # Errors
    /// If no key verifies it, or the key that could cannot be had.
    pub fn verify(&self, token: &Jws<'_>) -> Result<Option<String>, NotAdmitted> {
        let algorithm = token.header.algorithm.parse::<Algorithm>();
        let algorithm = algorithm.map_err(|_| "the token's algorithm is not supported")?;
        if !self.algorithms.contains(&algorithm) {
            return Err("the token's algorithm is not allowed for its issuer".into());
        }
        let Some(document) = &self.document else {
            let found = find(&self.configured, &[], algorithm, token);
            return found.map(|key| key.kid.clone()).map_err(|none| none.reason().into());
        };
        let fetched = document.get();
        let served = fetched.as_deref().map_or(&[][..], Vec::as_slice);
        match find(&self.configured, served, algorithm, token) {
            Ok(key) => Ok(key.kid.clone()),
            Err(NoKey::Wrong(reason)) => Err(reason.into()),
            Err(NoKey::Unknown(reason)) => {
                self.verify_by_newer(document, fetched.as_ref(), algorithm, token, reason)
            }
        }
    }

    /// Verifies a token by a newer set of keys than the one that has no key for it.
    #[cold]
    fn verify_by_newer(
        &self,
        document: &Parsed<Vec<Key>>,
        former: Option<&Rc<Vec<Key>>>,
        algorithm: Algorithm,
        token: &Jws<'_>,
        reason: &'static str,
    ) -> Result<Option<String>, NotAdmitted> {
        let mut former = former.map(Rc::clone);
        for _ in 0..QUESTIONS {
            let refreshed = document.refresh(self.wait);
            // It may have changed by itself, whatever came of asking.
            let newer = document.get();
            let is_newer = match (&newer, &former) {
                (Some(newer), Some(former)) => !Rc::ptr_eq(newer, former),
                (newer, former) => newer.is_some() != former.is_some(),
            };
            let Some(newer) = newer.filter(|_| is_newer) else {
                return Err(Self::without_newer(refreshed, former.is_some(), reason));
            };
            match find(&self.configured, &newer, algorithm, token) {
                Ok(key) => return Ok(key.kid.clone()),
                Err(NoKey::Wrong(reason)) => return Err(reason.into()),
                Err(NoKey::Unknown(_)) => former = Some(newer),
            }
        }
        Err(reason.into())
    }

    /// Why there is no newer set with a key for a token.
    fn without_newer(refreshed: Refreshed, has_any: bool, reason: &'static str) -> NotAdmitted {
        match refreshed {
            // Nobody can say whether the issuer has such a key.
            Refreshed::Failed | Refreshed::Pending => {
                NotAdmitted::NoKeys("the keys of the token's issuer cannot be had")
            }
            _ if !has_any => NotAdmitted::NoKeys("the keys of the token's issuer were never had"),
            Refreshed::Changed
            | Refreshed::Unchanged
            | Refreshed::TooSoon
            | Refreshed::NotGranted => reason.into(),
        }
    }
}

/// The key that verifies the token's signature.
///
/// A `kid` that names a key leaves only that one. Keys without a name serve tokens whose `kid` names
/// none, since many are configured from a PEM file that has no place for it.
fn find<'k>(
    configured: &'k [Key],
    served: &'k [Key],
    algorithm: Algorithm,
    token: &Jws<'_>,
) -> Result<&'k Key, NoKey> {
    let keys = || configured.iter().chain(served);
    let kid = token.header.kid.as_ref();
    let named = kid.is_some_and(|kid| keys().any(|key| key.kid.as_ref() == Some(kid)));
    let candidate =
        |key: &&Key| kid.is_none() || key.kid.as_ref() == if named { kid } else { None };
    let fits = |key: &&Key| key.verifying.algorithm() == algorithm && candidate(key);
    let mut fitting = keys().filter(fits).peekable();
    if fitting.peek().is_none() {
        return Err(match kid {
            Some(_) if named => {
                NoKey::Wrong("the key that the token's `kid` names is for another algorithm")
            }
            Some(_) if keys().any(|key| key.kid.is_some()) => {
                NoKey::Unknown("no key of the issuer has the token's `kid`")
            }
            _ => NoKey::Unknown("no key of the issuer is for the token's algorithm"),
        });
    }
    let verifies = |key: &&Key| key.verifying.verify(token.signed, &token.signature);
    fitting.find(verifies).ok_or({
        const REASON: &str = "the token's signature is wrong";
        if named { NoKey::Wrong(REASON) } else { NoKey::Unknown(REASON) }
    })
}

fn document_of(
    name: &str,
    algorithms: &[Algorithm],
    at: &Pointer,
    problems: &mut Problems,
) -> Option<Parsed<Vec<Key>>> {
    let at = at.key("document");
    if !algorithms.is_empty() && algorithms.iter().copied().all(key::is_symmetric) {
        let message = "holds public keys, and all algorithms of the issuer take secrets";
        problems.add(&at, message);
        return None;
    }
    if documents::version(name).is_none() {
        let message = format!(
            "is no document that the plugin was granted: write `documents = [{name:?}]` beside `component`"
        );
        problems.add(&at, message);
        return None;
    }
    let algorithms = algorithms.to_vec();
    Parsed::new(name, move |set| key::fetched_set(set, &algorithms)).ok()
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
            Err(_) => problems.add(&at.index(index), key::unknown_algorithm(name)),
        }
    }
    algorithms
}

fn keys(
    config: &KeySources<'_>,
    allowed: &[Algorithm],
    at: &Pointer,
    problems: &mut Problems,
) -> Vec<Key> {
    if config.keys.is_empty() && config.jwks.is_none() && config.document.is_none() {
        problems
            .add(&at.key("keys"), "no key is named, and there is neither `document` nor `jwks`");
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
    if let Some(document) = config.jwks {
        let at = at.key("jwks");
        for key in key::jwk_set(document, allowed, config.issuer, &at, problems) {
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
