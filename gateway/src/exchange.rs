//! One request and its response, from the first byte to the last.
//!
//! Owns what is known of an exchange while it lives, and how it ended: complete, failed, or left
//! by the client. Shared by the path and by both bodies. It ends exactly once, when the last of
//! them is dropped; then the registered [observers](AtEnd) are called. Must not hold a body or a
//! header map.

mod application;
mod detach;
mod drain;
mod end;
mod observe;
mod recorded;
mod worker;

use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

pub(crate) use self::application::Application;
pub(crate) use self::drain::{Drains, drain};
pub(crate) use self::end::AtEnd;
pub(crate) use self::worker::WorkerState;
use crate::access_log::Kept;
use crate::chain::Run;
use crate::config::{self, AccessLog, ComponentId, ErrorForm, ListenerId, UpstreamId};
use crate::conn::{Client, ConnectionFacts, Downstream, Stream};
use crate::error::Failure;
use crate::heads::Calls;
use crate::respond::Caller;
use crate::snapshot::Snapshot;
use crate::spans::Span;
use crate::timer::{Deadline, Timers};
use crate::trace::{self, Recording};
use crate::upstream::{Seen, Tries};

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExchangeOutcome {
    /// The client went away before the response was complete.
    ClientLeft,
    /// The whole response was handed to the connection.
    Complete,
    /// See the failure.
    Failed,
}

/// Who gave a response to a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answerer {
    Upstream(UpstreamId),
    Component(ComponentId),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) connection: Rc<dyn Downstream>,
    worker: Rc<WorkerState>,
    /// The configuration it began with, and goes on with whatever is loaded meanwhile.
    pub(crate) snapshot: Rc<Snapshot>,
    /// The place of its listener there.
    pub(crate) listener: ListenerId,
    /// Unique; is in the log, in `x-request-id` both ways and in problem documents.
    pub(crate) id: HeaderValue,
    pub(crate) method: Method,
    /// As the client sent it.
    uri: RefCell<Uri>,
    pub(crate) version: Version,
    began: Instant,
    /// The client as trusted proxies describe it.
    forwarded_client: OnceCell<Box<Client>>,
    route: Cell<Option<usize>>,
    /// Index of the path pattern of the route that matched.
    pattern: Cell<usize>,
    /// For the flight recorder: the field that holds the host, how long the host in it is, and the path
    /// in normal form where that is another.
    host: RefCell<Option<(HeaderValue, usize)>>,
    matched_path: OnceCell<Box<str>>,
    /// Its caller holds the debug secret.
    is_debug: Cell<bool>,
    /// Whether the response is an event stream, and when its first bytes came.
    is_event_stream: Cell<bool>,
    first_event: Cell<Option<Duration>>,
    /// The form of refusals where a route only failed in its method, and so serves nothing.
    errors: Cell<ErrorForm>,
    /// The protocol that the client speaks above HTTP, for refusals.
    caller: Cell<Caller>,
    /// The id of a call of JSON-RPC that is refused; null if the call has none.
    call: OnceCell<Box<str>>,
    /// The component that answers.
    component: RefCell<Option<String>>,
    /// The upstream that it is forwarded to.
    destination: Cell<Option<UpstreamId>>,
    /// The index of the variant of its route.
    variant: Cell<Option<usize>>,
    /// Whether it was decided if a copy of it is sent.
    is_mirrored: Cell<bool>,
    /// When it is given up, where that is known.
    ends_at: Cell<Option<Instant>>,
    tries: Tries,
    status: Cell<Option<StatusCode>>,
    head_after: Cell<Option<Duration>>,
    /// When it was sent on, and when the head of the response came.
    at_upstream: Cell<(Option<Instant>, Option<Instant>)>,
    uploaded: Cell<u64>,
    downloaded: Cell<u64>,
    outcome: Cell<ExchangeOutcome>,
    failure: RefCell<Option<Failure>>,
    upload_failure: RefCell<Option<Failure>>,
    upload_waker: RefCell<Option<Waker>>,
    time_limit: RefCell<Option<Deadline>>,
    is_deadline: Cell<bool>,
    /// Its way through the plugins of its route, if there are any.
    run: OnceCell<Rc<Run>>,
    /// Whether the client was handed the whole answer.
    answer_complete: Cell<bool>,
    answerer: Cell<Option<Answerer>>,
    /// Over HTTP/2.
    stream: Option<Rc<dyn Stream>>,
    /// Whether anybody has asked for the body of the request.
    upload_began: Cell<bool>,
    takes_trailers: Cell<bool>,
    /// What access logs show of both heads, if they show any of them.
    kept: RefCell<Option<Box<Kept>>>,
    /// Where it is traced, if anybody wants to read that.
    pub(crate) recording: Option<Rc<Recording>>,
    /// Its span, where `[traces]` is configured.
    pub(crate) span: Option<Box<Span>>,
    /// It has no client: nobody learns of its end.
    is_background: bool,
    /// Its client has left, and its response is read for its plugins alone.
    is_abandoned: Cell<bool>,
}

