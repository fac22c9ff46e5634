//! API keys: digests in the configuration, and finding the one of a presented key there or in a set that is
//! managed while the gateway runs.
//!
//! The time of a look-up must reveal nothing about the digests. So the keys are sorted by
//! a secret hash of their digests, which no client can compute, and the digest that is found
//! there is compared in constant time.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use gateway_plugin_sdk::keys::{self, Key, KeyError, KeySet};
use gateway_plugin_sdk::{clock, digest, random};
use serde_json::{Map, Value};

use crate::config::{ApiKeyConfig, ApiKeySpec};
use gateway_plugin_identity::consumer::{
    Admission, Admitted, Consumer, Policy, check_scopes, is_name,
};
use gateway_plugin_identity::problems::{Pointer, Problems};
use gateway_plugin_identity::time;

/// The configured keys.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    tagger: Tagger,
    /// Sorted by tag.
    keys: Vec<ApiKey>,
    /// Where other keys are.
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
    tag: u32,
    digest: [u8; 32],
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
        let at = at.key("keys");
        if config.keys.is_empty() && set.is_none() {
            problems.add(&at, "no key is named and no `set`, so none could be admitted");
        }
        let (mut ids, mut digests) = (BTreeSet::new(), BTreeSet::new());
        let tagger = Tagger::new();
        let mut keys = Vec::with_capacity(config.keys.len());
        for (index, spec) in config.keys.iter().enumerate() {
            let at = at.index(index);
            if !ids.insert(spec.id.as_str()) {
                problems.add(&at.key("id"), "is the id of another key");
            }
            let Some(key) = ApiKey::new(spec, &tagger, policy, &at, problems) else {
                continue;
            };
            if !digests.insert(key.digest) {
                problems.add(&at.key("digest"), "is the digest of another key");
            }
            keys.push(key);
        }
        keys.sort_unstable_by_key(|key| key.tag);
        Self { tagger, keys, set }
    }

    /// What follows from a presented key.
    pub(crate) fn verify(&self, presented: &[u8], policy: &Policy) -> Result<Admitted, NoKey> {
        let digest = digest::sha256(presented);
        match (self.find(&digest), &self.set) {
            (Some(key), _) => admitted(&key.admission, key.expires),
            (None, Some(set)) => find_in(set, &digest, policy),
            (None, None) => Err(NoKey::Refused(UNKNOWN)),
        }
    }

    /// The key of the configuration that has a digest.
    fn find(&self, digest: &[u8; 32]) -> Option<&ApiKey> {
        let tag = self.tagger.tag(digest);
        let first = self.keys.partition_point(|key| key.tag < tag);
        let candidates = self.keys[first..].iter().take_while(|key| key.tag == tag);
        let mut candidates = candidates.filter(|key| equal(&key.digest, digest));
        candidates.next()
    }
}

const UNKNOWN: &str = "the API key is not known";
const EXPIRED: &str = "the API key has expired";

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

impl ApiKey {
    fn new(
        spec: &ApiKeySpec,
        tagger: &Tagger,
        policy: &Policy,
        at: &Pointer,
        problems: &mut Problems,
    ) -> Option<Self> {
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
            let message = "is not `sha256:` with the 64 hexadecimal digits of the key's SHA-256 \
                           digest";
            problems.add(&at.key("digest"), message);
            return None;
        };
        let scopes: Vec<&str> = spec.scopes.iter().map(String::as_str).collect();
        let admission = Rc::new(policy.admit(&Consumer {
            id: consumer,
            method: "api-key",
            key_id: &spec.id,
            scopes: &scopes,
            claims: &spec.claims,
            group: spec.group.as_deref(),
        }));
        Some(Self { tag: tagger.tag(&digest), digest, expires, admission })
    }
}

/// A secret hash: multiplications by random numbers (a universal family, after Dietzfelbinger), which a processor does
/// at once: by numbers of twice as many bits they are a function of many instructions in WebAssembly. Tags of 32 bits
/// that two keys share are looked through.
#[derive(Debug)]
struct Tagger([u64; 8]);

impl Tagger {
    fn new() -> Self {
        Self(std::array::from_fn(|_| random::number()))
    }

    fn tag(&self, digest: &[u8; 32]) -> u32 {
        let (words, _) = digest.as_chunks::<4>();
        let products = words
            .iter()
            .zip(&self.0)
            .map(|(word, factor)| u64::from(u32::from_le_bytes(*word)).wrapping_mul(*factor));
        (products.fold(0, u64::wrapping_add) >> 32) as u32
    }
}

/// Whether two digests are equal, in a time that does not depend on them.
fn equal(left: &[u8; 32], right: &[u8; 32]) -> bool {
    let (left, right) = (left.as_chunks::<8>().0, right.as_chunks::<8>().0);
    let words = left.iter().zip(right);
    let difference = words.fold(0, |all, (left, right)| {
        all | (u64::from_le_bytes(*left) ^ u64::from_le_bytes(*right))
    });
    // Keeps the compiler from leaving the loop at the first difference.
    std::hint::black_box(difference) == 0
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
