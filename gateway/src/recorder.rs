//! The flight recorder: what happened to single exchanges, kept in memory for those who run the gateway.
//!
//! Owns the timeline of hooks that an exchange writes on its way, what plugins say about it, the rules by which an exchange is
//! kept, the records, the rings that they are kept in for the life of the process, and questions about
//! them. A record is made when an exchange has ended and is kept, and never before. Must not know where a
//! record is shown.

mod filter;
mod notes;
mod record;
mod redact;
mod ring;
mod routes;
mod rules;
mod sentence;
mod timeline;

pub(crate) use self::filter::Filter;
pub(crate) use self::notes::{LineRecord, REASON, Written};
pub(crate) use self::record::{
    Attempt, Error, HookRecord, Record, RouteRecord, Running, UpstreamRecord,
};
pub(crate) use self::redact::redacted;
pub(crate) use self::ring::Recorder;
pub(crate) use self::routes::{others, wants};
pub(crate) use self::rules::{Dice, Ended, Kept, Rules};
pub(crate) use self::timeline::{Changes, Decision, Hook, How, Manner, Span, Timeline, Timing};
