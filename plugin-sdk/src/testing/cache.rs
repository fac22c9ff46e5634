//! The cache of native tests: as large as need be, and nobody else asks.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cache::{
    Background, CacheError, Collapsed, Entry, Freshening, Freshness, HeadChange, Serve, Store,
};
use crate::fields::apply;
use crate::testing::host::ResponseState;
use crate::wire::{Field, FieldEdit};

/// What one stored response is.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) id: u64,
    key: Vec<u8>,
    variant: Vec<u8>,
    metadata: Vec<u8>,
    tags: Vec<String>,
    pub(crate) head: ResponseState,
    pub(crate) body: Vec<u8>,
    /// Nanoseconds of the host's clock.
    since: u64,
    until: u64,
}

/// All that is stored.
#[derive(Default)]
pub(crate) struct Cache {
    stored: Vec<Stored>,
    last: u64,
    /// What comes of the next calls of `collapse`.
    pub(crate) collapses: VecDeque<Collapsed>,
    /// How entries were served.
    pub(crate) served: Vec<Freshness>,
}

/// Which hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Stage {
    #[default]
    Elsewhere,
    Request,
    Response,
    ResponseChunk,
}

/// What belongs to one exchange.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfExchange {
    pub(crate) stage: Stage,
    /// What its hooks were given.
    given: Vec<Stored>,
    kept: Option<Stored>,
    pub(crate) serve: Option<Serve>,
    pub(crate) store: Option<Store>,
    /// The head as the hook that stores saw it.
    pub(crate) store_head: ResponseState,
    pub(crate) background: Option<Background>,
    pub(crate) waits: bool,
    pub(crate) is_background: bool,
}

impl Stored {
    fn entry(&self, now: u64) -> Entry {
        Entry {
            id: self.id,
            metadata: self.metadata.clone(),
            status: self.head.status,
            resident: Duration::from_nanos(now.saturating_sub(self.since)),
            size: Some(self.body.len() as u64),
        }
    }
}

impl OfExchange {
    pub(crate) fn given(&self, id: u64) -> Result<&Stored, CacheError> {
        let mut all = self.given.iter().rev().chain(&self.kept);
        all.find(|it| it.id == id).ok_or(CacheError::Gone)
    }

    fn may(&self, stages: &[Stage]) -> Result<(), CacheError> {
        if stages.contains(&self.stage) { Ok(()) } else { Err(CacheError::NotHere) }
    }

    pub(crate) fn serve(&mut self, serve: &Serve) -> Result<(), CacheError> {
        self.may(&[Stage::Request, Stage::Response])?;
        self.given(serve.entry)?;
        self.serve = Some(serve.clone());
        Ok(())
    }

    pub(crate) fn keep(&mut self, id: u64) -> Result<(), CacheError> {
        self.kept = Some(self.given(id)?.clone());
        Ok(())
    }

    pub(crate) fn kept(&self, now: u64) -> Option<Entry> {
        self.kept.as_ref().map(|it| it.entry(now))
    }

    pub(crate) fn revalidate(
        &mut self,
        method: &str,
        background: &Background,
    ) -> Result<bool, CacheError> {
        self.may(&[Stage::Request])?;
        if !matches!(method, "GET" | "HEAD") {
            return Err(CacheError::NotHere);
        }
        background.entry.map_or(Ok(()), |id| self.given(id).map(drop))?;
        self.background = Some(background.clone());
        Ok(true)
    }

    pub(crate) fn store(
        &mut self,
        store: &Store,
        head: ResponseState,
        method: &str,
    ) -> Result<(), CacheError> {
        self.may(&[Stage::Response])?;
        let has_none = head.status < 200 || matches!(head.status, 205 | 206 | 304);
        let is_long = |text: &str| text.len() > 8 << 10;
        let is_too_long = store.key.len() > 8 << 10
            || store.variant.len() > 8 << 10
            || store.metadata.len() > 64 << 10
            || store.partition.len() > 256
            || store.tags.len() > 64
            || store.tags.iter().any(|tag| is_long(tag));
        if method == "HEAD" || has_none || is_too_long || store.ttl.is_zero() {
            return Err(CacheError::Invalid);
        }
        (self.store, self.store_head) = (Some(store.clone()), head);
        Ok(())
    }