/// The initial values of an exchange.
pub(crate) struct ExchangeInit<'a> {
    pub(crate) id: HeaderValue,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) stream: Option<Rc<dyn Stream>>,
}

impl Exchange {
    pub(crate) fn begin(
        worker: Rc<WorkerState>,
        connection: Rc<dyn Downstream>,
        init: ExchangeInit<'_>,
    ) -> Rc<Self> {
        let (snapshot, listener) = worker.snapshot_of(connection.facts().listener.key);
        let recording = snapshot.tracer.as_ref().map(|it| record(it, connection.facts(), &init));
        let kept = RefCell::new(snapshot.shared.logs.keep(init.headers));
        let span = snapshot.shared.spans.as_ref().map(|it| Span::begin(it, init.headers));
        // Exact where somebody reads it: the coarse clock is a tick old.
        let began = match is_timed(&snapshot) {
            true => worker.timers.refresh(),
            false => worker.timers.now(),
        };
        Rc::new(Self {
            connection,
            snapshot,
            listener,
            id: init.id,
            method: init.method.clone(),
            uri: RefCell::new(init.uri.clone()),
            version: init.version,
            began,
            worker,
            forwarded_client: OnceCell::new(),
            route: Cell::new(None),
            pattern: Cell::new(0),
            host: RefCell::new(None),
            matched_path: OnceCell::new(),
            is_debug: Cell::new(false),
            is_event_stream: Cell::new(false),
            first_event: Cell::new(None),
            errors: Cell::new(ErrorForm::Auto),
            caller: Cell::new(Caller::Plain),
            call: OnceCell::new(),
            component: RefCell::new(None),
            destination: Cell::new(None),
            variant: Cell::new(None),
            is_mirrored: Cell::new(false),
            ends_at: Cell::new(None),
            tries: Tries::default(),
            status: Cell::new(None),
            head_after: Cell::new(None),
            at_upstream: Cell::new((None, None)),
            uploaded: Cell::new(0),
            downloaded: Cell::new(0),
            outcome: Cell::new(ExchangeOutcome::ClientLeft),
            failure: RefCell::new(None),
            upload_failure: RefCell::new(None),
            upload_waker: RefCell::new(None),
            time_limit: RefCell::new(None),
            is_deadline: Cell::new(false),
            run: OnceCell::new(),
            answer_complete: Cell::new(false),
            answerer: Cell::new(None),
            stream: init.stream,
            upload_began: Cell::new(false),
            takes_trailers: Cell::new(false),
            kept,
            recording,
            span,
            is_background: false,
            is_abandoned: Cell::new(false),
        })
    }

    /// The same request without its client: what comes of it is sent to nobody, and nobody learns of its end.
    pub(crate) fn in_background(&self) -> Rc<Self> {
        let exchange = Rc::new(Self {
            connection: Rc::clone(&self.connection),
            snapshot: Rc::clone(&self.snapshot),
            listener: self.listener,
            id: self.id.clone(),
            method: self.method.clone(),
            uri: self.uri.clone(),
            version: self.version,
            began: self.timers().now(),
            worker: Rc::clone(&self.worker),
            forwarded_client: OnceCell::new(),
            route: Cell::new(self.route.get()),
            pattern: Cell::new(self.pattern.get()),
            host: RefCell::new(None),
            matched_path: OnceCell::new(),
            is_debug: Cell::new(false),
            is_event_stream: Cell::new(false),
            first_event: Cell::new(None),
            errors: Cell::new(self.errors.get()),
            caller: Cell::new(Caller::Plain),
            call: OnceCell::new(),
            component: RefCell::new(None),
            destination: Cell::new(None),
            variant: Cell::new(None),
            is_mirrored: Cell::new(true),
            ends_at: Cell::new(None),
            tries: Tries::default(),
            status: Cell::new(None),
            head_after: Cell::new(None),
            at_upstream: Cell::new((None, None)),
            uploaded: Cell::new(0),
            downloaded: Cell::new(0),
            outcome: Cell::new(ExchangeOutcome::ClientLeft),
            failure: RefCell::new(None),
            upload_failure: RefCell::new(None),
            upload_waker: RefCell::new(None),
            time_limit: RefCell::new(None),
            is_deadline: Cell::new(false),
            run: OnceCell::new(),
            answer_complete: Cell::new(false),
            answerer: Cell::new(None),
            stream: None,
            upload_began: Cell::new(false),
            takes_trailers: Cell::new(false),
            kept: RefCell::new(None),
            recording: None,
            span: None,
            is_background: true,
            is_abandoned: Cell::new(false),
        });
        if let Some(client) = self.forwarded_client() {
            exchange.is_forwarded_for(client.clone());
        }
        exchange
    }

