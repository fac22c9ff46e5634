//! The limits of a route on a request and its body.

use std::rc::Rc;

use super::checks::Checked;
use crate::body::{Body, CollectError, RequestBodyMonitor, collect};
use crate::config::Route;
use crate::error::Failure;
use crate::exchange::Exchange;
use crate::trace::{self, Trace};

/// Puts the limits of the route on the exchange and its body. A body that says that it is too
/// large is refused before a byte of it is read.
///
/// # Errors
/// When it says so.
pub(in crate::proxy) fn admit(
    exchange: &Rc<Exchange>,
    route: &Route,
    checked: &Checked,
    body: &mut Body,
) -> Result<(), Failure> {
    let listener = &exchange.facts().listener.config;
    if let Some(limit) = route.request_timeout.or(listener.timeouts.request) {
        exchange.limit_time(limit);
    }
    if http_body::Body::is_end_stream(body) {
        if let Some(recording) = &exchange.recording {
            recording.write(Trace::body_complete);
        }
        return Ok(());
    }
    let limit = route.body_size.or(listener.limits.body_size);
    if let (Some(limit), Some(length)) = (limit, checked.content_length)
        && length > limit
    {
        return Err(Failure::BodyTooLarge { limit });
    }
    let gives_length = http_body::Body::size_hint(body).exact().is_some();
    body.monitor_request(RequestBodyMonitor::new(exchange.clone(), limit, gives_length));
    Ok(())
}

/// Reads a body that a trace keeps before anything is done with the request: what answers early
/// reads none of it, and it could not be sent again.
pub(in crate::proxy) async fn read_ahead(
    exchange: &Exchange,
    checked: &Checked,
    body: Body,
) -> Result<Body, Failure> {
    let limit = trace::MAX_BODY as u64;
    if checked.content_length.is_none_or(|length| length > limit) {
        return Ok(body);
    }
    match collect(body, limit).await {
        Ok((bytes, trailers)) => Ok(Body::buffered(bytes, trailers)),
        Err(CollectError::TooLarge(body)) => Ok(*body),
        Err(CollectError::Broken) => {
            Err(exchange.take_upload_failure().unwrap_or(Failure::ClientLeft(None)))
        }
    }
}
