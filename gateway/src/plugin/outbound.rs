//! Requests of plugins to upstreams, on their way out of this room.
//!
//! Owns what a plugin may ask for and the possible answers; who sends it is not known here. A hook
//! waits for its answer on a stack that must be free to move between threads, and
//! connections are not: so a request goes over a channel to a task of the worker.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::{mpsc, oneshot};

use crate::config::UpstreamId;
use crate::memory_quota::Reservation;

/// Where a worker takes the requests of its plugins.
pub(crate) type Caller = mpsc::UnboundedSender<Call>;

/// A request of a plugin, checked.
#[derive(Debug)]
pub(crate) struct Call {
    /// To which upstream.
    pub(crate) upstream: UpstreamId,
    /// With its path and query as the target, and with `host` only if the plugin wrote it.
    pub(crate) request: Request<Bytes>,
    /// How long all of it may take.
    pub(crate) timeout: Duration,
    /// Bytes that the body of the response may have.
    pub(crate) limit: usize,
    /// What that body counts.
    pub(crate) reservation: Reservation,
    /// Where the answer goes. Dropped by a hook that does not wait any more.
    pub(crate) answer: oneshot::Sender<Result<Response<Bytes>, Unanswered>>,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// No target could be connected to.
    #[error("{0}")]
    Connect(String),
    /// The time ran out.
    #[error("no whole response within {0:?}")]
    Timeout(Duration),
    /// The response's body is longer than was asked for.
    #[error("the body of the response is longer than {0} bytes")]
    TooLarge(usize),
    /// There is no room for the response's body.
    #[error("{0}")]
    NoRoom(String),
    /// The connection broke, or the upstream did not speak HTTP.
    #[error("{0}")]
    Protocol(String),
}
