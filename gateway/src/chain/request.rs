//! The way forward: each plugin sees the head of the request, then its body if it asked for it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body::Body as _;

use super::buffer::{self, BufferError};
use super::filter::{self, Side};
use super::keep::{self, Left, split};
use super::record::returned;
use super::reuse::{again, to_keep};
use super::view::{View, arrived};
use super::{PluginFailed, Run, cache, edit, slots};
use crate::body::Body;
use crate::heads::ExchangeView;
use crate::memory_quota::QuotaExceeded;
use crate::plugin::bindings::{self, BodyMode, RequestBodyOutcome, RequestChange, RequestOutcome};
use crate::plugin::instance::{Called, OnRequest, OnRequestBody};
use crate::plugin::{Failure, Pool, Ready};
use crate::recorder::{Changes, Hook, How};
use crate::share::Flow;

/// Why a request does not go on to the upstream.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A plugin answered.
    Answered(Box<Response<Body>>),
    /// A plugin failed.
    Failed(PluginFailed),
    /// The body that a plugin asked for is larger than it may be.
    BodyTooLarge(u64),
    /// The body that a plugin asked for did not come whole.
    BodyBroken,
    /// It did not come in time.
    BodyLate(Duration),
    /// There is no room for the body that a plugin asked for.
    NoRoom(NoRoom),
}

/// A plugin asked for a body, and there is no room for it.
#[derive(Debug)]
pub(crate) struct NoRoom {
    /// Which plugin.
    pub(crate) plugin: Arc<str>,
    /// Which bound is reached.
    pub(crate) full: QuotaExceeded,
}

/// Runs the plugins over a request, first to last. They leave the body to forward, and where one
/// answers, the part of it that has arrived; the head is in the run.
pub(crate) async fn on_request(run: &Rc<Run>, body: &mut Body) -> Result<(), Stop> {
    for index in run.first.get()..run.chain.pools.len() {
        if !is_concerned(run, index) {
            run.left_out.borrow_mut().push(index);
            continue;
        }
        // Before anything is asked of the plugin, whatever hooks it has: those that are let in are
        // seen by it to their end.
        if run.flow(index).is_full() {
            refuse_more(run, index)?;
            continue;
        }
        run.entered.set(index + 1);
        change_every(run, index)?;
        see_head(run, index).await?;
        if sees_body(run, index, body) {
            // Boxed, so that requests whose body nobody reads do not carry its state around.
            Box::pin(see_body(run, index, body)).await?;
        }
        run.respondents.set(index + 1);
    }
    Ok(())
}

/// Whether the request has the attributes that `only_if` of the plugin wants.
fn is_concerned(run: &Run, index: usize) -> bool {
    let wanted = &run.pool(index).plugin().only_if;
    // Most have none.
    wanted.is_empty() || {
        let heads = run.heads.borrow();
        wanted.iter().all(|(name, value)| heads.attribute(name).as_deref() == Some(value.as_str()))
    }
}

/// Whether a plugin is shown the body: there is nothing to see in a message without one.
///
/// One that turned out to be empty while a plugin before this one waited is a body all the same for who asked
/// for the whole: it was told in `request.has-body` that there is one, and may have put off its decision.
fn sees_body(run: &Run, index: usize, body: &Body) -> bool {
    match run.request_body(index) {
        BodyMode::None => false,
        BodyMode::Chunks => !body.is_end_stream(),
        BodyMode::Buffered(_) => !body.is_end_stream() || run.heads.borrow().facts.has_body,
    }
}

/// Too many calls of the plugin wait already.
#[cold]
fn refuse_more(run: &Run, index: usize) -> Result<(), Stop> {
    let failure = Failure::Busy(run.flow(index).limit());
    run.span_without(index, Hook::OnRequest, How::Refused, Err(&failure));
    run.apply_on_error(index, "on-request", failure).map_err(Stop::Failed)
}

