//! A guest that runs: one request, one store, one call.
//!
//! Owns its turns on the worker, the reading of what went wrong, and what becomes of a guest that
//! continues when its response has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::Component;
use super::body::RequestBody;
use super::guest::Guest;
use super::meter::Meter;
use crate::error::ComponentError;
use crate::plugin::{is_deadline, is_full, trap_text};
use crate::share::Turn;
use crate::timer::Timers;

/// What the guest sets as its response.
pub(super) type Set = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

/// A guest that serves one request. Dropped, it ends where it is.
pub(super) struct Running {
    component: Arc<Component>,
    guest: Pin<Box<dyn Future<Output = Result<(), ComponentError>>>>,
    meter: Arc<Meter>,
    turn: Turn,
    request_id: Box<str>,
    _permit: OwnedSemaphorePermit,
}

impl Running {
    pub(super) fn new(
        component: &Arc<Component>,
        store: Store<Guest>,
        meter: Arc<Meter>,
        request: (Scheme, Request<RequestBody>),
        request_id: &str,
        (permit, turn): (OwnedSemaphorePermit, Turn),
    ) -> (Self, oneshot::Receiver<Set>) {
        let (set, response) = oneshot::channel();
        let guest = Box::pin(serve(Arc::clone(component), store, request, set));
        let component = Arc::clone(component);
        let request_id = request_id.into();
        (Self { component, guest, meter, turn, request_id, _permit: permit }, response)
    }

    /// Whether it was put aside while it computed, and for how long it has computed.
    pub(super) fn is_put_aside(&self) -> Option<Duration> {
        self.turn.is_wanted().then(|| self.turn.computed())
    }
}

impl Future for Running {
    type Output = Result<(), ComponentError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { component, guest, meter, turn, .. } = self.get_mut();
        let polled = turn.poll_slice(context, meter.slices(), guest.as_mut());
        if polled.is_pending() && meter.is_over() {
            return Poll::Ready(Err(ComponentError::Deadline(component.config.deadline)));
        }
        polled
    }
}

async fn serve(
    component: Arc<Component>,
    mut store: Store<Guest>,
    (scheme, request): (Scheme, Request<RequestBody>),
    set: oneshot::Sender<Set>,
) -> Result<(), ComponentError> {
    let made = component.pre.instantiate_async(&mut store).await;
    let service = made.map_err(|error| explain(&component, &mut store, &error, true))?;
    let mut http = store.data_mut().http();
    let given = http
        .new_incoming_request(scheme, request)
        .and_then(|request| Ok((request, http.new_response_outparam(set)?)));
    let (request, response) =
        given.map_err(|error| explain(&component, &mut store, &error, true))?;
    let handler = service.wasi_http_incoming_handler();
    let called = handler.call_handle(&mut store, request, response).await;
    called.map_err(|error| explain(&component, &mut store, &error, false))
}

/// What a failed call means. `is_new` says that the guest has not come to its handler yet.
pub(super) fn explain(
    component: &Component,
    store: &mut Store<Guest>,
    error: &wasmtime::Error,
    is_new: bool,
) -> ComponentError {
    let guest = store.data_mut();
    if let Some(refused) = guest.memory.take_refusal() {
        let said =
            guest.output.failure_report().map(|failure_report| format!(": {failure_report}"));
        return ComponentError::Memory(format!("{refused}{}", said.unwrap_or_default()));
    }
    if is_full(error) {
        return ComponentError::NoPlace(error.root_cause().to_string());
    }
    if is_deadline(error) {
        return ComponentError::Deadline(component.config.deadline);
    }
    let text = trap_text(guest.output.failure_report(), None, error);
    if is_new { ComponentError::Instantiate(text) } else { ComponentError::Trap(text) }
}

/// Guests that continue when their response has ended, on a task of the worker.
#[derive(Clone)]
pub(super) struct Remainders(mpsc::UnboundedSender<Running>);

impl Remainders {
    /// Ends with the last handle.
    ///
    /// # Panics
    /// Outside of a running [`tokio::task::LocalSet`].
    pub(super) fn start(timers: &Timers) -> Self {
        let (sender, mut guests) = mpsc::unbounded_channel();
        let timers = timers.clone();
        tokio::task::spawn_local(async move {
            while let Some(guest) = guests.recv().await {
                tokio::task::spawn_local(finish(guest, timers.clone()));
            }
        });
        Self(sender)
    }

    pub(super) fn take_over(&self, guest: Running) {
        // A worker that has ended has no task any more.
        let _worker_ended = self.0.send(guest);
    }
}

/// Lets a guest end, within the time that it has for a response.
async fn finish(mut guest: Running, timers: Timers) {
    let bound = guest.component.config.first_byte;
    let outcome = tokio::select! {
        ended = &mut guest => ended.map_err(|error| error.to_string()),
        () = timers.after(bound) => Err(format!("it did not return within {bound:?}")),
    };
    if let Err(failure) = outcome {
        tracing::warn!(
            component = &*guest.component.name,
            request_id = &*guest.request_id,
            "after its response: {failure}"
        );
    }
}
