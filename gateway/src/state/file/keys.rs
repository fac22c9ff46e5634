//! API keys in the SQLite file behind a store.
//!
//! Owns their table. Unlike buckets, a key is written before anybody is told that it is there.

use rusqlite::{TransactionBehavior, params};

use super::database::Database;

/// A file of before there were keys has no such table.
pub(super) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS keys (
    in_set TEXT NOT NULL,
    id TEXT NOT NULL,
    -- JSON
    record TEXT NOT NULL,
    -- When it was last used, in seconds since 1970.
    used INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (in_set, id)
) WITHOUT ROWID;";

/// An identifier, its record, and when it was last used.
pub(in crate::state) type Row = (Box<str>, Box<str>, u64);

impl Database {
    /// The keys of a set.
    pub(in crate::state) fn keys(&self, set: &str) -> rusqlite::Result<Vec<Row>> {
        let sql = "SELECT id, record, used FROM keys WHERE in_set = ?";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([set], |row| {
            let used: i64 = row.get(2)?;
            Ok((row.get(0)?, row.get(1)?, u64::try_from(used).unwrap_or(0)))
        })?;
        rows.collect()
    }

    /// Under an identifier there is this record from now on, or none.
    pub(in crate::state) fn put_key(
        &mut self,
        set: &str,
        id: &str,
        record: Option<&str>,
    ) -> rusqlite::Result<()> {
        // Each statement is a transaction, and on the disk when it returns.
        match record {
            Some(record) => {
                let sql = "INSERT INTO keys (in_set, id, record) VALUES (?, ?, ?) \
                           ON CONFLICT (in_set, id) DO UPDATE SET record = excluded.record";
                self.connection.prepare_cached(sql)?.execute(params![set, id, record])?;
            }
            None => {
                let sql = "DELETE FROM keys WHERE in_set = ? AND id = ?";
                self.connection.prepare_cached(sql)?.execute(params![set, id])?;
            }
        }
        Ok(())
    }

    /// Writes many keys in one transaction.
    #[cfg(test)]
    pub(in crate::state) fn put_keys(
        &mut self,
        set: &str,
        keys: &[(String, String)],
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for (id, record) in keys {
            let sql = "INSERT INTO keys (in_set, id, record) VALUES (?, ?, ?)";
            transaction.prepare_cached(sql)?.execute(params![set, id, record])?;
        }
        transaction.commit()
    }

    /// Notes when keys were last used: only forwards, and only of those that there are.
    pub(in crate::state) fn put_uses(
        &mut self,
        set: &str,
        uses: &[(Box<str>, u64)],
    ) -> rusqlite::Result<()> {
        let begin = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(begin)?;
        {
            let sql = "UPDATE keys SET used = max(used, ?) WHERE in_set = ? AND id = ?";
            let mut put = transaction.prepare_cached(sql)?;
            for (id, at) in uses {
                put.execute(params![i64::try_from(*at).unwrap_or(i64::MAX), set, &**id])?;
            }
        }
        transaction.commit()
    }
}
