//! Where usage is kept.
//!
//! Owns what a store can do, whichever it is: take a batch whole or not at all, remove what is too old,
//! and answer a query.

mod postgres;
mod sqlite;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::query::Query;
use super::report::Report;
use super::rows::Rows;
use crate::config::{self, UsageStore};

/// Rows that are written whole or not at all.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) rows: Rows,
    /// Which gateway it is of, by a name that no other has.
    pub(super) writer: Arc<str>,
    /// Rising, so that a store knows one that it took already.
    pub(super) number: i64,
}

/// Why a store takes or gives nothing.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    /// SQLite says so.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL says so.
    #[error("PostgreSQL: {}", postgres::words(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The file is not where it was.
    #[error("{} was removed", .0.display())]
    Removed(PathBuf),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

/// An open store.
pub(super) enum Store {
    Sqlite(sqlite::Sqlite),
    Postgres(Box<postgres::Postgres>),
}

impl Store {
    /// Opens it, and makes its tables if they are not there.
    pub(super) fn open(settings: &config::Usage) -> Result<Self, StoreError> {
        Ok(match &settings.store {
            UsageStore::Sqlite { path, size } => Self::Sqlite(sqlite::Sqlite::open(path, *size)?),
            UsageStore::Postgres(store) => {
                Self::Postgres(Box::new(postgres::Postgres::open(store)?))
            }
        })
    }

    /// Adds a batch to what is there, unless it was added already.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.write(&batch.rows),
            Self::Postgres(store) => store.write(batch),
        }
    }

    /// Adds a day that has ended to the sums over days. Whether there may be another.
    pub(super) fn add_to_sums(&mut self, minute: i64) -> Result<bool, StoreError> {
        let last_day = super::sums::last_closed(minute);
        match self {
            Self::Sqlite(store) => store.add_to_sums(last_day),
            Self::Postgres(store) => store.add_to_sums(last_day),
        }
    }

    /// Removes what is too old by this minute, or too much.
    pub(super) fn sweep(
        &mut self,
        settings: &config::Usage,
        minute: i64,
    ) -> Result<(), StoreError> {
        let minutes = |time: Duration| (time.as_secs() / 60) as i64;
        let first_minute = minute - minutes(settings.keep_minutes);
        let first_day = (minute - minutes(settings.keep)) / super::rows::DAY;
        match self {
            Self::Sqlite(store) => store.sweep(first_minute, first_day),
            Self::Postgres(store) => store.sweep(first_minute, first_day),
        }
    }
}

/// Reads a store, within this time.
pub(super) fn read(
    settings: &config::Usage,
    query: &Query,
    timeout: Duration,
) -> Result<Report, StoreError> {
    match &settings.store {
        UsageStore::Sqlite { path, .. } => sqlite::read(path, query, timeout),
        UsageStore::Postgres(store) => postgres::read(store, query, timeout),
    }
}

/// Finds out whether a store can be had, as far as that must not wait: PostgreSQL may come later.
///
/// # Errors
/// In words that follow the name of the store.
pub(crate) fn check(settings: &config::Usage) -> Result<(), String> {
    match &settings.store {
        UsageStore::Sqlite { path, .. } => sqlite::check(path),
        UsageStore::Postgres(_) => Ok(()),
    }
}
