//! The index of a folder: an SQLite file with a row for each body.
//!
//! Owns its tables, that one process has the folder, and that what a crash left half done is removed when it is opened:
//! rows without a file, files without a row. An index that cannot be read is begun anew, since it is that of a cache.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use foldhash::fast::RandomState;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, TransactionBehavior, params};

use super::record::{bytes_of, numbers_of};
use super::{OpenError, Record};
use crate::state::limits::wall;

/// "Gwca": that the file is the index of a cache.
const APPLICATION: i64 = 0x4777_6361;
/// Of the tables and files. What another version has written is removed.
const VERSION: i64 = 1;
const SCHEMA: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE spaces (plugin TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE objects (
        id INTEGER PRIMARY KEY, key BLOB NOT NULL, status INTEGER NOT NULL, block BLOB NOT NULL,
        head INTEGER NOT NULL, variant INTEGER NOT NULL, tags BLOB NOT NULL, owner TEXT NOT NULL,
        stored INTEGER NOT NULL, until INTEGER NOT NULL, length INTEGER NOT NULL,
        checksums BLOB NOT NULL, checksum INTEGER NOT NULL
    );
    CREATE INDEX objects_by_time ON objects (until);";
const BODIES: &str = "bodies";

/// See the module.
#[derive(Debug)]
pub(super) struct Index(Connection);

/// What was there.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) secret: [u64; 2],
    pub(super) spaces: Vec<String>,
    pub(super) records: Vec<Record>,
    /// Rows that are not as they were written.
    damaged: Vec<u64>,
}

/// What is changed at once.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) put: Vec<Record>,
    pub(super) removed: Vec<u64>,
    pub(super) spaces: Vec<String>,
}

/// Where the body of this number is.
pub(super) fn file(folder: &Path, id: u64) -> PathBuf {
    folder.join(BODIES).join(format!("{:02x}", id & 0xff)).join(format!("{id:016x}"))
}

enum Failure {
    /// To be told.
    Final(OpenError),
    /// What is there is of no use.
    Useless(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Final(OpenError("another process uses it".to_owned()))
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Useless(error.to_string())
            }
            _ => Self::Final(OpenError(error.to_string())),
        }
    }
}

impl Index {
    /// Opens the index of a folder, or makes it.
    pub(super) fn open(folder: &Path) -> Result<(Self, Opened), OpenError> {
        let path = folder.join("index.db");
        let bodies = folder.join(BODIES);
        for shelf in 0..=0xff_u8 {
            let shelf = bodies.join(format!("{shelf:02x}"));
            std::fs::create_dir_all(&shelf)
                .map_err(|error| OpenError(format!("{}: {error}", shelf.display())))?;
        }
        let opened = match Self::open_at(&path) {
            Err(Failure::Useless(why)) => {
                let shown = path.display();
                tracing::warn!(
                    "the index of a cache cannot be used, and is begun anew: {shown}: {why}"
                );
                for end in ["", "-wal", "-shm"] {
                    let mut name = path.clone().into_os_string();
                    name.push(end);
                    let _not_there = std::fs::remove_file(name);
                }
                Self::open_at(&path)
            }
            opened => opened,
        };
        let (index, mut opened) = opened.map_err(|failure| match failure {
            Failure::Final(error) => error,
            Failure::Useless(why) => OpenError(why),
        })?;
        let removed = tidy(&bodies, &mut opened.records);
        let mut removed = removed.map_err(|error| OpenError(error.to_string()))?;
        if !opened.damaged.is_empty() {
            tracing::warn!(
                "{} rows of the index of a cache are damaged, and are removed: {}",
                opened.damaged.len(),
                path.display()
            );
        }
        removed.append(&mut opened.damaged);
        let changes = Changes { removed, ..Changes::default() };
        let mut index = Self(index);
        index.write(&changes).map_err(|error| OpenError(error.to_string()))?;
        Ok((index, opened))
    }