/// Makes the changes that the plugin wants in every request.
fn change_every(run: &Run, index: usize) -> Result<(), Stop> {
    let (edits, _) = run.pool(index).every();
    if edits.is_empty() {
        return Ok(());
    }
    let before = run.fields_before(&run.heads.borrow().request.headers);
    run.notes_fields(edits.len());
    let edits = edits.iter().cloned().inspect(|edit| run.writes(Side::Request, edit.name()));
    let written = run.change(|heads| {
        edit::check_host(&heads.request.headers, run.pool(index).every().0)?;
        edit::fields(&mut heads.request.headers, edits)
    });
    if let Some(before) = before {
        run.note_written(index, "every-request", &before, &run.heads.borrow().request.headers);
    }
    run.span_without(index, Hook::EveryRequest, How::Known, written.as_ref().copied());
    written
        .or_else(|failure| run.apply_on_error(index, "on-request", failure))
        .map_err(Stop::Failed)
}

async fn see_head(run: &Run, index: usize) -> Result<(), Stop> {
    let pool = run.pool(index);
    if !pool.plugin().interest.request {
        return Ok(());
    }
    // A trace shows what the hook does, so that it is called.
    if pool.may_reuse() && run.recording.is_none() {
        let heads = run.heads();
        let known = pool.reuse(|key| arrived(key, &pool.plugin().interest, &heads));
        drop(heads);
        if let Some(known) = known
            && let Some(outcome) = again(run, index, known)
        {
            return finish(run, index, "on-request", outcome);
        }
    }
    let mut watched = run.watch(index, "on-request");
    let versions = pool.versions();
    let flow = run.flow(index);
    let (mut calls, mut has_asked) = (0, false);
    let (called, heads) = loop {
        let heads = run.heads_of(index);
        let at_once = match pool.ready(flow).or_else(|| pool.ready_at_once(flow)) {
            Some(ready) => match see_head_now(ready, pool, &heads) {
                Err(Failure::HasToWait) => None,
                called => Some(called),
            },
            None => None,
        };
        let mut called = match at_once {
            Some(called) => called,
            // Boxed, so that what may wait does not make every other exchange's state large.
            None => {
                run.timeline.waits_in(index, Hook::OnRequest);
                Box::pin(see_head_later(pool, flow, &heads)).await
            }
        };
        match cache::wait_of(&mut called) {
            None if cache::is_on_disk(&mut called) => {
                if !Box::pin(cache::is_damaged(run, &mut called, &mut calls)).await {
                    break (called, heads);
                }
            }
            None => {
                let Some((cache, keys)) = cache::beyond(&mut called, &mut has_asked) else {
                    break (called, heads);
                };
                // What it leads stays its own: others wait for it meanwhile.
                if !Box::pin(cache.ask_second(&keys)).await {
                    break (called, heads);
                }
            }
            Some(wait) => {
                drop((called, heads));
                Box::pin(cache::wait(run, index, wait)).await;
            }
        }
    };
    returned(&mut watched);
    let kept = called.as_ref().ok().and_then(|called| to_keep(pool, &heads, called));
    // Before the heads are changed nobody else may hold them, or they would be copied.
    drop(heads);
    let mut slots = None;
    let outcome = called.and_then(|called| {
        let ((outcome,), mut left) = split(called);
        slots = left.slots.take();
        match outcome {
            RequestOutcome::Next => run.keep(index, left).map(|()| None),
            RequestOutcome::Change(change) => apply(run, index, *change.0, left).map(|()| None),
            RequestOutcome::Respond(answer) => answered(run, index, answer, left),
        }
    });
    if let (Some(kept), Ok(_)) = (kept, &outcome) {
        pool.keep(&kept.arrived, kept.change, kept.time, versions);
    }
    run.span(index, Hook::OnRequest, &outcome);
    run.note(index, watched, &outcome);
    // What a hook took that failed is given back here.
    let slots = slots.filter(|_| outcome.is_ok());
    finish(run, index, "on-request", outcome)?;
    match slots {
        None => Ok(()),
        Some(mut slots) => {
            finish(run, index, "on-request", cache::of_request(run, index, &mut slots))?;
            Box::pin(slots::wait(run, index, "on-request", slots)).await
        }
    }
}

fn see_head_now(
    ready: Ready<'_>,
    pool: &Pool,
    heads: &Arc<ExchangeView>,
) -> Result<Called<(RequestOutcome,)>, Failure> {
    let view = View::of(heads, &pool.plugin().interest);
    let (fields, attributes) = (view.fields(), view.attributes());
    ready.call::<OnRequest>(heads.clone(), (view.head(&fields, &attributes).into(),))
}

