//! Copies of requests for another upstream, whose responses nobody gets.
//!
//! Owns what is kept of a request for its copy, and the sending of it. It is sent when the request has its
//! response, and only with a body that is whole by then: so it cannot hold the request up, and what becomes of
//! it can be compared. Owns too how fast long responses to copies are read, so that a flood of them does not take the
//! worker's time from requests. Must not change anything of the request.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::EXPECT;
use http::request::Parts;
use http::{Request, StatusCode};

use super::split::is_drawn;
use crate::body::{Body, Replay};
use crate::config::{HostPolicy, Mirror};
use crate::exchange::Exchange;
use crate::telemetry::traffic::{MirrorTraffic, Mirrored};
use crate::upstream::{Added, Answered, Upstream};

/// Bytes of the response to a copy that are read; the connection of a longer one is closed.
const MOST: usize = 1 << 20;

/// Of each response so much is read as it comes.
const AT_ONCE: usize = 64 << 10;

/// Of what is longer, each worker reads so many bytes a second, of all copies together: some three percent of its time.
const PER_SECOND: u64 = 32 << 20;

/// A request of which a copy may be sent.
pub(super) struct Copy {
    head: Parts,
    body: Option<Replay>,
    host: HostPolicy,
    began: Instant,
}

/// Keeps a request that is about to be sent, if it is to be copied.
pub(super) fn keep(
    exchange: &Exchange,
    mirror: &Mirror,
    request: &mut Request<Body>,
    host: &HostPolicy,
    added: &impl Added,
) -> Option<Box<Copy>> {
    if !is_drawn(mirror.ratio) {
        return None;
    }
    let has_body = !http_body::Body::is_end_stream(request.body());
    let body = has_body.then(|| {
        let body = std::mem::take(request.body_mut());
        let kept = Replay::new(body, mirror.body, &exchange.snapshot.shared.bodies);
        *request.body_mut() = kept.read();
        kept
    });
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    // They are written once, and the copy has them too.
    added.insert(request.headers_mut());
    *copy.headers_mut() = request.headers().clone();
    copy.headers_mut().remove(EXPECT);
    let (head, ()) = copy.into_parts();
    Some(Box::new(Copy { head, body, host: host.clone(), began: Instant::now() }))
}

impl Copy {
    /// Sends it, now that the request has this status, or none.
    pub(super) fn send(
        self,
        exchange: &Exchange,
        mirror: &Mirror,
        counts: &Arc<MirrorTraffic>,
        status: Option<StatusCode>,
    ) {
        let Self { head, body, host, began } = self;
        let body = match &body {
            None => Some(Body::empty()),
            Some(kept) => kept.is_complete().then(|| kept.read()),
        };
        let (Some(body), Some(open)) = (body, counts.begin(mirror.requests)) else {
            return counts.ended(Mirrored::Skipped);
        };
        let upstream = Rc::clone(exchange.snapshot.upstream(mirror.upstream));
        let (counts, timeout) = (Arc::clone(counts), mirror.timeout);
        let took = began.elapsed();
        tokio::task::spawn_local(async move {
            let mut request = Request::from_parts(head, body);
            let deadline = tokio::time::Instant::now() + timeout;
            let asked = ask(&upstream, &mut request, &host);
            let (result, answered) = match tokio::time::timeout_at(deadline, asked).await {
                Ok(Ok((answered, time))) => {
                    if status.is_some() {
                        counts.took(took, time);
                    }
                    let is_same = status == Some(answered.response.status());
                    let result = if is_same { Mirrored::Same } else { Mirrored::Different };
                    (result, Some(answered))
                }
                Ok(Err(failed)) => (failed, None),
                Err(_) => (Mirrored::Timeout, None),
            };
            counts.ended(result);
            if let Some(answered) = answered {
                let _in_time = tokio::time::timeout_at(deadline, drain(answered)).await;
            }
            drop(open);
        });
    }
}

/// Sends a copy. Returns its response, and when that came since it was sent.
async fn ask(
    upstream: &Upstream,
    request: &mut Request<Body>,
    host: &HostPolicy,
) -> Result<(Answered, Duration), Mirrored> {
    let mut place = match upstream.has_places() {
        false => None,
        true => upstream.place().await.map_err(|_| Mirrored::Skipped)?,
    };
    let began = Instant::now();
    let mut answered = upstream.send(request, host).await.map_err(|_| Mirrored::Failed)?;
    if let Some(place) = &mut place {
        place.is_answered(answered.response.status());
    }
    answered.lease.holds(place);
    Ok((answered, began.elapsed()))
}

/// Reads a response to its end, so that its connection can be used again.
async fn drain(answered: Answered) {
    let mut body = pin!(Body::answered(answered.response.into_body()));
    let mut length = 0;
    while length < MOST {
        let frame = poll_fn(|context| http_body::Body::poll_frame(body.as_mut(), context)).await;
        let Some(Ok(frame)) = frame else { break };
        let bytes = frame.data_ref().map_or(0, bytes::Bytes::len);
        length += bytes;
        if length > AT_ONCE {
            tokio::time::sleep_until(turn(bytes, Instant::now()).into()).await;
        }
    }
    drop(answered.lease);
}

/// So many bytes of a long response were read by this worker: when it is time for more.
fn turn(bytes: usize, now: Instant) -> Instant {
    thread_local! {
        static NEXT: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    let time = Duration::from_nanos(bytes as u64 * 1_000_000_000 / PER_SECOND);
    let next = NEXT.get().map_or(now, |next| next.max(now)) + time;
    NEXT.set(Some(next));
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_long_responses_of_a_worker_are_read_at_one_pace() {
        let now = Instant::now();
        let first = turn(16 << 20, now);
        assert_eq!(first - now, Duration::from_millis(500));
        assert_eq!(
            turn(16 << 20, now) - now,
            Duration::from_secs(1),
            "another one waits behind it"
        );
        let later = now + Duration::from_secs(60);
        assert_eq!(turn(32 << 20, later) - later, Duration::from_secs(1), "nothing is saved up");
    }
}
