//! One request and its response, from the first byte to the last.
//!
//! Owns what is known of an exchange while it lives, and how it ended: complete, failed, or left
//! by the client. Shared by the path and by both bodies; it ends, exactly once, when the last of
//! them is gone. Must not hold a body or a header map.

use std::cell::{Cell, OnceCell, RefCell, RefMut};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

use crate::chain::{self, End, Ending, Run};
use crate::config::{self, ErrorForm, UpstreamId};
use crate::error::{Cut, Failure, Fault};
use crate::proxy::Told;
use crate::respond::Caller;
use crate::server::connection::Connection;
use crate::server::stream::StreamSlot;
use crate::snapshot::Snapshot;
use crate::telemetry::access_log;
use crate::timer::{Deadline, Timers};
use crate::trace::{self, Recording};
use crate::trailers;
use crate::upstream::Tries;

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The client went away before the response was complete.
    ClientLeft,
    /// The whole response was handed to the connection.
    Complete,
    /// See the failure.
    Failed,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) connection: Rc<Connection>,
    /// The configuration it began with, and goes on with whatever is loaded meanwhile.
    pub(crate) snapshot: Rc<Snapshot>,
    /// Unique; stands in the log, in `x-request-id` both ways and in problem documents.
    pub(crate) id: HeaderValue,
    pub(crate) method: Method,
    /// As the client sent it.
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    began: Instant,
    told: OnceCell<Box<Told>>,
    route: Cell<Option<usize>>,
    /// The form of refusals where a route only failed in its method, and so serves nothing.
    errors: Cell<ErrorForm>,
    /// The protocol that the client speaks above HTTP, for refusals.
    caller: Cell<Caller>,
    /// The id of a call of JSON-RPC that is refused; null if the call has none.
    call: OnceCell<Box<str>>,
    target: RefCell<Option<String>>,
    /// The upstream that it is forwarded to.
    destination: Cell<Option<UpstreamId>>,
    tries: Tries,
    status: Cell<Option<StatusCode>>,
    head_after: Cell<Option<Duration>>,
    uploaded: Cell<u64>,
    downloaded: Cell<u64>,
    outcome: Cell<Outcome>,
    failure: RefCell<Option<Failure>>,
    upload_failure: RefCell<Option<Failure>>,
    upload_waker: RefCell<Option<Waker>>,
    time_limit: RefCell<Option<Deadline>>,
    /// Its way through the plugins of its route, if there are any.
    run: OnceCell<Rc<Run>>,
    /// Whether the client was handed the whole answer.
    answer_complete: Cell<bool>,
    upstream: OnceCell<Arc<str>>,
    stream: Option<Rc<StreamSlot>>,
    /// Whether anybody has asked for the body of the request.
    upload_began: Cell<bool>,
    takes_trailers: Cell<bool>,
    /// Where it is traced, if anybody wants to read that.
    pub(crate) recording: Option<Rc<Recording>>,
}

/// What a new exchange is made of.
pub(crate) struct Beginning<'a> {
    pub(crate) id: HeaderValue,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) stream: Option<Rc<StreamSlot>>,
}

impl Exchange {
    pub(crate) fn begin(connection: &Rc<Connection>, beginning: Beginning<'_>) -> Rc<Self> {
        let snapshot = connection.worker.snapshot();
        let recording = snapshot.tracer.as_ref().map(|it| record(it, connection, &beginning));
        Rc::new(Self {
            connection: Rc::clone(connection),
            snapshot,
            id: beginning.id,
            method: beginning.method.clone(),
            uri: beginning.uri.clone(),
            version: beginning.version,
            began: connection.worker.timers.now(),
            told: OnceCell::new(),
            route: Cell::new(None),
            errors: Cell::new(ErrorForm::Auto),
            caller: Cell::new(Caller::Plain),
            call: OnceCell::new(),
            target: RefCell::new(None),
            destination: Cell::new(None),
            tries: Tries::default(),
            status: Cell::new(None),
            head_after: Cell::new(None),
            uploaded: Cell::new(0),
            downloaded: Cell::new(0),
            outcome: Cell::new(Outcome::ClientLeft),
            failure: RefCell::new(None),
            upload_failure: RefCell::new(None),
            upload_waker: RefCell::new(None),
            time_limit: RefCell::new(None),
            run: OnceCell::new(),
            answer_complete: Cell::new(false),
            upstream: OnceCell::new(),
            stream: beginning.stream,
            upload_began: Cell::new(false),
            takes_trailers: Cell::new(false),
            recording,
        })
    }

