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
use crate::error::{Failure, Fault};
use crate::server::connection::Connection;
use crate::server::stream::StreamSlot;
use crate::snapshot::Snapshot;
use crate::telemetry::access_log;
use crate::timer::{Deadline, Timers};
use crate::trace::{self, Recording};

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
    client: OnceCell<IpAddr>,
    route: Cell<Option<usize>>,
    target: RefCell<Option<String>>,
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
            client: OnceCell::new(),
            route: Cell::new(None),
            target: RefCell::new(None),
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
        *self.client.get().unwrap_or(&self.connection.peer_address)
    }

    pub(crate) fn client_is(&self, address: IpAddr) {
        let _set_once = self.client.set(address);
    }

    pub(crate) fn routed(&self, route: usize) {
        self.route.set(Some(route));
    }

    /// The name of the route that serves it, once found.
    pub(crate) fn route_name(&self) -> Option<&str> {
        self.route.get().map(|route| self.snapshot.config.routes[route].name.as_str())
    }

    /// Where it was forwarded to; only kept where somebody will read it.
    pub(crate) fn forwarded_to(&self, target: &str) {
        self.target.replace(Some(target.to_owned()));
    }

    /// The upstream that gave a response to it.
    pub(crate) fn answered_by(&self, upstream: &Arc<str>) {
        let _set_once = self.upstream.set(Arc::clone(upstream));
    }

    /// It goes through these plugins, and they hear of its end.
    pub(crate) fn runs(&self, run: Rc<Run>) {
        let _set_once = self.run.set(run);
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

    /// The request body broke a rule or broke off. Whoever waits for the upstream is woken.
    pub(crate) fn upload_failed(&self, failure: Failure) {
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
    fn tell_plugins(&mut self, failure: Option<&Failure>) {
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
        chain::complete(run, end, &self.connection.worker.endings);
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
        if let Some(recording) = self.recording.take() {
            self.end_record(&recording, failure.as_ref());
        }
        self.tell_plugins(failure.as_ref());
        let log = self.snapshot.config.process.access_log;
        if failure.is_none() && log != crate::config::AccessLog::All {
            return;
        }
        let target = self.target.take();
        access_log::write(log, &self.record(), target.as_deref(), failure.as_ref());
    }
}
