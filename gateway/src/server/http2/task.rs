//! One HTTP/2 stream, as a task.
//!
//! Owns the way from a request to the end of its response, and what follows if the request has not
//! ended by then: a part of its body that nobody wants is read, since a client that sends before it
//! reads would not get to its response; then the stream is reset, with NO_ERROR (RFC 9113 section 8.1).
//! Owns the idle timeout of a client that does not take its response: flow control stalls one stream
//! while the connection lives on, and a body that cannot be sent is not even polled.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::header::DATE;
use http::{Request, Response};
use http_body::Body as _;

use super::super::leftover;
use super::super::stream::StreamSlot;
use super::{connect, date};
use crate::body::{Body, BodyError, FromClient};
use crate::exchange::Application;
use crate::heads;
use crate::http2::{self, Cut, Pipe};
use crate::timer::Deadline;

/// Serves one request to the end of its stream.
pub(super) async fn run<A: Application>(
    application: A,
    slot: Rc<StreamSlot>,
    request: Request<FromClient>,
) {
    let open = OpenStream(slot);
    let slot = &*open.0;
    let Some(response) = answer(application, &open.0, request).await else { return };
    if let Some((received, tunnel)) = slot.take_tunnel() {
        // Boxed, so that others do not carry its state around.
        Box::pin(connect::run(&open.0, response, received, tunnel)).await;
        return;
    }
    let Some(out) = begin(slot, response) else { return };
    let mut rest = ResponseWrite { slot, out, waits: None, deadline: None, leaves: None };
    poll_fn(|context| rest.poll(context)).await;
}

/// Open as long as its task.
struct OpenStream(Rc<StreamSlot>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The response; `None` if the client did not wait for it.
async fn answer<A: Application>(
    application: A,
    slot: &Rc<StreamSlot>,
    request: Request<FromClient>,
) -> Option<Response<Body>> {
    let (worker, connection) = (Rc::clone(&slot.connection.worker.state), slot.connection.clone());
    let mut handled = pin!(application.handle(worker, connection, request));
    poll_fn(|context| {
        if let Poll::Ready(Ok(response)) = handled.as_mut().poll(context) {
            return Poll::Ready(Some(response));
        }
        slot.poll_reset(context).map(|()| None)
    })
    .await
}

/// Sends the head.
fn begin(slot: &StreamSlot, response: Response<Body>) -> Option<Out> {
    let (mut head, body) = response.into_parts();
    heads::strip_hop_by_hop(&mut head.headers);
    if !head.headers.contains_key(DATE)
        && let Some(date) = date::now()
    {
        head.headers.insert(DATE, date);
    }
    let has_body = !body.is_end_stream();
    if has_body && let Some(length) = body.size_hint().exact() {
        http2::state_length(&mut head.headers, length);
    }
    let mut reply = slot.take_reply()?;
    match reply.send_response(Response::from_parts(head, ()), !has_body) {
        Ok(stream) if has_body => Some(Out::Sending(Pipe::new(body, stream))),
        Ok(stream) => Some(Out::Sent(stream)),
        Err(error) => {
            tracing::debug!(%error, "a response was not sent");
            reply.send_reset(Reason::INTERNAL_ERROR);
            None
        }
    }
}

/// What is left to do when the head is on its way.
struct ResponseWrite<'a> {
    slot: &'a StreamSlot,
    out: Out,
    waits: Option<Wait>,
    /// Made when the client is first waited for.
    deadline: Option<Deadline>,
    /// Until when what nobody wants may take.
    leaves: Option<Instant>,
}

enum Out {
    Sending(Pipe<Body>),
    Sent(SendStream<Bytes>),
    Gone,
}

/// What the client is waited for, and since which frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// To take the response.
    Reader(u64),
    /// To send its body to somebody who reads it, behind a response that is complete.
    Sender(u64),
    /// To send what nobody wants, of which so much more is read.
    Leftover(u64),
}

impl ResponseWrite<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Also before the response has ended: its client may read only when it has sent.
        let mut is_over = self.slot.poll_leftover(context);
        if let Out::Sending(pipe) = &mut self.out {
            match pipe.poll(context) {
                Poll::Pending => return self.wait_for_reader(context),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(cut)) => {
                    cut_off(pipe, &cut);
                    return Poll::Ready(());
                }
            }
            if let Out::Sending(pipe) = std::mem::replace(&mut self.out, Out::Gone) {
                self.out = Out::Sent(pipe.into_stream());
            }
            // The code that answered may have released the request's body now.
            is_over = is_over || self.slot.poll_leftover(context);
        }
        if is_over {
            return Poll::Ready(());
        }
        self.wait_for_sender(context)
    }

    fn wait_for_reader(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.slot.awaits_client() {
            Some(frame) => {
                let late = self.poll_deadline(Wait::Reader(frame), context);
                if late.is_ready() {
                    self.slot.cut();
                }
                late
            }
            None => Poll::Pending,
        }
    }

    fn wait_for_sender(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Out::Sent(stream) = &mut self.out
            && stream.poll_reset(context).is_ready()
        {
            return Poll::Ready(());
        }
        let wait = match self.slot.leftover() {
            Some(room) => Wait::Leftover(room),
            None => Wait::Sender(self.slot.uploaded()),
        };
        let late = self.poll_deadline(wait, context);
        if let (Poll::Ready(()), Wait::Sender(_), Out::Sent(stream)) = (late, wait, &mut self.out) {
            stream.send_reset(Reason::NO_ERROR);
        }
        late
    }

    fn poll_deadline(&mut self, wait: Wait, context: &mut Context<'_>) -> Poll<()> {
        let connection = &self.slot.connection;
        let timers = &connection.worker.state.timers;
        let deadline = self.deadline.get_or_insert_with(|| timers.after(Duration::ZERO));
        if self.waits.replace(wait) != Some(wait) {
            deadline.reset(match wait {
                Wait::Reader(_) | Wait::Sender(_) => connection.timeouts().idle,
                Wait::Leftover(_) => {
                    let now = timers.now();
                    let end = *self.leaves.get_or_insert_with(|| now + leftover::MOST_TIME);
                    leftover::TIME.min(end.saturating_duration_since(now))
                }
            });
        }
        Pin::new(deadline).poll(context)
    }
}

/// Ends the stream of a response that broke off.
fn cut_off(pipe: &mut Pipe<Body>, cut: &Cut<BodyError>) {
    match cut {
        Cut::Stream(error) => tracing::trace!(%error, "a client has not taken a response"),
        Cut::Body(error) => pipe.reset(reason(error)),
    }
}

/// Why a stream of an upstream was reset is passed on to the client where it says the same there. That a
/// request was not processed, for one, would have it sent again.
fn reason(error: &BodyError) -> Reason {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let passes = [Reason::CANCEL, Reason::ENHANCE_YOUR_CALM];
            let said = error.reason().filter(|reason| passes.contains(reason));
            return said.unwrap_or(Reason::INTERNAL_ERROR);
        }
        cause = error.source();
    }
    Reason::INTERNAL_ERROR
}
