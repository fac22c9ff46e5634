//! Usage in an SQLite file.
//!
//! Owns its tables, which hold numbers for names so that a row takes some 30 bytes, the views over them,
//! which are the documented form, and the bound on the size of the file. The file may be read by others
//! at any time.

mod read;
mod sums;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};

pub(super) use self::read::read;
use super::StoreError;
use crate::usage::amounts::MAX_AMOUNT;
use crate::usage::rows::{DAY, Key, Named, Numbers, Rows, Sized};

/// "Gwus": that the file is one of usage.
const APPLICATION: i64 = 0x4777_7573;
/// Of the tables.
const VERSION: i64 = 2;

/// How long somebody else may have the file.
const BUSY: Duration = Duration::from_secs(5);
/// Bytes of the write-ahead log beside the file, once it was written back.
const LOG_SIZE: u64 = 16 << 20;
/// Rows by minute of so many minutes are removed only after all else is.
const LAST_MINUTES: i64 = 2 * DAY;

const SCHEMA: &str = include_str!("sqlite/schema.sql");

/// An open file.
pub(in crate::usage) struct Sqlite {
    connection: Connection,
    path: PathBuf,
    /// Which file it is, wherever its name leads later.
    file: (u64, u64),
    /// Bytes that it may have.
    size: u64,
}

impl Sqlite {
    pub(super) fn open(path: &Path, size: u64) -> Result<Self, StoreError> {
        let named =
            |error: rusqlite::Error| StoreError::Other(format!("{}: {error}", path.display()));
        let connection = Connection::open(path).map_err(named)?;
        connection.busy_timeout(BUSY).map_err(named)?;
        let kind = inspect(&connection).map_err(named)?;
        if let Kind::Foreign(why) = kind {
            return Err(StoreError::Other(format!("{}: {why}", path.display())));
        }
        prepare(&connection).map_err(named)?;
        if !matches!(kind, Kind::Ours(VERSION)) {
            create(&connection).map_err(named)?;
        }
        let metadata = fs::metadata(path).map_err(|error| StoreError::Other(error.to_string()))?;
        let store = Self {
            connection,
            path: path.to_owned(),
            file: (metadata.dev(), metadata.ino()),
            size,
        };
        store.bound().map_err(named)?;
        Ok(store)
    }

    /// SQLite itself refuses to let the file grow further.
    fn bound(&self) -> rusqlite::Result<()> {
        let pages = self.size / self.pragma("page_size")?.max(1);
        self.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
    }

