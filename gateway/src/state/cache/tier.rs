//! A cache and its folder.
//!
//! Owns where bodies lie: which are kept where the kernel sends them from, which are moved to disk, and that a file is removed as soon as nobody finds its entry any more. What is
//! in the folder has its head in memory: a lookup reads no disk.

use std::sync::Arc;

use super::disk::Disk;
use super::second::Second;
use super::{Cache, Content, Entry, Group, OpenError, Settings, StoredBody, lock, spot};
use crate::memory_file;
use crate::telemetry::metrics::CacheCounts;

impl Cache {
    /// One with these settings: what is in its folder can be found.
    pub(super) fn open(
        settings: &Arc<Settings>,
        counts: Arc<CacheCounts>,
        second: Option<Arc<Second>>,
    ) -> Result<Arc<Self>, OpenError> {
        let Some(folder) = &settings.folder else {
            return Ok(Arc::new(Self::new(settings, counts, None, second)));
        };
        let (disk, found) = Disk::open(&settings.name, folder, Arc::clone(&counts))?;
        let cache = Arc::new(Self::new(settings, counts, Some(disk), second));
        cache.last.store(found.last, std::sync::atomic::Ordering::Relaxed);
        found.spaces.iter().for_each(|plugin| drop(cache.space(plugin)));
        for (mut record, body) in found.records {
            let owner = cache.partition_named(std::mem::take(&mut record.owner));
            if let Some(entry) = Entry::restored(&cache, record, &body, owner) {
                cache.put(entry);
            }
        }
        if let Some(disk) = &cache.disk {
            disk.begin(&cache, folder.size);
        }
        Ok(cache)
    }

    /// Whether it has the folder of these settings.
    pub(super) fn shares_folder(&self, settings: &Settings) -> bool {
        let folder = settings.folder.as_ref().map(|folder| &*folder.path);
        folder.is_some() && self.disk.as_ref().map(Disk::path) == folder
    }

    /// Lets its folder go. What is in it can be read, and nothing is written to it any more.
    pub(super) fn close(&self) {
        self.disk.iter().for_each(Disk::close);
    }

    /// Waits until what was purged is removed from disk, too, and can be found by no other gateway. Whether that is so.
    pub(crate) fn settle(&self) -> bool {
        self.disk.iter().for_each(Disk::flush);
        self.second.as_ref().is_none_or(|second| second.settle())
    }

    /// A body that is to be stored, in one piece. What goes to disk at once is not worth pages of its own.
    pub(super) fn lay_down<'a>(
        &self,
        length: usize,
        pieces: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>,
    ) -> Content {
        let pieces = pieces.into_iter();
        let goes = self.settings.folder.as_ref().is_some_and(|it| length as u64 >= it.from);
        let kept = if goes { None } else { memory_file::keep(length, pieces.clone()) };
        kept.map_or_else(
            || {
                let mut body = Vec::with_capacity(length);
                pieces.for_each(|piece| body.extend_from_slice(piece));
                Content::memory(body)
            },
            Content::kept,
        )
    }

    /// Moves the body of an entry to disk, if it is large enough.
    pub(super) fn to_disk(&self, entry: &Arc<Entry>) {
        let (Some(disk), Some(folder)) = (&self.disk, &self.settings.folder) else { return };
        if entry.bytes().is_some_and(|bytes| bytes.len() as u64 >= folder.from) {
            disk.write(entry);
        }
    }

    /// Whether this entry is to be found.
    pub(super) fn holds(&self, entry: &Entry) -> bool {
        self.find(entry.spot(), entry.id).is_some_and(|entry| entry.is_current())
    }

    /// The body of an entry is in this file from now on. `false` if the entry is gone.
    pub(super) fn moved(&self, entry: &Entry, body: &Arc<StoredBody>) -> bool {
        let spot = entry.spot();
        let _changes = self.lock_for(spot);
        let Some(group) = self.map.peek(&spot) else { return false };
        let Some(at) = group.entries().iter().position(|it| it.id == entry.id) else {
            return false;
        };
        let new = Arc::new(entry.moved(body, self.next_id()).counted());
        let mut all = group.entries().to_vec();
        all[at] = Arc::clone(&new);
        let Some(group) = Group::of(all) else { return false };
        // As often asked for as before.
        if self.map.replace(spot, group, true).is_err() {
            return false;
        }
        if new.owner().is_bounded() {
            lock(&new.owner().order).push_back((spot, new.id));
        }
        true
    }

    /// Takes the entries out whose body is in this file.
    pub(super) fn take_out_body(&self, body: &Arc<StoredBody>) -> usize {
        self.take_out(spot(body.key()), |entry| is_in(entry, body))
    }

    /// Whether somebody can still be served this body.
    pub(super) fn finds_body(&self, body: &Arc<StoredBody>) -> bool {
        let Some(group) = self.map.peek(&spot(body.key())) else { return false };
        group.entries().iter().any(|entry| is_in(entry, body) && entry.is_current())
    }

    /// All bodies that can be found on disk.
    pub(super) fn bodies_on_disk(&self) -> Vec<Arc<StoredBody>> {
        let groups = self.map.iter();
        let bodies = groups.flat_map(|(_, group)| {
            let bodies = group.entries().iter().filter_map(|entry| entry.on_disk().cloned());
            bodies.collect::<Vec<_>>()
        });
        bodies.collect()
    }

    /// These entries are gone: so are their files, but for those of the entries that stay.
    pub(super) fn leave_disk(&self, gone: &[Arc<Entry>], stay: Option<&Group>) {
        if self.disk.is_none() {
            return;
        }
        for entry in gone {
            let Some(body) = entry.on_disk() else { continue };
            let stays = stay.into_iter().flat_map(Group::entries);
            if !stays.into_iter().any(|it| is_in(it, body)) {
                body.remove();
            }
        }
    }
}

/// Whether the body of an entry is in this file.
fn is_in(entry: &Entry, body: &Arc<StoredBody>) -> bool {
    entry.on_disk().is_some_and(|known| Arc::ptr_eq(known, body))
}
