//! A set in Redis or Valkey, which several gateways share.
//!
//! Owns how it is kept there: a hash of records, one of identifiers by digest, one of last uses, and a stream of
//! changes, by which each gateway finds out once a second what changed since it last asked. A change is one
//! script. Whoever cannot follow the stream (it was cut, or the server is another one) reads all records anew, in
//! steps, so that no limit waits meanwhile that the same server holds.

use std::collections::HashMap;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, from_redis_value};

use super::place::{Put, Unwritten};
use super::record::Record;
use super::table::{Stored, Table};
use crate::state::redis::{Asked, Redis};

const PUT: &str = include_str!("redis_place/put.lua");
const USE: &str = include_str!("redis_place/use.lua");

/// How long one answer may take. The admin API waits for 10 s in all.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Changes that are followed one by one; past them all is read.
const FOLLOW: usize = 1000;
/// Records of one step.
const STEP: usize = 500;

/// See the module.
pub(super) struct RedisPlace {
    /// The name of the set, as keys have it: braces would end the part that a cluster hashes.
    name: String,
    read: Read,
}

/// What of the stream of changes was read.
enum Read {
    /// Nothing, nor any record.
    Nothing,
    /// All that there were: none, or up to this one.
    To(Option<Change>),
}

/// An entry of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    at: String,
    tag: String,
    id: Box<str>,
}

impl RedisPlace {
    pub(super) fn new(set: &str) -> Self {
        let name = set.replace('%', "%25").replace('{', "%7B").replace('}', "%7D");
        Self { name, read: Read::Nothing }
    }

    fn key(&self, redis: &Redis, part: &str) -> String {
        format!("{}:{{keys:{}}}:{part}", redis.settings().prefix, self.name)
    }

    pub(super) async fn sync(
        &mut self,
        redis: &std::sync::Arc<Redis>,
        table: &Table,
    ) -> Result<(), String> {
        redis.connect_here();
        let Read::To(known) = &self.read else { return self.read_all(redis, table).await };
        let Some(changes) = self.changes(redis, known.as_ref()).await? else {
            return self.read_all(redis, table).await;
        };
        let Some(last) = changes.last().cloned() else { return Ok(()) };
        for (id, record) in self.records(redis, &changes).await? {
            table.put(&id, record);
        }
        table.publish();
        self.read = Read::To(Some(last));
        Ok(())
    }

    /// What changed since; nothing if that cannot be known.
    async fn changes(
        &self,
        redis: &Redis,
        since: Option<&Change>,
    ) -> Result<Option<Vec<Change>>, String> {
        let mut range = redis::cmd("XRANGE");
        let from = since.map_or("-", |change| change.at.as_str());
        range.arg(self.key(redis, "log")).arg(from).arg("+").arg("COUNT").arg(FOLLOW + 2);
        let mut changes = entries(ask(redis, &range).await?)?;
        match since {
            // Where it is not there, or is another one, the stream was cut, or is not the same.
            Some(since) if changes.first() == Some(since) => drop(changes.remove(0)),
            Some(_) => return Ok(None),
            None => {}
        }
        Ok((changes.len() <= FOLLOW).then_some(changes))
    }

    /// What is there now under the identifiers that changed.
    async fn records(
        &self,
        redis: &Redis,
        changes: &[Change],
    ) -> Result<Vec<(Box<str>, Option<Record>)>, String> {
        let mut ids: Vec<_> = changes.iter().map(|change| change.id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut records = Vec::with_capacity(ids.len());
        for ids in ids.chunks(STEP) {
            let mut get = redis::cmd("HMGET");
            get.arg(self.key(redis, "records"));
            for id in ids {
                get.arg(&**id);
            }
            let texts: Vec<Option<String>> = ask(redis, &get).await?;
            for (id, text) in ids.iter().zip(texts) {
                records.push((id.clone(), text.and_then(|text| parse(id, &text))));
            }
        }
        Ok(records)
    }

    async fn read_all(&mut self, redis: &Redis, table: &Table) -> Result<(), String> {
        let mut newest = redis::cmd("XREVRANGE");
        newest.arg(self.key(redis, "log")).arg("+").arg("-").arg("COUNT").arg(1);
        let newest = entries(ask(redis, &newest).await?)?.pop();
        if newest.is_none() && matches!(self.read, Read::To(Some(_))) {
            // What was lost there is not taken for revoked. Nor is it written anew: some of it may have been
            // revoked since this gateway last read.
            return Err(
                "the server has lost the keys: restore it, or restart the gateways".to_owned()
            );
        }
        let mut all = HashMap::<Box<str>, Stored>::new();
        for (id, text) in self.scan(redis, "records").await? {
            if let Some(record) = parse(&id, &text) {
                all.insert(id.into(), (record, 0));
            }
        }
        for (id, at) in self.scan(redis, "used").await? {
            if let (Some(stored), Ok(at)) = (all.get_mut(&*id), at.parse()) {
                stored.1 = at;
            }
        }
        // What changed while it was read.
        let changes = self.changes(redis, newest.as_ref()).await?;
        let changes = changes.ok_or("the keys change faster than they can be read")?;
        for (id, record) in self.records(redis, &changes).await? {
            match record {
                Some(record) => drop(all.insert(id, (record, 0))),
                None => drop(all.remove(&id)),
            }
        }
        if table.replace(all) || table.generation() == 0 {
            table.publish();
        }
        self.read = Read::To(changes.last().cloned().or(newest));
        Ok(())
    }

    /// All fields and values of a hash.
    async fn scan(&self, redis: &Redis, part: &str) -> Result<Vec<(String, String)>, String> {
        let (key, mut cursor, mut all) = (self.key(redis, part), "0".to_owned(), Vec::new());
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(&key).arg(&cursor).arg("COUNT").arg(STEP);
            let (next, some): (String, Vec<(String, String)>) = ask(redis, &scan).await?;
            all.extend(some);
            if next == "0" {
                return Ok(all);
            }
            cursor = next;
        }
    }

