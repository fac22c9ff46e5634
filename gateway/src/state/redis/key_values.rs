//! One plugin's keys and values in a store that several gateways share.
//!
//! Owns what is asked of the server for each call, what its answer means, and what becomes of a call without one.
//! What the server refuses is an answer, and says nothing about the connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, RedisError, Value};

use super::names::Names;
use super::{INCREMENT, Question, Redis, Unavailable};
use crate::config::OnStoreError;
use crate::state::key_value::{Store, WriteError, check};

/// A time to live past this is for ever: a server counts milliseconds since 1970 in 63 bits.
const FOR_EVER: Duration = Duration::from_secs(86_400 * 366 * 1_000);

/// See the module.
#[derive(Debug)]
pub(crate) struct SharedValues {
    store: Arc<Redis>,
    names: Names,
    /// For calls that the store does not answer, unless the plugin is to hear of them.
    local: Option<Arc<Store>>,
}

type Written<T> = Result<Result<T, WriteError>, Unavailable>;

impl SharedValues {
    /// The keys and values of a plugin in a store.
    pub(crate) fn new(
        store: &Arc<Redis>,
        plugin: &str,
        on_error: OnStoreError,
        local: &Arc<Store>,
    ) -> Self {
        let local = (on_error == OnStoreError::Local).then(|| Arc::clone(local));
        Self { names: Names::of(store.settings(), plugin), store: Arc::clone(store), local }
    }

    /// Connects the worker of this thread.
    pub(crate) fn connect_here(&self) {
        self.store.connect_here();
    }

    /// The value under a key.
    ///
    /// # Errors
    /// When the store does not answer, and the plugin is to hear of it.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Bytes>, Unavailable> {
        let mut command = redis::cmd("GET");
        command.arg(self.key(key));
        match (self.ask(&command).await, &self.local) {
            (Ok(Ok(Value::BulkString(value))), _) => Ok(Some(value.into())),
            // Of another type: nothing that this wrote.
            (Ok(Ok(_) | Err(_)), _) => Ok(None),
            (Err(Unavailable), Some(local)) => Ok(local.get(key)),
            (Err(Unavailable), None) => Err(Unavailable),
        }
    }

    /// Writes a value, in place of what was there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Written<()> {
        if let Err(error) = check(key, &value) {
            return Ok(Err(error));
        }
        match (self.ask(&self.write(key, &value, ttl)).await, &self.local) {
            (Ok(answer), _) => Ok(answer.map(drop).map_err(|error| refusal(&error))),
            (Err(Unavailable), Some(local)) => Ok(local.set(key, value, ttl)),
            (Err(Unavailable), None) => Err(Unavailable),
        }
    }

    /// Writes a value if there is none, and says whether it did.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) async fn set_if_absent(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Written<bool> {
        if let Err(error) = check(key, &value) {
            return Ok(Err(error));
        }
        let mut command = self.write(key, &value, ttl);
        command.arg("NX");
        match (self.ask(&command).await, &self.local) {
            (Ok(Ok(answer)), _) => Ok(Ok(!matches!(answer, Value::Nil))),
            (Ok(Err(error)), _) => Ok(Err(refusal(&error))),
            (Err(Unavailable), Some(local)) => Ok(local.set_if_absent(key, value, ttl)),
            (Err(Unavailable), None) => Err(Unavailable),
        }
    }

    /// Removes a value, and says whether there was one.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) async fn delete(&self, key: &str) -> Result<bool, Unavailable> {
        let mut command = redis::cmd("DEL");
        command.arg(self.key(key));
        match (self.ask(&command).await, &self.local) {
            (Ok(answer), _) => Ok(matches!(answer, Ok(Value::Int(count)) if count > 0)),
            (Err(Unavailable), Some(local)) => Ok(local.delete(key)),
            (Err(Unavailable), None) => Err(Unavailable),
        }
    }

    /// Adds to an integer and returns the sum.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) async fn increment(
        &self,
        key: &str,
        by: i64,
        ttl: Option<Duration>,
    ) -> Written<i64> {
        if let Err(error) = check(key, &[]) {
            return Ok(Err(error));
        }
        let time = milliseconds(ttl).map(|time| time.to_string()).unwrap_or_default();
        let by_text = by.to_string();
        let (keys, arguments) = ([self.key(key)], [by_text.as_str().into(), time.as_str().into()]);
        let question = Question::Script(INCREMENT, &keys, &arguments);
        match (self.store.request(question).await, &self.local) {
            (Ok(Ok(Value::BulkString(sum))), _) => {
                let sum = std::str::from_utf8(&sum).ok().and_then(|text| text.parse().ok());
                Ok(sum.ok_or(WriteError::NotANumber))
            }
            (Ok(Ok(_)), _) => Err(Unavailable),
            (Ok(Err(error)), _) => Ok(Err(refusal(&error))),
            (Err(Unavailable), Some(local)) => Ok(local.increment(key, by, ttl)),
            (Err(Unavailable), None) => Err(Unavailable),
        }
    }

    fn write(&self, key: &str, value: &[u8], ttl: Option<Duration>) -> Cmd {
        let mut command = redis::cmd("SET");
        command.arg(self.key(key)).arg(value);
        if let Some(time) = milliseconds(ttl) {
            command.arg("PX").arg(time);
        }
        command
    }

    fn key(&self, key: &str) -> String {
        self.names.key("v", key)
    }

    async fn ask(&self, command: &Cmd) -> Result<Result<Value, RedisError>, Unavailable> {
        self.store.request(Question::Command(command)).await
    }
}

/// `None` for ever. A server knows no shorter time than a millisecond.
fn milliseconds(ttl: Option<Duration>) -> Option<u128> {
    let ttl = ttl.filter(|ttl| *ttl < FOR_EVER)?;
    Some(ttl.as_nanos().div_ceil(1_000_000).max(1))
}

fn refusal(error: &RedisError) -> WriteError {
    match error.code() {
        Some("OOM") => WriteError::Full,
        _ => WriteError::NotANumber,
    }
}
