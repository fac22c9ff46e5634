//! Responses that are read to their end though their clients have left.
//!
//! Owns which are, how far, and how many at a time. The exchange lives on until then, so that its plugins see the end
//! of the response, and what it holds is given back behind that. Its client is sent nothing more, and left all the same.
//! Must not read anything that no plugin asked for.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use super::Exchange;
use crate::body::Body;
use crate::chain::WantedDrain;
use crate::telemetry::metrics::{DrainCounts, DrainResult};

/// As many are read at a time on one worker. Each has a connection of its upstream.
const MOST: usize = 256;

/// Pieces of one response that are read before other tasks of the worker have a turn.
const AT_ONCE: u32 = 16;

/// The responses that a worker reads for clients that have left.
#[derive(Debug, Default)]
pub(crate) struct Drains {
    now: Cell<usize>,
    /// No more are begun: the tasks of the worker end.
    is_closed: Cell<bool>,
    less: Notify,
}

impl Drains {
    /// Begins no more.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
    }

    /// Ends when none is left.
    pub(crate) async fn ended(&self) {
        while self.now.get() > 0 {
            self.less.notified().await;
        }
    }
}

/// One response that is read, counted while it is.
struct Reading {
    /// Dropped first: whoever waits for the last one sees that its exchange has ended.
    exchange: Option<Rc<Exchange>>,
    counts: Arc<DrainCounts>,
    result: DrainResult,
}

impl Reading {
    fn begin(exchange: &Rc<Exchange>, counts: Arc<DrainCounts>) -> Self {
        let drains = &exchange.worker.drains;
        drains.now.set(drains.now.get() + 1);
        counts.reads(1);
        Self { exchange: Some(Rc::clone(exchange)), counts, result: DrainResult::Shutdown }
    }
}

impl Reading {
    fn ended(mut self, result: DrainResult) {
        self.result = result;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.counts.reads(-1);
        self.counts.ended(self.result);
        let Some(exchange) = self.exchange.take() else { return };
        let worker = Rc::clone(&exchange.worker);
        drop(exchange);
        worker.drains.now.set(worker.drains.now.get() - 1);
        worker.drains.less.notify_waiters();
    }
}

impl Exchange {
    /// Its client has left, and what comes is read for its plugins alone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.is_abandoned.get()
    }

    /// How far its response is read without its client, if a plugin wants that, and it was sent on.
    fn wanted_drain(&self) -> Option<WantedDrain> {
        let is_left = self.client_left() && !self.answer_complete.get() && !self.is_background;
        // One that waits for a place at the upstream was sent to none of its targets.
        if !is_left || self.tries.target().is_none() || self.worker.drains.is_closed.get() {
            return None;
        }
        let mut wanted = self.run.get()?.wanted_drain()?;
        if let Some(end) = self.ends_at.get() {
            let left = end.saturating_duration_since(self.timers().now());
            wanted.drain.time = wanted.drain.time.min(left);
        }
        Some(wanted).filter(|wanted| !wanted.drain.is_none())
    }

    /// Whether what its client does not take is read.
    pub(super) fn wants_rest(&self) -> bool {
        self.wanted_drain().is_some()
    }
}

/// The client has left: reads what is to come of the response, if a plugin wants that.
///
/// # Panics
/// Outside of a running [`tokio::task::LocalSet`], while the worker serves.
pub(crate) fn drain(exchange: &Rc<Exchange>, rest: impl Future<Output = Option<Body>> + 'static) {
    let Some(WantedDrain { drain, counts }) = exchange.wanted_drain() else { return };
    if exchange.worker.drains.now.get() >= MOST {
        return counts.ended(DrainResult::Full);
    }
    exchange.is_abandoned.set(true);
    let reading = Reading::begin(exchange, counts);
    tokio::task::spawn_local(async move {
        let read = async {
            match rest.await {
                Some(body) => read(body, drain.bytes).await,
                None => DrainResult::Failed,
            }
        };
        let read = tokio::time::timeout(drain.time, read).await;
        reading.ended(read.unwrap_or(DrainResult::Time));
    });
}

/// Reads a body to its end, or to its bound.
async fn read(body: Body, most: u64) -> DrainResult {
    let mut body = pin!(body);
    let (mut bytes, mut pieces) = (0, 0_u32);
    while let Some(frame) = poll_fn(|it| http_body::Body::poll_frame(body.as_mut(), it)).await {
        let Ok(frame) = frame else { return DrainResult::Failed };
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > most {
            return DrainResult::Bytes;
        }
        pieces = pieces.wrapping_add(1);
        if pieces.is_multiple_of(AT_ONCE) {
            tokio::task::yield_now().await;
        }
    }
    DrainResult::Complete
}
