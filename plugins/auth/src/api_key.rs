//! API keys: digests in the configuration, and finding the one of a presented key there, in a document, or in a set
//! that is managed while the gateway runs.
//!
//! Owns where keys are looked for, and in which order. How they are found is in `table`, and what a document
//! says in `document` and `line`.

mod document;
mod line;
mod table;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use gateway_plugin_sdk::documents::Parsed;
use gateway_plugin_sdk::keys::{self, Key, KeyError, KeySet};
use gateway_plugin_sdk::{clock, digest};
use serde_json::{Map, Value};

use crate::config::{ApiKeyConfig, ApiKeySpec};
use gateway_plugin_identity::consumer::{
    Admission, Admitted, Consumer, Policy, check_scopes, is_name,
};
use gateway_plugin_identity::problems::{Pointer, Problems};
use gateway_plugin_identity::time;

use line::Served;
use table::{Table, Tagger};

/// All keys.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    tagger: Rc<Tagger>,
    configured: Table<ApiKey>,
    /// Those that somebody serves.
    document: Option<Parsed<Table<Served>>>,
    /// The name of the set that has the others.
    set: Option<String>,
}

/// Why a key does not admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// It is none.
    Refused(&'static str),
    /// Nobody knows.
    Unavailable(&'static str),
}

#[derive(Debug)]
struct ApiKey {
    /// Since 1970.
    expires: Option<Duration>,
    admission: Rc<Admission>,
}

impl ApiKeys {
    /// Checks the configured keys.
    pub(crate) fn new(config: &ApiKeyConfig, policy: &Policy, problems: &mut Problems) -> Self {
        let at = Pointer::default().key("api_key");
        let set = config.set.clone();
        if let Some(name) = &set
            && let Err(error) = KeySet::new(name)
        {
            problems.add(&at.key("set"), error.to_string());
        }
        let tagger = Rc::new(Tagger::new());
        let document = config.document.as_deref();
        let named = document.is_some() || set.is_some();
        let document =
            document.and_then(|name| document::of(name, &tagger, &at.key("document"), problems));
        let at = at.key("keys");
        if config.keys.is_empty() && !named {
            problems
                .add(&at, "no key is named, no `document` and no `set`, so none could be admitted");
        }
        let (mut ids, mut digests) = (BTreeSet::new(), BTreeSet::new());
        let mut keys = Vec::with_capacity(config.keys.len());
        for (index, spec) in config.keys.iter().enumerate() {
            let at = at.index(index);
            if !ids.insert(spec.id.as_str()) {
                problems
                    .add(&at.key("id"), "is the id of another key: give each key an id of its own");
            }
            let Some((digest, expires)) = check(spec, &at, problems) else { continue };
            if !digests.insert(digest) {
                problems
                    .add(&at.key("digest"), "is the digest of another key: leave one of them out");
            }
            keys.push((digest, ApiKey { expires, admission: Rc::new(admission(spec, policy)) }));
        }
        Self { configured: Table::new(keys, &tagger), tagger, document, set }
    }

    /// What follows from a presented key.
    pub(crate) fn verify(&self, presented: &[u8], policy: &Policy) -> Result<Admitted, NoKey> {
        // Whatever digests are known: an empty field is what a client without a key sends.
        if presented.is_empty() {
            return Err(NoKey::Refused(UNKNOWN));
        }
        let digest = digest::sha256(presented);
        let tag = self.tagger.tag(&digest);
        if let Some(key) = self.configured.find(tag, &digest) {
            return admitted(&key.admission, key.expires);
        }
        let served = self.document.as_ref().map(Parsed::get);
        if let Some(Some(served)) = &served
            && let Some(key) = served.find(tag, &digest)
        {
            // Made anew each time: the gateway makes it again without a call, until the document changes.
            return admitted(&Rc::new(admission(&key.spec, policy)), key.expires);
        }
        let found = match &self.set {
            Some(set) => find_in(set, &digest, policy),
            None => Err(NoKey::Refused(UNKNOWN)),
        };
        match (found, served) {
            // Nobody can say whether it has the key.
            (Err(NoKey::Refused(UNKNOWN)), Some(None)) => {
                Err(NoKey::Unavailable("the document of API keys was never had"))
            }
            (found, _) => found,
        }
    }
}

const UNKNOWN: &str = "the API key is not known";
const EXPIRED: &str = "the API key has expired";
const NO_DIGEST: &str =
    "is not `sha256:` with the 64 hexadecimal digits of the key's SHA-256 digest";
const EMPTY: &str = "is the digest of an empty text: what should have been the key was not set";

/// Who has a key that ends at a time since 1970.
fn admitted(admission: &Rc<Admission>, expires: Option<Duration>) -> Result<Admitted, NoKey> {
    let Some(expires) = expires else { return Ok(Admitted::new(admission)) };
    match expires.checked_sub(clock::now()) {
        Some(left) if !left.is_zero() => Ok(Admitted::for_another(admission, left)),
        _ => Err(NoKey::Refused(EXPIRED)),
    }
}

/// Finds a key in a set. What follows is made anew each time: the gateway makes it again without a call, until
/// anything in the set changes.
fn find_in(set: &str, digest: &[u8; 32], policy: &Policy) -> Result<Admitted, NoKey> {
    let key = match keys::find(set, digest) {
        Ok(key) => key.ok_or(NoKey::Refused(UNKNOWN))?,
        Err(KeyError::Expired) => return Err(NoKey::Refused(EXPIRED)),
        Err(KeyError::Unavailable | KeyError::NotGranted | KeyError::Invalid) => {
            return Err(NoKey::Unavailable("the API keys have not been read yet"));
        }
    };
    let scopes: Vec<&str> = key.scopes.iter().map(String::as_str).collect();
    let admission = Rc::new(policy.admit(&Consumer {
        id: &key.consumer,
        method: "api-key",
        key_id: &key.id,
        scopes: &scopes,
        claims: &claims(&key),
        group: key.group.as_deref(),
    }));
    admitted(&admission, key.expires)
}

/// The gateway takes no claim that is no JSON.
fn claims(key: &Key) -> Map<String, Value> {
    let read =
        |(name, text): &(String, String)| Some((name.clone(), serde_json::from_str(text).ok()?));
    key.claims.iter().filter_map(read).collect()
}

/// Checks a key. What comes of it is its digest, and when it ends.
fn check(
    spec: &ApiKeySpec,
    at: &Pointer,
    problems: &mut Problems,
) -> Option<([u8; 32], Option<Duration>)> {
    let consumer = spec.consumer.as_deref().unwrap_or(&spec.id);
    for (key, name) in [("id", spec.id.as_str()), ("consumer", consumer)] {
        if !is_name(name) {
            problems.add(&at.key(key), "is no name of 1 to 1024 bytes on one line");
        }
    }
    if spec.group.as_deref().is_some_and(|group| !is_name(group)) {
        problems.add(&at.key("group"), "is no name on one line");
    }
    check_scopes(&spec.scopes, &at.key("scopes"), problems);
    let expires = spec.expires.as_deref().map(|text| {
        let seconds = time::date(text).and_then(|seconds| u64::try_from(seconds).ok());
        seconds.map(Duration::from_secs).unwrap_or_else(|| {
            let message = "is neither a date such as `2027-01-31` nor a date-time such as \
                           `2027-01-31T12:00:00Z`";
            problems.add(&at.key("expires"), message);
            Duration::ZERO
        })
    });
    let Some(digest) = parse_digest(&spec.digest) else {
        problems.add(&at.key("digest"), NO_DIGEST);
        return None;
    };
    if digest == digest::sha256(b"") {
        problems.add(&at.key("digest"), EMPTY);
        return None;
    }
    Some((digest, expires))
}

/// Who has a key.
fn admission(spec: &ApiKeySpec, policy: &Policy) -> Admission {
    let scopes: Vec<&str> = spec.scopes.iter().map(String::as_str).collect();
    policy.admit(&Consumer {
        id: spec.consumer.as_deref().unwrap_or(&spec.id),
        method: "api-key",
        key_id: &spec.id,
        scopes: &scopes,
        claims: &spec.claims,
        group: spec.group.as_deref(),
    })
}

fn parse_digest(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256:")?.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        *byte = hex(*high)? << 4 | hex(*low)?;
    }
    Some(digest)
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
