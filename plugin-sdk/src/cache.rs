//! Responses that are kept and served again, in a store of the gateway's. Granted as `cache`.
//!
//! The plugin says what is kept under which key, for how long, and what is served to whom. Bodies stay in the gateway:
//! a response that is served from the cache does not pass through the plugin. Keys belong to the configured plugin:
//! another does not see them.
//!
//! ```
//! use std::time::Duration;
//!
//! use gateway_plugin_sdk::cache::{self, Collapsed, Serve, Store};
//! use gateway_plugin_sdk::prelude::*;
//! use gateway_plugin_sdk::testing::{self, Harness};
//!
//! /// Keeps every 200 for a minute. A real cache reads what the response says of that.
//! struct Minute;
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Asked {
//!     key: Vec<u8>,
//! }
//!
//! impl Plugin for Minute {
//!     type Config = NoConfig;
//!     type Context = Asked;
//!
//!     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
//!         Ok(Self)
//!     }
//!
//!     fn interest(&self) -> Interest {
//!         Interest::on_request().path().query().and_on_response()
//!     }
//!
//!     fn on_request(&self, request: &mut Request, asked: &mut Asked) -> Outcome {
//!         let key = format!("{}?{}", request.path(), request.query().unwrap_or_default());
//!         asked.key = key.into_bytes();
//!         if let Some(entry) = cache::lookup(&asked.key).first() {
//!             let _served = cache::serve(&Serve::new(entry.id).set_header("x-cache", "hit"));
//!             return Outcome::Next;
//!         }
//!         // Of all who ask for it now one goes to the upstream.
//!         match cache::collapse(&asked.key, Duration::from_secs(5), 1000) {
//!             Ok(Collapsed::Joins(entry)) => {
//!                 let _served = cache::serve(&Serve::new(entry.id));
//!             }
//!             // It leads, it goes on by itself, or it waits and this hook is called again.
//!             _ => {}
//!         }
//!         Outcome::Next
//!     }
//!
//!     fn on_response(&self, response: &mut ResponseHead, asked: &mut Asked) -> Outcome {
//!         if response.status() == 200 {
//!             let store = Store::new(&asked.key, Duration::from_secs(60)).tag("pages");
//!             let _stored = cache::store(&store);
//!         }
//!         Outcome::Next
//!     }
//! }
//!
//! let harness = Harness::<Minute>::new(NoConfig {}).unwrap();
//! let mut first = harness.request(testing::request().path("/a"));
//! first.response(testing::response().body("hello"));
//! let second = harness.request(testing::request().path("/a"));
//! assert_eq!(second.answer().unwrap().header("x-cache"), Some("hit"));
//! assert_eq!(second.answer().unwrap().text(), "hello");
//! ```
//!
//! # When calls count
//!
//! [`serve`], [`collapse`], [`revalidate`] and [`store`] count when the hook has returned `Outcome::Next`. They count for
//! nothing if it answers or fails. Where [`collapse`] said that the exchange waits, what the hook returned is dropped too, and
//! the hook is called again.
//!
//! # In native tests
//!
//! The cache of a [`Harness`](crate::testing::Harness) is as large as need be, and nobody else asks: who collapses leads,
//! unless `Harness::collapse_next` says what comes of it. `Exchange::background` is the request that was sent in the background.
//! Ranges are the gateway's: a test gets the whole body.

use std::time::Duration;

use crate::host;
use crate::wire::Field;

/// A stored response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which it is; no other has this number for as long as the gateway runs.
    pub id: u64,
    /// What the plugin stored with it.
    pub metadata: Vec<u8>,
    /// Its status code.
    pub status: u16,
    /// Since it was stored, or freshened last.
    pub resident: Duration,
    /// Bytes of its body; `None` while it still arrives.
    pub size: Option<u64>,
}

/// Why a call did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// Not in this hook, or not in this exchange.
    #[error("this hook cannot do that")]
    NotHere,
    /// A key, metadata or tags that are too long, a time of zero, or a response that cannot be stored: one to
    /// `HEAD`, or with a status that has no body of its own.
    #[error("what was asked for is not valid")]
    Invalid,
    /// There is no entry of this number, or not any more.
    #[error("there is no such entry")]
    Gone,
    /// The body is larger than what the cache takes.
    #[error("the body is larger than what the cache takes")]
    TooLarge,
}

/// How an entry is served, for metrics and access logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// It is fresh.
    #[default]
    Fresh,
    /// It is stale, and may be served all the same.
    Stale,
    /// It was stale, and the upstream has confirmed it.
    Revalidated,
}

/// What is changed in a head: names that are taken away, and then fields that are set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeadChange {
    pub(crate) remove: Vec<String>,
    pub(crate) set: Vec<(String, Vec<u8>)>,
}

