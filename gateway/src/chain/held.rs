//! A response that a plugin holds back until its body has begun well.
//!
//! Owns how much of the body is kept, for how long, and what the decisions of the plugin mean. What is kept
//! has been through the chunk hook already, and goes on in one piece. Must not know what is in a body.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use http::Response;
use http_body::Body as _;

use super::attempts::{self, Again};
use super::buffer::Pieces;
use super::filter::{Filter, Side};
use super::response::Stop;
use super::{Run, edit};
use crate::body::Body;
use crate::plugin::bindings::HeadChange;
use crate::plugin::{Asked, Failure, Hold, OfHeld};

/// Where the chunk hook of the plugin leaves what it decides.
#[derive(Default)]
pub(super) struct Decisions {
    pub(super) last: Option<Decided>,
}

/// What a plugin decides of a response that it holds back.
pub(super) enum Decided {
    /// It is let go.
    LetGo,
    /// The request is sent again.
    Again(Box<Again>),
    /// Another is in its place.
    Answered(Box<Response<Body>>),
    /// The plugin failed, or cut the body off.
    Failed,
}

/// Reads the body through the chunk hook until the response may be passed on; what is passed on then.
pub(super) async fn hold(
    run: &Rc<Run>,
    index: usize,
    body: Body,
    bounds: Hold,
) -> Result<Body, Stop> {
    let plugin = run.pool(index).plugin();
    run.change(|heads| heads.facts.held_by = Some(plugin.name.clone()));
    let decisions = Some(Box::default());
    let mut filter = Filter::new(run, index, Side::Response, body, decisions);
    filter.calls_broken = bounds.calls_broken;
    let held = Held { filter, pieces: Pieces::new(plugin.reservation(), None) };
    let read = held.read(run, index, bounds).await;
    run.change(|heads| heads.facts.held_by = None);
    read
}

/// A response while it is held back.
struct Held {
    filter: Filter,
    pieces: Pieces,
}

impl Held {
    async fn read(mut self, run: &Run, index: usize, bounds: Hold) -> Result<Body, Stop> {
        let mut late = pin!(tokio::time::sleep(bounds.time));
        let (mut calls_late, mut is_late) = (bounds.calls_late, false);
        loop {
            let filter = &mut self.filter;
            let polled = poll_fn(|context| {
                // A hook that has begun is waited for: it has a deadline of its own.
                if !is_late && !filter.is_in_hook() && late.as_mut().poll(context).is_ready() {
                    if !std::mem::take(&mut calls_late) {
                        return Poll::Ready(None);
                    }
                    // What it decides then is the last that it can.
                    filter.call_late();
                    is_late = true;
                }
                Pin::new(&mut *filter).poll_frame(context).map(Some)
            });
            let frame = match polled.await {
                None => return Ok(self.let_go()),
                Some(None) => return Ok(Body::full(self.pieces.join())),
                Some(Some(Ok(frame))) => frame,
                Some(Some(Err(error))) => {
                    return Err(match self.filter.decided() {
                        Some(Decided::Failed) => Stop::Broken(error),
                        _ => Stop::Lost(error),
                    });
                }
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(frame) => {
                    let trailers = frame.into_trailers().ok();
                    return Ok(Body::buffered(self.pieces.join(), trailers));
                }
            };
            let decided = self.filter.decided();
            match decided {
                Some(Decided::Again(again)) => return Err(Stop::Again(again)),
                Some(Decided::Answered(answer)) => return Err(Stop::Replaced(answer)),
                _ => {}
            }
            let is_last = self.filter.is_end_stream();
            if !data.is_empty() && self.pieces.push(data.clone(), is_last).is_err() {
                no_room(run, index);
                self.filter.let_go();
                let rest = Body::resumed(data, self.filter.into_body());
                return Ok(Body::resumed(self.pieces.join(), rest));
            }
            if decided.is_some() || is_late || self.pieces.length() >= bounds.bytes {
                return Ok(self.let_go());
            }
        }
    }

    /// What was kept, and what is to come.
    fn let_go(self) -> Body {
        self.filter.let_go();
        let kept = self.pieces.join();
        match self.filter.is_end_stream() {
            true => Body::full(kept),
            false => Body::resumed(kept, self.filter.into_body()),
        }
    }
}

/// What a call of the chunk hook decides. Changes of the head are made at once.
pub(super) fn decide(
    run: &Run,
    index: usize,
    of_held: OfHeld,
    asked: Box<Asked>,
) -> Result<Option<Decided>, Failure> {
    let OfHeld { release, change, answer, hold: _, calls_late: _, calls_broken: _ } = of_held;
    if let Some(change) = change {
        change_head(run, change)?;
    }
    if let Some(answer) = answer {
        let answer = edit::response(run.pool(index).plugin(), answer)?;
        return Ok(Some(Decided::Answered(answer)));
    }
    if let Some(again) = attempts::asked(run, index, Some(asked))? {
        return Ok(Some(Decided::Again(again)));
    }
    Ok(release.then_some(Decided::LetGo))
}

fn change_head(run: &Run, HeadChange { status, remove, set }: HeadChange) -> Result<(), Failure> {
    let status = status.map(edit::status).transpose()?;
    let edits = attempts::edits(remove, set)?;
    edits.iter().for_each(|edit| run.writes(Side::Response, edit.name()));
    run.notes_fields(edits.len());
    run.timeline.changes(|changes| changes.status = status.is_some());
    run.change_response(|head| {
        edit::fields(&mut head.headers, edits)?;
        head.status = status.unwrap_or(head.status);
        Ok(())
    })
    .unwrap_or(Ok(()))
}

#[cold]
fn no_room(run: &Run, index: usize) {
    let plugin = run.pool(index).plugin();
    let why = "there is no room to hold a response back, which is passed on before the plugin has decided";
    if let Some(why) = plugin.record("on-response-chunk", &why) {
        let heads = run.heads();
        let (plugin, request_id) = (&*plugin.name, heads.facts.request_id());
        tracing::warn!(plugin, request_id, fault = "plugin", "{why}");
    }
}
