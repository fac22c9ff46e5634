//! `gateway:plugin/held-response`: a response of which nothing is passed on until its body has begun well.
//!
//! Owns what a hook asked for. It happens when the hook has returned.

use std::time::Duration;

use super::functions::Functions;
use super::{Asked, Context, HostState};
use crate::plugin::bindings::{Field, HeadChange, HeldResponseError, Response, SlotAnswer};
use crate::plugin::instance::{Hook, OnResponse, OnResponseChunk};

/// Bytes of body that are kept for one response, at most.
const MAX_BYTES: u32 = 1 << 20;
/// The longest time to hold one, in nanoseconds.
const MAX_TIME: u64 = 600_000_000_000;

/// What a hook wants of a response.
#[derive(Debug, Default)]
pub(crate) struct OfHeld {
    /// It is to be held back.
    pub(crate) hold: Option<Hold>,
    /// The hook is called when its time is over.
    pub(crate) calls_late: bool,
    /// The hook is called where the body breaks off behind what was passed on.
    pub(crate) calls_broken: bool,
    /// It is to be let go.
    pub(crate) release: bool,
    /// What is changed in its head.
    pub(crate) change: Option<HeadChange>,
    /// What is answered instead.
    pub(crate) answer: Option<Response>,
}

/// For how much of the body, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hold {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
    /// Whether the plugin decides when the time is over.
    pub(crate) calls_late: bool,
    /// Whether it may end a body that breaks off.
    pub(crate) calls_broken: bool,
}

impl OfHeld {
    /// For how long it is to be held back, if it is.
    pub(crate) fn hold(&self) -> Option<Hold> {
        let Self { calls_late, calls_broken, .. } = *self;
        self.hold.map(|hold| Hold { calls_late, calls_broken, ..hold })
    }
}

type Called = Result<(), HeldResponseError>;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("hold", |mut store: Context<'_>, (bytes, time): (u32, u64)| {
        Ok((store.data_mut().hold_response(bytes, time),))
    })?;
    linker.func_wrap("call-when-late", |mut store: Context<'_>, (): ()| {
        Ok((store.data_mut().call_when_late(),))
    })?;
    linker.func_wrap("call-when-broken", |mut store: Context<'_>, (): ()| {
        Ok((store.data_mut().call_when_broken(),))
    })?;
    linker.func_wrap("is-held", |store: Context<'_>, (): ()| Ok((store.data().is_held(),)))?;
    linker.func_wrap("release", |mut store: Context<'_>, (): ()| {
        let _not_held = store.data_mut().of_held(|asked| asked.release = true);
        Ok(())
    })?;
    linker.func_wrap("change-head", |mut store: Context<'_>, (change,): (HeadChange,)| {
        Ok((store.data_mut().of_held(|asked| asked.change = Some(change)),))
    })?;
    linker.func_wrap("respond", |mut store: Context<'_>, (answer,): (SlotAnswer,)| {
        let SlotAnswer { status, fields, body } = answer;
        let fields = fields.into_iter().map(|(name, value)| Field { name, value }).collect();
        let answer = Response { status, fields, body };
        Ok((store.data_mut().of_held(|asked| asked.answer = Some(answer)),))
    })
}

impl HostState {
    fn hold_response(&mut self, bytes: u32, time: u64) -> Called {
        if self.hook != OnResponse::INDEX {
            return Err(HeldResponseError::NotHere);
        }
        if !(1..=MAX_BYTES).contains(&bytes) || !(1..=MAX_TIME).contains(&time) {
            return Err(HeldResponseError::Invalid);
        }
        let time = Duration::from_nanos(time);
        let hold = Hold { bytes: bytes as usize, time, calls_late: false, calls_broken: false };
        self.asked().hold = Some(hold);
        Ok(())
    }

    fn call_when_late(&mut self) -> Called {
        if self.hook != OnResponse::INDEX {
            return Err(HeldResponseError::NotHere);
        }
        self.asked().calls_late = true;
        Ok(())
    }

    fn call_when_broken(&mut self) -> Called {
        if self.hook != OnResponse::INDEX {
            return Err(HeldResponseError::NotHere);
        }
        self.asked().calls_broken = true;
        Ok(())
    }

    /// Whether the hook that runs sees the body of a response that this plugin holds back.
    pub(super) fn is_held(&self) -> bool {
        let holder = self.heads.as_ref().and_then(|heads| heads.facts.held_by.as_ref());
        self.hook == OnResponseChunk::INDEX
            && holder.is_some_and(|holder| *holder == self.identity.name)
    }

    fn of_held(&mut self, ask: impl FnOnce(&mut OfHeld)) -> Called {
        if !self.is_held() {
            return Err(HeldResponseError::NotHere);
        }
        ask(self.asked());
        Ok(())
    }

    fn asked(&mut self) -> &mut OfHeld {
        let asked: &mut Asked = self.slots.get_or_insert_default();
        asked.response.get_or_insert_default()
    }
}