async fn see_head_later(
    pool: &Pool,
    flow: &Rc<Flow>,
    heads: &Arc<ExchangeView>,
) -> Result<Called<(RequestOutcome,)>, Failure> {
    let view = View::of(heads, &pool.plugin().interest);
    let (fields, attributes) = (view.fields(), view.attributes());
    let params = (view.head(&fields, &attributes).into(),);
    pool.call_managed::<OnRequest>(flow, heads.clone(), params).await
}

async fn see_body(run: &Rc<Run>, index: usize, body: &mut Body) -> Result<(), Stop> {
    match run.request_body(index) {
        BodyMode::None => Ok(()),
        BodyMode::Chunks => {
            // The plugin may change the length, so that it is not known beforehand.
            run.change(|heads| {
                heads.request.headers.remove(CONTENT_LENGTH);
                run.body_changes(Side::Request, &mut heads.request.headers);
            });
            *body = filter::wrap(run, index, Side::Request, std::mem::take(body));
            Ok(())
        }
        BodyMode::Buffered(limit) => {
            let plugin = run.pool(index).plugin();
            let whole = buffer::read_all(plugin, std::mem::take(body), limit).await;
            let (bytes, trailers) = whole.map_err(|error| match error {
                BufferError::TooLarge(limit, _) => Stop::BodyTooLarge(limit),
                BufferError::Broken(_) => Stop::BodyBroken,
                BufferError::Late(time) => Stop::BodyLate(time),
                BufferError::Full(full) => {
                    Stop::NoRoom(NoRoom { plugin: plugin.name.clone(), full })
                }
            })?;
            let (seen, next) = see_whole_body(run, index, bytes, trailers.is_none()).await;
            *body = Body::buffered(next, trailers);
            seen
        }
    }
}

/// Shows a plugin the whole body. What comes back besides is the body that is passed on.
async fn see_whole_body(
    run: &Run,
    index: usize,
    bytes: Bytes,
    is_whole: bool,
) -> (Result<(), Stop>, Bytes) {
    if run.pool(index).plugin().may_attempt {
        run.plugin_states.borrow_mut()[index].received = Some(bytes.clone());
    }
    let context = run.context(index);
    let mut watched = run.watch(index, "on-request-body");
    let (pool, flow) = (run.pool(index), run.flow(index));
    if pool.may_wait(flow) {
        run.timeline.waits_in(index, Hook::OnRequestBody);
    }
    let (mut calls, mut has_asked) = (0, false);
    let called = loop {
        let heads = run.heads_of(index);
        let mut called = pool.call::<OnRequestBody>(flow, heads, (&bytes, &context)).await;
        match cache::wait_of(&mut called) {
            None if cache::is_on_disk(&mut called) => {
                if !Box::pin(cache::is_damaged(run, &mut called, &mut calls)).await {
                    break called;
                }
            }
            None => {
                let Some((cache, keys)) = cache::beyond(&mut called, &mut has_asked) else {
                    break called;
                };
                if !Box::pin(cache.ask_second(&keys)).await {
                    break called;
                }
            }
            Some(wait) => {
                drop(called);
                Box::pin(cache::wait(run, index, wait)).await;
            }
        }
    };
    returned(&mut watched);
    let (before, mut next) = (bytes.len(), bytes);
    let mut is_new = false;
    let mut slots = None;
    let outcome = called.and_then(|called| {
        let ((outcome,), mut left) = split(called);
        slots = left.slots.take();
        match outcome {
            RequestBodyOutcome::Next => run.keep(index, left).map(|()| None),
            RequestBodyOutcome::Change(change) => {
                let plugin = run.pool(index).plugin();
                let new = change.body.map(|body| plugin.counted(body)).transpose()?;
                if new.is_some() {
                    // Before its edits, which may bring new ones.
                    let side = Side::Request;
                    run.change(|heads| run.body_changes(side, &mut heads.request.headers));
                }
                apply(run, index, *change.head.0, left)?;
                if let Some(new) = new {
                    next = new;
                    is_new = true;
                    run.timeline.changes(|changes| changes.body = true);
                }
                Ok(None)
            }
            RequestBodyOutcome::Respond(answer) => answered(run, index, answer, left),
        }
    });
    let body = is_new.then_some((before, next.len()));
    run.span(index, Hook::OnRequestBody, &outcome);
    run.note_body(index, watched, body, &outcome);
    let slots = slots.filter(|_| outcome.is_ok());
    let mut seen = finish(run, index, "on-request-body", outcome);
    if let (Ok(()), Some(mut slots)) = (&seen, slots) {
        let cached = cache::of_request(run, index, &mut slots);
        seen = finish(run, index, "on-request-body", cached);
        if seen.is_ok() {
            seen = slots::wait(run, index, "on-request-body", slots).await;
        }
    }
    if seen.is_ok() && is_whole {
        run.change(|heads| edit::set_length(&mut heads.request.headers, next.len()));
    }
    (seen, next)
}

