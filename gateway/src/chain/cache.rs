//! What a plugin asked of the cache, once its hook has returned.
//!
//! Owns that an exchange waits behind the hook, how a stored response is an answer, and that a response which is stored
//! is read once for all who want it. Must not decide what may be stored or served: the plugin has.

mod body;
mod range;

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, RANGE};
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use smallvec::SmallVec;

use self::range::Selected;
use super::{Run, edit};
use crate::body::Body;
use crate::heads::ExchangeView;
use crate::plugin::edits::Edit;
use crate::plugin::instance::Called;
use crate::plugin::{Asked, Failure, InBackground, KnownHit, OfCache, Served};
use crate::state::cache::{Cache, Cached, Entry, Lead, Waited, Waiting, now};
use crate::telemetry::metrics::CacheResult;

/// What a plugin has of the cache in an exchange.
#[derive(Default)]
pub(super) struct OfPlugin {
    /// For its hooks.
    shown: Arc<Cached>,
    /// Others wait for its response.
    lead: Option<Lead>,
    /// The cache had nothing to answer with, unless the response says that it has.
    missed: Option<Arc<Cache>>,
}

impl OfPlugin {
    fn change(&mut self, change: impl FnOnce(&mut Cached)) {
        let mut shown = Cached::clone(&self.shown);
        change(&mut shown);
        self.shown = Arc::new(shown);
    }
}

/// A wait behind a hook, and until when.
pub(super) type Wait = (Waiting, u64);

/// The wait that a hook asked for. What else it asked for is dropped.
pub(super) fn wait_of<R>(called: &mut Result<Called<R>, Failure>) -> Option<Wait> {
    called.as_mut().ok()?.slots.as_mut()?.cache.as_mut()?.waits.take()
}

/// Waits, and keeps for whose response it was.
pub(super) async fn wait(run: &Run, index: usize, (waiting, until): Wait) {
    let left = Duration::from_nanos(until.saturating_sub(now()));
    let flight = waiting.wait(left).await;
    drop(waiting);
    run.of_cache(index, |it| it.change(|shown| shown.waited = Some(Waited { flight, until })));
}

/// How often a hook is called again because what it found is damaged.
const CALLS: usize = 8;

/// Reads what would be sent first of a body on disk, before the head is sent. Whether it is damaged: it is not stored any
/// more then, so that the hook is called again. `calls`: how often it was.
pub(super) async fn is_damaged<R>(
    run: &Run,
    called: &mut Result<Called<R>, Failure>,
    calls: &mut usize,
) -> bool {
    let Some(serve) = on_disk(called) else { return false };
    let Some(body) = serve.entry.on_disk().cloned() else { return false };
    let start = {
        let request = &run.heads.borrow().request;
        let is_read = request.method != Method::HEAD && serve.status.is_none_or(|it| it != 304);
        let is_partial = request.method == Method::GET && serve.entry.status == 200;
        if !is_read || body.length() == 0 {
            return false;
        }
        let select = || range::select(&request.headers, &serve.headers, body.length());
        match is_partial.then(select) {
            Some(Selected::Nothing) => return false,
            Some(Selected::Part(part)) => part.start,
            Some(Selected::Whole) | None => 0,
        }
    };
    serve.first = body.first(start).await;
    *calls += 1;
    serve.first.is_none() && *calls < CALLS
}

/// What a hook has looked for, and has no answer from: another gateway may have stored it. Once for each hook, which is
/// noted in `has_asked`.
pub(super) fn beyond<R>(
    called: &mut Result<Called<R>, Failure>,
    has_asked: &mut bool,
) -> Option<(Arc<Cache>, SmallVec<[u128; 1]>)> {
    let asked = called.as_ref().ok()?.slots.as_ref()?.cache.as_ref()?;
    let cache = asked.asked.as_ref().filter(|cache| cache.has_second())?;
    if *has_asked || asked.serve.is_some() || asked.looked().is_empty() {
        return None;
    }
    *has_asked = true;
    Some((Arc::clone(cache), asked.looked().into()))
}

/// Whether a hook would answer with what is on disk.
pub(super) fn is_on_disk<R>(called: &mut Result<Called<R>, Failure>) -> bool {
    on_disk(called).is_some()
}

/// What a hook would answer with, if that is on disk.
fn on_disk<R>(called: &mut Result<Called<R>, Failure>) -> Option<&mut Served> {
    let serve = called.as_mut().ok()?.slots.as_mut()?.cache.as_mut()?.serve.as_mut()?;
    serve.entry.on_disk().is_some().then_some(&mut **serve)
}

