//! One set of keys as workers and the admin API see it.
//!
//! Owns what a look-up finds, and the way of a change to the keeper and back. Must not touch a store.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as std_mpsc};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::record::{Digest, Key, Record, now};
use super::table::Table;
use crate::config::{self, StoreKind};
use crate::telemetry::metrics::{KeyResult, KeySetCounts};

/// How long it is waited for what other gateways wrote of uses. Longer than the keeper waits for a store.
const PATIENCE: Duration = Duration::from_secs(2);

/// A set.
#[derive(Debug)]
pub(crate) struct KeySet {
    name: Box<str>,
    pub(super) store: Arc<config::Store>,
    pub(super) table: Table,
    pub(super) counts: Arc<KeySetCounts>,
    /// Whether it was there when the process began.
    is_first: AtomicBool,
    /// Whether it was tried to read the keys.
    was_tried: AtomicBool,
    /// Why the store cannot be had, if it cannot.
    failure: Mutex<Option<String>>,
    orders: mpsc::UnboundedSender<Order>,
    /// Until somebody looks after the set.
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Order>>>,
}

/// What a look-up found.
#[derive(Debug)]
pub(crate) struct Found<'k> {
    pub(crate) id: &'k str,
    pub(crate) record: &'k Record,
    /// When it ends for who has this secret, in seconds since 1970.
    pub(crate) until: Option<u64>,
}

/// Why a look-up found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotFound {
    /// There is no such key.
    Unknown,
    /// It was one.
    Expired,
    /// The keys have not been read yet.
    Unread,
}

/// Makes of what is there under an identifier what shall be there. May be asked more than once.
pub(super) type Make = Box<dyn Fn(Option<&Record>) -> Result<Option<Record>, Refused> + Send>;

/// What the keeper is asked for.
pub(super) enum Order {
    Change {
        id: Box<str>,
        make: Make,
        answer: oneshot::Sender<Result<Arc<Key>, ChangeError>>,
    },
    /// When these were last used, by whatever gateway.
    Uses {
        ids: Vec<Box<str>>,
        answer: oneshot::Sender<Vec<u64>>,
    },
    End(std_mpsc::Sender<()>),
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is a key of this identifier.
    Exists,
    /// There is none.
    NotFound,
    /// Another key has this digest.
    DigestOf(Box<str>),
    /// There are as many as may be.
    Full,
}

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChangeError {
    Refused(Refused),
    /// The store cannot be had.
    Unavailable(String),
    /// The store did not answer in time whether it made the change.
    Unknown(String),
}

impl KeySet {
    pub(super) fn new(definition: &config::KeySet, counts: Arc<KeySetCounts>) -> Self {
        let (orders, receiver) = mpsc::unbounded_channel();
        Self {
            name: definition.name.as_str().into(),
            store: Arc::clone(&definition.store),
            table: Table::default(),
            counts,
            is_first: AtomicBool::new(false),
            was_tried: AtomicBool::new(false),
            failure: Mutex::default(),
            orders,
            receiver: Mutex::new(Some(receiver)),
        }
    }

    /// Whether this is the set of a definition: of the same name, in the same place.
    pub(super) fn is_of(&self, definition: &config::KeySet) -> bool {
        let store = &definition.store;
        *self.name == *definition.name
            && self.store.name == store.name
            && self.store.kind == store.kind
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The name of the store.
    pub(crate) fn store(&self) -> &str {
        &self.store.name
    }

    /// Whether several gateways have it.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.store.kind, StoreKind::Redis(_))
    }

