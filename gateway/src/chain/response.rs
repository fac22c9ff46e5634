//! The way back: each plugin that saw the request sees the head of the response, last to first,
//! then its body if it asked for it.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Response};
use http_body::Body as _;
use hyper::ext::ReasonPhrase;

use super::attempts::{self, Again};
use super::buffer::{self, BufferError};
use super::filter::{self, Side};
use super::held;
use super::keep::{self, Left, split};
use super::record::returned;
use super::request::NoRoom;
use super::view::Joined;
use super::{PluginFailed, Run, cache, edit};
use crate::body::{Body, BodyError};
use crate::heads;
use crate::plugin::bindings::{
    self, BodyMode, ResponseBodyOutcome, ResponseChange, ResponseHead, ResponseOutcome,
};
use crate::plugin::edits::Edit;
use crate::plugin::instance::{Called, OnResponse, OnResponseBody};
use crate::plugin::{Failure, Hold, Pool, values};
use crate::recorder::{Hook, How};
use crate::share::Flow;

/// Why a response is not passed on.
pub(super) enum Stop {
    /// A plugin answered with another.
    Replaced(Box<Response<Body>>),
    /// A plugin failed, and its `on_error` is `closed`.
    Failed(PluginFailed),
    /// The upstream broke off while a plugin waited for the whole body.
    Broken(BodyError),
    /// The upstream broke off while the plugin held the response back, or waited for the whole of it and may have the request
    /// sent again: nothing was passed on.
    Lost(BodyError),
    /// There is no room for the whole body that a plugin asked for.
    NoRoom(NoRoom),
    /// The whole body that a plugin asked for is longer than it takes, and its `on_error` is `closed`.
    TooLarge { plugin: Arc<str>, limit: u64 },
    /// A plugin wants the request sent again.
    Again(Box<Again>),
}

/// Runs the plugins over a response, last to first, from the last one that saw the request on.
/// `fail` makes the answer when a plugin fails or the body breaks off; the plugins before still
/// see it. Returns what a plugin wants sent in place of the response, which is then gone.
pub(crate) async fn on_response(
    run: &Rc<Run>,
    response: &mut Response<Body>,
    fail: impl Fn(ResponseFailed) -> Response<Body>,
) -> Option<Box<Again>> {
    let all = run.respondents.get();
    let lowest = run.lowest.get();
    while let Some(index) = run.respondents.get().checked_sub(1).filter(|it| *it >= lowest) {
        run.respondents.set(index);
        if run.is_left_out(index) {
            continue;
        }
        if let Err(failed) = write_known(run, index, response) {
            run.keeps_nothing_alive();
            *response = fail(ResponseFailed::Plugin(failed));
            continue;
        }
        let interest = &run.pool(index).plugin().interest;
        if !interest.response && run.response_body(index) == BodyMode::None {
            if run.chain.uses_cache {
                run.settle_cache(index);
            }
            continue;
        }
        // Boxed, so that exchanges without hooks for responses do not carry its state around.
        let stepped = Box::pin(step(run, index, std::mem::take(response))).await;
        if stepped.is_err() {
            run.keeps_nothing_alive();
        }
        *response = match stepped {
            Ok(response) => response,
            Err(Stop::Replaced(response)) => *response,
            Err(Stop::Failed(failed)) => fail(ResponseFailed::Plugin(failed)),
            Err(Stop::Broken(error)) => fail(ResponseFailed::Upstream(error)),
            Err(Stop::NoRoom(no_room)) => fail(ResponseFailed::NoRoom(no_room)),
            Err(Stop::TooLarge { plugin, limit }) => {
                fail(ResponseFailed::TooLarge { plugin, limit })
            }
            Err(Stop::Lost(error)) => {
                run.respondents.set(index + 1);
                fail(ResponseFailed::Upstream(error))
            }
            Err(Stop::Again(again)) => {
                run.respondents.set(all);
                run.change(|heads| heads.response = None);
                return Some(again);
            }
        };
        if run.chain.uses_cache {
            run.settle_cache(index);
        }
    }
    if run.chain.may_attempt {
        run.forget_received();
    }
    None
}

/// Writes the fields that the plugin wants in every response, and those that its request hooks
/// wanted in this one.
fn write_known(run: &Run, index: usize, response: &mut Response<Body>) -> Result<(), PluginFailed> {
    let (_, every) = run.pool(index).every();
    write(run, index, "every-response", every.iter().cloned(), response)?;
    // Another attempt may bring another response, and so may one that breaks off before it is let go.
    let stays = run.chain.may_attempt || run.pool(index).plugin().may_hold;
    let noted = {
        let known = &mut run.plugin_states.borrow_mut()[index].response_edits;
        if stays { known.clone() } else { std::mem::take(known) }
    };
    if !noted.is_empty() && !stays {
        run.fields_written(index, keep::bytes_of(&noted));
    }
    write(run, index, "on-response", noted, response)
}