impl Run {
    /// The heads, to hand to a hook of this plugin: with what it has of the cache.
    pub(super) fn heads_of(&self, index: usize) -> Arc<ExchangeView> {
        if self.chain.uses_cache {
            let has = self.plugin_states.borrow()[index].cached.as_ref().map(|it| {
                let shown: Arc<dyn Any + Send + Sync> = Arc::<Cached>::clone(&it.shown);
                shown
            });
            if has.is_some() || self.heads.borrow().cached.is_some() {
                self.change(|heads| heads.cached = has);
            }
        }
        self.heads()
    }

    fn of_cache(&self, index: usize, change: impl FnOnce(&mut OfPlugin)) {
        let states = &mut self.plugin_states.borrow_mut();
        change(states[index].cached.get_or_insert_default());
    }

    /// It sees another response now.
    pub(super) fn forget_fill(&self, index: usize) {
        let states = &mut self.plugin_states.borrow_mut();
        if let Some(of_cache) = states[index].cached.as_mut().filter(|it| it.shown.fill.is_some()) {
            of_cache.change(|shown| shown.fill = None);
        }
    }

    /// The plugin has seen the response: who waits for it goes on.
    pub(super) fn settle_cache(&self, index: usize) {
        let states = &mut self.plugin_states.borrow_mut();
        let Some(of_cache) = &mut states[index].cached else { return };
        if let Some(cache) = of_cache.missed.take() {
            cache.counts.answered(CacheResult::Miss);
        }
        let lead = of_cache.lead.take();
        if let Some(lead) = lead {
            lead.settle();
        }
    }

    /// What is to be sent in the background while this exchange is answered, and for which plugin.
    pub(crate) fn take_background(&self) -> Option<(usize, Box<InBackground>)> {
        self.background.take()
    }

    /// The same request, sent in the background for a plugin: those behind it see it, and it sees the response.
    ///
    /// # Errors
    /// If the request would be one that nobody may send.
    pub(crate) fn in_background(
        &self,
        index: usize,
        background: InBackground,
    ) -> Result<Rc<Self>, Failure> {
        let InBackground { lead, edits, context, entry, cache: _ } = background;
        let mut heads = ExchangeView::clone(&self.heads());
        edit::check_host(&heads.request.headers, &edits)?;
        edit::fields(&mut heads.request.headers, edits)?;
        (heads.response, heads.received, heads.cached) = (None, None, None);
        let run = Self::start(&self.chain, Arc::new(heads), None, None);
        for place in [&run.first, &run.entered, &run.respondents] {
            place.set(index + 1);
        }
        run.lowest.set(index);
        // Those before have chosen for this request too.
        run.upstream.replace(self.upstream.borrow().clone());
        run.plugin_states.borrow_mut()[index].context = context;
        run.of_cache(index, |it| {
            it.lead = Some(lead);
            it.change(|shown| {
                (shown.kept, shown.is_background, shown.asked) = (entry, true, now());
            });
        });
        Ok(run)
    }

    fn count_cache(&self, index: usize, asked: &OfCache) {
        let Some(cache) = &asked.asked else { return };
        let result = match &asked.serve {
            Some(serve) => {
                cache.counts.answered(serve.result);
                serve.result
            }
            None => {
                self.of_cache(index, |it| {
                    it.missed = Some(Arc::clone(cache));
                    it.change(|shown| shown.asked = now());
                });
                CacheResult::Miss
            }
        };
        self.change(|heads| heads.facts.cache = Some(result.name()));
    }
}

/// What a request hook asked for: the answer, if there is one.
pub(super) fn of_request(
    run: &Run,
    index: usize,
    asked: &mut Asked,
) -> Result<Option<Box<Response<Body>>>, Failure> {
    let Some(mut asked) = asked.cache.take() else { return Ok(None) };
    run.count_cache(index, &asked);
    if asked.keep.is_some() || asked.lead.is_some() {
        run.of_cache(index, |it| {
            it.lead = asked.lead.take().or(it.lead.take());
            if let Some(kept) = asked.keep.take() {
                it.change(|shown| shown.kept = Some(kept));
            }
        });
    }
    let Some(serve) = asked.serve else { return Ok(None) };
    if let Some(background) = asked.background {
        run.background.replace(Some((index, background)));
    }
    answer(run, *serve)
}

/// What a request hook asked for, if it can be given again without a call.
pub(super) fn known(asked: &OfCache) -> Option<KnownHit> {
    asked.known(|serve| {
        let head = Response::from_parts(whole(serve).ok()?.into_parts().0, ());
        Some(head)
    })
}

