//! The limits of a route on a request and its body.

use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};

use super::checks::Checked;
use crate::body::{Body, CollectError, RequestBodyMonitor, collect};
use crate::config::Route;
use crate::error::Failure;
use crate::exchange::Exchange;
use crate::trace::{self, Trace};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Puts the limits of the route on the exchange and its body. A body that says that it is too
/// large is refused before a byte of it is read.
///
/// # Errors
/// When it says so.
pub(in crate::proxy) fn admit(
    exchange: &Rc<Exchange>,
    route: &Route,
    (checked, headers): (&Checked, &HeaderMap),
    body: &mut Body,
) -> Result<(), Failure> {
    let listener = &exchange.facts().listener.config;
    let limit = route.request_timeout.or(listener.timeouts.request);
    let deadline = exchange.caller().is_grpc().then(|| deadline(headers)).flatten();
    match (limit, deadline) {
        (Some(limit), Some(deadline)) if limit <= deadline => exchange.limit_time(limit),
        (_, Some(deadline)) => exchange.has_deadline(deadline),
        (Some(limit), None) => exchange.limit_time(limit),
        (None, None) => {}
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

/// How long a client of gRPC waits ("gRPC over HTTP2": `Timeout`), if it says so as the protocol has it.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_deadline_of_a_call() {
        let of = |text: &'static str| {
            let value = http::HeaderValue::from_static(text);
            deadline(&HeaderMap::from_iter([(GRPC_TIMEOUT, value)]))
        };
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("250m", Some(Duration::from_millis(250))),
            ("5u", Some(Duration::from_micros(5))),
            ("0n", Some(Duration::ZERO)),
            ("", None),
            ("m", None),
            ("10", None),
            ("+1S", None),
            ("123456789S", None),
            ("1s", None),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        assert_eq!(deadline(&HeaderMap::new()), None);
    }
}
