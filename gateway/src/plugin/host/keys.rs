//! `gateway:plugin/keys`: the sets of API keys that the plugin was granted.
//!
//! Owns that what follows from a key is not made again once anything in its set has changed: the pool looks at
//! the generations of all sets that are granted ([`Identity::versions`](super::Identity::versions)).

use super::functions::Functions;
use super::{Context, HostState};
use crate::plugin::bindings::{KeyError, KeyOut};
use crate::state::key_sets::record::Digest;
use crate::state::key_sets::{Found, NotFound};

const SECOND: u64 = 1_000_000_000;

type Outcome = Result<Option<KeyOut>, KeyError>;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.same_each_time("find", |store: Context<'_>, (set, digest): (String, Vec<u8>)| {
        Ok((find(store.data(), &set, &digest),))
    })
}

fn find(state: &HostState, set: &str, digest: &[u8]) -> Outcome {
    let sets = &state.identity.keys;
    let (_, set) = sets.iter().find(|(known, _)| known == set).ok_or(KeyError::NotGranted)?;
    let digest = Digest(digest.try_into().map_err(|_| KeyError::Invalid)?);
    match set.find(digest, shown) {
        Ok(key) => Ok(Some(key)),
        Err(NotFound::Unknown) => Ok(None),
        Err(NotFound::Expired) => Err(KeyError::Expired),
        Err(NotFound::Unread) => Err(KeyError::Unavailable),
    }
}

fn shown(found: Found<'_>) -> KeyOut {
    let Found { id, record, until } = found;
    KeyOut {
        id: id.to_owned(),
        consumer: record.consumer.clone().into(),
        group: record.group.clone().map(Into::into),
        scopes: record.scopes.iter().map(|scope| scope.clone().into()).collect(),
        claims: record
            .claims
            .iter()
            .map(|(name, text)| (name.clone().into(), text.clone().into()))
            .collect(),
        expires: until.map(|until| until.saturating_mul(SECOND)),
    }
}
