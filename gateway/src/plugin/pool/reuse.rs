//! Changes of a plugin that are made again without calling it.
//!
//! Owns for which documents and keys they hold. Must not know where they are kept.

use std::rc::Rc;
use std::time::Duration;

use super::Pool;
use crate::config::Isolation;
use crate::plugin::KnownHit;
use crate::plugin::bindings::RequestChange;
use crate::plugin::change_cache::ReuseKey;

impl Pool {
    /// Whether there may be changes to make again.
    pub(crate) fn may_reuse(&self) -> bool {
        !self.reuse.is_empty()
    }

    /// A change that the plugin made where the same arrived, and allowed to be made again.
    pub(crate) fn reuse(
        &self,
        arrived: impl FnOnce(&mut ReuseKey),
    ) -> Option<(RequestChange, Option<Rc<KnownHit>>)> {
        if self.versions() != self.reuse_of.get() {
            return None;
        }
        self.reuse.change(arrived)
    }

    /// A change was made again.
    pub(crate) fn reused(&self) {
        self.plugin.identity.metrics.reused();
    }

    /// Whether changes are kept to be made again. Where each request is to have an instance of its
    /// own, none is.
    pub(crate) fn keeps(&self) -> bool {
        self.plugin.isolation == Isolation::Pooled
    }

    /// Which documents and keys its hooks find, to be asked before one whose change is to be kept.
    pub(crate) fn versions(&self) -> u64 {
        self.plugin.identity.versions()
    }

    /// Keeps a change to be made again, unless one of the documents or sets of keys that the hook may
    /// have read is another by now.
    pub(crate) fn keep(
        &self,
        arrived: &ReuseKey,
        change: (RequestChange, Option<Rc<KnownHit>>),
        time: Duration,
        versions: u64,
    ) {
        if versions != self.versions() {
            return;
        }
        if versions != self.reuse_of.replace(versions) {
            self.reuse.forget();
        }
        self.reuse.keep(arrived, change, time);
    }
}
