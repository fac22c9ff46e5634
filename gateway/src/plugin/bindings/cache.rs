//! `cache`: stored responses.

use wasmtime::component::{ComponentType, Lift, Lower};

/// `cache.entry`
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct CacheEntry {
    pub(crate) id: u64,
    pub(crate) metadata: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) resident: u64,
    pub(crate) size: Option<u64>,
}

/// `cache.cache-error`
#[derive(ComponentType, Lower, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum CacheError {
    #[component(name = "not-here")]
    NotHere,
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "gone")]
    Gone,
    #[component(name = "too-large")]
    TooLarge,
}

/// `cache.head-change`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct CacheChange {
    pub(crate) remove: Vec<String>,
    pub(crate) set: Vec<(String, Vec<u8>)>,
}

/// `cache.freshness`
#[expect(dead_code, reason = "only guests make these values")]
#[derive(ComponentType, Lift, Debug, Clone, Copy, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum CacheFreshness {
    #[component(name = "fresh")]
    Fresh,
    #[component(name = "stale")]
    Stale,
    #[component(name = "revalidated")]
    Revalidated,
}

/// `cache.answer`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct CacheAnswer {
    pub(crate) entry: u64,
    pub(crate) status: Option<u16>,
    pub(crate) change: CacheChange,
    pub(crate) freshness: CacheFreshness,
}

/// `cache.collapsed`
#[derive(ComponentType, Lower, Debug)]
#[component(variant)]
pub(crate) enum CacheCollapsed {
    #[component(name = "leads")]
    Leads,
    #[component(name = "waits")]
    Waits,
    #[component(name = "joins")]
    Joins(CacheEntry),
    #[component(name = "alone")]
    Alone,
}

/// `cache.background`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct CacheBackground {
    pub(crate) change: CacheChange,
    pub(crate) context: Vec<u8>,
    pub(crate) entry: Option<u64>,
}

/// `cache.storing`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct CacheStoring {
    pub(crate) key: Vec<u8>,
    pub(crate) variant: Vec<u8>,
    pub(crate) metadata: Vec<u8>,
    pub(crate) tags: Vec<String>,
    pub(crate) partition: String,
    pub(crate) ttl: u64,
    pub(crate) change: CacheChange,
}

/// `cache.freshening`
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct CacheFreshening {
    pub(crate) metadata: Option<Vec<u8>>,
    pub(crate) change: CacheChange,
    pub(crate) ttl: u64,
}
