//! `gateway:plugin/slots`: how many exchanges may be past the plugin at the same time.
//!
//! Owns what a hook asked for until it has returned. Waiting is not done here: the hook returns at once, and
//! the exchange waits behind it, so that nobody who waits holds an instance.

use std::time::Duration;

use super::functions::Functions;
use super::{Alike, Context, Drain, HostState, OfCache, OfHeld};
use crate::body::KeepAlive;
use crate::plugin::bindings::{
    Attempt, Field, Occupancy, Queued, Response, SlotAnswer, SlotWait, SlotsError, Taken,
};
use crate::plugin::instance::{Hook, OnRequest, OnRequestBody, OnResponse, OnResponseBody};
use crate::state::slots::{self, Held, Waiting};

/// Slots that one hook asks for, at most.
const MAX_SLOTS: usize = 16;
const MAX_KEY: usize = 1 << 10;
const MAX_SHARE: usize = 256;
const MAX_QUEUE: u32 = 10_000;
/// The hooks behind which an exchange can wait.
const WAITS: [usize; 2] = [OnRequest::INDEX, OnRequestBody::INDEX];
/// The hooks that can take slots, besides that for chunks while the response is held back.
const TAKES: [usize; 4] =
    [OnRequest::INDEX, OnRequestBody::INDEX, OnResponse::INDEX, OnResponseBody::INDEX];

/// What a hook asked for, that happens when it has returned.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) held: Vec<Held>,
    /// The keys of those that the exchange gives back.
    given_back: Vec<String>,
    /// How far the response is read without its client.
    pub(super) drain: Option<Drain>,
    /// How long the head of a response is waited for; not bounded where it is zero.
    pub(super) first_byte: Option<Duration>,
    /// With the answers for those whose time is over.
    pub(crate) waiting: Vec<(Waiting, Response)>,
    /// Another attempt.
    pub(crate) attempt: Option<Box<Attempt>>,
    /// What the chunks look like that pass without a call from now on.
    pub(crate) alike: Option<Box<Alike>>,
    /// What the client is sent while the response is silent.
    pub(crate) keep_alive: Option<Box<KeepAlive>>,
    /// What becomes of a response that is held back.
    pub(crate) response: Option<Box<OfHeld>>,
    /// What it has to do with the cache.
    pub(crate) cache: Option<Box<OfCache>>,
}

/// What is settled for the exchange by the hook that asked.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) held: Vec<Held>,
    pub(crate) given_back: Vec<String>,
    pub(crate) drain: Option<Drain>,
    pub(crate) first_byte: Option<Duration>,
}

impl Asked {
    /// What is settled, if anything is.
    pub(crate) fn settled(&mut self) -> Option<Settled> {
        let bounds = self.drain.is_some() || self.first_byte.is_some();
        if self.held.is_empty() && self.given_back.is_empty() && !bounds {
            return None;
        }
        let (held, given_back) =
            (std::mem::take(&mut self.held), std::mem::take(&mut self.given_back));
        let (drain, first_byte) = (self.drain.take(), self.first_byte.take());
        Some(Settled { held, given_back, drain, first_byte })
    }
}

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    linker.func_wrap("take", |mut store: Context<'_>, (key, limit): (String, u32)| {
        Ok((store.data_mut().take_slot(&key, limit),))
    })?;
    linker.func_wrap("queue", |mut store: Context<'_>, (wait, late): (SlotWait, SlotAnswer)| {
        Ok((store.data_mut().queue_for_slot(&wait, 1, late),))
    })?;
    linker.func_wrap(
        "queue-by-weight",
        |mut store: Context<'_>, (wait, weight, late): (SlotWait, u16, SlotAnswer)| {
            Ok((store.data_mut().queue_for_slot(&wait, weight, late),))
        },
    )?;
    linker.func_wrap("give-back", |mut store: Context<'_>, (key,): (String,)| {
        Ok((store.data_mut().give_slot_back(key),))
    })?;
    linker.func_wrap("look", |store: Context<'_>, (key,): (String,)| {
        Ok((occupancy(store.data().identity.stores.slots.look(&key)),))
    })?;
    linker.func_wrap("expected-wait", |store: Context<'_>, (key,): (String,)| {
        let wait = store.data().identity.stores.slots.expected_wait(&key);
        Ok((nanoseconds(wait),))
    })?;
    linker.func_wrap(
        "expected-turn",
        |store: Context<'_>, (key, priority, share, weight): (String, u8, String, u16)| {
            let turn = slots::Turn { priority, share: &share, weight: weight.max(1) };
            Ok((nanoseconds(store.data().identity.stores.slots.expected_turn(&key, turn)),))
        },
    )
}

fn nanoseconds(wait: Option<Duration>) -> Option<u64> {
    wait.map(|wait| u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX))
}

impl HostState {
    fn may_ask(&self, is_here: bool, is_valid: bool) -> Result<(), SlotsError> {
        if !is_here {
            return Err(SlotsError::NotHere);
        }
        if !is_valid {
            return Err(SlotsError::Invalid);
        }
        let asked = |it: &Asked| it.held.len() + it.waiting.len() + it.given_back.len();
        let asked = self.slots.as_deref().map_or(0, asked);
        if asked < MAX_SLOTS { Ok(()) } else { Err(SlotsError::TooMany) }
    }

    fn may_take(&self) -> bool {
        TAKES.contains(&self.hook) || self.is_held()
    }

    fn give_slot_back(&mut self, key: String) -> Result<(), SlotsError> {
        self.may_ask(self.may_take(), key.len() <= MAX_KEY)?;
        let asked = self.slots.get_or_insert_default();
        if let Some(own) = asked.held.iter().position(|held| held.is_under(&key)) {
            asked.held.swap_remove(own);
        } else if let Some(own) = asked.waiting.iter().position(|(it, _)| it.is_under(&key)) {
            asked.waiting.remove(own);
        } else {
            asked.given_back.push(key);
        }
        Ok(())
    }

    fn take_slot(&mut self, key: &str, limit: u32) -> Result<Taken, SlotsError> {
        self.may_ask(self.may_take(), key.len() <= MAX_KEY && limit > 0)?;
        let (held, now) = self.identity.stores.slots.take(key, limit);
        let Some(held) = held else { return Ok(Taken::No(occupancy(now))) };
        self.slots.get_or_insert_default().held.push(held);
        Ok(Taken::Yes(occupancy(now)))
    }

    fn queue_for_slot(
        &mut self,
        wait: &SlotWait,
        weight: u16,
        late: SlotAnswer,
    ) -> Result<Queued, SlotsError> {
        self.may_ask(WAITS.contains(&self.hook), is_valid(wait) && weight > 0)?;
        let (queued, now) = self.identity.stores.slots.queue(slots::Wait {
            key: &wait.key,
            limit: wait.limit,
            queue: wait.queue,
            time: Duration::from_nanos(wait.time),
            turn: slots::Turn { priority: wait.priority, share: &wait.share, weight },
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