fn write(
    run: &Run,
    index: usize,
    hook: &'static str,
    edits: impl IntoIterator<Item = Edit, IntoIter: ExactSizeIterator>,
    response: &mut Response<Body>,
) -> Result<(), PluginFailed> {
    let edits = edits.into_iter().inspect(|edit| run.writes(Side::Response, edit.name()));
    if edits.len() == 0 {
        return Ok(());
    }
    let count = edits.len();
    let before = run.fields_before(response.headers());
    let written = edit::fields(response.headers_mut(), edits);
    if let Some(before) = before {
        run.note_written(index, hook, &before, response.headers());
    }
    // Those of a request hook are noted with it.
    if hook == "every-response" || written.is_err() {
        run.notes_fields(count);
        let noted = written.as_ref().copied();
        run.span_without(index, Hook::EveryResponse, How::Known, noted);
    }
    written.or_else(|failure| run.apply_on_error(index, "on-response", failure))
}

/// Why a response could not be passed on.
pub(crate) enum ResponseFailed {
    /// A plugin failed.
    Plugin(PluginFailed),
    /// The upstream did.
    Upstream(BodyError),
    /// There is no room for the body that a plugin asked for.
    NoRoom(NoRoom),
    /// The body is longer than the plugin takes.
    TooLarge { plugin: Arc<str>, limit: u64 },
}

async fn step(
    run: &Rc<Run>,
    index: usize,
    response: Response<Body>,
) -> Result<Response<Body>, Stop> {
    let (parts, mut body) = response.into_parts();
    let head = heads::ResponseHead { status: parts.status, headers: parts.headers };
    run.change(|heads| {
        heads.response = Some(head);
        if run.chain.may_attempt {
            heads.received = run.plugin_states.borrow()[index].received.clone();
        }
    });
    if run.chain.uses_cache {
        run.forget_fill(index);
    }
    let mut hold = None;
    if run.pool(index).plugin().interest.response {
        hold = see_head(run, index).await?;
    }
    if run.response_body(index) != BodyMode::None || hold.is_some() {
        // Boxed, as for the request.
        body = Box::pin(see_body(run, index, body, hold)).await?;
    }
    if run.chain.uses_cache {
        body = cache::store(run, index, body);
    }
    let mut response = Response::new(body);
    // What hyper keeps with a response, such as an upgrade, goes on with it.
    *response.extensions_mut() = parts.extensions;
    run.change(|heads| {
        if let Some(head) = heads.response.take() {
            if head.status != parts.status {
                // Its words are those of the other status.
                response.extensions_mut().remove::<ReasonPhrase>();
            }
            *response.status_mut() = head.status;
            *response.headers_mut() = head.headers;
        }
    });
    Ok(response)
}

/// Whether the plugin holds the response back.
async fn see_head(run: &Run, index: usize) -> Result<Option<Hold>, Stop> {
    let pool = run.pool(index);
    let context = run.context(index);
    let mut watched = run.watch(index, "on-response");
    let heads = run.heads_of(index);
    let Some(response) = &heads.response else { return Ok(None) };
    let flow = run.flow(index);
    let called = match pool.ready(flow) {
        Some(ready) => {
            let names = &pool.plugin().interest.response_fields;
            let joined = Joined::of(&response.headers, names);
            let fields = joined.values(&response.headers, names);
            let head =
                ResponseHead { status: response.status.as_u16(), fields: values::Values(&fields) };
            ready.call::<OnResponse>(heads.clone(), (head.into(), (&*context).into()))
        }
        // Boxed, as for the request.
        None => {
            run.timeline.waits_in(index, Hook::OnResponse);
            Box::pin(see_head_later(pool, flow, &heads, response, &context)).await
        }
    };
    returned(&mut watched);
    drop(heads);
    let (mut again, mut hold, mut cached, mut settled) = (None, None, None, None);
    let mut keep_alive = None;
    let outcome = called.and_then(|called| {
        let ((outcome,), mut left) = split(called);
        let mut asked = left.slots.take();
        settled = asked.as_mut().and_then(|asked| asked.settled());
        cached = asked.as_mut().and_then(|asked| asked.cache.take());
        keep_alive = asked.as_mut().and_then(|asked| asked.keep_alive.take());
        hold = asked.as_ref().and_then(|asked| asked.response.as_ref()?.hold());
        if !matches!(outcome, ResponseOutcome::Respond(_)) {
            again = attempts::asked(run, index, asked)?;
        }
        match outcome {
            ResponseOutcome::Next => run.keep(index, left).map(|()| None),
            ResponseOutcome::Change(change) => apply(run, index, change, left).map(|()| None),
            ResponseOutcome::Respond(answer) => replaced(run, index, answer, left),
        }
    });
    run.span(index, Hook::OnResponse, &outcome);
    run.note(index, watched, &outcome);
    let (again, hold) = if outcome.is_ok() { (again, hold) } else { (None, None) };
    let cached = cached.filter(|_| outcome.is_ok() && again.is_none());
    let settled = settled.filter(|_| outcome.is_ok());
    let keep_alive = keep_alive.filter(|_| outcome.is_ok());
    finish(run, index, "on-response", outcome)?;
    run.settle(index, settled);
    if let Some(keep_alive) = keep_alive {
        run.keeps_alive(keep_alive);
    }
    if let Some(cached) = cached {
        finish(run, index, "on-response", cache::of_response(run, index, cached))?;
    }
    again.map_or(Ok(hold), |again| Err(Stop::Again(again)))
}

