//! The files whose locks this process has.
//!
//! Owns the list. To close any descriptor of a file gives up all locks that the process has on it (POSIX, `fcntl`), so
//! that a glance at the file of a store would let another gateway open it too: who only looks asks here first. Must not
//! open anything.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Device and inode, by which a file is known whatever leads to it.
type Identity = (u64, u64);

static HELD: Mutex<Vec<Identity>> = Mutex::new(Vec::new());

/// A file of this process, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held(Identity);

/// The file is this process's from now on; `None` if it is already.
pub(crate) fn hold(file: &Metadata) -> Option<Held> {
    let mut held = held();
    let identity = (file.dev(), file.ino());
    if held.contains(&identity) {
        return None;
    }
    held.push(identity);
    Some(Held(identity))
}

/// Whether to open and close the file would give up a lock.
pub(crate) fn is_held(file: &Metadata) -> bool {
    held().contains(&(file.dev(), file.ino()))
}

fn held() -> MutexGuard<'static, Vec<Identity>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Held {
    /// Whether this is the file.
    pub(crate) fn is(&self, file: &Metadata) -> bool {
        self.0 == (file.dev(), file.ino())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        held().retain(|known| *known != self.0);
    }
}