    fn pragma(&self, name: &str) -> rusqlite::Result<u64> {
        let number = self.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0));
        number.map(|number: i64| u64::try_from(number).unwrap_or(0))
    }

    /// Bytes of what is in the file.
    fn used(&self) -> rusqlite::Result<u64> {
        let pages = self.pragma("page_count")?.saturating_sub(self.pragma("freelist_count")?);
        Ok(pages * self.pragma("page_size")?)
    }

    pub(super) fn write(&mut self, rows: &Rows) -> Result<(), StoreError> {
        let now = fs::metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino()));
        if now.ok() != Some(self.file) {
            return Err(StoreError::Removed(self.path.clone()));
        }
        let mut written = self.try_to_write(rows);
        while let Err(error) = &written
            && error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            // Not where the disk is full: nothing is removed for others.
            && self.used()? + (64 << 10) > self.size / 10 * 9
            && self.remove_oldest()?
        {
            written = self.try_to_write(rows);
        }
        written?;
        // From here on nothing is a reason to write the batch again: it would count twice.
        if let Err(error) = self.keep_to_size() {
            tracing::warn!("the oldest usage cannot be removed: {error}");
        }
        Ok(())
    }

    fn keep_to_size(&mut self) -> rusqlite::Result<()> {
        while self.used()? > self.size / 20 * 19 && self.remove_oldest()? {}
        Ok(())
    }

    fn try_to_write(&mut self, rows: &Rows) -> rusqlite::Result<()> {
        // At once: one that only reads at first is refused where another process wrote meanwhile.
        let begin = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(begin)?;
        let mut names = Names { transaction: &transaction, known: HashMap::new() };
        add_numbers(&mut names, "minute", &rows.minutes)?;
        add_numbers(&mut names, "day", &rows.days)?;
        add_amounts(&mut names, "minute", &rows.minute_counters)?;
        add_amounts(&mut names, "day", &rows.day_counters)?;
        drop(names);
        transaction.commit()
    }

    /// Adds a day that has ended to the sums. Whether there may be another.
    pub(super) fn add_to_sums(&mut self, last_day: i64) -> Result<bool, StoreError> {
        let added = self.try_to_add_to_sums(last_day);
        if let Err(error) = &added
            && error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            && self.used()? + (64 << 10) > self.size / 10 * 9
        {
            return Ok(self.remove_oldest()?);
        }
        let added = added?;
        self.keep_to_size()?;
        Ok(added)
    }

    fn try_to_add_to_sums(&mut self, last_day: i64) -> rusqlite::Result<bool> {
        let begin = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(begin)?;
        let added = sums::add_a_day(&transaction, last_day)?;
        transaction.commit()?;
        Ok(added)
    }

    /// Removes what is older than these, and the names that nothing has any more.
    pub(super) fn sweep(&mut self, first_minute: i64, first_day: i64) -> Result<(), StoreError> {
        let removed =
            self.remove_before("minute", first_minute)? + self.remove_before("day", first_day)?;
        if removed > 0 {
            self.forget_names()?;
        }
        Ok(())
    }

    /// Removes a day of what is oldest: rows by minute first, whose sums by day stay. `false` if there is
    /// nothing to remove.
    fn remove_oldest(&mut self) -> rusqlite::Result<bool> {
        let end = |table: &str, end: &str| -> rusqlite::Result<Option<i64>> {
            let sql = format!("SELECT {end}({table}) FROM {table}_rows");
            self.connection.query_row(&sql, [], |row| row.get(0))
        };
        let (oldest_minute, newest_minute) = (end("minute", "min")?, end("minute", "max")?);
        let (oldest_day, newest_day) = (end("day", "min")?, end("day", "max")?);
        let (table, before) = match (oldest_minute, oldest_day) {
            (Some(oldest), _) if newest_minute.is_some_and(|it| it - oldest > LAST_MINUTES) => {
                ("minute", (oldest / DAY + 1) * DAY)
            }
            (_, Some(oldest)) if newest_day.is_some_and(|it| it > oldest) => ("day", oldest + 1),
            (Some(oldest), _) if newest_minute.is_some_and(|it| it > oldest) => {
                ("minute", (oldest / 60 + 1) * 60)
            }
            _ => return Ok(false),
        };
        let removed = self.remove_before(table, before)?;
        let what = if table == "day" { "day" } else { "rows by minute" };
        tracing::info!(rows = removed, "usage is over its `size`: the oldest {what} went");
        self.forget_names()?;
        Ok(true)
    }

    fn remove_before(&mut self, table: &str, first: i64) -> rusqlite::Result<usize> {
        let begin = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(begin)?;
        let sql = format!("SELECT 1 FROM {table}_rows WHERE {table} < ?1 LIMIT 1");
        if !transaction.prepare_cached(&sql)?.exists([first])? {
            return Ok(0);
        }
        if table == "day" {
            sums::remove_before(&transaction, first)?;
        }
        let sql = format!("DELETE FROM {table}_rows WHERE {table} < ?1");
        let removed = transaction.execute(&sql, [first])?;
        let sql = format!("DELETE FROM {table}_amounts WHERE {table} < ?1");
        transaction.execute(&sql, [first])?;
        transaction.commit()?;
        if removed > 0 {
            // It gives back a page with each step.
            let mut vacuum = self.connection.prepare_cached("PRAGMA incremental_vacuum")?;
            let mut steps = vacuum.query([])?;
            while steps.next()?.is_some() {}
        }
        Ok(removed)
    }

    fn forget_names(&mut self) -> rusqlite::Result<()> {
        self.connection.execute_batch(
            "DELETE FROM names WHERE id NOT IN (
                 SELECT consumer FROM day_rows UNION SELECT route FROM day_rows
                 UNION SELECT upstream FROM day_rows UNION SELECT counter FROM day_amounts
                 UNION SELECT consumer FROM minute_rows UNION SELECT route FROM minute_rows
                 UNION SELECT upstream FROM minute_rows UNION SELECT counter FROM minute_amounts
             )",
        )
    }
}

/// Numbers of names, within one transaction: another process may remove those that nothing has.
struct Names<'t> {
    transaction: &'t Transaction<'t>,
    known: HashMap<Arc<str>, i64>,
}

impl Names<'_> {
    fn number(&mut self, name: &Arc<str>) -> rusqlite::Result<i64> {
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        let mut find = self.transaction.prepare_cached("SELECT id FROM names WHERE name = ?1")?;
        let found = find.query_map([&**name], |row| row.get(0))?.next().transpose()?;
        let number = match found {
            Some(number) => number,
            None => {
                let sql = "INSERT INTO names (name) VALUES (?1)";
                self.transaction.prepare_cached(sql)?.execute([&**name])?;
                self.transaction.last_insert_rowid()
            }
        };
        self.known.insert(Arc::clone(name), number);
        Ok(number)
    }

    fn key(&mut self, key: &Key) -> rusqlite::Result<(i64, i64, i16, i64)> {
        let consumer = self.number(&key.consumer)?;
        Ok((consumer, self.number(&key.route)?, key.status, self.number(&key.upstream)?))
    }
}