impl HeadChange {
    /// No change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With this field, in place of all lines of its name.
    #[must_use]
    pub fn set_header(mut self, name: impl AsRef<str>, value: impl Into<Vec<u8>>) -> Self {
        self.set.push((name.as_ref().to_owned(), value.into()));
        self
    }

    /// Without this field. Fields are taken away before others are set.
    #[must_use]
    pub fn remove_header(mut self, name: impl AsRef<str>) -> Self {
        self.remove.push(name.as_ref().to_owned());
        self
    }

    /// The value that a field is set to, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let set = self.set.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name));
        std::str::from_utf8(&set?.1).ok()
    }

    /// The names that are taken away.
    pub fn removed(&self) -> impl Iterator<Item = &str> {
        self.remove.iter().map(String::as_str)
    }
}

/// A stored response to answer with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    pub(crate) entry: u64,
    pub(crate) status: Option<u16>,
    pub(crate) change: HeadChange,
    pub(crate) freshness: Freshness,
}

impl Serve {
    /// As it is stored.
    #[must_use]
    pub fn new(entry: u64) -> Self {
        let (status, change, freshness) = (None, HeadChange::new(), Freshness::Fresh);
        Self { entry, status, change, freshness }
    }

    /// With another status code. With 304 there is no body.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// With this field, in place of all lines of its name.
    #[must_use]
    pub fn set_header(mut self, name: impl AsRef<str>, value: impl Into<Vec<u8>>) -> Self {
        self.change = self.change.set_header(name, value);
        self
    }

    /// Without this field. Fields are taken away before others are set.
    #[must_use]
    pub fn remove_header(mut self, name: impl AsRef<str>) -> Self {
        self.change = self.change.remove_header(name);
        self
    }

    /// How it is served, for metrics and access logs.
    #[must_use]
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }
}

/// What came of asking for a key that others may be asking for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collapsed {
    /// Nobody asks the upstream for it: this exchange does, and others wait for its response.
    Leads,
    /// Another exchange asks. This one waits behind the hook, and then the same hook is called again.
    Waits,
    /// The response that another exchange asked for arrives: this entry can be served as it does.
    Joins(Entry),
    /// This exchange goes on by itself: the time is over, as many wait as may, or the response was not stored.
    Alone,
}

/// A request that is sent without a client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Background {
    pub(crate) change: HeadChange,
    pub(crate) context: Vec<u8>,
    pub(crate) entry: Option<u64>,
}

impl Background {
    /// The request as this hook leaves it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// About this entry, which is [`kept`] in the response hooks.
    #[must_use]
    pub fn entry(mut self, entry: u64) -> Self {
        self.entry = Some(entry);
        self
    }

    /// With this context for the plugin's hooks.
    ///
    /// # Panics
    /// If it cannot be written, which is a fault in its `Serialize`.
    #[must_use]
    pub fn context<C: serde::Serialize>(mut self, context: &C) -> Self {
        self.context = crate::context::encode(context, &[]).unwrap_or_default();
        self
    }

    /// With this field, in place of all lines of its name.
    #[must_use]
    pub fn set_header(mut self, name: impl AsRef<str>, value: impl Into<Vec<u8>>) -> Self {
        self.change = self.change.set_header(name, value);
        self
    }

    /// Without this field. Fields are taken away before others are set.
    #[must_use]
    pub fn remove_header(mut self, name: impl AsRef<str>) -> Self {
        self.change = self.change.remove_header(name);
        self
    }

    /// The value that a field is set to, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.change.header(name)
    }
}

/// A response to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub(crate) key: Vec<u8>,
    pub(crate) variant: Vec<u8>,
    pub(crate) metadata: Vec<u8>,
    pub(crate) tags: Vec<String>,
    pub(crate) partition: String,
    pub(crate) ttl: Duration,
    pub(crate) change: HeadChange,
}

impl Store {
    /// Under this key, for this time at most, fresh or stale.
    #[must_use]
    pub fn new(key: impl AsRef<[u8]>, ttl: Duration) -> Self {
        Self {
            key: key.as_ref().to_vec(),
            variant: Vec::new(),
            metadata: Vec::new(),
            tags: Vec::new(),
            partition: String::new(),
            ttl,
            change: HeadChange::new(),
        }
    }

    /// Which of the entries under the key it replaces: the one with the same bytes.
    #[must_use]
    pub fn variant(mut self, variant: impl Into<Vec<u8>>) -> Self {
        self.variant = variant.into();
        self
    }

    /// What the plugin wants back with it, at most 64 KiB.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Vec<u8>>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// A name by which it is purged; there may be 64.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Whose it is: the bound `partition` of the cache is one for each. Empty: it counts for nobody.
    #[must_use]
    pub fn partition(mut self, partition: impl Into<String>) -> Self {
        self.partition = partition.into();
        self
    }