/// What a request hook asked for before, once more.
pub(super) fn again(
    run: &Run,
    hit: &KnownHit,
    entry: Arc<Entry>,
) -> Result<Option<Box<Response<Body>>>, Failure> {
    let result = CacheResult::Hit;
    hit.cache.counts.answered(result);
    run.change(|heads| heads.facts.cache = Some(result.name()));
    if run.heads.borrow().request.headers.contains_key(RANGE) {
        return answer(run, hit.served(entry));
    }
    let mut response = Box::new(Response::new(Body::empty()));
    *response.status_mut() = hit.whole().status();
    response.headers_mut().clone_from(hit.whole().headers());
    if !has_no_body(response.status()) {
        let length = entry.length();
        *response.body_mut() = Body::full(entry.part(0..length as usize));
    }
    Ok(Some(response))
}

/// A stored response in memory as the whole of an answer.
fn whole(serve: &Served) -> Result<Response<Body>, Failure> {
    let Served { entry, status, headers, edits, .. } = serve;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = edit::status(status.unwrap_or(entry.status))?;
    response.headers_mut().clone_from(headers);
    let length = usize::try_from(entry.length()).unwrap_or(usize::MAX);
    edit::set_length(response.headers_mut(), length);
    finish(&mut response, edits.clone())?;
    Ok(response)
}

/// What a response hook asked for: what is passed on instead, if there is anything.
#[expect(clippy::boxed_local, reason = "it stays where the call has left it")]
pub(super) fn of_response(
    run: &Run,
    index: usize,
    asked: Box<OfCache>,
) -> Result<Option<Box<Response<Body>>>, Failure> {
    let OfCache { serve, keep, store, .. } = *asked;
    if keep.is_some() || store.is_some() {
        run.of_cache(index, |it| {
            it.change(|shown| {
                shown.kept = keep.or(shown.kept.take());
                shown.fill = store.or(shown.fill.take());
            });
        });
    }
    let Some(serve) = serve else { return Ok(None) };
    let (cache, result) = (asked.asked, serve.result);
    run.of_cache(index, |it| it.missed = None);
    if let Some(cache) = cache {
        cache.counts.answered(result);
        run.change(|heads| heads.facts.cache = Some(result.name()));
    }
    answer(run, *serve)
}

/// A stored response as an answer; `None` if it cannot be joined any more.
fn answer(run: &Run, serve: Served) -> Result<Option<Box<Response<Body>>>, Failure> {
    let Served { entry, fill, status, headers, edits, first, .. } = serve;
    let mut response = Box::new(Response::new(Body::empty()));
    *response.status_mut() = edit::status(status.unwrap_or(entry.status))?;
    *response.headers_mut() = headers;
    if let Some(fill) = fill {
        let Some(reader) = fill.read() else { return Ok(None) };
        if let Some(length) = reader.left() {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        *response.body_mut() = body::of(reader);
    } else {
        let heads = run.heads.borrow();
        let request = &heads.request;
        let is_partial = response.status() == StatusCode::OK && request.method == Method::GET;
        let selected = match is_partial {
            true => range::select(&request.headers, response.headers(), entry.length()),
            false => Selected::Whole,
        };
        let part = selected.apply(&mut response, entry.length());
        let length = usize::try_from(part.end - part.start).unwrap_or(usize::MAX);
        edit::set_length(response.headers_mut(), length);
        *response.body_mut() = match entry.on_disk() {
            Some(_) if part.is_empty() => Body::empty(),
            Some(body) => body::from_disk(body.read(part, first)),
            None => Body::full(entry.part(part.start as usize..part.end as usize)),
        };
    }
    finish(&mut response, edits)?;
    Ok(Some(response))
}

/// Makes the plugin's edits, and leaves out what the status has no place for.
fn finish(response: &mut Response<Body>, edits: Vec<Edit>) -> Result<(), Failure> {
    edit::fields(response.headers_mut(), edits)?;
    if has_no_body(response.status()) {
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = Body::empty();
    }
    Ok(())
}

fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT)
}

/// Stores the response if the plugin wants it: its body is then read through what all share.
pub(super) fn store(run: &Run, index: usize, body: Body) -> Body {
    let (fill, lead) = {
        let states = &mut run.plugin_states.borrow_mut();
        let Some(of_cache) = &mut states[index].cached else { return body };
        let Some(fill) = of_cache.shown.fill.clone() else { return body };
        (fill, of_cache.lead.take())
    };
    if let Some(whole) = body.whole() {
        fill.is_whole(&whole, lead);
        return body;
    }
    fill.begins(body.size_hint().exact(), lead);
    let Some(reader) = fill.read() else { return body };
    tokio::task::spawn_local(body::feed(fill, body));
    body::of(reader)
}
