//! What becomes of a store whose file somebody takes away while the gateway has it.
//!
//! Owns finding that out, and the new file in the place of one that is gone. A process that has a file open goes on with
//! it when it is deleted: all would seem well until the gateway ends, and what was kept with it. What others put there
//! is never written over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;

use super::database::{Database, OpenError};

/// The header of an SQLite file, which any other content changes.
const HEADER: usize = 100;
/// Bytes of the log past which it is written to the file.
const MAX_LOG: u64 = 4 << 20;
/// The files beside an SQLite file.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Its size, and how it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark(u64, [u8; HEADER]);

impl Mark {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let (mut header, mut read) = ([0; HEADER], 0);
        while read < HEADER {
            match file.read_at(&mut header[read..], read as u64)? {
                0 => break,
                count => read += count,
            }
        }
        Ok(Self(file.metadata()?.len(), header))
    }
}

/// Why a file is not what it was.
#[derive(Debug)]
pub(super) enum Lost {
    /// Nothing is at its path.
    Gone,
    /// Something else is.
    Another,
    /// Somebody wrote to it.
    Overwritten,
    /// Nobody knows.
    Unknown(io::Error),
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gone => f.write_str("the file was deleted or moved away"),
            Self::Another => f.write_str(
                "another file has taken its place, and is not written over: move it away and all is written anew, or \
                 restart to go on with what it has",
            ),
            Self::Overwritten => f.write_str(
                "somebody else has written to the file, and it is left as it is: restart to go on with what it has",
            ),
            Self::Unknown(error) => write!(f, "it cannot be looked at: {error}"),
        }
    }
}

impl Database {
    /// Whether its path still leads to the file, and nobody else wrote there.
    pub(super) fn look(&self) -> Result<(), Lost> {
        match fs::metadata(&self.path) {
            Ok(found) if !self.held.is(&found) => Err(Lost::Another),
            Ok(_) => match Mark::of(&self.file) {
                Ok(mark) if mark == self.mark => Ok(()),
                Ok(_) => Err(Lost::Overwritten),
                Err(error) => Err(Lost::Unknown(error)),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Lost::Gone),
            Err(error) => Err(Lost::Unknown(error)),
        }
    }

    /// This process has written what there was. That went to the log; a long one is written to the file here and nowhere
    /// else: whatever else changes the file is not of this process.
    pub(super) fn is_done_with(&mut self) {
        let log = fs::metadata(beside(&self.real, "-wal"));
        if log.is_ok_and(|log| log.len() > MAX_LOG) && self.look().is_ok() {
            self.empty_log();
            // A file that cannot be read is found out by the next look.
            if let Ok(mark) = Mark::of(&self.file) {
                self.mark = mark;
            }
        }
    }

    /// Nothing of this process gets into the file any more: pages of both would be mixed.
    pub(super) fn let_go(&self) {
        let _known =
            self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        remove_beside(&self.real);
    }

    /// Writes what is in its log to the file, wherever that is now: a file that was moved away is whole then, and nothing of
    /// it is read into one that has taken its place.
    pub(super) fn empty_log(&self) {
        let emptied = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = emptied {
            tracing::debug!("the log of {} stays: {error}", self.path.display());
        }
    }

    /// Writes all of it to a new file at its path, where there is none any more, and goes on with that.
    pub(super) fn write_anew(&mut self) -> Result<(), OpenError> {
        self.empty_log();
        let unmade = |error: io::Error| OpenError(error.to_string());
        let place = match fs::read_link(&self.path) {
            Ok(link) => self.path.parent().unwrap_or(Path::new("")).join(link),
            Err(_) => self.path.clone(),
        };
        let new = beside(&place, &format!(".new-{}", std::process::id()));
        let _left_over = fs::remove_file(&new);
        let text = new.to_str().ok_or_else(|| OpenError("its path is not UTF-8".to_owned()))?;
        // Nobody else reads it before it has the permissions of the old one.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
        let file = made.map_err(unmade)?;
        let written = self.connection.execute("VACUUM INTO ?1", [text]);
        let moved = written.map_err(OpenError::from).and_then(|_| {
            let permissions = self.file.metadata().map_err(unmade)?.permissions();
            file.set_permissions(permissions).and_then(|()| file.sync_all()).map_err(unmade)?;
            // A log of the old file would be read into the new one.
            remove_beside(&self.real);
            remove_beside(&place);
            // Unlike to rename it, this writes over nothing.
            let linked = fs::hard_link(&new, &place).or_else(|error| match error.kind() {
                ErrorKind::AlreadyExists => Err(error),
                // Not every file system has such links.
                _ => fs::rename(&new, &place),
            });
            linked.map_err(unmade)
        });
        let _is_there_twice = fs::remove_file(&new);
        moved?;
        // Closed later it would give up the lock of the connection.
        drop(file);
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new(".")));
        let _kept_by_the_system = folder.and_then(|folder| folder.sync_all());
        // SQLite leaves the files beside the new one alone when it closes the old one, whose place is not its any more.
        *self = Self::open(&self.path)?;
        Ok(())
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove_beside(path: &Path) {
    for suffix in BESIDE {
        let _none = fs::remove_file(beside(path, suffix));
    }
}