    /// Whether it has no client.
    pub(crate) fn is_background(&self) -> bool {
        self.is_background
    }

    /// What the client asked for, as it was sent.
    pub(crate) fn uri(&self) -> Ref<'_, Uri> {
        self.uri.borrow()
    }

    /// The request id as text.
    pub(crate) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.worker.timers
    }

    /// What is the same for all requests of its connection.
    pub(crate) fn facts(&self) -> &ConnectionFacts {
        self.connection.facts()
    }

    /// The client's address: the peer's, or what trusted proxies say in front of it.
    pub(crate) fn client(&self) -> IpAddr {
        self.forwarded_client().map_or_else(|| self.facts().peer_address, |client| client.address)
    }

    /// Whether the client asked for `https`, as far as the gateway or a trusted proxy knows.
    pub(crate) fn is_https(&self) -> bool {
        self.forwarded_client().map_or_else(|| self.facts().is_tls, |client| client.is_https)
    }

    /// A trusted proxy describes the client so.
    pub(crate) fn is_forwarded_for(&self, client: Client) {
        let _set_once = self.forwarded_client.set(Box::new(client));
    }

    /// The client as a trusted proxy describes it, if one does.
    pub(crate) fn forwarded_client(&self) -> Option<&Client> {
        self.forwarded_client.get().map(|client| &**client)
    }

    /// This route serves it, by this one of its path patterns.
    pub(crate) fn routed(&self, route: usize, pattern: usize) {
        self.pattern.set(pattern);
        if let Some(counted) = &self.snapshot.shared.counted {
            counted.routes[route].begin(self.worker.index);
        }
        self.route.set(Some(route));
    }

    /// No route serves it; this one would with another method.
    pub(crate) fn missed(&self, route: usize) {
        self.errors.set(self.snapshot.config.routes[route].errors);
    }

    /// The form that its route wants for refusals.
    pub(crate) fn error_form(&self) -> ErrorForm {
        let route = self.route.get();
        route.map_or(self.errors.get(), |route| self.snapshot.config.routes[route].errors)
    }

    /// What the request says of its client.
    pub(crate) fn calls_as(&self, caller: Caller) {
        self.caller.set(caller);
    }

    pub(crate) fn caller(&self) -> Caller {
        self.caller.get()
    }

    /// It is a call of JSON-RPC with this id.
    pub(crate) fn called(&self, id: Box<str>) {
        let _set_once = self.call.set(id);
    }

    /// The id of the call as its body has it, if it is known.
    pub(crate) fn call(&self) -> Option<&str> {
        self.call.get().map(|id| &**id)
    }

    /// The name of the route that serves it, once found.
    pub(crate) fn route_name(&self) -> Option<&str> {
        self.route.get().map(|route| self.snapshot.config.routes[route].name.as_str())
    }

    /// It goes to the variant of its route with this index.
    pub(crate) fn goes_to_variant(&self, variant: usize) {
        self.variant.set(Some(variant));
        if let (Some(counted), Some(route)) = (&self.snapshot.shared.counted, self.route.get())
            && !self.is_background
        {
            counted.variants[route][variant].begin(self.worker.index);
        }
    }

    /// The index of the variant of its route, once it is chosen.
    pub(crate) fn variant(&self) -> Option<usize> {
        self.variant.get()
    }

    /// The name of the variant of its route, once it is chosen.
    pub(crate) fn variant_name(&self) -> Option<&str> {
        let names = self.snapshot.route_names(self.route.get()?);
        Some(names.variants.get(self.variant.get()?)?)
    }

    /// It is on its way to a target of this upstream.
    pub(crate) fn forwards_to(&self, upstream: UpstreamId) {
        self.destination.set(Some(upstream));
        self.tries.go_to(upstream);
    }

    /// What was tried at targets.
    pub(crate) fn tries(&self) -> &Tries {
        &self.tries
    }

    /// The upstream that it is forwarded to, if it is.
    pub(crate) fn destination(&self) -> Option<UpstreamId> {
        self.destination.get()
    }

    /// The targets of the upstream that it is forwarded to.
    pub(crate) fn targets(&self) -> &[config::Target] {
        let upstream = self.destination.get();
        upstream.map_or(&[], |id| &self.snapshot.config.upstreams[id.0].targets)
    }

    /// The target of a try.
    pub(crate) fn target(&self, one: Seen) -> Option<&config::Target> {
        self.snapshot.config.upstreams.get(one.upstream)?.targets.get(one.target)
    }

    /// It is sent on now, for the first time or again.
    pub(crate) fn is_sent(&self) {
        if is_timed(&self.snapshot) && self.at_upstream.get().0.is_none() {
            self.at_upstream.set((Some(self.timers().refresh()), None));
        }
    }

    /// The head of the response comes from upstream now.
    pub(crate) fn is_answered_upstream(&self) {
        if is_timed(&self.snapshot) {
            let (sent, _) = self.at_upstream.get();
            self.at_upstream.set((sent, Some(self.timers().refresh())));
        }
    }

    /// From sending it on to the head of the response, where there was one.
    pub(crate) fn upstream_time(&self) -> Option<Duration> {
        let (sent, answered) = self.at_upstream.get();
        Some(answered?.saturating_duration_since(sent?))
    }

    /// The index of its route, once found.
    pub(crate) fn route(&self) -> Option<usize> {
        self.route.get()
    }

    /// What its plugins call upstreams with, where there are traces.
    pub(crate) fn calls(&self) -> Option<Arc<Calls>> {
        let are_noted = self.snapshot.shared.spans.as_ref().is_some_and(|sink| sink.exports());
        self.span.as_ref().map(|span| span.calls(are_noted))
    }

    /// The index of the worker that serves it.
    pub(crate) fn worker(&self) -> usize {
        self.worker.index
    }

    /// The component that answers; only kept where somebody will read it.
    pub(crate) fn forwarded_to(&self, target: &str) {
        self.component.replace(Some(target.to_owned()));
    }

    /// Who gave a response to it.
    pub(crate) fn answered_by(&self, answerer: Answerer) {
        self.answerer.set(Some(answerer));
    }

    /// Attaches the chain run; its plugins get `on-complete`.
    pub(crate) fn runs(&self, run: Rc<Run>) {
        let _set_once = self.run.set(run);
    }

    /// Whether plugins see it.
    pub(crate) fn has_plugins(&self) -> bool {
        self.run.get().is_some()
    }

    /// Whether the client, if it expects a 100, was not asked for the body yet.
    pub(crate) fn awaits_upload(&self) -> bool {
        !self.upload_began.get()
    }

    /// The client said that it takes trailers.
    pub(crate) fn will_take_trailers(&self) {
        self.takes_trailers.set(true);
    }

    /// The reason that [`upload_failed`](crate::body::Observer::upload_failed) left, if any.
    pub(crate) fn take_upload_failure(&self) -> Option<Failure> {
        self.upload_failure.take()
    }

    /// Ends the whole exchange after this time.
    pub(crate) fn limit_time(&self, limit: Duration) {
        self.ends_at.set(self.timers().now().checked_add(limit));
        self.time_limit.replace(Some(self.timers().after(limit)));
    }

    /// Its client waits no longer than this.
    pub(crate) fn has_deadline(&self, deadline: Duration) {
        self.limit_time(deadline);
        self.is_deadline.set(true);
    }

    /// Whether the time for it is what its client said.
    pub(crate) fn is_deadline(&self) -> bool {
        self.is_deadline.get()
    }

    /// Why it is given up when the time for it is over.
    pub(crate) fn out_of_time(&self) -> Failure {
        if self.is_deadline() { Failure::DeadlineOver } else { Failure::RequestTimeout }
    }

    /// When it is given up, where that is known.
    pub(crate) fn ends_at(&self) -> Option<Instant> {
        self.ends_at.get()
    }

    /// Whether it is to be decided if a copy of it is sent: once, however often it is sent itself.
    pub(crate) fn is_first_sent(&self) -> bool {
        !self.is_mirrored.replace(true)
    }

    /// Which of its lines are written, and where.
    pub(crate) fn access_log(&self) -> AccessLog {
        self.snapshot.access_log(self.listener, self.route.get())
    }

    /// Keeps what access logs show of the head of the response.
    pub(crate) fn keep_response(&self, headers: &HeaderMap) {
        if let Some(kept) = &mut *self.kept.borrow_mut() {
            self.snapshot.shared.logs.keep_response(kept, headers);
        }
    }

    /// What access logs show of both heads.
    pub(crate) fn kept(&self) -> Option<Box<Kept>> {
        self.kept.take()
    }

    /// The head of the response is on its way.
    pub(crate) fn answered(&self, status: StatusCode) {
        if let Some(recording) = &self.recording {
            recording.write(|trace| trace.answered(status));
        }
        self.status.set(Some(status));
        self.head_after.set(Some(self.elapsed()));
    }

    /// Notes why it failed; the first reason stays.
    pub(crate) fn fail(&self, failure: Failure) {
        let mut slot = self.failure.borrow_mut();
        if slot.is_none() {
            *slot = Some(failure);
        }
        self.outcome.set(ExchangeOutcome::Failed);
    }

    /// The answer of before is not passed on, and nor is what was wrong with it.
    pub(crate) fn is_sent_again(&self) {
        self.failure.take();
        self.tries.go_on();
        self.outcome.set(ExchangeOutcome::ClientLeft);
        self.answerer.set(None);
    }

    /// The reason that [`upload_failed`](crate::body::Observer::upload_failed) left, if any; else wakes the task
    /// when there is one.
    pub(crate) fn poll_upload_failure(&self, context: &Context<'_>) -> Option<Failure> {
        let failure = self.upload_failure.take();
        if failure.is_none() {
            let mut waker = self.upload_waker.borrow_mut();
            match &*waker {
                Some(known) if known.will_wake(context.waker()) => {}
                _ => *waker = Some(context.waker().clone()),
            }
        }
        failure
    }

    /// Its stream on an HTTP/2 connection.
    pub(crate) fn stream(&self) -> Option<&dyn Stream> {
        self.stream.as_deref()
    }

    /// The whole response was handed to the connection.
    pub(crate) fn response_complete(&self) {
        self.answer_complete.set(true);
        if self.outcome.get() == ExchangeOutcome::ClientLeft {
            self.outcome.set(ExchangeOutcome::Complete);
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.timers().now().saturating_duration_since(self.began)
    }

    /// The status of the response, if its head was sent.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        self.status.get()
    }

    /// From the head of the request to the head of the response.
    pub(crate) fn time_to_head(&self) -> Option<Duration> {
        self.head_after.get()
    }

    /// Bytes of the request body that have come.
    pub(crate) fn uploaded(&self) -> u64 {
        self.uploaded.get()
    }

    /// Bytes of the response body that went to the client.
    pub(crate) fn downloaded(&self) -> u64 {
        self.downloaded.get()
    }

    /// Whether the client left before the end, as far as is known.
    pub(crate) fn client_left(&self) -> bool {
        self.outcome.get() == ExchangeOutcome::ClientLeft
    }

    /// Whether the client was handed the whole answer, whatever happened afterwards.
    pub(crate) fn is_answer_complete(&self) -> bool {
        self.answer_complete.get()
    }

    /// The upstream that gave a response, if one did.
    pub(crate) fn upstream(&self) -> Option<&Arc<str>> {
        Some(match self.answerer.get()? {
            Answerer::Upstream(id) => self.snapshot.upstream_name(id),
            Answerer::Component(id) => self.snapshot.component(id).name(),
        })
    }

    /// The component that answered, where somebody will read it.
    pub(crate) fn component(&self) -> Option<String> {
        self.component.borrow().clone()
    }

    /// The run of its route's plugins, if there are any.
    pub(crate) fn run(&self) -> Option<&Rc<Run>> {
        self.run.get()
    }
}

/// Whether anybody reads exact times.
fn is_timed(snapshot: &Snapshot) -> bool {
    snapshot.shared.counted.is_some() || snapshot.shared.spans.is_some()
}

fn record(
    tracer: &Arc<trace::Tracer>,
    facts: &ConnectionFacts,
    init: &ExchangeInit<'_>,
) -> Rc<Recording> {
    let ExchangeInit { id, method, uri, version, headers, .. } = init;
    let listener = &facts.listener.name;
    let request_id = id.to_str().unwrap_or_default();
    let (peer, version) = (facts.peer, *version);
    let init = trace::RecordingInit { request_id, peer, listener, method, uri, version, headers };
    Recording::begin(tracer, &init)
}
