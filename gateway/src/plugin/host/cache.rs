//! `gateway:plugin/cache`: responses that are kept and served again.
//!
//! Owns what a hook was given and what it asked for until it has returned. What is asked for happens then: nobody waits
//! in here, and no body passes through a guest.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use smallvec::SmallVec;

use super::functions::Functions;
use super::{Context, HostState};
use crate::plugin::bindings::{
    CacheAnswer, CacheBackground, CacheChange, CacheCollapsed, CacheEntry, CacheError,
    CacheFreshening, CacheFreshness, CacheStoring, Field,
};
use crate::plugin::edits::{Edit, Edits};
use crate::plugin::instance::{
    Hook, OnRequest, OnRequestBody, OnResponse, OnResponseBody, OnResponseChunk,
};
use crate::state::cache::{
    Block, Cache, Cached, Collapse, Entry, Fill, Freshened, Lead, Piece, Seen, Space, Waiting,
    Wanted, now,
};
use crate::telemetry::metrics::CacheResult;

const MAX_KEY: usize = 8 << 10;
const MAX_METADATA: usize = 64 << 10;
const MAX_PARTITION: usize = 256;
const MAX_TAGS: usize = 64;
const MAX_WAITERS: u32 = 10_000;
/// Fields of a head that is stored or served.
const MAX_FIELDS: usize = 1_000;
/// What a field takes in a map, beside its bytes.
const FIELD: usize = 96;
/// Entries that one hook is given.
const MAX_GIVEN: usize = 1_000;
const REQUEST: [usize; 2] = [OnRequest::INDEX, OnRequestBody::INDEX];
const RESPONSE: [usize; 2] = [OnResponse::INDEX, OnResponseBody::INDEX];
const BODY: [usize; 2] = [OnResponseBody::INDEX, OnResponseChunk::INDEX];

/// What a hook was given, and what it asked for.
#[derive(Debug, Default)]
pub(crate) struct OfCache {
    /// With what it noted of each, and its fields.
    given: Vec<(Arc<Entry>, Block)>,
    joined: Option<Arc<Fill>>,
    /// Under which keys it looked.
    looked: SmallVec<[u128; 1]>,
    /// Where it looked.
    pub(crate) asked: Option<Arc<Cache>>,
    pub(crate) serve: Option<Box<Served>>,
    pub(crate) keep: Option<Arc<Entry>>,
    /// It waits for the response of another, until then.
    pub(crate) waits: Option<(Waiting, u64)>,
    pub(crate) lead: Option<Lead>,
    pub(crate) background: Option<Box<InBackground>>,
    pub(crate) store: Option<Arc<Fill>>,
    /// When it purged something, behind that.
    purged: u64,
}

/// An entry to answer with.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) entry: Arc<Entry>,
    /// Where the body comes from, if it still arrives.
    pub(crate) fill: Option<Arc<Fill>>,
    pub(crate) status: Option<u16>,
    /// The head of the entry.
    pub(crate) headers: HeaderMap,
    pub(crate) edits: Vec<Edit>,
    pub(crate) result: CacheResult,
    /// What is sent first of a body on disk, once it is known to be whole.
    pub(crate) first: Option<Piece>,
}

/// An answer that can be given again, for as long as there is the same under its key.
#[derive(Debug)]
pub(crate) struct KnownHit {
    pub(crate) cache: Arc<Cache>,
    seen: Seen,
    entry: u64,
    status: Option<u16>,
    /// This worker's own copies: what was stored, what is changed of it, and the head of both together, which nearly every
    /// answer has.
    headers: HeaderMap,
    edits: Box<[Edit]>,
    whole: Response<()>,
}

impl KnownHit {
    /// What to answer with, if it is still there.
    pub(crate) fn entry(&self) -> Option<Arc<Entry>> {
        let entry = self.cache.again(&self.seen, self.entry)?;
        // It may have been moved there; the plugin is asked, so that what is damaged is none.
        entry.on_disk().is_none().then_some(entry)
    }

    /// The head of an answer with all of it.
    pub(crate) fn whole(&self) -> &Response<()> {
        &self.whole
    }

