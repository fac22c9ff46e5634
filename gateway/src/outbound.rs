//! Requests that plugins and components send to upstreams.
//!
//! Owns the sending on a worker: through the upstream's own pool, within the time and the size that
//! the sender may have, and abandoned when the sender does not wait any more. What may be asked for is
//! checked by [`crate::plugin`] and [`crate::component`]. Must not decide anything about an exchange.

use std::collections::HashMap;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, Request, Response};
use tokio::sync::mpsc;

use crate::body::Body;
use crate::component::{self, OutgoingCall};
use crate::config::{self, HostPolicy, UpstreamId};
use crate::memory_quota::{Reservation, Reserved};
use crate::plugin::full_text;
use crate::plugin::outbound::{Call, Caller, Unanswered};
use crate::timer::Timers;
use crate::upstream::{Upstream, UpstreamError, Upstreams};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The upstreams that were granted to anybody.
type Granted = HashMap<UpstreamId, Rc<Upstream>>;

fn granted(upstreams: &Upstreams, ids: impl Iterator<Item = UpstreamId>) -> Granted {
    ids.map(|id| (id, Rc::clone(upstreams.upstream(id)))).collect()
}

/// Sends what comes from components over the channel that it returns, for as long as anybody holds
/// its other end. Both bodies stream.
///
/// # Panics
/// Outside of a running [`tokio::task::LocalSet`].
pub(crate) fn serve_components(
    upstreams: &Upstreams,
    config: &[config::Upstream],
    ids: impl Iterator<Item = UpstreamId>,
    timers: &Timers,
) -> component::Caller {
    let upstreams: HashMap<_, _> = granted(upstreams, ids)
        .into_iter()
        .map(|(id, upstream)| (id, (upstream, config[id.0].timeouts.idle)))
        .collect();
    let timers = timers.clone();
    let (caller, mut calls) = mpsc::unbounded_channel::<OutgoingCall>();
    tokio::task::spawn_local(async move {
        while let Some(call) = calls.recv().await {
            // Only granted ones are asked for; without an answer the guest gets an error.
            if let Some((upstream, idle)) = upstreams.get(&call.upstream) {
                let idle = call.idle.map_or(*idle, |wanted| wanted.min(*idle));
                tokio::task::spawn_local(stream(Rc::clone(upstream), call, timers.clone(), idle));
            }
        }
    });
    caller
}

/// Answers a call of a component; `idle` bounds the time between two bytes of the response.
async fn stream(upstream: Rc<Upstream>, call: OutgoingCall, timers: Timers, idle: Duration) {
    let OutgoingCall { mut request, first_byte, mut answer, .. } = call;
    let sent = async {
        let exchange = upstream.send(&mut request, &HostPolicy::Target).await?;
        let (mut head, mut body) = exchange.response.map(Body::answered).into_parts();
        remove_hop_by_hop(&mut head.headers);
        body.monitor_upstream(exchange.lease, &timers, idle);
        Ok(Response::from_parts(head, body))
    };
    let bounded = async {
        let Some(bound) = first_byte else { return sent.await };
        tokio::time::timeout(bound, sent)
            .await
            .unwrap_or(Err(component::Unanswered::Timeout(bound)))
    };
    let answered = tokio::select! {
        answered = bounded => answered,
        // The guest has ended, or has dropped what it would have waited for.
        () = answer.closed() => return,
    };
    let _nobody_waits = answer.send(answered);
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in [CONNECTION, KEEP_ALIVE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

/// Sends what comes from plugins over the channel that it returns, for as long as anybody holds its
/// other end.
///
/// # Panics
/// Outside of a running [`tokio::task::LocalSet`].
pub(crate) fn serve(upstreams: &Upstreams, ids: impl Iterator<Item = UpstreamId>) -> Caller {
    let upstreams = granted(upstreams, ids);
    let (caller, mut calls) = mpsc::unbounded_channel::<Call>();
    tokio::task::spawn_local(async move {
        while let Some(call) = calls.recv().await {
            // Only granted ones are asked for; without an answer the plugin gets an error.
            if let Some(upstream) = upstreams.get(&call.upstream) {
                tokio::task::spawn_local(answer(Rc::clone(upstream), call));
            }
        }
    });
    caller
}

async fn answer(upstream: Rc<Upstream>, call: Call) {
    let Call { upstream: _, request, timeout, limit, reservation, mut answer } = call;
    let answered = tokio::select! {
        answered = tokio::time::timeout(timeout, send(&upstream, request, limit, reservation)) => {
            answered.unwrap_or(Err(Unanswered::Timeout(timeout)))
        }
        // The client left, or the plugin was abandoned.
        () = answer.closed() => return,
    };
    let _nobody_waits = answer.send(answered);
}

async fn send(
    upstream: &Upstream,
    request: Request<Bytes>,
    limit: usize,
    reservation: Reservation,
) -> Result<Response<Bytes>, Unanswered> {
    let names_host = request.headers().contains_key(HOST);
    let host = if names_host { HostPolicy::Preserve } else { HostPolicy::Target };
    let mut request = request.map(Body::full);
    let exchange = upstream.send(&mut request, &host).await.map_err(unanswered)?;
    let (mut head, body) = exchange.response.into_parts();
    remove_hop_by_hop(&mut head.headers);
    let body = whole(body, limit, reservation).await?;
    // The connection has served this one.
    drop(exchange.lease);
    Ok(Response::from_parts(head, body))
}

/// A body as one piece. One that is too long is abandoned as soon as that is known.
async fn whole<B>(body: B, limit: usize, mut reservation: Reservation) -> Result<Bytes, Unanswered>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(Unanswered::TooLarge(limit));
    }
    let mut body = pin!(body);
    let mut whole = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await
    {
        let frame = frame.map_err(|error| {
            Unanswered::Protocol(format!("the body of the response broke off: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(Unanswered::TooLarge(limit));
        }
        let (length, capacity) = (whole.len() + data.len(), whole.capacity());
        if length > capacity {
            let room = length.max((capacity + capacity / 2).min(limit));
            reservation.grow(room).map_err(|full| Unanswered::NoRoom(full_text(full)))?;
            whole.reserve_exact(room - whole.len());
        }
        whole.extend_from_slice(&data);
    }
    Ok(Reserved::bytes(whole, reservation))
}

fn unanswered(error: UpstreamError) -> Unanswered {
    match &error {
        UpstreamError::Connect { .. } => Unanswered::Connect(error.to_string()),
        _ => Unanswered::Protocol(error.to_string()),
    }
}