    /// The request id as text.
    pub(crate) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.connection.worker.timers
    }

    /// The client's address: the peer's, or what trusted proxies say in front of it.
    pub(crate) fn client(&self) -> IpAddr {
        self.told.get().map_or(self.connection.peer_address, |told| told.address)
    }

    /// Whether the client asked for `https`, as far as the gateway or a trusted proxy knows.
    pub(crate) fn is_https(&self) -> bool {
        self.told.get().map_or(self.connection.is_tls, |told| told.is_https)
    }

    /// Trusted proxies say this of the client.
    pub(crate) fn told(&self, told: Told) {
        let _set_once = self.told.set(Box::new(told));
    }

    /// What trusted proxies say of the client, if there are any and they do.
    pub(crate) fn what_was_told(&self) -> Option<&Told> {
        self.told.get().map(|told| &**told)
    }

    pub(crate) fn routed(&self, route: usize) {
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

    /// Whether its client is known to speak JSON-RPC.
    pub(crate) fn speaks_json_rpc(&self) -> bool {
        self.caller.get() == Caller::Mcp || self.call.get().is_some()
    }

    /// The name of the route that serves it, once found.
    pub(crate) fn route_name(&self) -> Option<&str> {
        self.route.get().map(|route| self.snapshot.config.routes[route].name.as_str())
    }

    /// It is on its way to a target of this upstream.
    pub(crate) fn forwards_to(&self, upstream: UpstreamId) {
        self.destination.set(Some(upstream));
    }

    /// What was tried at targets.
    pub(crate) fn tries(&self) -> &Tries {
        &self.tries
    }

    /// The targets of the upstream that it is forwarded to.
    fn targets(&self) -> &[config::Target] {
        let upstream = self.destination.get();
        upstream.map_or(&[], |id| &self.snapshot.config.upstreams[id.0].targets)
    }

    /// The component that answers; only kept where somebody will read it.
    pub(crate) fn forwarded_to(&self, target: &str) {
        self.target.replace(Some(target.to_owned()));
    }

    /// The upstream that gave a response to it.
    pub(crate) fn answered_by(&self, upstream: &Arc<str>) {
        let _set_once = self.upstream.set(Arc::clone(upstream));
    }

    /// Attaches the chain run; its plugins get `on-complete`.
    pub(crate) fn runs(&self, run: Rc<Run>) {
        let _set_once = self.run.set(run);
    }

    /// Whether plugins see it.
    pub(crate) fn has_plugins(&self) -> bool {
        self.run.get().is_some()
    }

    /// Takes out of trailers what has no place there.
    pub(crate) fn filter_trailers(&self, side: chain::Side, trailers: &mut HeaderMap) {
        match self.run.get() {
            Some(run) => run.filter_trailers(side, trailers),
            None => trailers::filter(trailers, &[]),
        }
    }

    /// Somebody asks for the body of the request.
    pub(crate) fn upload_began(&self) {
        self.upload_began.set(true);
    }

    /// Whether the client, if it expects a 100, was not asked for the body yet.
    pub(crate) fn awaits_upload(&self) -> bool {
        !self.upload_began.get()
    }

    /// The client said that it takes trailers.
    pub(crate) fn will_take_trailers(&self) {
        self.takes_trailers.set(true);
    }

    pub(crate) fn takes_trailers(&self) -> bool {
        self.takes_trailers.get()
    }

    /// The reason that [`upload_failed`](Self::upload_failed) left, if any.
    pub(crate) fn take_upload_failure(&self) -> Option<Failure> {
        self.upload_failure.take()
    }

    /// Ends the whole exchange after this time.
    pub(crate) fn limit_time(&self, limit: Duration) {
        self.time_limit.replace(Some(self.timers().after(limit)));
    }

    pub(crate) fn time_limit(&self) -> RefMut<'_, Option<Deadline>> {
        self.time_limit.borrow_mut()
    }

    /// Whether the head of the response is on its way.
    pub(crate) fn is_answered(&self) -> bool {
        self.status.get().is_some()
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
        self.outcome.set(Outcome::Failed);
    }

    /// The gateway ends it, although its answer is not complete.
    pub(crate) fn cut_off(&self, cut: Cut) {
        self.answer_complete.set(false);
        self.fail(Failure::Cut(cut));
    }

    /// Why the gateway ended it, if nothing else did.
    fn cut(&self) -> Option<Failure> {
        if self.outcome.get() != Outcome::ClientLeft {
            return None;
        }
        let of_stream = self.stream.as_ref().filter(|stream| stream.is_cut());
        let of_stream = of_stream.map(|_| Cut::Idle(self.connection.timeouts().idle));
        let cut = of_stream.or_else(|| self.connection.cut())?;
        self.outcome.set(Outcome::Failed);
        Some(Failure::Cut(cut))
    }

    /// The request body broke a rule or broke off. Whoever waits for the upstream is woken.
    pub(crate) fn upload_failed(&self, failure: Failure) {
        if self.is_answered()
            && let Some(stream) = &self.stream
        {
            stream.give_up_body();
        }
        let mut slot = self.upload_failure.borrow_mut();
        if slot.is_none() {
            *slot = Some(failure);
        }
        drop(slot);
        if let Some(waker) = self.upload_waker.take() {
            waker.wake();
        }
    }

    /// The reason that [`upload_failed`](Self::upload_failed) left, if any; else wakes the task
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

    /// Adds to the bytes of the request body and returns their sum.
    pub(crate) fn count_upload(&self, bytes: usize) -> u64 {
        self.uploaded.set(self.uploaded.get() + bytes as u64);
        self.uploaded.get()
    }

    pub(crate) fn count_download(&self, bytes: usize) {
        self.downloaded.set(self.downloaded.get() + bytes as u64);
    }

    /// Its stream on an HTTP/2 connection.
    pub(crate) fn stream(&self) -> Option<&StreamSlot> {
        self.stream.as_deref()
    }

    /// Whether the next move is the client's (to take what it was sent) or the upstream's.
    pub(crate) fn client_is_next(&self, is: bool) {
        if let Some(stream) = &self.stream {
            stream.client_is_next(is);
        }
    }

    pub(crate) fn response_complete(&self) {
        self.answer_complete.set(true);
        if self.outcome.get() == Outcome::ClientLeft {
            self.outcome.set(Outcome::Complete);
        }
    }

    /// The response body is gone, however it ended.
    pub(crate) fn response_gone(&self) {
        self.connection.response_gone();
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.timers().now().saturating_duration_since(self.began)
    }

    pub(crate) fn record(&self) -> access_log::Record<'_> {
        access_log::Record {
            id: self.id(),
            client: self.client(),
            method: &self.method,
            path: self.uri.path(),
            route: self.route_name(),
            status: self.status.get(),
            uploaded: self.uploaded.get(),
            downloaded: self.downloaded.get(),
            first_byte: self.head_after.get(),
            duration: self.elapsed(),
            left: self.outcome.get() == Outcome::ClientLeft,
        }
    }
}