    pub(super) async fn put(
        &mut self,
        redis: &std::sync::Arc<Redis>,
        put: &Put<'_>,
        table: &Table,
    ) -> Result<(), Unwritten> {
        let text = put.after.map(serde_json::to_string).transpose();
        let text = text.map_err(|error| Unwritten::Away(error.to_string()))?.unwrap_or_default();
        let change = super::secret::tag();
        let change =
            change.map_err(|_| Unwritten::Away("there are no random numbers".to_owned()))?;
        let before: Vec<_> = put.before.into_iter().flat_map(Record::digests).collect();
        let after: Vec<_> = put.after.into_iter().flat_map(Record::digests).collect();
        let gone: Vec<_> = before.iter().filter(|it| !after.contains(it)).collect();
        let mut script = redis::cmd("EVAL");
        script.arg(PUT).arg(4);
        for part in ["records", "digests", "used", "log"] {
            script.arg(self.key(redis, part));
        }
        let tag = put.before.map_or("", |record| &record.tag);
        script.arg(put.id).arg(tag).arg(text).arg(&*change).arg(gone.len());
        for digest in gone.into_iter().chain(&after) {
            script.arg(String::from(*digest));
        }
        let answer = match redis.ask(&script, PATIENCE).await {
            Ok(answer) => answer,
            Err(Asked::Not(why)) => return Err(Unwritten::Away(why)),
            Err(Asked::Perhaps(why)) => return Err(Unwritten::Unknown(why)),
        };
        let answer: Vec<String> =
            from_redis_value(answer).map_err(|error| Unwritten::Unknown(error.to_string()))?;
        match answer.first().map(String::as_str) {
            // With what others changed before it.
            Some("done") => self.sync(redis, table).await.map_err(Unwritten::Unknown),
            Some("digest") => {
                let owner = answer.get(1).map_or("", String::as_str);
                Err(Unwritten::DigestOf(owner.into()))
            }
            _ => Err(Unwritten::Changed),
        }
    }

    pub(super) async fn put_uses(&self, redis: &Redis, uses: &[(&str, u64)]) -> Result<(), String> {
        let mut script = redis::cmd("EVAL");
        script.arg(USE).arg(2).arg(self.key(redis, "records")).arg(self.key(redis, "used"));
        for (id, at) in uses {
            script.arg(*id).arg(*at);
        }
        ask::<Vec<String>>(redis, &script).await.map(drop)
    }

    pub(super) async fn uses(&self, redis: &Redis, ids: &[Box<str>]) -> Result<Vec<u64>, String> {
        let mut get = redis::cmd("HMGET");
        get.arg(self.key(redis, "used"));
        for id in ids {
            get.arg(&**id);
        }
        let uses: Vec<Option<u64>> = ask(redis, &get).await?;
        Ok(uses.into_iter().map(Option::unwrap_or_default).collect())
    }
}

async fn ask<T: FromRedisValue>(redis: &Redis, command: &Cmd) -> Result<T, String> {
    let answer = redis.ask(command, PATIENCE).await.map_err(Asked::why)?;
    from_redis_value(answer).map_err(|error| format!("an answer of another kind: {error}"))
}

fn entries(found: Vec<(String, HashMap<String, String>)>) -> Result<Vec<Change>, String> {
    let entry = |(at, mut fields): (String, HashMap<String, String>)| {
        let (tag, id) = (fields.remove("tag")?, fields.remove("id")?);
        Some(Change { at, tag, id: id.into() })
    };
    let entries: Option<Vec<_>> = found.into_iter().map(entry).collect();
    entries.ok_or_else(|| "the log of changes is somebody else's".to_owned())
}

/// A record that cannot be read is none: somebody else wrote it.
fn parse(id: &str, text: &str) -> Option<Record> {
    let record = serde_json::from_str(text);
    record.inspect_err(|error| tracing::error!("the key `{id}` cannot be read: {error}")).ok()
}