    /// With this field in the stored head, in place of all lines of its name.
    #[must_use]
    pub fn set_header(mut self, name: impl AsRef<str>, value: impl Into<Vec<u8>>) -> Self {
        self.change = self.change.set_header(name, value);
        self
    }

    /// Without this field in the stored head. Fields are taken away before others are set.
    #[must_use]
    pub fn remove_header(mut self, name: impl AsRef<str>) -> Self {
        self.change = self.change.remove_header(name);
        self
    }
}

/// What is different in a stored response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshening {
    pub(crate) metadata: Option<Vec<u8>>,
    pub(crate) change: HeadChange,
    pub(crate) ttl: Duration,
}

impl Freshening {
    /// It is kept for this time from now.
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        Self { metadata: None, change: HeadChange::new(), ttl }
    }

    /// With other metadata.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Vec<u8>>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    /// With this field, in place of all lines of its name.
    #[must_use]
    pub fn set_header(mut self, name: impl AsRef<str>, value: impl Into<Vec<u8>>) -> Self {
        self.change = self.change.set_header(name, value);
        self
    }

    /// Without this field. Fields are taken away before others are set.
    #[must_use]
    pub fn remove_header(mut self, name: impl AsRef<str>) -> Self {
        self.change = self.change.remove_header(name);
        self
    }
}

/// The entries under a key, those that were stored last first. Not those that still arrive.
pub fn lookup(key: &[u8]) -> Vec<Entry> {
    host::cache_lookup(key)
}

/// The fields of an entry that this hook was given, in the order in which they came.
///
/// # Errors
/// If the hook was given none of this number.
pub fn fields(entry: u64) -> Result<Vec<Field>, CacheError> {
    host::cache_fields(entry)
}

/// The lines of one field of an entry that this hook was given.
pub fn field(entry: u64, name: &str) -> Vec<Vec<u8>> {
    host::cache_field(entry, name)
}

/// Answers with an entry that this hook was given: in place of asking the upstream, or of the response that came.
///
/// # Errors
/// If nothing is served.
pub fn serve(serve: &Serve) -> Result<(), CacheError> {
    host::cache_serve(serve)
}

/// Keeps an entry that this hook was given with the exchange, for the response hooks.
///
/// # Errors
/// If the hook was given none of this number.
pub fn keep(entry: u64) -> Result<(), CacheError> {
    host::cache_keep(entry)
}

/// The entry that was kept.
pub fn kept() -> Option<Entry> {
    host::cache_kept()
}

/// Asks the upstream once for all who ask for this key at the same time, in `on_request` and `on_request_body`. It waits for
/// `time` at most, in all; at most `waiters` wait for one key, of 10,000.
///
/// # Errors
/// If the call is not valid: the exchange goes on by itself.
pub fn collapse(key: &[u8], time: Duration, waiters: u32) -> Result<Collapsed, CacheError> {
    host::cache_collapse(key, time, waiters)
}

/// Sends the request in the background too, in `on_request` and `on_request_body`. One at a time for each key: `false` if one is
/// under way.
///
/// # Errors
/// If the call is not valid, or the request is none to send in the background.
pub fn revalidate(key: &[u8], background: &Background) -> Result<bool, CacheError> {
    host::cache_revalidate(key, background)
}

/// Whether this is a request that is sent in the background.
pub fn is_background() -> bool {
    host::cache_is_background()
}

/// Stores the response, in `on_response` and `on_response_body`: as its head came to the hook, with the body as this plugin
/// passes it on.
///
/// # Errors
/// If it is not stored.
pub fn store(store: &Store) -> Result<(), CacheError> {
    host::cache_store(store)
}

/// Does not store the response after all, in its body hooks.
///
/// # Errors
/// If nothing is being stored.
pub fn discard() -> Result<(), CacheError> {
    host::cache_discard()
}

/// Other metadata for the response that is being stored, in its body hooks.
///
/// # Errors
/// If nothing is being stored.
pub fn set_metadata(metadata: &[u8]) -> Result<(), CacheError> {
    host::cache_set_metadata(metadata)
}

/// Changes a stored response, and returns it as it is then.
///
/// # Errors
/// If the hook was given none of this number.
pub fn freshen(entry: u64, freshening: &Freshening) -> Result<Entry, CacheError> {
    host::cache_freshen(entry, freshening)
}

/// Removes the entries under a key, and says how many there were.
pub fn purge_key(key: &[u8]) -> u32 {
    host::cache_purge_key(key)
}

/// Removes the entries of this plugin that have a tag, and says how many there were.
pub fn purge_tag(tag: &str) -> u32 {
    host::cache_purge_tag(tag)
}
