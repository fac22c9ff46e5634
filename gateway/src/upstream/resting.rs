//! Connections whose last response had no body by its kind: to `HEAD`, a 204 or a 304.
//!
//! Owns for how long they serve nothing. Some servers send a body all the same (RFC 9112 section 6.3 has none), and it would
//! be the beginning of the next response. Judges no connection and closes none.

use std::time::{Duration, Instant};

use super::pool::Idle;

/// How long one rests where many do. Most of such bodies come within a few milliseconds.
const REST: Duration = Duration::from_millis(100);

/// How long where few rest, which costs few more connections, or behind a head that may promise a body.
const LONG_REST: Duration = Duration::from_secs(1);

/// So many are few.
const FEW: usize = 4;

/// So many of those whose head promises a body do not serve, however long ago that was: such a body may come at any time,
/// and where such responses are rare, one that rests costs nothing.
const PROMISED: usize = 16;

/// Connections that rest, at most.
const MOST: usize = 1024;

/// See the module.
pub(super) struct Resting {
    /// By `since`, the youngest last.
    pub(super) all: Vec<Idle>,
    kind: Kind,
}

/// What the heads of their last responses say.
#[derive(Clone, Copy)]
enum Kind {
    Empty,
    /// They give a body a length, or could. So many, the youngest, do not serve.
    Promised(usize),
}

impl Resting {
    /// Those whose heads promise no body, and those whose heads do. So many connections may be idle.
    pub(super) fn lists(capacity: usize) -> [Self; 2] {
        let kinds = [Kind::Empty, Kind::Promised(PROMISED.min(capacity))];
        kinds.map(|kind| Self { all: Vec::new(), kind })
    }

    /// Whether there is room for one more.
    pub(super) fn has_room(&self) -> bool {
        self.all.len() < MOST
    }

    /// How many, from the front, have rested for long enough.
    pub(super) fn rested(&self, now: Instant) -> usize {
        let (rest, kept) = match self.kind {
            Kind::Promised(kept) => (LONG_REST, kept),
            Kind::Empty if self.all.len() > FEW => (REST, 0),
            Kind::Empty => (LONG_REST, 0),
        };
        let is_over = |idle: &Idle| now.saturating_duration_since(idle.since) >= rest;
        self.all.partition_point(is_over).min(self.all.len().saturating_sub(kept))
    }
}
