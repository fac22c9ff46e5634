//! `gateway:plugin/attempts`: the request once more, in place of the response that came.
//!
//! Owns what a hook may ask for. It happens when the hook has returned.

use std::time::Duration;

use super::functions::Functions;
use super::{Context, HostState};
use crate::heads::{Attempts, MAX_ATTEMPTS};
use crate::plugin::bindings::{Attempt, AttemptsError};
use crate::plugin::instance::{Hook, OnRequest, OnRequestBody, OnResponse, OnResponseBody};

/// The longest wait before an attempt, in nanoseconds.
const MAX_WAIT: u64 = 60_000_000_000;
/// The longest bound on the wait for a head, in nanoseconds.
const MAX_FIRST_BYTE: u64 = 600_000_000_000;
/// The hooks that see a response before anything of it is passed on, also if it is not held back.
const BEFORE: [usize; 2] = [OnResponse::INDEX, OnResponseBody::INDEX];
/// The hooks before the request is sent.
const BEFORE_SENT: [usize; 2] = [OnRequest::INDEX, OnRequestBody::INDEX];

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("sent", |store: Context<'_>, (): ()| {
        Ok((store.data().attempts().map_or(0, |attempts| attempts.sent),))
    })?;
    linker.func_wrap("may-forward", |store: Context<'_>, (upstream,): (String,)| {
        Ok((store.data().identity.forward_to.contains(&upstream),))
    })?;
    linker.func_wrap("received-body", |store: Context<'_>, (): ()| {
        Ok((store.data().received_body(),))
    })?;
    linker.func_wrap("again", |mut store: Context<'_>, (attempt,): (Attempt,)| {
        Ok((store.data_mut().ask_for_attempt(attempt),))
    })?;
    linker.func_wrap("first-byte", |mut store: Context<'_>, (time,): (u64,)| {
        Ok((store.data_mut().bound_first_byte(time),))
    })
}

impl HostState {
    /// Of a hook that sees a response before anything of it was passed on.
    fn attempts(&self) -> Option<Attempts> {
        let is_before = BEFORE.contains(&self.hook) || self.is_held();
        self.heads.as_ref().filter(|_| is_before)?.facts.attempts
    }

    fn received_body(&self) -> Option<Vec<u8>> {
        let heads = self.heads.as_ref()?;
        heads.facts.attempts?;
        heads.received.as_ref().map(|body| body.to_vec())
    }

    fn bound_first_byte(&mut self, time: u64) -> Result<(), AttemptsError> {
        if !BEFORE_SENT.contains(&self.hook) && self.attempts().is_none() {
            return Err(AttemptsError::NotHere);
        }
        if time > MAX_FIRST_BYTE {
            return Err(AttemptsError::Invalid);
        }
        let bound = Duration::from_nanos(time);
        self.slots.get_or_insert_default().first_byte = Some(bound);
        Ok(())
    }

    fn ask_for_attempt(&mut self, attempt: Attempt) -> Result<(), AttemptsError> {
        let Some(known) = self.attempts() else { return Err(AttemptsError::NotHere) };
        if known.sent >= MAX_ATTEMPTS {
            return Err(AttemptsError::TooMany);
        }
        if !known.is_whole && attempt.body.is_none() {
            return Err(AttemptsError::BodyGone);
        }
        if attempt.wait > MAX_WAIT {
            return Err(AttemptsError::Invalid);
        }
        self.slots.get_or_insert_default().attempt = Some(Box::new(attempt));
        Ok(())
    }
}
