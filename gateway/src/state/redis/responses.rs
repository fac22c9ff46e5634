//! The responses of one cache in a store that several gateways share.
//!
//! Owns what is asked of the server, and that an answer is given by nothing that was purged: what belongs together is
//! looked at in one script. Must not know what is in a value but how it begins.

use std::sync::{Arc, LazyLock};

use redis::Value;

use super::names::Names;
use super::{OwnScript, Question, Redis, Unavailable};

/// Variants under one key, at most: one more takes the place of all.
const MAX_VARIANTS: &str = "16";
/// Keys and tags that are remembered as purged. What is stored from before the oldest that is forgotten holds no more.
const MAX_PURGED: &str = "50000";

static LOOKUP: LazyLock<OwnScript> = LazyLock::new(|| {
    OwnScript::new(concat!(
        include_str!("responses/holds.lua"),
        include_str!("responses/lookup.lua")
    ))
});
static STORE: LazyLock<OwnScript> = LazyLock::new(|| {
    OwnScript::new(concat!(
        include_str!("responses/holds.lua"),
        include_str!("responses/store.lua")
    ))
});
static LEARN: LazyLock<OwnScript> =
    LazyLock::new(|| OwnScript::new(include_str!("responses/learn.lua")));
static PURGE: LazyLock<OwnScript> =
    LazyLock::new(|| OwnScript::new(include_str!("responses/purge.lua")));

/// What is purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purged {
    Key(u128),
    Tag(u64),
}

impl Purged {
    /// What it is called among what was purged.
    pub(crate) fn name(self) -> Vec<u8> {
        match self {
            Self::Key(key) => [&b"k"[..], &key.to_be_bytes()].concat(),
            Self::Tag(tag) => [&b"t"[..], &tag.to_be_bytes()].concat(),
        }
    }

    /// What has this name.
    fn named(name: &[u8]) -> Option<Self> {
        match name.split_first()? {
            (b'k', key) => Some(Self::Key(u128::from_be_bytes(key.try_into().ok()?))),
            (b't', tag) => Some(Self::Tag(u64::from_be_bytes(tag.try_into().ok()?))),
            _ => None,
        }
    }
}

/// What was purged lately.
#[derive(Debug)]
pub(crate) struct Learned {
    /// Nanoseconds since 1970, by the server's clock.
    pub(crate) time: u64,
    pub(crate) generation: u64,
    /// Nothing of an older generation holds.
    pub(crate) floor: u64,
    pub(crate) purged: Vec<Purged>,
}

/// A value to store.
#[derive(Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) key: u128,
    pub(crate) variant: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) milliseconds: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SharedResponses {
    store: Arc<Redis>,
    names: Names,
    purged: String,
}

impl SharedResponses {
    /// The responses of a cache in a store.
    pub(crate) fn new(store: &Arc<Redis>, cache: &str) -> Self {
        // No plugin has a slash in its name.
        let names = Names::of(store.settings(), &format!("cache/{cache}"));
        let purged = names.key("p", "");
        Self { store: Arc::clone(store), names, purged }
    }

    /// Connects the worker of this thread.
    pub(crate) fn connect_here(&self) {
        self.store.connect_here();
    }

    /// The values under these keys.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn lookup(&self, keys: &[u128]) -> Result<Vec<Vec<u8>>, Unavailable> {
        let names: Vec<_> = keys.iter().map(|key| Purged::Key(*key).name()).collect();
        let arguments: Vec<_> = names.iter().map(Vec::as_slice).collect();
        let answer = self.ask(&LOOKUP, keys, &arguments).await?;
        let values = texts(answer.unwrap_or_default());
        Ok(values)
    }

    /// Stores a value, unless what it belongs to was purged meanwhile; says whether it did.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn store(&self, stored: &Stored<'_>) -> Result<bool, Unavailable> {
        let Stored { key, variant, value, milliseconds } = *stored;
        let (name, time) = (Purged::Key(key).name(), milliseconds.to_string());
        let most = MAX_VARIANTS.as_bytes();
        let arguments = [&*name, variant, value, time.as_bytes(), most];
        let answer = self.ask(&STORE, &[key], &arguments).await?;
        Ok(matches!(answer, Some(Value::Int(1))))
    }

    /// What was purged since a generation, of which 0 is none.
    ///
    /// # Errors
    /// When the store does not answer, or nothing of use.
    pub(crate) async fn learn(&self, since: u64) -> Result<Learned, Unavailable> {
        let since = since.to_string();
        let answer = self.ask(&LEARN, &[], &[since.as_bytes()]).await?;
        let all = texts(answer.unwrap_or_default());
        let ([time, generation, floor], purged) = all.split_first_chunk().ok_or(Unavailable)?;
        let [time, generation, floor] = [time, generation, floor].map(|text| number(text));
        Ok(Learned {
            time: time?.saturating_mul(1_000),
            generation: generation?,
            floor: floor?,
            purged: purged.iter().filter_map(|name| Purged::named(name)).collect(),
        })
    }

    /// Purges these, or everything if there are none. The generation before, and the one from which on it counts.
    ///
    /// # Errors
    /// When the store does not answer, or nothing of use.
    pub(crate) async fn purge(&self, some: Option<&[Purged]>) -> Result<[u64; 2], Unavailable> {
        let what = if some.is_some() { "some" } else { "all" };
        let some = some.unwrap_or_default();
        let key = |purged: &Purged| match purged {
            Purged::Key(key) => Some(*key),
            Purged::Tag(_) => None,
        };
        let keys: Vec<_> = some.iter().filter_map(key).collect();
        let names: Vec<_> = some.iter().map(|purged| purged.name()).collect();
        let mut arguments = vec![what.as_bytes(), MAX_PURGED.as_bytes()];
        arguments.extend(names.iter().map(Vec::as_slice));
        let answer = self.ask(&PURGE, &keys, &arguments).await?;
        match &*texts(answer.unwrap_or_default()) {
            [before, now] => Ok([number(before)?, number(now)?]),
            _ => Err(Unavailable),
        }
    }

    /// `None` if the server refuses.
    async fn ask(
        &self,
        script: &OwnScript,
        keys: &[u128],
        arguments: &[&[u8]],
    ) -> Result<Option<Value>, Unavailable> {
        let mut names = Vec::with_capacity(keys.len() + 1);
        names.push(self.purged.clone());
        names.extend(keys.iter().map(|key| self.names.key("e", &format!("{key:032x}"))));
        let answer = self.store.request(Question::Own(script, &names, arguments)).await?;
        Ok(answer.ok())
    }
}

/// The texts of a list.
fn texts(value: Value) -> Vec<Vec<u8>> {
    let Value::Array(all) = value else { return Vec::new() };
    let text = |value| match value {
        Value::BulkString(text) => Some(text),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    };
    all.into_iter().filter_map(text).collect()
}

/// A generation or a time.
fn number(text: &[u8]) -> Result<u64, Unavailable> {
    let text = std::str::from_utf8(text).map_err(|_| Unavailable)?;
    text.parse().map_err(|_| Unavailable)
}
