//! `gateway:plugin/slots`: how many exchanges may be past the plugin at the same time.
//!
//! Owns what a hook asked for until it has returned. Waiting is not done here: the hook returns at once, and
//! the exchange waits behind it, so that nobody who waits holds an instance.

use std::time::Duration;

use super::functions::Functions;
use super::{Context, HostState, OfCache, OfHeld};
use crate::plugin::bindings::{
    Attempt, Field, Occupancy, Queued, Response, SlotAnswer, SlotWait, SlotsError, Taken,
};
use crate::plugin::instance::{Hook, OnRequest, OnRequestBody};
use crate::state::slots::{self, Held, Waiting};

/// Slots that one hook asks for, at most.
const MAX_SLOTS: usize = 16;
const MAX_KEY: usize = 1 << 10;
const MAX_SHARE: usize = 256;
const MAX_QUEUE: u32 = 10_000;
/// The hooks behind which an exchange can wait.
const TAKES_SLOTS: [usize; 2] = [OnRequest::INDEX, OnRequestBody::INDEX];

/// What a hook asked for, that happens when it has returned.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) held: Vec<Held>,
    /// With the answers for those whose time is over.
    pub(crate) waiting: Vec<(Waiting, Response)>,
    /// Another attempt.
    pub(crate) attempt: Option<Box<Attempt>>,
    /// What becomes of a response that is held back.
    pub(crate) response: Option<Box<OfHeld>>,
    /// What it has to do with the cache.
    pub(crate) cache: Option<Box<OfCache>>,
}

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("take", |mut store: Context<'_>, (key, limit): (String, u32)| {
        Ok((store.data_mut().take_slot(&key, limit),))
    })?;
    linker.func_wrap("queue", |mut store: Context<'_>, (wait, late): (SlotWait, SlotAnswer)| {
        Ok((store.data_mut().queue_for_slot(&wait, late),))
    })?;
    linker.func_wrap("look", |store: Context<'_>, (key,): (String,)| {
        Ok((occupancy(store.data().identity.stores.slots.look(&key)),))
    })
}

impl HostState {
    fn may_ask(&self, is_valid: bool) -> Result<(), SlotsError> {
        if !TAKES_SLOTS.contains(&self.hook) {
            return Err(SlotsError::NotHere);
        }
        if !is_valid {
            return Err(SlotsError::Invalid);
        }
        let asked = self.slots.as_ref().map_or(0, |it| it.held.len() + it.waiting.len());
        if asked < MAX_SLOTS { Ok(()) } else { Err(SlotsError::TooMany) }
    }

    fn take_slot(&mut self, key: &str, limit: u32) -> Result<Taken, SlotsError> {
        self.may_ask(key.len() <= MAX_KEY && limit > 0)?;
        let (held, now) = self.identity.stores.slots.take(key, limit);
        let Some(held) = held else { return Ok(Taken::No(occupancy(now))) };
        self.slots.get_or_insert_default().held.push(held);
        Ok(Taken::Yes(occupancy(now)))
    }

    fn queue_for_slot(&mut self, wait: &SlotWait, late: SlotAnswer) -> Result<Queued, SlotsError> {
        self.may_ask(is_valid(wait))?;
        let (queued, now) = self.identity.stores.slots.queue(slots::Wait {
            key: &wait.key,
            limit: wait.limit,
            queue: wait.queue,
            time: Duration::from_nanos(wait.time),
            priority: wait.priority,
            share: &wait.share,
        });
        let now = occupancy(now);
        Ok(match queued {
            slots::Queued::Full => Queued::Full(now),
            slots::Queued::Taken(held) => {
                self.slots.get_or_insert_default().held.push(held);
                Queued::Taken(now)
            }
            slots::Queued::Waits(waiting) => {
                self.slots.get_or_insert_default().waiting.push((waiting, response(late)));
                Queued::Waits(now)
            }
        })
    }
}

fn is_valid(wait: &SlotWait) -> bool {
    wait.key.len() <= MAX_KEY
        && wait.share.len() <= MAX_SHARE
        && wait.limit > 0
        && wait.time > 0
        && wait.queue <= MAX_QUEUE
}

fn response(SlotAnswer { status, fields, body }: SlotAnswer) -> Response {
    let fields = fields.into_iter().map(|(name, value)| Field { name, value }).collect();
    Response { status, fields, body }
}

fn occupancy(now: slots::Occupancy) -> Occupancy {
    Occupancy { in_use: now.held, waiting: now.waiting }
}
