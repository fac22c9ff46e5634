//! A connection that has changed its protocol (RFC 9110 section 7.8).
//!
//! Owns that what came behind the head is read first. Knows nothing of the protocol.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Buf as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Http1Connection;

/// Both directions of it, as bytes.
#[derive(Debug)]
pub(crate) struct Switched(Rc<Http1Connection>);

impl Switched {
    pub(super) fn new(connection: &Rc<Http1Connection>) -> Self {
        Self(Rc::clone(connection))
    }
}

impl AsyncRead for Switched {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let state = &mut *self.0.state();
        if state.input.is_empty() {
            return Pin::new(&mut state.io).poll_read(context, buffer);
        }
        let length = state.input.len().min(buffer.remaining());
        buffer.put_slice(&state.input[..length]);
        state.input.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Switched {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.state().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.state().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.state().io).poll_shutdown(context)
    }
}
