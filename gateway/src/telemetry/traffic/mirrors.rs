//! What becomes of copies of requests, and how they compare with the requests themselves.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

/// What becomes of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mirrored {
    /// Its response has the status that the client got.
    Same,
    /// It has another one.
    Different,
    /// There was no response.
    Failed,
    /// It took too long.
    Timeout,
    /// It was not sent: too many were on their way, or the body was too large or came too late.
    Skipped,
}

const WORDS: [&str; 5] = ["same", "different", "failed", "timeout", "skipped"];

/// The copies of the requests of one route, by all workers.
#[derive(Debug)]
pub(crate) struct MirrorTraffic {
    pub(in crate::telemetry) route: Box<str>,
    pub(in crate::telemetry) upstream: Box<str>,
    open: AtomicUsize,
    results: [AtomicU64; WORDS.len()],
    /// Nanoseconds to the head of the response, of requests and of copies, where both have one.
    times: [AtomicU64; 2],
}

/// A copy on its way.
#[derive(Debug)]
pub(crate) struct OpenCopy(Arc<MirrorTraffic>);

impl Drop for OpenCopy {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl MirrorTraffic {
    pub(super) fn new(route: &str, upstream: &str) -> Self {
        Self {
            route: route.into(),
            upstream: upstream.into(),
            open: AtomicUsize::new(0),
            results: Default::default(),
            times: Default::default(),
        }
    }

    /// A copy begins, if fewer than so many are on their way.
    pub(crate) fn begin(self: &Arc<Self>, limit: usize) -> Option<OpenCopy> {
        let open = OpenCopy(Arc::clone(self));
        (self.open.fetch_add(1, Relaxed) < limit).then_some(open)
    }

    /// What became of a copy.
    pub(crate) fn ended(&self, result: Mirrored) {
        self.results[result as usize].fetch_add(1, Relaxed);
    }

    /// The times to the heads of both responses.
    pub(crate) fn took(&self, request: Duration, copy: Duration) {
        for (sum, time) in self.times.iter().zip([request, copy]) {
            sum.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        }
    }

    /// How many had each result.
    pub(in crate::telemetry) fn results(&self) -> impl Iterator<Item = (&'static str, u64)> {
        WORDS.into_iter().zip(self.results.iter().map(|count| count.load(Relaxed)))
    }

    /// Seconds of requests and of copies.
    #[expect(clippy::cast_precision_loss, reason = "a sum of times")]
    pub(in crate::telemetry) fn seconds(&self) -> [f64; 2] {
        self.times.each_ref().map(|sum| sum.load(Relaxed) as f64 * 1e-9)
    }
}