/// What a hook's outcome means for the way forward.
pub(super) fn finish(
    run: &Run,
    index: usize,
    hook: &'static str,
    outcome: Result<Option<Box<Response<Body>>>, Failure>,
) -> Result<(), Stop> {
    match outcome {
        Ok(None) => Ok(()),
        Ok(Some(answer)) => Err(Stop::Answered(answer)),
        Err(failure) => run.apply_on_error(index, hook, failure).map_err(Stop::Failed),
    }
}

/// An answer of the plugin's own, and what it leaves besides.
fn answered(
    run: &Run,
    index: usize,
    answer: bindings::Response,
    left: Left,
) -> Result<Option<Box<Response<Body>>>, Failure> {
    let answer = edit::response(run.pool(index).plugin(), answer)?;
    run.keep(index, left).map(|()| Some(answer))
}

/// Makes a change, or nothing of it.
pub(super) fn apply(
    run: &Run,
    index: usize,
    change: RequestChange,
    left: Left,
) -> Result<(), Failure> {
    let (has_method, has_target) =
        (change.method.is_some(), change.path.is_some() || change.query.is_some());
    let RequestChange { method, path, query, fields, attributes, context, .. } = change;
    let (fields, attributes) = (fields.checked()?, attributes.checked()?);
    let response_fields = change.response_fields.checked()?;
    edit::check_response_edits(
        run.plugin_states.borrow()[index].response_edits.len(),
        &response_fields,
    )?;
    if let Some(upstream) = &change.upstream {
        check_choice(run, index, upstream)?;
    }
    let target = {
        let heads = run.heads.borrow();
        edit::check_room(&attributes, heads.attributes.len())?;
        edit::check_request(&heads, method, path, query, &fields)?
    };
    let mut kept = keep::bytes_of(&response_fields);
    if run.chain.keeps_request {
        kept += keep::bytes_of(&fields);
    }
    run.count(index, context.as_deref(), &left, &attributes, kept)?;
    run.timeline.changes(|changes| {
        changes.method = has_method;
        changes.target = has_target;
        changes.upstream = change.upstream.is_some();
        changes.fields = Changes::number(fields.len());
        changes.response_fields = Changes::number(response_fields.len());
    });
    fields.iter().for_each(|edit| run.writes(Side::Request, edit.name()));
    run.change(|heads| edit::request(&mut heads.request, target, fields));
    if let Some(upstream) = change.upstream {
        // For `upstream.name`: what is kept for one upstream is not for another.
        run.change(|heads| heads.facts.upstream = Some(upstream.as_str().into()));
        run.upstream.replace(Some(upstream));
    }
    run.put(index, context, left, attributes);
    let link = &mut run.plugin_states.borrow_mut()[index];
    link.keep_edits(response_fields);
    link.request_body = change.request_body.unwrap_or(link.request_body);
    link.response_body = change.response_body.unwrap_or(link.response_body);
    Ok(())
}

/// Whether the plugin may choose this upstream.
pub(super) fn check_choice(run: &Run, index: usize, upstream: &str) -> Result<(), Failure> {
    let granted = run.pool(index).plugin().forward_to();
    if granted.iter().any(|name| name == upstream) {
        return Ok(());
    }
    Err(Failure::breach(format!(
        "it chose the upstream `{upstream}`, which its `forward_to` does not list"
    )))
}