    fn open_at(path: &Path) -> Result<(Connection, Opened), Failure> {
        // Heads are for nobody else. Closed before it has a lock, which would be given up with that; for the same reason
        // one that is there is left alone.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(file) => drop(file),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Failure::Final(OpenError(error.to_string()))),
        }
        let mut connection = Connection::open(path)?;
        // Short: a gateway that ended a moment ago may still have it.
        connection.busy_timeout(Duration::from_secs(2))?;
        connection
            .execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF;")?;
        let pragma = |connection: &Connection, name: &str| -> rusqlite::Result<i64> {
            connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
        };
        let application = pragma(&connection, "application_id")?;
        let count = "SELECT count(*) FROM sqlite_schema";
        let tables: i64 = connection.query_row(count, [], |row| row.get(0))?;
        if tables > 0 && application != APPLICATION {
            let error = format!("{} is a file of something else", path.display());
            return Err(Failure::Final(OpenError(error)));
        }
        if tables > 0 && pragma(&connection, "user_version")? != VERSION {
            return Err(Failure::Useless("it is of another version of the gateway".to_owned()));
        }
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
             PRAGMA journal_size_limit = 16777216;",
        )?;
        // Takes the lock, which is kept from here on.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if tables == 0 {
            transaction.execute_batch(SCHEMA)?;
            transaction.execute_batch(&format!(
                "PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
            ))?;
        }
        let sql = "SELECT value FROM meta WHERE name = 'secret'";
        let known: Option<[u8; 16]> =
            transaction.query_row(sql, [], |row| row.get(0)).optional()?;
        let secret = match known {
            Some(secret) => secret,
            None => {
                let mut secret = [0; 16];
                getrandom::fill(&mut secret)
                    .map_err(|error| Failure::Final(OpenError(error.to_string())))?;
                let sql = "INSERT INTO meta (name, value) VALUES ('secret', ?)";
                transaction.execute(sql, [secret])?;
                secret
            }
        };
        transaction.commit()?;
        let secret = u128::from_le_bytes(secret);
        let secret = [secret as u64, (secret >> 64) as u64];
        let mut statement = connection.prepare("SELECT plugin FROM spaces")?;
        let spaces = statement.query_map([], |row| row.get(0))?;
        let spaces = spaces.collect::<rusqlite::Result<_>>()?;
        drop(statement);
        let (records, damaged) = records(&connection)?;
        Ok((connection, Opened { secret, spaces, records, damaged }))
    }

    /// Makes these changes, all or none.
    pub(super) fn write(&mut self, changes: &Changes) -> rusqlite::Result<()> {
        let begin = TransactionBehavior::Immediate;
        let transaction = self.0.transaction_with_behavior(begin)?;
        {
            let sql =
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
            let mut put = transaction.prepare_cached(sql)?;
            for record in &changes.put {
                put.execute(params![
                    integer(record.id),
                    record.key.to_le_bytes(),
                    record.status,
                    &record.block[..],
                    record.lengths[0],
                    record.lengths[1],
                    bytes_of(&record.tags, u64::to_le_bytes),
                    record.owner,
                    integer(record.stored),
                    integer(record.until),
                    integer(record.length),
                    bytes_of(&record.checksums, u32::to_le_bytes),
                    record.checksum(),
                ])?;
            }
            let mut remove = transaction.prepare_cached("DELETE FROM objects WHERE id = ?")?;
            for id in &changes.removed {
                remove.execute([integer(*id)])?;
            }
            let sql = "INSERT OR IGNORE INTO spaces VALUES (?)";
            let mut space = transaction.prepare_cached(sql)?;
            for plugin in &changes.spaces {
                space.execute([plugin])?;
            }
        }
        transaction.commit()
    }

    /// Numbers of some whose time is over.
    pub(super) fn over(&self) -> rusqlite::Result<Vec<u64>> {
        let sql = "SELECT id FROM objects WHERE until <= ? LIMIT 10000";
        let mut statement = self.0.prepare_cached(sql)?;
        let rows = statement.query_map([integer(wall())], |row| row.get::<_, i64>(0))?;
        rows.map(|id| id.map(unsigned)).collect()
    }
}

/// The rows that are as they were written, and the numbers of others.
fn records(connection: &Connection) -> rusqlite::Result<(Vec<Record>, Vec<u64>)> {
    let mut statement = connection.prepare("SELECT * FROM objects ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        let (key, block): ([u8; 16], Vec<u8>) = (row.get(1)?, row.get(3)?);
        let (tags, checksums): (Vec<u8>, Vec<u8>) = (row.get(6)?, row.get(11)?);
        let record = Record {
            id: unsigned(row.get(0)?),
            key: u128::from_le_bytes(key),
            status: row.get(2)?,
            block: block.into(),
            lengths: [row.get(4)?, row.get(5)?],
            tags: numbers_of(&tags, u64::from_le_bytes),
            owner: row.get(7)?,
            stored: unsigned(row.get(8)?),
            until: unsigned(row.get(9)?),
            length: unsigned(row.get(10)?),
            checksums: numbers_of(&checksums, u32::from_le_bytes),
        };
        Ok((record, row.get::<_, u32>(12)?))
    })?;
    let (mut records, mut damaged) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            Ok((record, checksum)) if record.checksum() == checksum && record.is_sound() => {
                records.push(record);
            }
            // Its file has no row then, and goes.
            Ok((record, _)) => damaged.push(record.id),
            Err(error) => return Err(error),
        }
    }
    Ok((records, damaged))
}

/// Removes files without a row, and says which rows have no file of their length, or are over.
fn tidy(bodies: &Path, records: &mut Vec<Record>) -> std::io::Result<Vec<u64>> {
    let mut files: HashMap<u64, u64, RandomState> = HashMap::default();
    let known: HashMap<u64, u64, RandomState> =
        records.iter().map(|record| (record.id, record.length)).collect();
    for shelf in 0..=0xff_u8 {
        for file in std::fs::read_dir(bodies.join(format!("{shelf:02x}")))? {
            let file = file?;
            let name = file.file_name();
            let name = name.to_str().filter(|name| name.len() == 16);
            let id = name.and_then(|name| u64::from_str_radix(name, 16).ok());
            // Nothing that this did not write.
            let Some(id) = id else { continue };
            let length = file.metadata()?.len();
            match known.get(&id) {
                Some(known) if *known == length => drop(files.insert(id, length)),
                _ => std::fs::remove_file(file.path())?,
            }
        }
    }
    let now = wall();
    let mut removed = Vec::new();
    records.retain(|record| {
        let stays = files.contains_key(&record.id) && record.until > now;
        if !stays {
            removed.push(record.id);
            if files.contains_key(&record.id) {
                let shelf = bodies.join(format!("{:02x}", record.id & 0xff));
                let _gone = std::fs::remove_file(shelf.join(format!("{:016x}", record.id)));
            }
        }
        stays
    });
    Ok(removed)
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