    /// Another number as soon as a key was added, changed, revoked, or has expired; 0 before they were read.
    pub(crate) fn generation(&self) -> u64 {
        self.table.generation()
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Why the store cannot be had, if it cannot.
    pub(crate) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    /// Finds a key by its digest, and notes that it is used.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn find<R>(
        &self,
        digest: Digest,
        see: impl FnOnce(Found<'_>) -> R,
    ) -> Result<R, NotFound> {
        let now = now();
        let found = self.table.find(digest, |key| {
            let until = key.record.until(digest);
            if until.is_some_and(|until| until <= now) {
                return Err(NotFound::Expired);
            }
            key.note_use(now);
            Ok(see(Found { id: &key.id, record: &key.record, until }))
        });
        let found = match found {
            Some(found) => found,
            None if self.generation() == 0 => Err(NotFound::Unread),
            None => Err(NotFound::Unknown),
        };
        self.counts.looked(match &found {
            Ok(_) => KeyResult::Found,
            Err(NotFound::Unknown) => KeyResult::Unknown,
            Err(NotFound::Expired) => KeyResult::Expired,
            Err(NotFound::Unread) => KeyResult::Unread,
        });
        found
    }

    /// The key of an identifier.
    pub(crate) fn key(&self, id: &str) -> Option<Arc<Key>> {
        self.table.key(id)
    }

    /// Some keys in the order of their identifiers, with the number of all, and whether more follow.
    pub(crate) fn page(
        &self,
        after: Option<&str>,
        limit: usize,
        consumer: Option<&str>,
    ) -> (Vec<Arc<Key>>, usize, bool) {
        let is_wanted = |key: &Key| consumer.is_none_or(|name| *key.record.consumer == *name);
        self.table.page(after, limit, is_wanted)
    }

    /// Has a key changed: in the store, and in force when this returns. Returns the key as it is now, or as it
    /// was where it is gone.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) async fn change(
        &self,
        id: &str,
        make: impl Fn(Option<&Record>) -> Result<Option<Record>, Refused> + Send + 'static,
    ) -> Result<Arc<Key>, ChangeError> {
        let (answer, answered) = oneshot::channel();
        // Dropped at once where nobody takes it: it holds the other end of what is waited for.
        drop(self.orders.send(Order::Change { id: id.into(), make: Box::new(make), answer }));
        let gone = |_| ChangeError::Unavailable("nobody looks after the set".to_owned());
        answered.await.map_err(gone)?
    }

    /// When keys were last used, by whatever gateway; 0 for never.
    pub(crate) async fn last_uses(&self, keys: &[Arc<Key>]) -> Vec<u64> {
        let own: Vec<_> = keys.iter().map(|key| key.last_used()).collect();
        if !self.is_shared() || keys.is_empty() {
            return own;
        }
        let (answer, answered) = oneshot::channel();
        let ids = keys.iter().map(|key| key.id.clone()).collect();
        drop(self.orders.send(Order::Uses { ids, answer }));
        let Ok(Ok(others)) = tokio::time::timeout(PATIENCE, answered).await else { return own };
        own.into_iter().zip(others).map(|(own, other)| own.max(other)).collect()
    }

    /// The process begins with it.
    pub(super) fn is_of_the_start(&self) {
        self.is_first.store(true, Ordering::Relaxed);
    }

    /// Whether the process began with it, and could not read it yet.
    pub(super) fn is_missed(&self) -> bool {
        self.is_first.load(Ordering::Relaxed) && self.generation() == 0
    }

    pub(super) fn was_tried(&self) -> bool {
        self.was_tried.load(Ordering::Acquire)
    }

    /// It was tried to have what the store has, and there was this in the way, or nothing. Says so where that is
    /// new.
    pub(super) fn tried(&self, why: Option<&str>) {
        let is_down = why.is_some();
        let why = why.map(str::to_owned);
        let before = lock(&self.failure).clone();
        let (keys, store) = (self.name(), self.store());
        match (before, &why) {
            (None, Some(why)) if self.generation() == 0 => {
                tracing::warn!(
                    keys,
                    store,
                    "the keys `{keys}` cannot be read, so that none is known: {why}"
                );
            }
            (None, Some(why)) => {
                tracing::warn!(
                    keys,
                    store,
                    "the keys `{keys}` stay in force, and cannot be changed: {why}"
                );
            }
            (Some(_), None) => tracing::info!(keys, store, "the keys `{keys}` can be had again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        // Who sees the metric, or asks, finds the reason in the log.
        *lock(&self.failure) = why;
        if is_down {
            self.counts.is_down();
        } else {
            self.counts.has(self.len());
        }
        self.was_tried.store(true, Ordering::Release);
    }

    pub(super) fn orders(&self) -> Option<mpsc::UnboundedReceiver<Order>> {
        lock(&self.receiver).take()
    }

    /// Nobody shall look after it any more. Returns what hears of it, if somebody does.
    pub(super) fn end(&self) -> Option<std_mpsc::Receiver<()>> {
        if lock(&self.receiver).is_some() {
            return None;
        }
        let (ended, end) = std_mpsc::channel();
        self.orders.send(Order::End(ended)).ok()?;
        Some(end)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("there is a key of this identifier"),
            Self::NotFound => f.write_str("there is no such key"),
            Self::DigestOf(id) => write!(f, "the key `{id}` has this digest"),
            Self::Full => f.write_str("the set has as many keys as it may have"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
