//! A connection, or a stream of one, that has changed its protocol.
//!
//! Owns nothing but the choice.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::http1;
use crate::http2::Duplex;

/// Both directions of it, as bytes.
#[derive(Debug)]
pub(crate) enum Switched {
    /// Behind 101 (RFC 9110 section 7.8).
    Http1(http1::Switched),
    /// Behind the response that agrees to an extended CONNECT (RFC 8441).
    Http2(Duplex),
}

impl AsyncRead for Switched {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Http1(io) => Pin::new(io).poll_read(context, buffer),
            Self::Http2(io) => Pin::new(io).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Switched {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Http1(io) => Pin::new(io).poll_write(context, bytes),
            Self::Http2(io) => Pin::new(io).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Http1(io) => Pin::new(io).poll_flush(context),
            Self::Http2(io) => Pin::new(io).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Http1(io) => Pin::new(io).poll_shutdown(context),
            Self::Http2(io) => Pin::new(io).poll_shutdown(context),
        }
    }
}
