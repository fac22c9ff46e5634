//! Slots: how many exchanges may be past the plugin at the same time, over all workers of the gateway.
//! Granted as `slots`. Keys belong to the configured plugin: another does not see them.
//!
//! A slot is held until its exchange ends, in whatever way: the gateway gives it back, and a plugin cannot
//! forget to. It can give it back before.
//!
//! ```
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::slots::{self, Taken};
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! struct OneAtATime;
//!
//! impl Plugin for OneAtATime {
//!     type Config = NoConfig;
//!     type Context = ();
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         Ok(Self)
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_request()
//!     }
//!
//!     fn on_request(&self, _: &mut Request, _: &mut ()) -> Outcome {
//!         match slots::take("all", 1) {
//!             Ok(Taken::Yes(_)) => Outcome::Next,
//!             _ => Outcome::respond(Response::service_unavailable("Another one is served.")),
//!         }
//!     }
//! }
//!
//! let harness = Harness::<OneAtATime>::new(NoConfig {}).unwrap();
//! let first = harness.request(testing::request());
//! assert_eq!(harness.request(testing::request()).answer().unwrap().status(), 503);
//! drop(first);
//! assert!(harness.request(testing::request()).answer().is_none());
//! ```
//!
//! # Where
//!
//! `on_request` and `on_request_body` can take slots. What they took counts if they let the exchange go on,
//! and is given back at once if they answer. The hooks that can ask for another [attempt](crate::attempts) can
//! take one that is free, and [give one back](give_back), so that an exchange is counted where it is sent to.
//!
//! Several slots of one exchange are held from when each was had, also while another is waited for: take them
//! in the same order everywhere.
//!
//! # In native tests
//!
//! An exchange holds its slots until it is completed or dropped. Nothing else happens while a hook runs, so
//! that the time of one who waits is over at once: its exchange is answered with what was given for that. Slots
//! are held for as long as the clock of the harness goes on.

use std::time::Duration;

use crate::Response;
use crate::host;
use crate::wire;

/// How the slots under a key are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Occupancy {
    /// Slots that are held, the one that was just taken too.
    pub in_use: u32,
    /// Exchanges that wait for one.
    pub waiting: u32,
}

/// What came of asking for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// There was one, and nobody waited for it.
    Yes(Occupancy),
    /// All are held, or others wait.
    No(Occupancy),
}

/// A slot to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait<'a> {
    /// Which slots, at most 1 KiB.
    pub key: &'a str,
    /// How many there are, at least 1.
    pub limit: u32,
    /// How many exchanges may wait for one, at most 10,000.
    pub queue: u32,
    /// How long this one may, at least 1 ns.
    pub time: Duration,
    /// Who has the next slot: the exchange with the highest number. 0 for most. The lower one of two priorities has one
    /// turn for eight of the higher one, so that none waits for ever.
    pub priority: u8,
    /// Whose exchange it is, at most 256 bytes. Those of one priority have a slot in turns, one for each share
    /// that waits (or [by weight](queue_by_weight)); within a share the first who came is first. Empty: all are one share.
    pub share: &'a str,
}

/// What came of asking to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queued {
    /// There was a slot after all.
    Taken(Occupancy),
    /// It waits, behind the hook.
    Waits(Occupancy),
    /// As many wait as may.
    Full(Occupancy),
}

/// Why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotsError {
    /// A key or a share that is too long, a limit or a time of zero, or a queue that is too long.
    #[error("what was asked for is not valid")]
    Invalid,
    /// The hook asked for 16 slots already.
    #[error("a hook asks for at most 16 slots")]
    TooMany,
    /// This hook cannot take slots, or cannot wait for one.
    #[error("this hook cannot take slots, or cannot wait for one")]
    NotHere,
}

/// Takes a slot, if one of as many as `limit` is free and nobody waits. The limit that was named last holds for
/// the key.
///
/// # Errors
/// If the call is not valid. Nothing is taken then.
pub fn take(key: &str, limit: u32) -> Result<Taken, SlotsError> {
    host::take_slot(key, limit)
}

/// Takes a slot, or waits for one. The exchange waits when the hook has returned; the next plugin sees it when
/// it has its slot. If the time is over before, the client is answered `late`.
///
/// # Errors
/// If the call is not valid. Nothing is taken then.
pub fn queue(wait: &Wait<'_>, late: Response) -> Result<Queued, SlotsError> {
    queued(late, |late| host::queue_for_slot(wait, late))
}

/// As [`queue`], with a weight for the share: how many turns it has for one of a share with the weight 1, at least 1. The
/// weight that a share was given last is that of all its exchanges.
///
/// # Errors
/// If the call is not valid. Nothing is taken then.
pub fn queue_by_weight(wait: &Wait<'_>, weight: u16, late: Response) -> Result<Queued, SlotsError> {
    queued(late, |late| host::queue_by_weight(wait, weight, late))
}

fn queued(
    late: Response,
    ask: impl FnOnce(wire::Response) -> Result<Queued, SlotsError>,
) -> Result<Queued, SlotsError> {
    let reason = late.clone();
    let queued = ask(late.into_wire())?;
    if let Queued::Waits(_) = queued {
        // The gateway forgets it where there is a slot in time.
        reason.tell_reason();
    }
    Ok(queued)
}

/// Gives a slot back before the exchange ends: one that this hook took or waits for at once, else one that the exchange
/// holds, when the hook has returned and the exchange goes on. Nothing happens where it holds none.
///
/// # Errors
/// If the call is not valid, or the hook cannot take slots.
pub fn give_back(key: &str) -> Result<(), SlotsError> {
    host::give_slot_back(key)
}

/// How the slots under a key are used.
pub fn look(key: &str) -> Occupancy {
    host::look_at_slots(key)
}

/// How long one who came now would wait for a slot under a key, behind all others: reckoned from how long slots were held
/// that were given back lately, and from who waits. `None` where no slot was given back yet. It is what a refusal can say
/// in `retry-after`.
pub fn expected_wait(key: &str) -> Option<Duration> {
    host::expected_wait(key).map(Duration::from_nanos)
}

/// As [`expected_wait`], for one that would wait so, with this weight of its share: behind those whose turn is before its
/// own, if nobody came after it. Longer than `wait.time` says beforehand that the wait would be in vain.
pub fn expected_turn(wait: &Wait<'_>, weight: u16) -> Option<Duration> {
    host::expected_turn(wait, weight).map(Duration::from_nanos)
}
