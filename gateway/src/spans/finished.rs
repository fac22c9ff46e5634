//! What is known of an exchange that has ended, and the spans that say it.
//!
//! Owns the names and attributes of spans: the stable HTTP conventions of OpenTelemetry (1.23 and later)
//! and, under `gateway.`, what they have no name for. The spans are built on the exporter's thread. Must
//! not hold a secret: queries are left out, and all fields of a request but `Host` and `User-Agent`.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderValue, Method, StatusCode, Version};
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, SpanId};
use opentelemetry_sdk::trace::{
    IdGenerator as _, RandomIdGenerator, SpanData, SpanEvents, SpanLinks,
};

use super::Span;
use super::attributes::{Attributes, before, lossy, method, number, shown, size, version};
use crate::heads::MadeCall;

/// An exchange that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) span: Span,
    pub(crate) ended: SystemTime,
    pub(crate) duration: Duration,
    pub(crate) request_id: HeaderValue,
    pub(crate) listener: Arc<str>,
    pub(crate) route: Option<Box<str>>,
    /// The path pattern that means all that the route takes, if it is one.
    pub(crate) pattern: Option<Box<str>>,
    pub(crate) consumer: Option<Box<str>>,
    pub(crate) method: Method,
    pub(crate) path: Box<str>,
    pub(crate) is_https: bool,
    pub(crate) version: Version,
    pub(crate) client: IpAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) status: Option<StatusCode>,
    /// Whose fault it is that it failed, and why.
    pub(crate) failure: Option<(&'static str, String)>,
    /// Whether the client has not got the whole response for no fault of its own.
    pub(crate) is_broken: bool,
    pub(crate) uploaded: u64,
    pub(crate) downloaded: u64,
    /// The upstream, and what was tried there.
    pub(crate) upstream: Option<Box<str>>,
    pub(crate) attempts: Vec<Attempt>,
    /// The component that was to answer.
    pub(crate) component: Option<Answer>,
    /// What was called of plugins.
    pub(crate) hooks: Vec<Hook>,
    /// What plugins sent by themselves.
    pub(crate) calls: Vec<MadeCall>,
    /// When it ended, on the clock of the calls.
    pub(crate) now: Instant,
}

/// One try at a target.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) authority: Box<str>,
    pub(crate) is_tls: bool,
    /// How long before the end of the exchange it began and ended.
    pub(crate) began: Duration,
    pub(crate) over: Duration,
    /// `answered`, or how it failed.
    pub(crate) how: &'static str,
    /// How long a new connection took.
    pub(crate) connect: Option<Duration>,
}

/// What a component that answers a route made of the request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) component: Box<str>,
    /// How long before the end of the exchange it was given the request, and answered or failed.
    pub(crate) began: Duration,
    pub(crate) over: Duration,
    /// Why there was no answer.
    pub(crate) failure: Option<&'static str>,
}

/// A hook that was called. All calls for chunks of a body are one.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) plugin: String,
    pub(crate) hook: &'static str,
    pub(crate) calls: u32,
    /// Since the beginning of the exchange.
    pub(crate) at: Duration,
    /// With the waits.
    pub(crate) took: Duration,
    /// For its turn, and for an instance.
    pub(crate) waits: (Duration, Duration),
    pub(crate) decision: &'static str,
    /// The status that the plugin answered with.
    pub(crate) status: Option<u16>,
    /// How it failed.
    pub(crate) failure: Option<&'static str>,
}

impl Finished {
    /// Its spans: its own, and one for each hook, each attempt, the component that answers, and each call of
    /// a plugin.
    pub(super) fn into_spans(self, scope: &InstrumentationScope, spans: &mut Vec<SpanData>) {
        let last = self.attempts.len().saturating_sub(1);
        for (index, attempt) in self.attempts.iter().enumerate() {
            spans.push(self.of_attempt(attempt, index, index == last, scope));
        }
        spans.extend(self.component.as_ref().map(|answer| self.of_component(answer, scope)));
        for hook in &self.hooks {
            spans.push(self.of_hook(hook, scope));
        }
        for call in &self.calls {
            spans.push(self.of_call(call, scope));
        }
        spans.push(self.own(scope));
    }

