//! A document in a file.
//!
//! Owns finding out that a file changed, and reading it whole. A file that is replaced by renaming
//! another one is never read in part; one that is written to in place is read when it has come to rest.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bytes::Bytes;

use super::error::FetchError;

/// By what it is seen that a file is another, or was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Mark {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// The bytes of a file, unless it is what it was.
pub(super) fn read(
    path: &Path,
    limit: usize,
    known: Option<Mark>,
) -> Result<(Option<Bytes>, Mark), FetchError> {
    let found = std::fs::metadata(path)?;
    if !found.is_file() {
        // To open a pipe is to wait for who writes to it.
        return Err(FetchError::NotAFile);
    }
    let mark = Mark::of(&found);
    if known == Some(mark) {
        return Ok((None, mark));
    }
    let file = File::open(path)?;
    let before = file.metadata()?;
    if !before.is_file() {
        return Err(FetchError::NotAFile);
    }
    let mut bytes = Vec::new();
    (&file).take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(FetchError::TooLong(limit));
    }
    let after = file.metadata()?;
    if Mark::of(&before) != Mark::of(&after) {
        return Err(FetchError::Unsteady);
    }
    Ok((Some(bytes.into()), Mark::of(&after)))
}
