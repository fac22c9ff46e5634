//! From a request that is ready to a response of a component.
//!
//! Owns the number of requests that a component serves at a time, the bound on the first byte, and
//! what a response must be before it is passed on.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;

use super::Component;
use super::body::{Progress, RequestBody, ResponseBody, Silence};
use super::guest;
use super::meter::Meter;
use super::outgoing::Caller;
use super::output::Output;
use super::running::{Remainders, Running, Set};
use crate::body::Body;
use crate::error::ComponentError;
use crate::share::{Flow, TICK, Turn};
use crate::telemetry::metrics::ComponentFailure;
use crate::timer::Timers;

/// How long a request waits for an instance when all of them are busy.
const EXHAUSTED: Duration = Duration::from_secs(5);

/// What a guest may compute behind its response before that is passed on.
const BEHIND: Duration = TICK;

/// A component as one worker uses it.
pub(crate) struct Instances {
    component: Arc<Component>,
    free: Arc<Semaphore>,
    remainders: Remainders,
    timers: Timers,
    /// Who sends the requests of its guests.
    caller: Option<Caller>,
}

/// What a component receives about a request besides the request.
pub(crate) struct Call<'a> {
    /// Whose turn it is, among the requests of the route and others.
    pub(crate) flow: &'a Rc<Flow>,
    /// Whether the client came over TLS.
    pub(crate) is_tls: bool,
    /// For the log.
    pub(crate) request_id: &'a str,
}

impl Instances {
    /// None are made before they are needed.
    ///
    /// # Panics
    /// Outside of a running [`tokio::task::LocalSet`].
    pub(crate) fn new(component: &Arc<Component>, timers: &Timers, caller: Option<Caller>) -> Self {
        Self {
            free: Arc::new(Semaphore::new(component.config.instances)),
            component: Arc::clone(component),
            remainders: Remainders::start(timers),
            timers: timers.clone(),
            caller,
        }
    }

    /// The name of the component.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.component.name
    }

    /// Has a new instance answer. Dropped, the instance ends.
    pub(crate) async fn answer(
        &self,
        request: Request<Body>,
        call: Call<'_>,
    ) -> Result<Response<Body>, ComponentError> {
        let answered = self.try_answer(request, call).await;
        answered.inspect_err(|error| self.component.metrics.failed(kind(error)))
    }

    async fn try_answer(
        &self,
        request: Request<Body>,
        call: Call<'_>,
    ) -> Result<Response<Body>, ComponentError> {
        if call.flow.is_full() {
            return Err(ComponentError::Busy(call.flow.limit()));
        }
        // Before it has an instance: those that wait for a turn hold none.
        let first_byte = self.component.config.first_byte;
        let mut turn = tokio::select! {
            biased;
            turn = Turn::first(call.flow, true) => turn,
            () = self.timers.after(first_byte) => {
                return Err(ComponentError::FirstByteTimeout(first_byte));
            }
        };
        let permit = self.permit(&mut turn).await?;
        let component = &self.component;
        let meter = Arc::new(Meter::new(component.config.deadline));
        let output = Output::new(&component.name, call.request_id);
        let outgoing = component.outgoing(self.caller.clone(), &output);
        let store = guest::store(component.engine(), &component.config, output, outgoing, &meter);
        let method = request.method().clone();
        let (head, body) = request.into_parts();
        let (body, progress) = RequestBody::new(body, &self.timers);
        let scheme = if call.is_tls { Scheme::Https } else { Scheme::Http };
        let request = (scheme, Request::from_parts(head, body));
        let has = (permit, turn);
        let (guest, set) = Running::new(component, store, meter, request, call.request_id, has);
        let (response, guest) = self.head(guest, set, &progress).await?;
        self.checked(response, guest, &method)
    }

    async fn permit(&self, turn: &mut Turn) -> Result<OwnedSemaphorePermit, ComponentError> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(permit);
        }
        turn.give_up();
        let exhausted = ComponentError::Exhausted(self.component.config.instances);
        tokio::select! {
            permit = Arc::clone(&self.free).acquire_owned() => permit.map_err(|_| exhausted),
            () = self.timers.after(EXHAUSTED) => Err(exhausted),
        }
    }

    /// Runs the guest until it has set its response. Returns it too if it continues.
    async fn head(
        &self,
        guest: Running,
        set: oneshot::Receiver<Set>,
        progress: &Progress,
    ) -> Result<(Response<WasiBody>, Option<Running>), ComponentError> {
        let first_byte = self.component.config.first_byte;
        let mut deadline = self.timers.after(first_byte);
        let (mut guest, mut set) = (Some(guest), Some(set));
        // The response, and what the guest may have computed when it is passed on.
        let mut is_set: Option<(Response<WasiBody>, Duration)> = None;
        let response = poll_fn(|context| {
            let has_ended = match &mut guest {
                Some(running) => Pin::new(running).poll(context)?.is_ready(),
                None => true,
            };
            if has_ended {
                guest = None;
            }
            let aside = guest.as_ref().and_then(Running::is_put_aside);
            match set.as_mut().map(|set| Pin::new(set).poll(context)) {
                Some(Poll::Ready(Ok(response))) => {
                    let code = |code| ComponentError::ErrorCode(format!("{code:?}"));
                    is_set = Some((response.map_err(code)?, aside.unwrap_or_default() + BEHIND));
                    set = None;
                }
                Some(Poll::Ready(Err(_))) => set = None,
                Some(Poll::Pending) | None => {}
            }
            // Put aside just behind its response, it mostly has nothing left to do but to return: then
            // the response is whole, and its length is known.
            let goes_on = |until: &Duration| aside.is_some_and(|computed| computed < *until);
            if let Some((response, _)) = is_set.take_if(|(_, until)| !goes_on(until)) {
                return Poll::Ready(Ok(response));
            }
            if has_ended {
                return Poll::Ready(Err(ComponentError::NoResponse));
            }
            while Pin::new(&mut deadline).poll(context).is_ready() {
                if let Some((response, _)) = is_set.take() {
                    return Poll::Ready(Ok(response));
                }
                let left = progress.left(first_byte);
                if left.is_zero() {
                    return Poll::Ready(Err(ComponentError::FirstByteTimeout(first_byte)));
                }
                deadline.reset(left);
            }
            Poll::Pending
        });
        let response = response.await?;
        Ok((response, guest))
    }

    /// The response as the gateway passes it on: of an unambiguous length, and without a body where
    /// there is none (RFC 9110 section 6.4.1).
    fn checked(
        &self,
        response: Response<WasiBody>,
        guest: Option<Running>,
        method: &Method,
    ) -> Result<Response<Body>, ComponentError> {
        let (mut head, body) = response.into_parts();
        if head.status.is_informational() {
            return Err(ComponentError::Invalid("its status is not a final one"));
        }
        head.extensions.clear();
        let length = declared_length(&head.headers)?;
        let without = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        if *method == Method::HEAD || without.contains(&head.status) {
            if head.status == StatusCode::NO_CONTENT {
                head.headers.remove(CONTENT_LENGTH);
            }
            drop(body);
            if let Some(guest) = guest {
                self.remainders.take_over(guest);
            }
            return Ok(Response::from_parts(head, Body::empty()));
        }
        let body = match guest {
            None => whole(body, length, &mut head.headers)?,
            guest => Body::filtered(Box::pin(ResponseBody {
                component: Arc::clone(&self.component),
                body,
                guest,
                remainders: self.remainders.clone(),
                length,
                silence: Silence {
                    timers: self.timers.clone(),
                    idle: self.component.config.idle,
                    deadline: None,
                    waiting: false,
                },
            })),
        };
        Ok(Response::from_parts(head, body))
    }
}

