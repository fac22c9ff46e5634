//! Taking out what is stored before its time.
//!
//! Owns what goes with a key, a tag or an owner, on this gateway and on those that share a second level; and that what
//! arrives meanwhile is not stored.

use std::sync::atomic::Ordering::Release;

use super::recent::Purge;
use super::{Cache, Fill, Space, spot};
use crate::state::redis::responses::Purged;

impl Cache {
    /// Removes the entries under a key of this plugin.
    pub(crate) fn purge_key(&self, space: &Space, key: &[u8]) -> usize {
        let key = space.key(key);
        self.tell(Some(Purged::Key(key)));
        self.drop_key(key)
    }

    /// Removes the entries under a key, here.
    pub(super) fn drop_key(&self, key: u128) -> usize {
        self.purges.fetch_add(1, Release);
        self.recent.add(Some(Purge::Key(key)));
        self.discard(|fill| fill.head.key() == key);
        self.take_out(spot(key), |entry| entry.key() == key)
    }

    /// Removes the entries of this plugin that have a tag.
    pub(crate) fn purge_tag(&self, space: &Space, tag: &str) -> usize {
        self.purge_hashed(space.tag(tag))
    }

    fn purge_hashed(&self, tag: u64) -> usize {
        self.tell(Some(Purged::Tag(tag)));
        self.drop_tag(tag)
    }

    /// Removes what has a tag, here.
    pub(super) fn drop_tag(&self, tag: u64) -> usize {
        self.purges.fetch_add(1, Release);
        self.recent.add(Some(Purge::Tag(tag)));
        self.discard(|fill| fill.head.has_tag(tag));
        let spots = self.home.index.tagged(tag);
        // By the tag, since an entry that is freshened meanwhile has another number.
        spots.into_iter().map(|spot| self.take_out(spot, |entry| entry.has_tag(tag))).sum()
    }

    /// Removes what all plugins have under a key.
    pub(crate) fn purge_keys(&self, key: &str) -> usize {
        self.spaces().iter().map(|space| self.purge_key(space, key.as_bytes())).sum()
    }

    /// Removes what all plugins have with a tag.
    pub(crate) fn purge_tags(&self, tag: &str) -> usize {
        self.spaces().iter().map(|space| self.purge_tag(space, tag)).sum()
    }

    /// Removes what all plugins have of an owner.
    pub(crate) fn purge_partition(&self, name: &str) -> usize {
        self.spaces().iter().map(|space| self.purge_hashed(space.owner(name))).sum()
    }

    /// Removes everything.
    pub(crate) fn purge_all(&self) -> usize {
        self.tell(None);
        self.drop_all()
    }

    /// What is purged here is for other gateways too.
    pub(super) fn tell(&self, purged: Option<Purged>) {
        if let Some(second) = &self.second {
            second.purge(purged);
        }
    }

    /// Of what is stored now, for the second level.
    pub(super) fn generation(&self) -> u64 {
        self.second.as_ref().map_or(0, |second| second.generation())
    }

    /// Removes everything, here.
    pub(super) fn drop_all(&self) -> usize {
        self.purges.fetch_add(1, Release);
        self.recent.add(None);
        self.discard(|_| true);
        let mut objects = 0;
        for (_, group) in self.map.drain() {
            objects += group.entries().len();
            self.leave_disk(group.entries(), None);
        }
        objects
    }

    /// What arrives is not stored.
    pub(super) fn discard(&self, is_it: impl Fn(&Fill) -> bool) {
        // The last who holds one takes it out of the map, which must not happen while the map is read.
        let arriving: Vec<_> = self.arriving.iter().filter_map(|known| known.upgrade()).collect();
        arriving.iter().filter(|fill| is_it(fill)).for_each(|fill| fill.discard());
    }
}