    /// What the plugin asked for, of which a part may be wanted.
    pub(crate) fn served(&self, entry: Arc<Entry>) -> Served {
        let (status, result) = (self.status, CacheResult::Hit);
        let (headers, edits) = (self.headers.clone(), self.edits.to_vec());
        Served { entry, fill: None, status, headers, edits, result, first: None }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let edits = self.edits.iter().map(|edit| size_of::<Edit>() + edit.bytes());
        let fields = self.headers.iter().chain(self.whole.headers());
        let fields = fields.map(|(name, value)| FIELD + name.as_str().len() + value.len());
        size_of::<Self>() + edits.sum::<usize>() + fields.sum::<usize>()
    }
}

impl OfCache {
    /// Under which keys it looked.
    pub(crate) fn looked(&self) -> &[u128] {
        &self.looked
    }

    /// What it asked for as an answer that can be given again: a fresh one of what it found at once, and nothing else.
    /// `whole` makes the head of an answer with all of it.
    pub(crate) fn known(
        &self,
        whole: impl FnOnce(&Served) -> Option<Response<()>>,
    ) -> Option<KnownHit> {
        let serve = self.serve.as_ref()?;
        let is_more = self.joined.is_some()
            || self.keep.is_some()
            || self.waits.is_some()
            || self.lead.is_some()
            || self.background.is_some()
            || self.store.is_some();
        let ([key], false) = (&self.looked[..], is_more) else { return None };
        if serve.result != CacheResult::Hit || serve.entry.on_disk().is_some() {
            return None;
        }
        let cache = self.asked.as_ref()?;
        let seen = cache.seen(*key, self.given.iter().map(|(entry, _)| entry.id))?;
        let edits = serve.edits.iter().map(Edit::unshared).collect();
        let (entry, status) = (serve.entry.id, serve.status);
        let headers = unshared(&serve.headers)?;
        let mut whole = whole(serve)?;
        *whole.headers_mut() = unshared(whole.headers())?;
        Some(KnownHit { cache: Arc::clone(cache), seen, entry, status, headers, edits, whole })
    }
}

/// A copy whose texts nobody shares: counting who does would be seen by all workers.
fn unshared(headers: &HeaderMap) -> Option<HeaderMap> {
    let mut copy = HeaderMap::with_capacity(headers.len() + 4);
    for (name, value) in headers {
        let name = HeaderName::from_lowercase(name.as_str().as_bytes()).ok()?;
        copy.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    Some(copy)
}

/// A request to send without a client.
#[derive(Debug)]
pub(crate) struct InBackground {
    pub(crate) lead: Lead,
    pub(crate) cache: Arc<Cache>,
    pub(crate) edits: Vec<Edit>,
    pub(crate) context: Vec<u8>,
    pub(crate) entry: Option<Arc<Entry>>,
}

type Outcome<T> = Result<T, CacheError>;

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    // What a hook found with these two is looked at before its answer is given again.
    linker.same_each_time("lookup", |mut store: Context<'_>, (key,): (Vec<u8>,)| {
        Ok((store.data_mut().cache_lookup(&key),))
    })?;
    linker.func_wrap("fields", |store: Context<'_>, (entry,): (u64,)| {
        Ok((store.data().cache_fields(entry),))
    })?;
    linker.func_wrap("field", |store: Context<'_>, (entry, name): (u64, String)| {
        Ok((store.data().cache_field(entry, &name),))
    })?;
    linker.same_each_time("serve", |mut store: Context<'_>, (answer,): (CacheAnswer,)| {
        Ok((store.data_mut().cache_serve(answer),))
    })?;
    linker.func_wrap("keep", |mut store: Context<'_>, (entry,): (u64,)| {
        Ok((store.data_mut().cache_keep(entry),))
    })?;
    linker.func_wrap("kept", |store: Context<'_>, (): ()| {
        let kept = store.data().cache_kept();
        Ok((kept.map(|entry| shown(&entry, &entry.block())),))
    })?;
    linker.func_wrap(
        "collapse",
        |mut store: Context<'_>, (key, time, waiters): (Vec<u8>, u64, u32)| {
            Ok((store.data_mut().cache_collapse(&key, time, waiters),))
        },
    )?;
    linker.func_wrap(
        "revalidate",
        |mut store: Context<'_>, (key, background): (Vec<u8>, CacheBackground)| {
            Ok((store.data_mut().cache_revalidate(&key, background),))
        },
    )?;
    linker.func_wrap("is-background", |store: Context<'_>, (): ()| {
        Ok((store.data().cached().is_some_and(|cached| cached.is_background),))
    })?;
    linker.func_wrap("store", |mut store: Context<'_>, (storing,): (CacheStoring,)| {
        Ok((store.data_mut().cache_store(storing),))
    })?;
    linker.func_wrap("discard", |store: Context<'_>, (): ()| {
        Ok((store.data().cache_fill().map(|fill| fill.discard()),))
    })?;
    linker.func_wrap("set-metadata", |store: Context<'_>, (metadata,): (Vec<u8>,)| {
        let fill = store.data().cache_fill();
        let fits = metadata.len() <= MAX_METADATA;
        let fill = fill.and_then(|fill| if fits { Ok(fill) } else { Err(CacheError::Invalid) });
        Ok((fill.map(|fill| fill.set_metadata(metadata)),))
    })?;
    linker.func_wrap(
        "freshen",
        |mut store: Context<'_>, (entry, freshening): (u64, CacheFreshening)| {
            Ok((store.data_mut().cache_freshen(entry, freshening),))
        },
    )?;
    linker.func_wrap("purge-key", |mut store: Context<'_>, (key,): (Vec<u8>,)| {
        Ok((store.data_mut().cache_purge(|cache, space| cache.purge_key(space, &key)),))
    })?;
    linker.func_wrap("purge-tag", |mut store: Context<'_>, (tag,): (String,)| {
        Ok((store.data_mut().cache_purge(|cache, space| cache.purge_tag(space, &tag)),))
    })
}

