//! The rest of a request body that is not read any more.
//!
//! Owns how much of it is read: over HTTP/1.1 so that its connection can be used again, where reading more
//! would cost more than a new connection; and over HTTP/2, or behind the last response over HTTP/1.1, so that
//! a client that sends before it reads receives its response.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;

/// Bytes that are read for the sake of a connection, at most.
const BYTES: u64 = 1 << 20;

/// Bytes that are read for the sake of the response, at most: many clients read only when they have sent
/// all, and take a reset for the answer.
pub(super) const MOST_BYTES: u64 = 64 << 20;

/// How long a client may send nothing of it, once its response is written; over HTTP/1.1, and for the sake of a
/// connection, how long it may take.
pub(super) const TIME: Duration = Duration::from_secs(5);

/// How long a client may take to send what is read for the sake of the response.
pub(super) const MOST_TIME: Duration = Duration::from_secs(30);

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

    /// One that is read for the sake of the response.
    pub(super) fn of_stream(body: B) -> Self {
        Self { body, room: MOST_BYTES }
    }

    /// How many more bytes are read.
    pub(super) fn room(&self) -> u64 {
        self.room
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
