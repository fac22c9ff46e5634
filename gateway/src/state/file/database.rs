//! The SQLite file behind a store.
//!
//! Owns its tables and its bound. One process has the file at a time. What becomes of it when somebody takes the file
//! away is in `watch`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::watch::Mark;
use super::{Change, Loaded};
use crate::held_files::{self, Held};
use crate::state::limits::{Key, Written, wall};

/// "Gwst": that the file is a store.
const APPLICATION: i64 = 0x4777_7374;
/// Of the tables.
const VERSION: i64 = 1;
const SCHEMA: &str = include_str!("schema.sql");
/// Buckets in the file, at most: twice as many as 64 MiB of memory hold. Past it those that are full first give
/// way, as in memory.
const MAX_BUCKETS: i64 = 5_000_000;

/// Why a file cannot be a store.
#[derive(Debug)]
pub(crate) struct OpenError(pub(super) String);

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                Self("another process has it open".to_owned())
            }
            Some(rusqlite::ErrorCode::NotADatabase) => Self("it is not an SQLite file".to_owned()),
            _ => Self(error.to_string()),
        }
    }
}

/// See the module.
pub(in crate::state) struct Database {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    /// Where the path led when it was opened, past links: SQLite's own files are beside that.
    pub(super) real: PathBuf,
    secret: [u64; 2],
    /// The same file, to look at. Closed after the connection, whose locks end with it.
    pub(super) file: File,
    pub(super) held: Held,
    /// How the file looked when this process was last done with it.
    pub(super) mark: Mark,
}

impl Database {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        if std::fs::metadata(path).is_ok_and(|found| held_files::is_held(&found)) {
            return Err(OpenError("this gateway has it open already".to_owned()));
        }
        let mut connection = Connection::open(path)?;
        let unread = |error: std::io::Error| OpenError(error.to_string());
        let file = File::open(path).map_err(unread)?;
        let found = file.metadata().map_err(unread)?;
        let held = held_files::hold(&found)
            .ok_or_else(|| OpenError("this gateway has it open already".to_owned()))?;
        // Short: a gateway that ended a moment ago may still have it.
        connection.busy_timeout(Duration::from_secs(2))?;
        connection
            .execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF;")?;
        let pragma = |connection: &Connection, name: &str| -> rusqlite::Result<i64> {
            connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
        };
        let application = pragma(&connection, "application_id")?;
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables > 0 && application != APPLICATION {
            return Err(OpenError("it is an SQLite file of something else".to_owned()));
        }
        if tables > 0 && pragma(&connection, "user_version")? != VERSION {
            return Err(OpenError("it was made by another version of the gateway".to_owned()));
        }
        // A crash of the machine loses no more than one of the process.
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(OpenError("its folder cannot have a write-ahead log".to_owned()));
        }
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")?;
        // Takes the lock, which is kept from here on.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if tables == 0 {
            transaction.execute_batch(SCHEMA)?;
            transaction.execute_batch(&format!(
                "PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
            ))?;
        }
        // Not in files of before there were keys.
        transaction.execute_batch(super::keys::SCHEMA)?;
        let secret = secret(&transaction)?;
        transaction.commit()?;
        let mark = Mark::of(&file).map_err(unread)?;
        let real = path.canonicalize().map_err(unread)?;
        Ok(Self { connection, path: path.to_owned(), real, secret, file, held, mark })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn secret(&self) -> [u64; 2] {
        self.secret
    }

    pub(super) fn load(&self, plugin: &str) -> rusqlite::Result<Loaded> {
        let sql = "SELECT id, floor FROM plugins WHERE name = ?";
        let found = self
            .connection
            .query_row(sql, [plugin], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
        let Some((id, floor)) = found.optional()? else { return Ok(Loaded::default()) };
        let now = integer(wall());
        let sql = "SELECT key, full_at FROM buckets WHERE plugin = ? AND full_at > ?";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map(params![id, now], |row| {
            let (key, full_at): ([u8; 16], i64) = (row.get(0)?, row.get(1)?);
            Ok((key_of(key), unsigned(full_at)))
        })?;
        let buckets = rows.collect::<rusqlite::Result<_>>()?;
        let sql = "SELECT key, value, expires FROM entries \
                   WHERE plugin = ? AND (expires IS NULL OR expires > ?)";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map(params![id, now], |row| {
            let (key, value): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let expires: Option<i64> = row.get(2)?;
            let ttl = expires.map(|end| Duration::from_nanos(unsigned(end.saturating_sub(now))));
            Ok((key.into(), Some((Bytes::from(value), ttl))))
        })?;
        let entries = rows.collect::<rusqlite::Result<_>>()?;
        Ok(Loaded { buckets: Written { buckets, floor: unsigned(floor) }, entries })
    }

    pub(super) fn write(&mut self, changes: &[Change]) -> rusqlite::Result<()> {
        let begin = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(begin)?;
        for change in changes {
            write(&transaction, change)?;
        }
        transaction.commit()
    }

    /// Removes what is over, and the buckets that there is no room for.
    pub(super) fn sweep(&mut self) -> rusqlite::Result<()> {
        self.sweep_to(MAX_BUCKETS)
    }

    pub(super) fn sweep_to(&mut self, most: i64) -> rusqlite::Result<()> {
        let now = integer(wall());
        let begin = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(begin)?;
        transaction.execute("DELETE FROM buckets WHERE full_at <= ?", [now])?;
        transaction.execute("DELETE FROM entries WHERE expires <= ?", [now])?;
        let count: i64 =
            transaction.query_row("SELECT count(*) FROM buckets", [], |row| row.get(0))?;
        if count > most {
            let sql = "SELECT full_at FROM buckets ORDER BY full_at LIMIT 1 OFFSET ?";
            let last: i64 = transaction.query_row(sql, [count - most - 1], |row| row.get(0))?;
            transaction.execute("UPDATE plugins SET floor = max(floor, ?)", [last])?;
            transaction.execute("DELETE FROM buckets WHERE full_at <= ?", [last])?;
        }
        transaction.commit()
    }
}