/// As a failure is counted.
pub(super) fn kind(error: &ComponentError) -> ComponentFailure {
    match error {
        ComponentError::Trap(_) => ComponentFailure::Trap,
        ComponentError::Deadline(_) => ComponentFailure::Deadline,
        ComponentError::Memory(_) => ComponentFailure::Memory,
        ComponentError::Instantiate(_) => ComponentFailure::Instantiate,
        ComponentError::Exhausted(_) | ComponentError::NoPlace(_) => ComponentFailure::Exhausted,
        ComponentError::Busy(_) => ComponentFailure::Busy,
        ComponentError::NoResponse | ComponentError::ErrorCode(_) | ComponentError::Invalid(_) => {
            ComponentFailure::Response
        }
        ComponentError::FirstByteTimeout(_) | ComponentError::Stalled(_) => {
            ComponentFailure::Timeout
        }
    }
}

/// What `content-length` says. The host takes only one field of it, but any text in that.
fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, ComponentError> {
    let mut fields = headers.get_all(CONTENT_LENGTH).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    let is_number = fields.next().is_none() && field.as_bytes().iter().all(u8::is_ascii_digit);
    let length = field.to_str().ok().filter(|_| is_number).and_then(|text| text.parse().ok());
    length.map(Some).ok_or(ComponentError::Invalid("its content-length is no number"))
}

/// The body of a guest that has returned: all of it is there. Most responses come this way, and
/// their length is sent to the client.
fn whole(
    mut body: WasiBody,
    length: Option<u64>,
    headers: &mut HeaderMap,
) -> Result<Body, ComponentError> {
    let mut context = Context::from_waker(Waker::noop());
    let (mut bytes, mut trailers) = (Bytes::new(), None);
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
        let frame = frame.map_err(|_| {
            ComponentError::Invalid("its body is not as long as its content-length says")
        })?;
        match frame.into_data() {
            Ok(data) if bytes.is_empty() => bytes = data,
            Ok(data) => {
                let mut joined = BytesMut::from(bytes);
                joined.extend_from_slice(&data);
                bytes = joined.freeze();
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    match length {
        Some(length) if length == bytes.len() as u64 => {}
        None => {}
        // Only the head was of interest to the guest, or it never asked for the body.
        Some(_) if bytes.is_empty() => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Some(_) => {
            return Err(ComponentError::Invalid(
                "its body is not as long as its content-length says",
            ));
        }
    }
    Ok(Body::buffered(bytes, trailers))
}