    fn own(self, scope: &InstrumentationScope) -> SpanData {
        let context = self.context(self.span.id);
        let (method, original) = method(&self.method);
        let name = match &self.pattern {
            Some(pattern) => format!("{} {pattern}", shown(method)),
            None => shown(method).to_owned(),
        };
        let mut attributes = Attributes::default();
        attributes.add("http.request.method", method);
        attributes.maybe("http.request.method_original", original);
        attributes.add("url.path", String::from(self.path));
        attributes.add("url.scheme", if self.is_https { "https" } else { "http" });
        attributes.maybe("http.route", self.pattern.map(String::from));
        attributes.maybe("http.response.status_code", self.status.map(number));
        let host = self.span.host.as_ref().and_then(|host| host.to_str().ok());
        attributes.authority(host);
        attributes.add("client.address", self.client.to_string());
        attributes.add("network.peer.address", self.peer.ip().to_canonical().to_string());
        attributes.add("network.peer.port", i64::from(self.peer.port()));
        attributes.add("network.protocol.version", version(self.version));
        let agent = self.span.user_agent.as_ref().map(|it| lossy(it.as_bytes()));
        attributes.maybe("user_agent.original", agent);
        attributes.add("http.request.body.size", size(self.uploaded));
        attributes.add("http.response.body.size", size(self.downloaded));
        attributes.add("gateway.request_id", lossy(self.request_id.as_bytes()));
        attributes.add("gateway.listener", self.listener.to_string());
        attributes.maybe("gateway.route", self.route.map(String::from));
        attributes.maybe("gateway.consumer", self.consumer.map(String::from));
        attributes.maybe("gateway.upstream", self.upstream.map(String::from));
        // Only what the server got wrong is an error of a server's span.
        let is_error = self.status.is_some_and(|status| status.is_server_error());
        let kind = self.failure.as_ref().map(|(fault, _)| (*fault).to_owned());
        let kind = kind.or_else(|| self.status.filter(|_| is_error).map(|it| it.as_str().into()));
        attributes.maybe("error.type", kind);
        let why = self.failure.map(|(_, why)| why);
        // A response that broke off is one too, no matter what its head said.
        let is_error = is_error || (why.is_some() && self.is_broken);
        let status = match is_error {
            true => Status::error(why.unwrap_or_default()),
            false => Status::Unset,
        };
        SpanData {
            span_context: context,
            parent_span_id: self.span.parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: self.span.parent.is_some(),
            span_kind: SpanKind::Server,
            name: name.into(),
            start_time: before(self.ended, self.duration),
            end_time: self.ended,
            attributes: attributes.0,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: scope.clone(),
        }
    }

    fn of_attempt(
        &self,
        attempt: &Attempt,
        index: usize,
        is_last: bool,
        scope: &InstrumentationScope,
    ) -> SpanData {
        // What is announced to the upstream is the last: nothing has come of the others.
        let id = match is_last {
            true => self.span.call,
            false => RandomIdGenerator::default().new_span_id(),
        };
        let has_answered = attempt.how == "answered";
        let (method, original) = method(&self.method);
        let scheme = if attempt.is_tls { "https" } else { "http" };
        let mut attributes = Attributes::default();
        attributes.add("http.request.method", method);
        attributes.maybe("http.request.method_original", original);
        attributes.add("url.full", format!("{scheme}://{}{}", attempt.authority, self.path));
        attributes.authority(Some(&attempt.authority));
        let status = self.status.filter(|_| has_answered && is_last);
        attributes.maybe("http.response.status_code", status.map(number));
        attributes.maybe("http.request.resend_count", (index > 0).then(|| size(index as u64)));
        let connect = attempt.connect.map(|it| it.as_secs_f64());
        attributes.maybe("gateway.connect.duration", connect);
        let failed_status = status.filter(|it| it.as_u16() >= 400);
        let error = match has_answered {
            true => failed_status.map(|it| it.as_str().to_owned()),
            false => Some(attempt.how.to_owned()),
        };
        let times = (before(self.ended, attempt.began), before(self.ended, attempt.over));
        self.child(id, shown(method), times, attributes, error, scope)
    }