/// How it ended, for plugins.
fn ending(answer_complete: bool, failure: Option<&Failure>) -> Ending {
    match failure.map(Failure::fault) {
        _ if answer_complete => Ending::Complete,
        None | Some(Fault::Client) => Ending::ClientLeft,
        Some(Fault::Upstream) => Ending::UpstreamFailed,
        Some(Fault::Plugin) => Ending::PluginFailed,
        Some(Fault::Gateway) => Ending::GatewayFailed,
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Exchange {
    /// Leaves the end to the worker's task, if a plugin wants to hear of it.
    fn leave_to_plugins(&mut self, failure: Option<&Failure>) {
        let Some(run) = self.run.take().filter(|run| chain::wants_complete(run)) else { return };
        let end = End {
            ending: ending(self.answer_complete.get(), failure),
            status: self.status.get(),
            upstream: self.upstream.take(),
            duration: nanos(self.elapsed()),
            time_to_head: self.head_after.get().map_or(0, nanos),
            request_bytes: self.uploaded.get(),
            response_bytes: self.downloaded.get(),
        };
        self.connection.worker.endings.push(run, end);
    }
}

fn record(
    tracer: &Arc<trace::Tracer>,
    connection: &Connection,
    beginning: &Beginning<'_>,
) -> Rc<Recording> {
    let Beginning { id, method, uri, version, headers, .. } = beginning;
    let listener = &connection.listener.name;
    let request_id = id.to_str().unwrap_or_default();
    let (peer, version) = (connection.peer, *version);
    let beginning = trace::Beginning { request_id, peer, listener, method, uri, version, headers };
    Recording::begin(tracer, &beginning)
}

impl Exchange {
    /// What only the end knows. The trace itself ends with the last of its plugins.
    fn end_record(&self, recording: &Recording, failure: Option<&Failure>) {
        recording.write(|trace| {
            trace.route = self.route_name().map(str::to_owned);
            trace.upstream = self.upstream.get().map(|name| name.to_string());
            trace.left = self.outcome.get() == Outcome::ClientLeft;
            trace.failure = failure.map(Failure::chain);
            trace.sent = self.downloaded.get();
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let failure = self.failure.take().or_else(|| self.upload_failure.take());
        let failure = failure.or_else(|| self.cut());
        if let Some(recording) = self.recording.take() {
            self.end_record(&recording, failure.as_ref());
        }
        self.leave_to_plugins(failure.as_ref());
        let log = self.snapshot.config.process.access_log;
        if failure.is_none() && log != crate::config::AccessLog::All {
            return;
        }
        let component = self.target.take();
        let target = self.tries.target().and_then(|index| self.targets().get(index));
        let attempts = target.map(|_| self.tries.shown(self.timers().now(), self.targets()));
        let target = target.map(|target| &*target.authority).or(component.as_deref());
        let way = access_log::Way { target, attempts: attempts.as_ref() };
        access_log::write(log, &self.record(), &way, failure.as_ref());
    }
}
