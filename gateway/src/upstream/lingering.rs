//! Responses over HTTP/2 that are whole and have not ended.
//!
//! Owns that they may end without a reset: a length says where a body ends, and many servers say so again in
//! a separate frame. A client over HTTP/1.1 has all it needs at that length; dropped there, the stream
//! would be reset, which servers count against the connection. One list for a worker's thread.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use http_body::Body as _;

use super::http2::Http2Body;

/// How long the end may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Bodies that are waited for, at most.
const MOST: usize = 1000;

thread_local! {
    static BODIES: RefCell<Vec<(Http2Body, Instant)>> = const { RefCell::new(Vec::new()) };
}

/// Lets it end.
pub(crate) fn keep(body: Http2Body) {
    let now = Instant::now();
    // Where the thread ends, so does the connection.
    let _kept = BODIES.try_with(|bodies| {
        let mut bodies = bodies.borrow_mut();
        if bodies.len() >= MOST {
            bodies.retain(|(body, since)| is_waited_for(body, *since, now));
        }
        if bodies.len() < MOST {
            bodies.push((body, now));
        }
    });
}

/// Forgets those that ended or take too long.
pub(super) fn sweep(now: Instant) {
    BODIES.with_borrow_mut(|bodies| {
        bodies.retain(|(body, since)| is_waited_for(body, *since, now));
    });
}

fn is_waited_for(body: &Http2Body, since: Instant, now: Instant) -> bool {
    !body.is_end_stream() && now.saturating_duration_since(since) < TIMEOUT
}