    fn of_component(&self, answer: &Answer, scope: &InstrumentationScope) -> SpanData {
        let (method, original) = method(&self.method);
        let status = self.status.filter(|_| answer.failure.is_none());
        let mut attributes = Attributes::default();
        attributes.add("gateway.component", String::from(answer.component.clone()));
        attributes.add("http.request.method", method);
        attributes.maybe("http.request.method_original", original);
        attributes.maybe("http.response.status_code", status.map(number));
        let failed = status.filter(|status| status.is_server_error());
        let error = answer.failure.or(failed.as_ref().map(|status| status.as_str()));
        let error = error.map(str::to_owned);
        let times = (before(self.ended, answer.began), before(self.ended, answer.over));
        let name = format!("{} answer", answer.component);
        // The component is given this span as its parent.
        let mut span = self.child(self.span.call, name, times, attributes, error, scope);
        span.span_kind = SpanKind::Internal;
        span
    }

    fn of_call(&self, call: &MadeCall, scope: &InstrumentationScope) -> SpanData {
        let (method, original) = method(&call.method);
        let mut attributes = Attributes::default();
        attributes.add("http.request.method", method);
        attributes.maybe("http.request.method_original", original);
        attributes.add("url.path", call.path.clone());
        attributes.maybe("http.response.status_code", call.result.ok().map(i64::from));
        attributes.add("gateway.plugin", call.plugin.to_string());
        attributes.add("gateway.upstream", call.upstream.clone());
        let error = match call.result {
            Ok(status) => (status >= 400).then(|| status.to_string()),
            Err(how) => Some(how.to_owned()),
        };
        let at = |at: Instant| before(self.ended, self.now.saturating_duration_since(at));
        let times = (at(call.began), at(call.over));
        self.child(call.span, shown(method), times, attributes, error, scope)
    }

    fn of_hook(&self, hook: &Hook, scope: &InstrumentationScope) -> SpanData {
        let mut attributes = Attributes::default();
        attributes.add("gateway.plugin", hook.plugin.clone());
        attributes.add("gateway.hook", hook.hook);
        attributes.add("gateway.hook.calls", i64::from(hook.calls));
        attributes.add("gateway.hook.decision", hook.decision);
        attributes.maybe("http.response.status_code", hook.status.map(i64::from));
        let (turn, instance) = hook.waits;
        attributes.add("gateway.wait.turn", turn.as_secs_f64());
        attributes.add("gateway.wait.instance", instance.as_secs_f64());
        let began = before(self.ended, self.duration) + hook.at;
        let (id, times) = (RandomIdGenerator::default().new_span_id(), (began, began + hook.took));
        let name = format!("{} {}", hook.plugin, hook.hook);
        let error = hook.failure.map(str::to_owned);
        let mut span = self.child(id, name, times, attributes, error, scope);
        span.span_kind = SpanKind::Internal;
        span
    }

    /// The span of something that was sent.
    fn child(
        &self,
        id: SpanId,
        name: impl Into<Cow<'static, str>>,
        (start_time, end_time): (SystemTime, SystemTime),
        mut attributes: Attributes,
        error: Option<String>,
        scope: &InstrumentationScope,
    ) -> SpanData {
        let status = if error.is_some() { Status::error("") } else { Status::Unset };
        attributes.maybe("error.type", error);
        SpanData {
            span_context: self.context(id),
            parent_span_id: self.span.id,
            parent_span_is_remote: false,
            span_kind: SpanKind::Client,
            name: name.into(),
            start_time,
            end_time,
            attributes: attributes.0,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: scope.clone(),
        }
    }

    fn context(&self, id: SpanId) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(self.span.is_sampled);
        let state = self.span.state.as_ref().and_then(|state| state.to_str().ok());
        let state = state.and_then(|state| state.parse().ok()).unwrap_or(TraceState::NONE);
        SpanContext::new(self.span.trace, id, flags, false, state)
    }
}
