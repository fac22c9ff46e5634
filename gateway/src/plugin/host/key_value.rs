//! `gateway:plugin/key-value`: the plugin's own keys and values.

use std::sync::Arc;
use std::time::Duration;

use super::functions::Functions;
use super::{Context, HostState};
use crate::plugin::bindings::KeyValueError;
use crate::state::key_value::{Store, WriteError};
use crate::state::redis::Unavailable;
use crate::state::redis::key_values::SharedValues;
use bytes::Bytes;

type Write = (String, Vec<u8>, Option<u64>);
type Add = (String, i64, Option<u64>);
type Written<T> = Result<T, KeyValueError>;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("get", |store: Context<'_>, (key,): (String,)| {
        Ok((store.data().key_values().get(&key).map(|value| value.to_vec()),))
    })?;
    linker.func_wrap("set", |store: Context<'_>, (key, value, ttl): Write| {
        let values = store.data().key_values();
        Ok((values.set(&key, Bytes::from(value), time(ttl)).map_err(refusal),))
    })?;
    linker.func_wrap("set-if-absent", |store: Context<'_>, (key, value, ttl): Write| {
        let values = store.data().key_values();
        Ok((values.set_if_absent(&key, Bytes::from(value), time(ttl)).map_err(refusal),))
    })?;
    linker.func_wrap("delete", |store: Context<'_>, (key,): (String,)| {
        Ok((store.data().key_values().delete(&key),))
    })?;
    linker.func_wrap("increment", |store: Context<'_>, (key, by, ttl): Add| {
        let values = store.data().key_values();
        Ok((values.increment(&key, by, time(ttl)).map_err(refusal),))
    })?;
    link_was_answered(linker)
}

/// Keys and values in a store that several gateways share, for whose answer the hook waits.
pub(super) fn link_shared(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap_async("get", |mut store: Context<'_>, (key,): (String,)| {
        Box::new(async move {
            let values = pause(&mut store)?;
            let answered = values.get(&key).await;
            let value = resume(&mut store, answered).ok().flatten();
            Ok((value.map(|value| value.to_vec()),))
        })
    })?;
    linker.func_wrap_async("set", |mut store: Context<'_>, (key, value, ttl): Write| {
        Box::new(async move {
            let values = pause(&mut store)?;
            let answered = values.set(&key, Bytes::from(value), time(ttl)).await;
            Ok((written(resume(&mut store, answered)),))
        })
    })?;
    linker.func_wrap_async(
        "set-if-absent",
        |mut store: Context<'_>, (key, value, ttl): Write| {
            Box::new(async move {
                let values = pause(&mut store)?;
                let answered = values.set_if_absent(&key, Bytes::from(value), time(ttl)).await;
                Ok((written(resume(&mut store, answered)),))
            })
        },
    )?;
    linker.func_wrap_async("delete", |mut store: Context<'_>, (key,): (String,)| {
        Box::new(async move {
            let values = pause(&mut store)?;
            let answered = values.delete(&key).await;
            Ok((resume(&mut store, answered).unwrap_or(false),))
        })
    })?;
    linker.func_wrap_async("increment", |mut store: Context<'_>, (key, by, ttl): Add| {
        Box::new(async move {
            let values = pause(&mut store)?;
            let answered = values.increment(&key, by, time(ttl)).await;
            Ok((written(resume(&mut store, answered)),))
        })
    })?;
    link_was_answered(linker)
}

/// For a plugin whose interest promises that it never waits.
pub(super) fn link_refusing(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    fn refused<T>(name: &str) -> wasmtime::Result<T> {
        wasmtime::bail!("it called `key-value.{name}`, although its interest says `never-waits`")
    }
    linker
        .func_wrap("get", |_: Context<'_>, (_,): (String,)| refused::<(Option<Vec<u8>>,)>("get"))?;
    linker.func_wrap("set", |_: Context<'_>, _: Write| refused::<(Written<()>,)>("set"))?;
    linker.func_wrap("set-if-absent", |_: Context<'_>, _: Write| {
        refused::<(Written<bool>,)>("set-if-absent")
    })?;
    linker.func_wrap("delete", |_: Context<'_>, (_,): (String,)| refused::<(bool,)>("delete"))?;
    linker
        .func_wrap("increment", |_: Context<'_>, _: Add| refused::<(Written<i64>,)>("increment"))?;
    link_was_answered(linker)
}

fn link_was_answered(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker
        .func_wrap("was-answered", |store: Context<'_>, (): ()| Ok((!store.data().is_unanswered,)))
}

impl HostState {
    fn key_values(&self) -> &Store {
        &self.identity.stores.key_values
    }
}

/// What the hook is about to wait for: waiting is not computing.
fn pause(store: &mut Context<'_>) -> wasmtime::Result<Arc<SharedValues>> {
    let Some(values) = store.data().identity.stores.shared_values.clone() else {
        wasmtime::bail!("its store is not there");
    };
    store.data_mut().budget.pause();
    Ok(values)
}

/// The epoch went on while the hook waited.
fn resume<T>(store: &mut Context<'_>, answered: Result<T, Unavailable>) -> Result<T, Unavailable> {
    let state = store.data_mut();
    state.is_unanswered = answered.is_err();
    let look = state.budget.resume();
    store.set_epoch_deadline(look);
    answered
}

fn time(ttl: Option<u64>) -> Option<Duration> {
    ttl.map(Duration::from_nanos)
}

/// An error of old stands for a store that is away: a case more would be another type.
fn written<T>(answered: Result<Result<T, WriteError>, Unavailable>) -> Written<T> {
    match answered {
        Ok(written) => written.map_err(refusal),
        Err(Unavailable) => Err(KeyValueError::Full),
    }
}

fn refusal(error: WriteError) -> KeyValueError {
    match error {
        WriteError::TooLarge => KeyValueError::TooLarge,
        WriteError::Full => KeyValueError::Full,
        WriteError::NotANumber => KeyValueError::NotANumber,
    }
}
