//! A request body that is read whole before the request is sent, so that its length can be said.
//!
//! Owns the bounds on its size and its time, and that its memory is counted. Its trailers are let go: behind a length
//! HTTP/1.1 has no place for them. Must not send.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRAILER};
use http::{HeaderMap, HeaderValue};
use http_body::Body as _;

use crate::body::{Body, BodyError};
use crate::chain::Pieces;
use crate::config::UpstreamId;
use crate::error::Failure;
use crate::exchange::Exchange;
use crate::memory_quota::{QuotaExceeded, Reservation};

/// Whether the upstream gets no length of this body unless it is read first.
pub(super) fn is_needed(body: &Body) -> bool {
    !body.is_end_stream() && body.size_hint().exact().is_none()
}

/// Reads it, and gives its length to the head.
///
/// # Errors
/// When it is longer than `limit`, there is no room for it, it is not whole in `time`, or it breaks off.
pub(super) async fn read(
    exchange: &Exchange,
    id: UpstreamId,
    headers: &mut HeaderMap,
    body: Body,
    limit: u64,
    time: Duration,
) -> Result<Body, Failure> {
    // What waits for the whole of it is no stream that may be silent, and its bytes keep others from their room.
    let whole = tokio::time::timeout(time, collect(exchange, id, body, limit)).await;
    let whole = whole.unwrap_or(Err(Failure::UploadTooLong { limit: time }))?;
    headers.remove(TRAILER);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    Ok(Body::full(whole))
}

async fn collect(
    exchange: &Exchange,
    id: UpstreamId,
    mut body: Body,
    limit: u64,
) -> Result<Bytes, Failure> {
    let room = &exchange.snapshot.shared.bodies;
    // What all bodies have together is too little for a longer one, also when there is no other.
    let limit = limit.min(room.limit() as u64);
    // Its memory never grows beyond what it may need.
    let mut pieces = Pieces::new(Reservation::of_process(room), Some(limit));
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| broken(exchange, error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if (pieces.length() + data.len()) as u64 > limit {
            return Err(Failure::LengthRequired { limit });
        }
        let is_last = body.is_end_stream();
        pieces.push(data, is_last).map_err(|full| {
            let (QuotaExceeded::Plugin(bound) | QuotaExceeded::Process(bound)) = full;
            Failure::NoRoomToSend {
                upstream: Arc::clone(exchange.snapshot.upstream_name(id)),
                bound,
            }
        })?;
    }
    Ok(pieces.join())
}

fn broken(exchange: &Exchange, error: BodyError) -> Failure {
    match error {
        BodyError::Plugin(plugin) => super::cut_off_by(&plugin),
        _ => exchange.take_upload_failure().unwrap_or(Failure::ClientLeft(None)),
    }
}
