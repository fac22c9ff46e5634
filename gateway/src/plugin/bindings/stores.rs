//! What outlives an exchange: `documents`, `events`, `keys`, `key-value`, `log` and `metrics`.

use wasmtime::component::{ComponentType, Lift, Lower};

/// `log.level`
#[expect(dead_code, reason = "only guests make these values")]
#[derive(ComponentType, Lift, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// `key-value.key-value-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum KeyValueError {
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "full")]
    Full,
    #[component(name = "not-a-number")]
    NotANumber,
}

/// `documents.document`
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct DocumentOut {
    pub(crate) version: u64,
    pub(crate) content: Vec<u8>,
    pub(crate) age: u64,
}

/// `metrics.alike`
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct AlikeOut {
    pub(crate) context: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) count: u32,
}

/// `documents.fault`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct DocumentFault {
    pub(crate) place: Option<(u64, u64)>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// `documents.refreshed`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Refreshed {
    #[component(name = "changed")]
    Changed,
    #[component(name = "unchanged")]
    Unchanged,
    #[component(name = "failed")]
    Failed,
    #[component(name = "too-soon")]
    TooSoon,
    #[component(name = "pending")]
    Pending,
    #[component(name = "not-granted")]
    NotGranted,
}

/// `events.emit-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum EmitError {
    #[component(name = "not-granted")]
    NotGranted,
    #[component(name = "not-here")]
    NotHere,
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "full")]
    Full,
}

/// `keys.key`
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct KeyOut {
    pub(crate) id: String,
    pub(crate) consumer: String,
    pub(crate) group: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) claims: Vec<(String, String)>,
    pub(crate) expires: Option<u64>,
}

/// `keys.key-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum KeyError {
    #[component(name = "not-granted")]
    NotGranted,
    #[component(name = "unavailable")]
    Unavailable,
    #[component(name = "expired")]
    Expired,
    #[component(name = "invalid")]
    Invalid,
}