    pub(crate) fn change_store(&mut self, metadata: Option<&[u8]>) -> Result<(), CacheError> {
        match (&mut self.store, metadata) {
            (None, _) => return Err(CacheError::NotHere),
            (store, None) => *store = None,
            (Some(store), Some(metadata)) => store.metadata = metadata.to_vec(),
        }
        Ok(())
    }
}

impl Cache {
    pub(crate) fn lookup(&self, key: &[u8], now: u64, exchange: &mut OfExchange) -> Vec<Entry> {
        let found = self.stored.iter().rev().filter(|it| it.key == key && it.until > now);
        let found: Vec<Stored> = found.cloned().collect();
        let entries = found.iter().map(|it| it.entry(now)).collect();
        exchange.given.extend(found);
        entries
    }

    pub(crate) fn collapse(
        &mut self,
        exchange: &mut OfExchange,
        now: u64,
    ) -> Result<Collapsed, CacheError> {
        exchange.may(&[Stage::Request])?;
        let collapsed = self.collapses.pop_front().unwrap_or(Collapsed::Leads);
        exchange.waits = collapsed == Collapsed::Waits;
        Ok(match collapsed {
            Collapsed::Joins(entry) => match self.stored.iter().find(|it| it.id == entry.id) {
                Some(stored) => {
                    exchange.given.push(stored.clone());
                    Collapsed::Joins(Entry { size: None, ..stored.entry(now) })
                }
                None => Collapsed::Alone,
            },
            other => other,
        })
    }

    /// Puts a response that came whole in place.
    pub(crate) fn put(&mut self, store: Store, head: ResponseState, body: Vec<u8>, now: u64) {
        let Store { key, variant, metadata, tags, ttl, change, .. } = store;
        let mut head = head;
        apply(&mut head.fields, &edits(&change));
        // The gateway sets it when it is served.
        head.fields.retain(|field| field.name != "content-length");
        self.stored.retain(|it| it.key != key || it.variant != variant);
        self.last += 1;
        let until = now.saturating_add(crate::limiter::nanoseconds(ttl));
        let id = self.last;
        self.stored.push(Stored {
            id,
            key,
            variant,
            metadata,
            tags,
            head,
            body,
            since: now,
            until,
        });
    }

    pub(crate) fn freshen(
        &mut self,
        exchange: &mut OfExchange,
        id: u64,
        freshening: &Freshening,
        now: u64,
    ) -> Result<Entry, CacheError> {
        let mut new = exchange.given(id)?.clone();
        if freshening.ttl.is_zero() {
            return Err(CacheError::Invalid);
        }
        self.last += 1;
        new.id = self.last;
        new.since = now;
        new.until = now.saturating_add(crate::limiter::nanoseconds(freshening.ttl));
        if let Some(metadata) = &freshening.metadata {
            new.metadata.clone_from(metadata);
        }
        apply(&mut new.head.fields, &edits(&freshening.change));
        if let Some(old) = self.stored.iter_mut().find(|it| it.id == id) {
            *old = new.clone();
        }
        let entry = new.entry(now);
        exchange.given.push(new);
        Ok(entry)
    }

    pub(crate) fn purge(&mut self, is_it: impl Fn(&[u8], &[String]) -> bool) -> u32 {
        let before = self.stored.len();
        self.stored.retain(|it| !is_it(&it.key, &it.tags));
        (before - self.stored.len()) as u32
    }
}

/// As edits of a head.
pub(crate) fn edits(change: &HeadChange) -> Vec<FieldEdit> {
    let removed = change.remove.iter().cloned().map(FieldEdit::Remove);
    let field = |(name, value): &(String, Vec<u8>)| {
        FieldEdit::Set(Field { name: name.clone(), value: value.clone() })
    };
    removed.chain(change.set.iter().map(field)).collect()
}
