//! The stores of `[stores.NAME]` that are open.
//!
//! Owns their life: opened before the first plugin that uses one is loaded, kept over a reload that does not
//! change them, and closed when no configuration has them any more.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::file::{File, OpenError};
use super::redis::Redis;
use crate::config::{Store, StoreKind};
use crate::telemetry::metrics::Metrics;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Named(Mutex<Vec<Open>>);

#[derive(Debug, Clone)]
struct Open {
    store: Arc<Store>,
    place: Place,
}

/// Where a store is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    File(Arc<File>),
    Redis(Arc<Redis>),
}

fn is_same(one: &Store, other: &Store) -> bool {
    one.name == other.name && one.kind == other.kind
}

impl Named {
    fn open_ones(&self) -> MutexGuard<'_, Vec<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a store that is not open.
    pub(super) fn open(&self, store: &Arc<Store>, metrics: &Metrics) -> Result<(), OpenError> {
        let mut open = self.open_ones();
        if open.iter().any(|it| is_same(&it.store, store)) {
            return Ok(());
        }
        let place = match &store.kind {
            StoreKind::Memory => return Ok(()),
            StoreKind::File { path } => match file(&open, path) {
                // The same file under another name.
                Some(file) => Place::File(file),
                None => Place::File(File::open(&store.name, path, metrics.of_store(&store.name))?),
            },
            StoreKind::Redis(settings) => {
                Place::Redis(Redis::new(&store.name, settings, metrics.of_store(&store.name)))
            }
        };
        open.push(Open { store: Arc::clone(store), place });
        Ok(())
    }

    /// These are configured, and no others.
    pub(super) fn keep(&self, stores: &[Arc<Store>], metrics: &Metrics) {
        let is_kept = |open: &Open| stores.iter().any(|it| is_same(it, &open.store));
        let (kept, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut *self.open_ones()).into_iter().partition(is_kept);
        metrics.keep_stores(&|name| kept.iter().any(|open| open.store.name == name));
        *self.open_ones() = kept;
        // Closed without the lock: a file is written for a last time.
        drop(gone);
    }

    /// Where a store is that is open.
    pub(super) fn place(&self, store: Option<&Arc<Store>>) -> Option<Place> {
        let store = store?;
        let open = self.open_ones();
        open.iter().find(|it| is_same(&it.store, store)).map(|it| it.place.clone())
    }

    /// The file behind a store, if it is one and open.
    pub(super) fn file(&self, store: Option<&Arc<Store>>) -> Option<Arc<File>> {
        match self.place(store)? {
            Place::File(file) => Some(file),
            Place::Redis(_) => None,
        }
    }

    /// The server behind a store.
    pub(super) fn redis(&self, store: Option<&Arc<Store>>) -> Option<Arc<Redis>> {
        match self.place(store)? {
            Place::Redis(redis) => Some(redis),
            Place::File(_) => None,
        }
    }

    /// Writes what is to be written. Nothing is kept from here on.
    pub(crate) fn finish(&self) {
        let open = self.open_ones().clone();
        for open in open {
            if let Place::File(file) = open.place {
                file.finish();
            }
        }
    }
}

/// Whether both paths lead to one file, however they are written.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    one == other || real(one).is_some_and(|it| Some(it) == real(other))
}

fn file(open: &[Open], path: &Path) -> Option<Arc<File>> {
    open.iter().find_map(|open| match &open.place {
        Place::File(file) if is_same_file(file.path(), path) => Some(Arc::clone(file)),
        Place::File(_) | Place::Redis(_) => None,
    })
}
