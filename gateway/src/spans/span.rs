//! The span of one exchange, from the head of its request on.
//!
//! Owns its ids, whether it is sampled, and the fields that announce it to the next hop. Must not know
//! how the exchange continues.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{HOST, HeaderMap, USER_AGENT};
use http::{HeaderValue, StatusCode};
use opentelemetry::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};

use super::Sink;
use crate::config::{Incoming, Traces};
use crate::heads::Calls;
use crate::heads::trace_context::{Parent, TRACEPARENT, TRACESTATE, traceparent};

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) trace: TraceId,
    pub(crate) id: SpanId,
    /// The caller's span; `None` where the trace begins here.
    pub(crate) parent: Option<SpanId>,
    /// The span of what it is sent to: the next hop's parent.
    pub(crate) call: SpanId,
    pub(crate) is_sampled: bool,
    pub(crate) is_random: bool,
    pub(crate) state: Option<HeaderValue>,
    /// `Host`, where the span may be exported.
    pub(crate) host: Option<HeaderValue>,
    /// `User-Agent`, likewise.
    pub(crate) user_agent: Option<HeaderValue>,
}

/// What is known at the end, for whether a span is exported that is not sampled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wants {
    pub(crate) status: Option<StatusCode>,
    pub(crate) has_failed: bool,
    pub(crate) duration: Duration,
}

impl Span {
    /// The span of a request with these fields.
    pub(crate) fn begin(sink: &Sink, headers: &HeaderMap) -> Box<Self> {
        let settings = &sink.settings;
        let ids = RandomIdGenerator::default();
        let parent = match settings.incoming {
            Incoming::Continue => Parent::read(headers),
            Incoming::Restart => None,
        };
        let field = |name| sink.exports().then(|| headers.get(name).cloned()).flatten();
        let (host, user_agent) = (field(HOST), field(USER_AGENT));
        let (id, call) = (ids.new_span_id(), ids.new_span_id());
        Box::new(match parent {
            Some(Parent { trace, span, is_sampled, is_random, state }) => {
                let parent = Some(span);
                Self { trace, id, parent, call, is_sampled, is_random, state, host, user_agent }
            }
            None => {
                let trace = ids.new_trace_id();
                let is_sampled = is_sampled(settings, trace);
                let (parent, is_random, state) = (None, true, None);
                Self { trace, id, parent, call, is_sampled, is_random, state, host, user_agent }
            }
        })
    }

    /// Tells the next hop of it, in place of what the client said.
    pub(crate) fn announce(&self, headers: &mut HeaderMap) {
        let parent = traceparent(self.trace, self.call, self.is_sampled, self.is_random);
        headers.insert(TRACEPARENT, parent);
        match &self.state {
            Some(state) => drop(headers.insert(TRACESTATE, state.clone())),
            None => drop(headers.remove(TRACESTATE)),
        }
    }

    /// What plugins call upstreams with.
    pub(crate) fn calls(&self, are_noted: bool) -> Arc<Calls> {
        Arc::new(Calls {
            trace: self.trace,
            is_sampled: self.is_sampled,
            is_random: self.is_random,
            state: self.state.clone(),
            are_noted,
            made: Mutex::default(),
        })
    }

    /// Whether it is exported.
    pub(crate) fn is_wanted(&self, settings: &Traces, wants: Wants) -> bool {
        let is_error = || wants.has_failed || wants.status.is_some_and(|it| it.is_server_error());
        let is_slow = || settings.slow.is_some_and(|slow| wants.duration >= slow);
        self.is_sampled || (settings.errors && is_error()) || is_slow()
    }
}

/// By the trace id alone, so that every gateway decides the same of it: its last 56 bits are random
/// (level 2, section 3.2.2.3.1).
fn is_sampled(settings: &Traces, trace: TraceId) -> bool {
    const BITS: u32 = 56;
    let [.., a, b, c, d, e, f, g] = trace.to_bytes();
    let random = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
    // Exact at both ends: all of 1.0, none of 0.0.
    random < (settings.sample * (1_u64 << BITS) as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(sample: f64) -> Traces {
        Traces { sample, ..Traces::default() }
    }

    #[test]
    fn samples_the_ratio_that_is_asked_for_and_the_same_everywhere() {
        let ids = RandomIdGenerator::default();
        let traces: Vec<_> = (0..10_000).map(|_| ids.new_trace_id()).collect();
        let count = |sample| traces.iter().filter(|it| is_sampled(&settings(sample), **it)).count();
        assert_eq!((count(0.0), count(1.0)), (0, traces.len()));
        assert!((2_700..3_300).contains(&count(0.3)), "{}", count(0.3));
        // Who samples more, samples those too.
        let wider = |it: &&TraceId| is_sampled(&settings(0.5), **it);
        let narrow = traces.iter().filter(|it| is_sampled(&settings(0.3), **it));
        assert!(narrow.clone().all(|it| wider(&it)));
        assert!(is_sampled(&settings(1.0), TraceId::from_bytes([0xff; 16])));
    }
}
