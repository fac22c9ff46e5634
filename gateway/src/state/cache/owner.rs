//! Whose entries are.
//!
//! Owns what an owner has, and what all entries of a cache need as long as they live: where they are found by tag, and how
//! their heads are packed.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use super::index::Index;
use super::texts::Texts;

/// See the module.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) index: Index,
    pub(super) texts: Texts,
}

/// The entries of one owner, who may have so many bytes, or of nobody, who has no name and for whom nothing is counted.
#[derive(Debug)]
pub(crate) struct Partition {
    /// With the plugin before it.
    pub(super) name: Box<str>,
    pub(super) home: Arc<Home>,
    pub(super) bytes: AtomicU64,
    pub(super) objects: AtomicU64,
    /// Places and numbers in the order in which they were stored; some may be gone.
    pub(super) order: Mutex<VecDeque<(u64, u64)>>,
}

impl Partition {
    pub(super) fn new(name: Box<str>, home: &Arc<Home>) -> Arc<Self> {
        Arc::new(Self {
            name,
            home: Arc::clone(home),
            bytes: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            order: Mutex::default(),
        })
    }

    /// Whether it is of somebody.
    pub(super) fn is_bounded(&self) -> bool {
        !self.name.is_empty()
    }
}
