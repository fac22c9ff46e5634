//! `gateway:plugin/events`: events that leave the gateway in the background.
//!
//! Owns what a plugin may emit, and to which sinks. Collecting and sending is [`crate::events`]'s.

use super::functions::Functions;
use super::{Context, HostState};
use crate::events::{Refused, Sink};
use crate::plugin::bindings::EmitError;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.same_each_time("is-granted", |store: Context<'_>, (sink,): (String,)| {
        Ok((store.data().sink(&sink).is_some(),))
    })?;
    linker.func_wrap("emit", |store: Context<'_>, (sink, event): (String, Vec<u8>)| {
        let host = store.data();
        let Some(sink) = host.sink(&sink) else { return Ok((Err(EmitError::NotGranted),)) };
        if host.heads.is_none() {
            return Ok((Err(EmitError::NotHere),));
        }
        let taken = sink.emit(event).map_err(|refused| match refused {
            Refused::Invalid => EmitError::Invalid,
            Refused::Full => EmitError::Full,
        });
        Ok((taken,))
    })
}

impl HostState {
    fn sink(&self, name: &str) -> Option<&Sink> {
        let found = self.identity.events.iter().find(|sink| sink.name() == name);
        found.map(|sink| &**sink)
    }
}