async fn see_head_later(
    pool: &Pool,
    flow: &Rc<Flow>,
    heads: &Arc<heads::ExchangeView>,
    response: &heads::ResponseHead,
    context: &[u8],
) -> Result<Called<(ResponseOutcome,)>, Failure> {
    let names = &pool.plugin().interest.response_fields;
    let joined = Joined::of(&response.headers, names);
    let fields = joined.values(&response.headers, names);
    let head = ResponseHead { status: response.status.as_u16(), fields: values::Values(&fields) };
    pool.call::<OnResponse>(flow, heads.clone(), (head.into(), context.into())).await
}

async fn see_body(
    run: &Rc<Run>,
    index: usize,
    body: Body,
    hold: Option<Hold>,
) -> Result<Body, Stop> {
    let mode = if hold.is_some() { BodyMode::Chunks } else { run.response_body(index) };
    match mode {
        BodyMode::None => Ok(body),
        _ if is_head(run) => {
            // They would be those of a body that no plugin has changed.
            run.change_response(|head| {
                head.headers.remove(CONTENT_LENGTH);
                run.body_changes(Side::Response, &mut head.headers);
            });
            Ok(body)
        }
        _ if body.is_end_stream() => Ok(body),
        BodyMode::Chunks => {
            run.change_response(|head| {
                head.headers.remove(CONTENT_LENGTH);
                run.body_changes(Side::Response, &mut head.headers);
            });
            match hold {
                Some(hold) => Box::pin(held::hold(run, index, body, hold)).await,
                None => Ok(filter::wrap(run, index, Side::Response, body)),
            }
        }
        BodyMode::Buffered(wanted) => see_buffered(run, index, body, wanted).await,
    }
}

async fn see_buffered(run: &Run, index: usize, body: Body, wanted: u64) -> Result<Body, Stop> {
    let plugin = run.pool(index).plugin();
    let name = || plugin.name.clone();
    match buffer::read_all(plugin, body, wanted).await {
        Ok((bytes, trailers)) => see_whole_body(run, index, bytes, trailers).await,
        // The plugin has it answered from elsewhere, perhaps: nothing was passed on.
        Err(BufferError::Broken(error)) if run.pool(index).plugin().may_attempt => {
            Err(Stop::Lost(error))
        }
        Err(BufferError::Broken(error)) => Err(Stop::Broken(error)),
        Err(BufferError::Late(time)) => Err(Stop::Broken(BodyError::Late(name(), time))),
        Err(BufferError::Full(full)) => Err(Stop::NoRoom(NoRoom { plugin: name(), full })),
        Err(BufferError::TooLarge(limit, rest)) => {
            let whose = match limit < wanted {
                true => "bytes that an instance of it may have (`limits.memory`)",
                false => "bytes",
            };
            let failure =
                Failure::breach(format!("the response body is larger than its {limit} {whose}"));
            let judged = run.apply_on_error(index, "on-response-body", failure);
            // What the plugin takes is no fault of its own; what its memory allows is one of the configuration.
            judged.map(|()| *rest).map_err(|failed| match limit < wanted {
                true => Stop::Failed(failed),
                false => Stop::TooLarge { plugin: name(), limit },
            })
        }
    }
}

