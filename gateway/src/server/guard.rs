//! The byte stream between a client and hyper, watched.
//!
//! Owns three things that hyper leaves open: it tells the connection what was read and written,
//! so that timeouts need no timer a request; it keeps the raw head for checks that the parsed one
//! no longer allows; and it puts a problem document in place of the bare answer that hyper gives
//! to a head that it cannot read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Transport;
use super::connection::Connection;
use crate::error::{Failure, Malformed};
use crate::respond;
use crate::telemetry::access_log;

/// How each automatic answer of hyper's begins.
const REFUSAL: &[u8] = b"HTTP/1.1 4";

/// See the module.
#[derive(Debug)]
pub(crate) struct Guard {
    transport: Transport,
    /// Read while the protocol was being found out.
    replay: Bytes,
    /// What goes out instead of hyper's answer.
    substitute: Bytes,
    connection: Rc<Connection>,
}

impl Guard {
    pub(super) fn new(transport: Transport, replay: Bytes, connection: Rc<Connection>) -> Self {
        Self { transport, replay, substitute: Bytes::new(), connection }
    }

    pub(super) fn into_transport(self) -> Transport {
        self.transport
    }

    /// Whether these bytes are hyper's own answer; they are swallowed then.
    fn replaces(&mut self, bytes: &[u8]) -> bool {
        if !bytes.starts_with(REFUSAL) || !self.connection.is_between_requests() {
            return false;
        }
        let failure = match bytes.get(9..12) {
            Some(b"414") => Failure::TargetTooLong,
            Some(b"431") => Failure::HeadTooLarge,
            _ => Failure::Malformed(Malformed::Syntax),
        };
        let id = self.connection.worker.ids.next();
        let id = id.to_str().unwrap_or_default();
        access_log::write_headless(id, self.connection.peer_address, &failure);
        self.substitute = respond::raw_problem(&failure, id).into();
        self.connection.refuse();
        true
    }

    fn poll_substitute(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.substitute.is_empty() {
            let polled = Pin::new(&mut self.transport).poll_write(context, &self.substitute);
            self.connection.wrote(polled.is_pending());
            self.substitute.advance(ready!(polled)?);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Guard {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        if this.replay.is_empty() {
            ready!(Pin::new(&mut this.transport).poll_read(context, buffer))?;
        } else {
            let length = this.replay.len().min(buffer.remaining());
            buffer.put_slice(&this.replay.split_to(length));
            if this.replay.is_empty() {
                // An empty rest would hold the memory of the whole.
                this.replay = Bytes::new();
            }
        }
        this.connection.received(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.replaces(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let polled = Pin::new(&mut this.transport).poll_write(context, bytes);
        this.connection.wrote(polled.is_pending());
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if slices.first().is_some_and(|first| this.replaces(first)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let polled = Pin::new(&mut this.transport).poll_write_vectored(context, slices);
        this.connection.wrote(polled.is_pending());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_substitute(context))?;
        ready!(Pin::new(&mut this.transport).poll_flush(context))?;
        this.connection.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_substitute(context))?;
        Pin::new(&mut this.transport).poll_shutdown(context)
    }
}
