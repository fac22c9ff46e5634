//! A body that goes onto a stream.
//!
//! Owns that the body is asked for a frame only when the one before is on its way, and that no room of
//! the connection is claimed for a frame that does not exist yet: a body that is silent would take it
//! from the others. Sees that the peer resets the stream while it waits.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Error, Reason, SendStream};
use http_body::{Body, Frame};

/// See the module.
pub(crate) struct Pipe<B> {
    body: B,
    stream: SendStream<Bytes>,
    /// A frame that waits for room, and whether it is the last.
    held: Option<(Bytes, bool)>,
}

/// Why a body did not get to its end.
#[derive(Debug)]
pub(crate) enum Cut<E> {
    /// The peer reset the stream, or the connection ended.
    Stream(Error),
    /// The body failed. The stream is still open.
    Body(E),
}

type Polled<E> = Poll<Result<(), Cut<E>>>;

impl<B> Pipe<B> {
    pub(crate) fn new(body: B, stream: SendStream<Bytes>) -> Self {
        Self { body, stream, held: None }
    }

    pub(crate) fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    pub(crate) fn into_body(self) -> B {
        self.body
    }

    pub(crate) fn into_stream(self) -> SendStream<Bytes> {
        self.stream
    }

    pub(crate) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Pipe<B> {
    /// Sends as much as there is and as the peer takes; ready when the stream is ended, or was.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Polled<B::Error> {
        match self.stream.poll_reset(context) {
            Poll::Pending => {}
            Poll::Ready(Ok(reason)) => return Poll::Ready(Err(Cut::Stream(reason.into()))),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(Cut::Stream(error))),
        }
        loop {
            if self.held.is_some() {
                ready!(self.poll_room(context)).map_err(Cut::Stream)?;
            }
            if let Some((data, is_last)) = self.held.take() {
                self.stream.send_data(data, is_last).map_err(Cut::Stream)?;
                if is_last {
                    return Poll::Ready(Ok(()));
                }
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            let Some(frame) = frame.transpose().map_err(Cut::Body)? else {
                let ended = self.stream.send_data(Bytes::new(), true);
                return Poll::Ready(ended.map_err(Cut::Stream));
            };
            if self.take(frame).map_err(Cut::Stream)? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes a frame on. `true` if it ends the stream.
    fn take(&mut self, frame: Frame<Bytes>) -> Result<bool, Error> {
        match frame.into_data() {
            Ok(data) => {
                if !data.is_empty() {
                    // As little as makes the peer give more: `h2` asks for the rest when it has it.
                    self.stream.reserve_capacity(1);
                    self.held = Some((data, self.body.is_end_stream()));
                    return Ok(false);
                }
                // What is empty needs no room.
                let is_last = self.body.is_end_stream();
                self.stream.send_data(data, is_last)?;
                Ok(is_last)
            }
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => {
                    self.stream.reserve_capacity(0);
                    self.stream.send_trailers(trailers)?;
                    Ok(true)
                }
                Err(_neither) => Ok(false),
            },
        }
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Err(Reason::STREAM_CLOSED.into())),
            }
        }
        Poll::Ready(Ok(()))
    }
}
