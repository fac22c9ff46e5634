//! What a plugin may do to an exchange beside its outcome: `attempts`, `attributes`, `chunks`, `drain`, `held-response`,
//! `keep-alive` and `slots`.

use wasmtime::component::{ComponentType, Lift, Lower};

/// `attributes.attribute-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum AttributeError {
    #[component(name = "reserved")]
    Reserved,
    #[component(name = "too-large")]
    TooLarge,
}

/// `attempts.attempt`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Attempt {
    pub(crate) upstream: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) query: Option<String>,
    pub(crate) remove: Vec<String>,
    pub(crate) set: Vec<(String, Vec<u8>)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) wait: u64,
}

/// `attempts.attempts-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum AttemptsError {
    #[component(name = "not-here")]
    NotHere,
    #[component(name = "too-many")]
    TooMany,
    #[component(name = "body-gone")]
    BodyGone,
    #[component(name = "invalid")]
    Invalid,
}

/// `held-response.held-response-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum HeldResponseError {
    #[component(name = "not-here")]
    NotHere,
    #[component(name = "invalid")]
    Invalid,
}

/// `drain.drain-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum DrainError {
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "not-here")]
    NotHere,
}

/// `keep-alive.keep-alive-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum KeepAliveError {
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "not-here")]
    NotHere,
}

/// `chunks.chunks-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum ChunksError {
    #[component(name = "not-here")]
    NotHere,
    #[component(name = "invalid")]
    Invalid,
}

/// `held-response.head-change`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct HeadChange {
    pub(crate) status: Option<u16>,
    pub(crate) remove: Vec<String>,
    pub(crate) set: Vec<(String, Vec<u8>)>,
}

/// `slots.occupancy`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(record)]
pub(crate) struct Occupancy {
    #[component(name = "in-use")]
    pub(crate) in_use: u32,
    pub(crate) waiting: u32,
}

/// `slots.taken`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(variant)]
pub(crate) enum Taken {
    #[component(name = "yes")]
    Yes(Occupancy),
    #[component(name = "no")]
    No(Occupancy),
}

/// `slots.wait`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct SlotWait {
    pub(crate) key: String,
    pub(crate) limit: u32,
    pub(crate) queue: u32,
    pub(crate) time: u64,
    pub(crate) priority: u8,
    pub(crate) share: String,
}

/// `slots.answer` and `held-response.answer`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct SlotAnswer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// `slots.queued`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(variant)]
pub(crate) enum Queued {
    #[component(name = "taken")]
    Taken(Occupancy),
    #[component(name = "waits")]
    Waits(Occupancy),
    #[component(name = "full")]
    Full(Occupancy),
}

/// `slots.slots-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum SlotsError {
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "too-many")]
    TooMany,
    #[component(name = "not-here")]
    NotHere,
}