async fn see_whole_body(
    run: &Run,
    index: usize,
    bytes: Bytes,
    trailers: Option<HeaderMap>,
) -> Result<Body, Stop> {
    let context = run.context(index);
    let mut watched = run.watch(index, "on-response-body");
    let (pool, flow) = (run.pool(index), run.flow(index));
    if pool.may_wait(flow) {
        run.timeline.waits_in(index, Hook::OnResponseBody);
    }
    let called = pool.call::<OnResponseBody>(flow, run.heads_of(index), (&bytes, &context)).await;
    returned(&mut watched);
    let (before, mut next) = (bytes.len(), bytes);
    let mut is_new = false;
    let (mut again, mut cached, mut settled) = (None, None, None);
    let outcome = called.and_then(|called| {
        let ((outcome,), mut left) = split(called);
        let mut asked = left.slots.take();
        settled = asked.as_mut().and_then(|asked| asked.settled());
        cached = asked.as_mut().and_then(|asked| asked.cache.take());
        if !matches!(outcome, ResponseBodyOutcome::Respond(_)) {
            again = attempts::asked(run, index, asked)?;
        }
        match outcome {
            ResponseBodyOutcome::Next => run.keep(index, left).map(|()| None),
            ResponseBodyOutcome::Change(change) => {
                let plugin = run.pool(index).plugin();
                let new = change.body.map(|body| plugin.counted(body)).transpose()?;
                if new.is_some() {
                    // Before its edits, which may bring new ones.
                    let side = Side::Response;
                    run.change_response(|head| run.body_changes(side, &mut head.headers));
                }
                apply(run, index, change.head, left)?;
                if let Some(new) = new {
                    next = new;
                    is_new = true;
                    run.timeline.changes(|changes| changes.body = true);
                }
                Ok(None)
            }
            ResponseBodyOutcome::Respond(answer) => replaced(run, index, answer, left),
        }
    });
    let body = is_new.then_some((before, next.len()));
    run.span(index, Hook::OnResponseBody, &outcome);
    run.note_body(index, watched, body, &outcome);
    let again = again.filter(|_| outcome.is_ok());
    let cached = cached.filter(|_| outcome.is_ok() && again.is_none());
    let settled = settled.filter(|_| outcome.is_ok());
    finish(run, index, "on-response-body", outcome)?;
    run.settle(index, settled);
    if let Some(cached) = cached {
        finish(run, index, "on-response-body", cache::of_response(run, index, cached))?;
    }
    if let Some(again) = again {
        return Err(Stop::Again(again));
    }
    if trailers.is_none() {
        run.change_response(|head| edit::set_length(&mut head.headers, next.len()));
    }
    Ok(Body::buffered(next, trailers))
}

fn finish(
    run: &Run,
    index: usize,
    hook: &'static str,
    outcome: Result<Option<Box<Response<Body>>>, Failure>,
) -> Result<(), Stop> {
    match outcome {
        Ok(None) => Ok(()),
        Ok(Some(answer)) => Err(Stop::Replaced(answer)),
        Err(failure) => run.apply_on_error(index, hook, failure).map_err(Stop::Failed),
    }
}

/// An answer instead of the response, and what the plugin leaves besides.
fn replaced(
    run: &Run,
    index: usize,
    answer: bindings::Response,
    left: Left,
) -> Result<Option<Box<Response<Body>>>, Failure> {
    let answer = edit::response(run.pool(index).plugin(), answer)?;
    run.keep(index, left).map(|()| Some(answer))
}

fn apply(run: &Run, index: usize, change: ResponseChange, left: Left) -> Result<(), Failure> {
    let status = change.status.map(edit::status).transpose()?;
    let fields = change.fields.checked()?;
    let lines = run.heads.borrow().response.as_ref().map_or(0, |head| head.headers.len());
    edit::check_response_edits(lines, &fields)?;
    run.count(index, change.context.as_deref(), &left, &[], 0)?;
    run.notes_fields(fields.len());
    run.timeline.changes(|changes| changes.status = status.is_some());
    fields.iter().for_each(|edit| run.writes(Side::Response, edit.name()));
    run.change_response(|head| {
        edit::fields(&mut head.headers, fields)?;
        head.status = status.unwrap_or(head.status);
        Ok(())
    })
    .unwrap_or(Ok(()))?;
    run.put(index, change.context, left, Vec::new());
    let link = &mut run.plugin_states.borrow_mut()[index];
    link.response_body = change.response_body.unwrap_or(link.response_body);
    Ok(())
}

/// The answer to `HEAD` has no body, no matter what its fields say (RFC 9110 section 9.3.2).
fn is_head(run: &Run) -> bool {
    run.heads.borrow().request.method == Method::HEAD
}

impl Run {
    pub(super) fn change_response<T>(
        &self,
        edit: impl FnOnce(&mut heads::ResponseHead) -> T,
    ) -> Option<T> {
        self.change(|heads| heads.response.as_mut().map(edit))
    }
}