/// Rows are written in the order of their numbers, not of their names: what is beside each other in the file is
/// written one after the other.
fn add_numbers(names: &mut Names<'_>, table: &str, rows: &Sized<Numbers>) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO {table}_rows VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET requests = requests + excluded.requests,
             request_bytes = request_bytes + excluded.request_bytes,
             response_bytes = response_bytes + excluded.response_bytes,
             duration_us = duration_us + excluded.duration_us"
    );
    let mut add = names.transaction.prepare_cached(&sql)?;
    let mut numbered = Vec::with_capacity(rows.len());
    for ((time, key), numbers) in rows {
        numbered.push((*time, names.key(key)?, numbers));
    }
    numbered.sort_unstable_by_key(|(time, key, _)| (*time, *key));
    for (time, (consumer, route, status, upstream), numbers) in numbered {
        let Numbers { requests, request_bytes, response_bytes, duration_us } = numbers;
        add.execute(params![
            time,
            consumer,
            route,
            status,
            upstream,
            requests,
            request_bytes,
            response_bytes,
            duration_us
        ])?;
    }
    Ok(())
}

fn add_amounts(names: &mut Names<'_>, table: &str, rows: &Named) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO {table}_amounts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET
             amount = max(-{MAX_AMOUNT}, min({MAX_AMOUNT}, amount + excluded.amount))"
    );
    let mut add = names.transaction.prepare_cached(&sql)?;
    let mut numbered = Vec::with_capacity(rows.len());
    for (((time, key), name), amount) in rows {
        numbered.push((*time, names.key(key)?, names.number(name)?, amount));
    }
    numbered.sort_unstable();
    for (time, (consumer, route, status, upstream), name, amount) in numbered {
        add.execute(params![time, consumer, route, status, upstream, name, amount])?;
    }
    Ok(())
}

/// What a file is.
enum Kind {
    /// Empty.
    New,
    /// With tables of this version.
    Ours(i64),
    /// Nothing that may be written to, in words.
    Foreign(String),
}

fn inspect(connection: &Connection) -> rusqlite::Result<Kind> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if application == APPLICATION {
        return Ok(match version > VERSION {
            true => Kind::Foreign(format!(
                "it was made by a newer gateway (its tables have the version {version}, and this \
                 gateway knows {VERSION})"
            )),
            false => Kind::Ours(version),
        });
    }
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    Ok(match application == 0 && tables == 0 {
        true => Kind::New,
        false => Kind::Foreign("it is an SQLite file of something else".to_owned()),
    })
}

/// Makes the tables that are not there, unless another process did meanwhile. A file of the version before keeps
/// what it has.
fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let made = inspect(connection).and_then(|kind| {
        match kind {
            Kind::New => connection.execute_batch(SCHEMA)?,
            Kind::Ours(1) => {}
            Kind::Ours(_) | Kind::Foreign(_) => return Ok(()),
        }
        sums::create(connection)?;
        connection.execute_batch(&format!("PRAGMA user_version = {VERSION}"))
    });
    connection.execute_batch(if made.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    made
}

/// Settings of a connection that writes. The first is kept in a new file.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = NORMAL;
         PRAGMA journal_size_limit = {LOG_SIZE};
         PRAGMA temp_store = MEMORY;"
    ))
}

/// Finds out whether a file can be written to, without making it.
pub(super) fn check(path: &Path) -> Result<(), String> {
    use rustix::fs::{Access, access};
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(format!("{shown} is a folder")),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
            let folder = folder.unwrap_or_else(|| Path::new("."));
            if !folder.is_dir() {
                return Err(format!("there is no folder {}", folder.display()));
            }
            return access(folder, Access::WRITE_OK | Access::EXEC_OK)
                .map_err(|error| format!("no file can be made in {}: {error}", folder.display()));
        }
        Err(error) => return Err(format!("{shown}: {error}")),
    }
    access(path, Access::READ_OK | Access::WRITE_OK)
        .map_err(|error| format!("{shown} cannot be written: {error}"))?;
    let opened = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    match opened.and_then(|connection| {
        connection.busy_timeout(BUSY)?;
        inspect(&connection)
    }) {
        Ok(Kind::New | Kind::Ours(_)) => Ok(()),
        Ok(Kind::Foreign(why)) => Err(format!("{shown}: {why}")),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}