fn write(transaction: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
    let id: i64 = transaction.query_row(
        "INSERT INTO plugins (name) VALUES (?) ON CONFLICT (name) DO UPDATE SET name = name RETURNING id",
        [&*change.plugin],
        |row| row.get(0),
    )?;
    if change.buckets.floor > 0 {
        let sql = "UPDATE plugins SET floor = max(floor, ?) WHERE id = ?";
        transaction.execute(sql, params![integer(change.buckets.floor), id])?;
    }
    let sql = "INSERT INTO buckets (plugin, key, full_at) VALUES (?, ?, ?) \
               ON CONFLICT (plugin, key) DO UPDATE SET full_at = excluded.full_at";
    let mut put = transaction.prepare_cached(sql)?;
    for (Key([one, other]), full_at) in &change.buckets.buckets {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&one.to_le_bytes());
        key[8..].copy_from_slice(&other.to_le_bytes());
        put.execute(params![id, key, integer(*full_at)])?;
    }
    if change.are_all {
        transaction.execute("DELETE FROM entries WHERE plugin = ?", [id])?;
    }
    let sql = "INSERT INTO entries (plugin, key, value, expires) VALUES (?, ?, ?, ?) \
               ON CONFLICT (plugin, key) DO UPDATE SET value = excluded.value, expires = excluded.expires";
    let mut put = transaction.prepare_cached(sql)?;
    let mut remove =
        transaction.prepare_cached("DELETE FROM entries WHERE plugin = ? AND key = ?")?;
    for (key, value) in &change.entries {
        match value {
            Some((value, ttl)) => {
                let nanos = |ttl: &Duration| u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX);
                let expires = ttl.as_ref().map(|ttl| integer(wall().saturating_add(nanos(ttl))));
                put.execute(params![id, &**key, &value[..], expires])?;
            }
            None => drop(remove.execute(params![id, &**key])?),
        }
    }
    Ok(())
}

/// The secret of the file, made with it.
fn secret(transaction: &Transaction<'_>) -> Result<[u64; 2], OpenError> {
    let sql = "SELECT value FROM meta WHERE name = 'secret'";
    let known: Option<[u8; 16]> = transaction.query_row(sql, [], |row| row.get(0)).optional()?;
    let bytes = match known {
        Some(bytes) => bytes,
        None => {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(|error| OpenError(error.to_string()))?;
            transaction.execute("INSERT INTO meta (name, value) VALUES ('secret', ?)", [bytes])?;
            bytes
        }
    };
    let Key(secret) = key_of(bytes);
    Ok(secret)
}

fn key_of(bytes: [u8; 16]) -> Key {
    let mut halves = bytes
        .chunks_exact(8)
        .map(|half| half.iter().rev().fold(0, |number: u64, byte| number << 8 | u64::from(*byte)));
    Key([halves.next().unwrap_or(0), halves.next().unwrap_or(0)])
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