fn shown(entry: &Entry, block: &Block) -> CacheEntry {
    CacheEntry {
        id: entry.id,
        metadata: block.metadata().to_vec(),
        status: entry.status,
        resident: entry.resident(),
        size: entry.is_whole.then_some(entry.length()),
    }
}

/// As edits that a head may have.
fn edits(change: CacheChange) -> Outcome<Vec<Edit>> {
    let CacheChange { remove, set } = change;
    if remove.len() + set.len() > MAX_FIELDS {
        return Err(CacheError::Invalid);
    }
    let field = |(name, value)| Field { name, value };
    let removed = remove.into_iter().map(|name| field((name, Vec::new()))).collect();
    let removed = Edits::lines(removed).map_err(|_| CacheError::Invalid)?;
    let set = Edits::lines(set.into_iter().map(field).collect());
    let set = set.map_err(|_| CacheError::Invalid)?.into_iter().map(|edit| match edit {
        Edit::Append(name, value) => Edit::Set(name, value),
        other => other,
    });
    Ok(removed.iter().map(|edit| Edit::Remove(edit.name().clone())).chain(set).collect())
}

fn apply(headers: &mut HeaderMap, edits: Vec<Edit>) -> Outcome<()> {
    if headers.len() + edits.len() > MAX_FIELDS {
        return Err(CacheError::Invalid);
    }
    for edit in edits {
        match edit {
            Edit::Set(name, value) => drop(headers.insert(name, value)),
            Edit::Append(name, value) => drop(headers.append(name, value)),
            Edit::Remove(name) => drop(headers.remove(name)),
        }
    }
    Ok(())
}

impl HostState {
    /// What the plugin has of the cache in this exchange.
    fn cached(&self) -> Option<&Cached> {
        self.heads.as_ref()?.cached.as_ref()?.downcast_ref()
    }

    fn of_cache(&mut self) -> &mut OfCache {
        self.slots.get_or_insert_default().cache.get_or_insert_default()
    }

    fn cache_asked(&self) -> Option<&OfCache> {
        self.slots.as_ref()?.cache.as_deref()
    }

    fn place(&self) -> (Arc<Cache>, Space) {
        self.identity.cache.get()
    }

    /// Whether the hook that runs is one of these, in an exchange.
    fn is_in(&self, hooks: [usize; 2]) -> Outcome<()> {
        let is_here = hooks.contains(&self.hook) && self.heads.is_some();
        if is_here { Ok(()) } else { Err(CacheError::NotHere) }
    }

    fn cache_lookup(&mut self, key: &[u8]) -> Vec<CacheEntry> {
        if key.len() > MAX_KEY || self.heads.is_none() {
            return Vec::new();
        }
        let (cache, space) = self.place();
        let key = space.key(key);
        let asked = self.of_cache();
        asked.looked.push(key);
        let before = asked.given.len();
        cache.lookup(key, |entry| {
            if asked.given.len() < MAX_GIVEN {
                asked.given.push((Arc::clone(entry), entry.block()));
            }
        });
        asked.asked = Some(cache);
        asked.given.iter().skip(before).map(|(entry, block)| shown(entry, block)).collect()
    }

