//! Changes of a plugin that are made again without calling it.
//!
//! Owns which outcome of a call may be kept, and how it is applied to another request. Must not know where it is kept.

use std::rc::Rc;
use std::time::Duration;

use http::Response;

use super::keep::Left;
use super::request::apply;
use super::{Run, cache, view};
use crate::body::Body;
use crate::heads::ExchangeView;
use crate::plugin::bindings::{RequestChange, RequestOutcome};
use crate::plugin::instance::Called;
use crate::plugin::{Failure, KnownHit, Pool, ReuseKey};
use crate::recorder::{Hook, How};

/// Makes a change again, and gives the answer that came with it; `None` if that is not there any more.
pub(super) fn again(
    run: &Run,
    index: usize,
    (change, hit): (RequestChange, Option<Rc<KnownHit>>),
) -> Option<Result<Option<Box<Response<Body>>>, Failure>> {
    let served = match &hit {
        None => None,
        Some(hit) => Some(hit.entry()?),
    };
    run.pool(index).reused();
    let applied = match served.is_some() && change.is_nothing() {
        true => Ok(()),
        false => apply(run, index, change, Left::default()),
    };
    run.span_without(index, Hook::OnRequest, How::Reused, applied.as_ref().copied());
    Some(applied.and_then(|()| match (hit, served) {
        (Some(hit), Some(entry)) => cache::again(run, &hit, entry),
        _ => Ok(None),
    }))
}

/// A change that can be made again.
pub(super) struct Kept {
    pub(super) arrived: ReuseKey,
    pub(super) change: (RequestChange, Option<Rc<KnownHit>>),
    pub(super) time: Duration,
}

/// What is to be kept of a call: a change that the plugin allows to be made again, and that nothing
/// can have decided but what arrived with the call.
pub(super) fn to_keep(
    pool: &Pool,
    heads: &ExchangeView,
    called: &Called<(RequestOutcome,)>,
) -> Option<Box<Kept>> {
    let RequestOutcome::Change(change) = &called.results.0 else { return None };
    let time = change.0.reuse_for.map(Duration::from_nanos)?;
    if called.impure || !pool.keeps() {
        return None;
    }
    let asked = called.slots.as_ref().and_then(|asked| asked.cache.as_ref());
    // Who looked into a cache and did not answer from it may find something the next time.
    let hit = asked.map(|asked| cache::known(asked).map(Rc::new).ok_or(())).transpose().ok()?;
    let arrived = ReuseKey::of(|key| view::arrived(key, &pool.plugin().interest, heads))?;
    Some(Box::new(Kept { arrived, change: (RequestChange::clone(&change.0), hit), time }))
}
