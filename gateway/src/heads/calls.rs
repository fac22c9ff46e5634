//! The calls that plugins make for an exchange, as its trace has them.
//!
//! Owns the context that each is sent with, and a bounded note of each. Shared with hooks that wait on a
//! stack of their own, so it is for any thread. Must not send anything.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::header::HeaderMap;
use http::{HeaderValue, Method};
use opentelemetry::{SpanId, TraceId};

use super::trace_context::{TRACEPARENT, TRACESTATE, traceparent};

/// Calls of one exchange that are noted; more are sent with the context anyway.
const MAX_CALLS: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) trace: TraceId,
    pub(crate) is_sampled: bool,
    pub(crate) is_random: bool,
    pub(crate) state: Option<HeaderValue>,
    /// Whether anybody reads the notes.
    pub(crate) are_noted: bool,
    pub(crate) made: Mutex<Vec<MadeCall>>,
}

/// A call that is over.
#[derive(Debug)]
pub(crate) struct MadeCall {
    pub(crate) span: SpanId,
    pub(crate) plugin: Arc<str>,
    pub(crate) upstream: String,
    pub(crate) method: Method,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) began: Instant,
    pub(crate) over: Instant,
    /// The status of the response, or what went wrong in a word.
    pub(crate) result: Result<u16, &'static str>,
}

impl Calls {
    /// Tells the upstream of a call which span it is, unless the plugin has said something else.
    pub(crate) fn announce(&self, span: SpanId, headers: &mut HeaderMap) {
        if headers.contains_key(TRACEPARENT) {
            return;
        }
        headers.insert(TRACEPARENT, traceparent(self.trace, span, self.is_sampled, self.is_random));
        if let Some(state) = &self.state {
            headers.insert(TRACESTATE, state.clone());
        }
    }

    /// Notes a call that is over.
    pub(crate) fn note(&self, call: MadeCall) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if self.are_noted && made.len() < MAX_CALLS {
            made.push(call);
        }
    }

    /// Those that are noted.
    pub(crate) fn take(&self) -> Vec<MadeCall> {
        std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
