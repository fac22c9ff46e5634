//! A request body that comes from a client.
//!
//! Owns the notice to its connection, or its stream over HTTP/2, when the body is not needed any more:
//! the next bytes there belong to this body until it has ended, even if nobody reads it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::BodyError;
use crate::conn::{Downstream, Stream};
use crate::http2::Received;

/// The body of a request as its connection hands it over.
pub(crate) enum FromClient {
    Http1(Incoming),
    /// With its stream.
    Http2(Received, Rc<dyn Stream>),
    /// None: the stream is to be a tunnel.
    Connect(Rc<dyn Stream>),
}

/// Over HTTP/1.
pub(super) struct ClientBody {
    /// `None` when it has ended.
    incoming: Option<Incoming>,
    connection: Rc<dyn Downstream>,
}

impl ClientBody {
    pub(super) fn new(incoming: Incoming, connection: &Rc<dyn Downstream>) -> Self {
        Self { incoming: Some(incoming), connection: Rc::clone(connection) }
    }

    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        let mut frame = ready!(Pin::new(&mut *incoming).poll_frame(context));
        if matches!(frame, Some(Err(_))) && self.connection.take_let_go() {
            frame = ready!(Pin::new(&mut *incoming).poll_frame(context));
        }
        let goes_on = matches!(&frame, Some(Ok(frame)) if frame.is_data());
        if !goes_on || incoming.is_end_stream() {
            self.incoming = None;
            self.connection.body_ended();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyError::Broken(error.into()))))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.incoming.is_none()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            self.connection.body_abandoned(incoming);
        }
    }
}

/// Over HTTP/2.
pub(super) struct StreamBody {
    /// `None` when it has ended.
    received: Option<Received>,
    slot: Rc<dyn Stream>,
}

impl StreamBody {
    pub(super) fn new(received: Received, slot: Rc<dyn Stream>) -> Self {
        Self { received: Some(received), slot }
    }

    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(received) = &mut self.received else {
            return Poll::Ready(None);
        };
        self.slot.body_is_asked_for();
        let frame = ready!(Pin::new(&mut *received).poll_frame(context));
        self.slot.body_moved();
        let goes_on = matches!(&frame, Some(Ok(frame)) if frame.is_data());
        if !goes_on || received.is_end_stream() {
            self.received = None;
            self.slot.body_ended();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyError::Broken(error.into()))))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.received.as_ref().is_none_or(Received::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.received.as_ref().map_or_else(|| SizeHint::with_exact(0), Received::size_hint)
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        if let Some(received) = self.received.take() {
            self.slot.body_abandoned(received);
        }
    }
}