    fn cache_given(&self, id: u64) -> Outcome<(Arc<Entry>, Block)> {
        let asked = self.cache_asked();
        let given = asked.and_then(|asked| asked.given.iter().find(|(entry, _)| entry.id == id));
        if let Some(given) = given {
            return Ok(given.clone());
        }
        let joined = || asked?.joined.as_ref().map(|fill| &fill.head).filter(|it| it.id == id);
        let kept = || self.cached()?.kept.as_ref().filter(|entry| entry.id == id);
        let entry = joined().or_else(kept).cloned().ok_or(CacheError::Gone)?;
        let block = entry.block();
        Ok((entry, block))
    }

    fn cache_fields(&self, id: u64) -> Outcome<Vec<(String, Vec<u8>)>> {
        let (_, block) = self.cache_given(id)?;
        let text = |(name, value): (&[u8], &[u8])| {
            (String::from_utf8_lossy(name).into_owned(), value.to_vec())
        };
        Ok(block.fields().map(text).collect())
    }

    fn cache_field(&self, id: u64, name: &str) -> Vec<Vec<u8>> {
        let Ok((_, block)) = self.cache_given(id) else { return Vec::new() };
        let is_it = |(known, _): &(&[u8], &[u8])| known.eq_ignore_ascii_case(name.as_bytes());
        block.fields().filter(is_it).map(|(_, value)| value.to_vec()).collect()
    }

    fn cache_serve(&mut self, answer: CacheAnswer) -> Outcome<()> {
        self.is_in(REQUEST).or_else(|_| self.is_in(RESPONSE))?;
        let CacheAnswer { entry, status, change, freshness } = answer;
        let (entry, block) = self.cache_given(entry)?;
        if status.is_some_and(|status| !(200..600).contains(&status)) {
            return Err(CacheError::Invalid);
        }
        let edits = edits(change)?;
        let joined = self.cache_asked().and_then(|asked| asked.joined.clone());
        let fill = joined.filter(|fill| !entry.is_whole && fill.head.id == entry.id);
        if !entry.is_whole && fill.is_none() {
            return Err(CacheError::Gone);
        }
        let result = match freshness {
            CacheFreshness::Fresh if fill.is_some() => CacheResult::Joined,
            CacheFreshness::Fresh => CacheResult::Hit,
            CacheFreshness::Stale => CacheResult::Stale,
            CacheFreshness::Revalidated => CacheResult::Revalidated,
        };
        let cache = self.place().0;
        let asked = self.of_cache();
        asked.asked = Some(cache);
        let headers = block.headers();
        let served = Served { entry, fill, status, headers, edits, result, first: None };
        asked.serve = Some(Box::new(served));
        Ok(())
    }

    fn cache_keep(&mut self, id: u64) -> Outcome<()> {
        let (entry, _) = self.cache_given(id)?;
        self.of_cache().keep = Some(entry);
        Ok(())
    }

    fn cache_kept(&self) -> Option<Arc<Entry>> {
        let now = self.cache_asked().and_then(|asked| asked.keep.clone());
        now.or_else(|| self.cached()?.kept.clone())
    }

    fn cache_collapse(&mut self, key: &[u8], time: u64, waiters: u32) -> Outcome<CacheCollapsed> {
        self.is_in(REQUEST)?;
        if key.len() > MAX_KEY || time == 0 || waiters > MAX_WAITERS {
            return Err(CacheError::Invalid);
        }
        let (cache, space) = self.place();
        let waited = self.cached().and_then(|cached| cached.waited.clone());
        let until = waited.as_ref().map_or_else(|| now().saturating_add(time), |it| it.until);
        let is_late = until <= now();
        let waited = waited.as_ref().map(|it| &it.flight);
        let key = space.key(key);
        let asked = self.of_cache();
        (asked.waits, asked.lead) = (None, None);
        Ok(match cache.collapse(key, waiters, waited, is_late) {
            Collapse::Leads(lead) => {
                asked.lead = Some(lead);
                CacheCollapsed::Leads
            }
            Collapse::Waits(waiting) => {
                cache.counts.collapsed();
                asked.waits = Some((waiting, until));
                CacheCollapsed::Waits
            }
            Collapse::Joins(fill) => {
                let entry = shown(&fill.head, &fill.head.block());
                asked.joined = Some(fill);
                CacheCollapsed::Joins(entry)
            }
            Collapse::Alone => CacheCollapsed::Alone,
        })
    }

