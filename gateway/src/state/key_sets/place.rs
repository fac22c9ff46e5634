//! Where a set is kept: a file or Redis, asked alike.
//!
//! Owns how a file keeps it. A file belongs to this gateway alone, so that what was read once is what is there.

use std::collections::HashMap;
use std::sync::Arc;

use super::record::Record;
use super::redis_place::RedisPlace;
use super::table::Table;
use crate::config;
use crate::state::file::File;
use crate::state::named::Named;

/// See the module. Stores are looked for anew each time: a reload may open them anew.
pub(super) struct Place {
    set: Box<str>,
    store: Arc<config::Store>,
    named: Arc<Named>,
    /// Whether a file was read.
    is_read: bool,
    redis: RedisPlace,
}

/// A change: what is there under an identifier, and what shall be there.
pub(super) struct Put<'a> {
    pub(super) id: &'a str,
    pub(super) before: Option<&'a Record>,
    pub(super) after: Option<&'a Record>,
}

/// Why a change was not made.
pub(super) enum Unwritten {
    /// There is something else there.
    Changed,
    /// Another key has the digest.
    DigestOf(Box<str>),
    /// The store cannot be had.
    Away(String),
    /// Nobody knows whether it was.
    Unknown(String),
}

const CLOSED: &str = "the store is not open";

impl Place {
    pub(super) fn new(set: &str, store: &Arc<config::Store>, named: Arc<Named>) -> Self {
        let (store, redis) = (Arc::clone(store), RedisPlace::new(set));
        Self { set: set.into(), store, named, is_read: false, redis }
    }

    fn file(&self) -> Option<Arc<File>> {
        self.named.file(Some(&self.store))
    }

    /// Puts in force what the store has.
    pub(super) async fn sync(&mut self, table: &Table) -> Result<(), String> {
        if let Some(redis) = self.named.redis(Some(&self.store)) {
            return self.redis.sync(&redis, table).await;
        }
        if self.is_read {
            return Ok(());
        }
        let file = self.file().ok_or(CLOSED)?;
        let set = self.set.clone();
        let rows = file.run(move |database| database.keys(&set)).await?;
        let mut all = HashMap::with_capacity(rows.len());
        for (id, text, used) in rows {
            let record = serde_json::from_str(&text);
            let record =
                record.map_err(|error| format!("the key `{id}` cannot be read: {error}"))?;
            all.insert(id, (record, used));
        }
        table.replace(all);
        table.publish();
        self.is_read = true;
        Ok(())
    }

    /// Makes a change, and puts it in force.
    pub(super) async fn put(&mut self, put: &Put<'_>, table: &Table) -> Result<(), Unwritten> {
        if let Some(redis) = self.named.redis(Some(&self.store)) {
            return self.redis.put(&redis, put, table).await;
        }
        let file = self.file().ok_or_else(|| Unwritten::Away(CLOSED.to_owned()))?;
        let (set, id) = (self.set.clone(), Box::<str>::from(put.id));
        let text = put.after.map(serde_json::to_string).transpose();
        let text = text.map_err(|error| Unwritten::Away(error.to_string()))?;
        let written = file.run(move |database| database.put_key(&set, &id, text.as_deref())).await;
        written.map_err(Unwritten::Away)?;
        table.put(put.id, put.after.cloned());
        table.publish();
        Ok(())
    }

    /// Writes when keys were last used, of those that there are.
    pub(super) async fn put_uses(&mut self, uses: &[(&str, u64)]) -> Result<(), String> {
        if let Some(redis) = self.named.redis(Some(&self.store)) {
            return self.redis.put_uses(&redis, uses).await;
        }
        let file = self.file().ok_or(CLOSED)?;
        let set = self.set.clone();
        let uses: Vec<_> = uses.iter().map(|(id, at)| (Box::<str>::from(*id), *at)).collect();
        file.run(move |database| database.put_uses(&set, &uses)).await
    }

    /// When keys were last used, by whatever gateway.
    pub(super) async fn uses(&mut self, ids: &[Box<str>]) -> Result<Vec<u64>, String> {
        match self.named.redis(Some(&self.store)) {
            Some(redis) => self.redis.uses(&redis, ids).await,
            None => Err("this gateway alone has the file".to_owned()),
        }
    }
}
