//! The rest of a request body that is not read any more.
//!
//! Owns how much of it is read: over HTTP/1.1 so that its connection can be used again, and over HTTP/2
//! so that a client that sends before it reads receives its response. Reading more would cost more than
//! a new connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;

/// Bytes that are read, at most.
const BYTES: u64 = 1 << 20;

/// How long a client has to send it, once its response is written.
pub(super) const TIME: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Leftover<B> {
    body: B,
    room: u64,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Pending,
    /// It was read to its end, broke off, or is too large.
    Over,
}

impl<B: Body<Data = Bytes> + Unpin> Leftover<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, room: BYTES }
    }

    /// Whether more is announced than is read.
    pub(super) fn is_too_large(&self) -> bool {
        self.body.size_hint().lower() > self.room
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Progress {
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => return Progress::Pending,
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(None | Some(Err(_))) => return Progress::Over,
            };
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            match self.room.checked_sub(length) {
                Some(room) => self.room = room,
                None => return Progress::Over,
            }
            // hyper may keep the end of a body to itself until it has another request: only the
            // length, or trailers, show it.
            if frame.is_trailers() || self.body.is_end_stream() {
                return Progress::Over;
            }
        }
    }
}