    fn cache_revalidate(&mut self, key: &[u8], background: CacheBackground) -> Outcome<bool> {
        self.is_in(REQUEST)?;
        let method = self.heads.as_ref().map(|heads| heads.request.method.clone());
        let is_safe = matches!(method, Some(Method::GET | Method::HEAD));
        if !is_safe || self.cached().is_some_and(|cached| cached.is_background) {
            return Err(CacheError::NotHere);
        }
        if key.len() > MAX_KEY || background.context.len() > MAX_METADATA {
            return Err(CacheError::Invalid);
        }
        let CacheBackground { change, context, entry } = background;
        let entry = entry.map(|id| self.cache_given(id).map(|(entry, _)| entry)).transpose()?;
        let edits = edits(change)?;
        let (cache, space) = self.place();
        let Collapse::Leads(lead) = cache.collapse(space.key(key), 0, None, true) else {
            return Ok(false);
        };
        let background = InBackground { lead, cache, edits, context, entry };
        self.of_cache().background = Some(Box::new(background));
        Ok(true)
    }

    fn cache_store(&mut self, storing: CacheStoring) -> Outcome<()> {
        self.is_in(RESPONSE)?;
        let heads = self.heads.clone().ok_or(CacheError::NotHere)?;
        let response = heads.response.as_ref().ok_or(CacheError::NotHere)?;
        let CacheStoring { key, variant, metadata, tags, partition, ttl, change } = storing;
        let is_too_long = key.len() > MAX_KEY
            || variant.len() > MAX_KEY
            || metadata.len() > MAX_METADATA
            || partition.len() > MAX_PARTITION
            || tags.len() > MAX_TAGS
            || tags.iter().any(|tag| tag.len() > MAX_KEY);
        const NONE: [StatusCode; 3] =
            [StatusCode::RESET_CONTENT, StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED];
        let has_none = response.status.is_informational() || NONE.contains(&response.status);
        if is_too_long || ttl == 0 || has_none || heads.request.method == Method::HEAD {
            return Err(CacheError::Invalid);
        }
        let (cache, space) = self.place();
        let length = response.headers.get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > cache.settings.max_object) {
            return Err(CacheError::TooLarge);
        }
        let mut headers = response.headers.clone();
        headers.remove(http::header::CONTENT_LENGTH);
        apply(&mut headers, edits(change)?)?;
        let wanted = Wanted {
            key: space.key(&key),
            status: response.status.as_u16(),
            headers: &headers,
            variant: &variant,
            metadata: &metadata,
            tags: &tags,
            partition: &partition,
            ttl,
        };
        // What this exchange purges itself is not what it stores.
        let asked = self.cached().map(|cached| cached.asked).filter(|asked| *asked > 0);
        let purged = self.cache_asked().map_or(0, |asked| asked.purged);
        let asked = asked.unwrap_or_else(now).max(purged);
        let fill = Fill::asked_for(&cache, Entry::head(&cache, &space, &wanted), asked);
        self.of_cache().store = Some(fill);
        Ok(())
    }

    /// The response that is being stored.
    fn cache_fill(&self) -> Outcome<Arc<Fill>> {
        self.is_in(BODY)?;
        self.cached().and_then(|cached| cached.fill.clone()).ok_or(CacheError::NotHere)
    }

    fn cache_freshen(&mut self, id: u64, freshening: CacheFreshening) -> Outcome<CacheEntry> {
        let CacheFreshening { metadata, change, ttl } = freshening;
        let (entry, block) = self.cache_given(id)?;
        if !entry.is_whole {
            return Err(CacheError::Gone);
        }
        let is_too_long = metadata.as_ref().is_some_and(|it| it.len() > MAX_METADATA);
        if ttl == 0 || is_too_long {
            return Err(CacheError::Invalid);
        }
        let mut headers = block.headers();
        apply(&mut headers, edits(change)?)?;
        let (cache, _) = self.place();
        let new = cache.freshen(&entry, Freshened { headers, metadata, ttl });
        let block = new.block();
        let shown = shown(&new, &block);
        self.of_cache().given.push((new, block));
        Ok(shown)
    }

    fn cache_purge(&mut self, purge: impl FnOnce(&Cache, &Space) -> usize) -> u32 {
        let (cache, space) = self.place();
        let purged = purge(&cache, &space);
        cache.counts.purged(purged as u64);
        if self.heads.is_some() {
            self.of_cache().purged = now() + 1;
        }
        u32::try_from(purged).unwrap_or(u32::MAX)
    }
}
