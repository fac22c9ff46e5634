//! A request on its way out.
//!
//! Owns what of it is written already, and that a body is as long as its head said. Must not read.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::Request;
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;

use super::super::added::Added;
use super::super::exchange::CONTINUE_WITHIN;
use super::super::progress::{self, Watch};
use super::encode::{self, Framing};
use super::{Http1Connection, Io};
use crate::timer::Deadline;

/// Frames up to this size are copied behind the head, so that both go out in one piece.
const SMALL: usize = 4 << 10;

/// Bytes that are gathered before they are written, about.
const ENOUGH: usize = 16 << 10;

thread_local! {
    /// The buffer of the requests that are written at once, as nearly all are.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// See the module.
pub(super) struct Upload {
    /// What is left of the body; [`Framing::None`] when it has been read to its end.
    left: Framing,
    out: Output,
    /// Until when the body is held back.
    held: Option<Box<Deadline>>,
}

/// Why a request was not sent to its end.
#[derive(Debug)]
pub(super) enum Failed {
    /// The connection does not take it.
    Io(io::Error),
    /// Its body failed.
    Body,
}

impl Upload {
    pub(super) fn new<B: Body>(
        request: &Request<B>,
        added: Option<&dyn Added>,
        watch: Option<&Watch<B>>,
    ) -> Self {
        let framing = Framing::of(request.body());
        let mut bytes = SPARE.take();
        let expects = encode::head(&mut bytes, request, added, framing);
        let expects = expects && framing != Framing::None;
        let held = watch.filter(|_| expects).map(|watch| Box::new(watch.after(CONTINUE_WITHIN)));
        Self { left: framing, out: Output { bytes, ..Output::default() }, held }
    }

    /// Whether the body waits for the target to ask for it.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// The target asks for the body.
    pub(super) fn go_on(&mut self) {
        self.held = None;
    }

    /// Writes as much as there is and as the connection takes; ready when all is written.
    pub(super) fn poll<B>(
        &mut self,
        connection: &Http1Connection,
        body: &mut B,
        watch: Option<&Watch<B>>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Failed>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        if let Some(held) = &mut self.held {
            ready!(self.out.poll_write(&mut connection.state().io, context)).map_err(Failed::Io)?;
            ready!(Pin::new(&mut **held).poll(context));
            self.held = None;
        }
        loop {
            let mut is_starved = false;
            while self.left != Framing::None && self.out.has_room() {
                match progress::poll_frame(body, watch, context) {
                    Poll::Ready(Some(Ok(frame))) => self.encode(frame)?,
                    Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Failed::Body)),
                    Poll::Ready(None) => self.end()?,
                    Poll::Pending => {
                        is_starved = true;
                        break;
                    }
                }
            }
            ready!(self.out.poll_write(&mut connection.state().io, context)).map_err(Failed::Io)?;
            if self.left == Framing::None {
                return Poll::Ready(Ok(()));
            }
            if is_starved {
                return Poll::Pending;
            }
        }
    }

    fn encode(&mut self, frame: Frame<Bytes>) -> Result<(), Failed> {
        let data = match frame.into_data() {
            Ok(data) if data.is_empty() => return Ok(()),
            Ok(data) => data,
            Err(frame) => {
                if self.left == Framing::Chunked {
                    encode::last_chunk(&mut self.out.bytes, frame.trailers_ref());
                    self.left = Framing::None;
                }
                return Ok(());
            }
        };
        match &mut self.left {
            Framing::None => {}
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or_else(|| {
                    Failed::Io(io::Error::other("the request's body is longer than it said"))
                })?;
                if *left == 0 {
                    self.left = Framing::None;
                }
                self.out.push(data, false);
            }
            Framing::Chunked => {
                encode::chunk_size(&mut self.out.bytes, data.len());
                self.out.push(data, true);
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failed> {
        match self.left {
            Framing::Length(_) => {
                return Err(Failed::Io(io::Error::other(
                    "the request's body is shorter than it said",
                )));
            }
            Framing::Chunked => encode::last_chunk(&mut self.out.bytes, None),
            Framing::None => {}
        }
        self.left = Framing::None;
        Ok(())
    }
}

/// Bytes, then a frame that is too large to be copied, then the end of its chunk.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    written: usize,
    data: Bytes,
    tail: &'static [u8],
}

impl Output {
    fn has_room(&self) -> bool {
        self.data.is_empty() && self.bytes.len() < ENOUGH
    }

    fn push(&mut self, data: Bytes, is_chunk: bool) {
        let tail: &[u8] = if is_chunk { b"\r\n" } else { b"" };
        if data.len() <= SMALL {
            self.bytes.extend_from_slice(&data);
            self.bytes.extend_from_slice(tail);
        } else {
            self.data = data;
            self.tail = tail;
        }
    }

    fn poll_write(&mut self, io: &mut Io, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() || !self.data.is_empty() || !self.tail.is_empty() {
            let front = &self.bytes[self.written..];
            let length = if self.data.is_empty() && self.tail.is_empty() {
                ready!(Pin::new(&mut *io).poll_write(context, front))?
            } else {
                let slices = [front, &self.data, self.tail].map(IoSlice::new);
                ready!(Pin::new(&mut *io).poll_write_vectored(context, &slices))?
            };
            if length == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.advance(length);
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        self.written = 0;
        bytes.clear();
        SPARE.set(bytes);
        Pin::new(io).poll_flush(context)
    }

    fn advance(&mut self, mut length: usize) {
        let front = length.min(self.bytes.len() - self.written);
        self.written += front;
        length -= front;
        let data = length.min(self.data.len());
        self.data.advance(data);
        length -= data;
        self.tail = &self.tail[length..];
    }
}
