//! `gateway:plugin/key-value`: the plugin's own keys and values.

use std::time::Duration;

use super::functions::Functions;
use super::{Context, HostState};
use crate::plugin::bindings::KeyValueError;
use crate::state::key_value::{Store, WriteError};
use bytes::Bytes;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("get", |store: Context<'_>, (key,): (String,)| {
        Ok((store.data().key_values().get(&key).map(|value| value.to_vec()),))
    })?;
    type Write = (String, Vec<u8>, Option<u64>);
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
    type Add = (String, i64, Option<u64>);
    linker.func_wrap("increment", |store: Context<'_>, (key, by, ttl): Add| {
        let values = store.data().key_values();
        Ok((values.increment(&key, by, time(ttl)).map_err(refusal),))
    })
}

impl HostState {
    fn key_values(&self) -> &Store {
        &self.identity.stores.key_values
    }
}

fn time(ttl: Option<u64>) -> Option<Duration> {
    ttl.map(Duration::from_nanos)
}

fn refusal(error: WriteError) -> KeyValueError {
    match error {
        WriteError::TooLarge => KeyValueError::TooLarge,
        WriteError::Full => KeyValueError::Full,
        WriteError::NotANumber => KeyValueError::NotANumber,
    }
}
