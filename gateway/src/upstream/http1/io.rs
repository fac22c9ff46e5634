//! The bytes of a connection to a target, in the clear or through TLS.
//!
//! Owns where they are read to: small reads go through one buffer a thread, so that a connection
//! that waits holds none. Must not know what they mean.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

pub(super) use crate::tcp::News;
use crate::tcp::Socket;

/// Bytes that are read at once, at most.
const MOST_AT_ONCE: usize = 64 << 10;

/// From so many expected bytes on, they are read where they will stay.
const LARGE: u64 = 16 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(MOST_AT_ONCE));
}

/// See the module.
#[derive(Debug)]
pub(in super::super) enum Io {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Io {
    /// Whether nothing came since the last read that emptied the socket. Asks the runtime, not
    /// the kernel. TLS may have taken the news of the end in together with the last response.
    pub(super) fn is_quiet(&mut self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_quiet(),
            Self::Tls(stream) => {
                let (socket, session) = stream.get_mut();
                let state = session.process_new_packets();
                let nothing_left = state.is_ok_and(|state| {
                    !state.peer_has_closed() && state.plaintext_bytes_to_read() == 0
                });
                nothing_left && socket.is_quiet()
            }
        }
    }

    /// What has come, by the kernel's word. With TLS its content is not known.
    pub(super) fn news(&mut self) -> Option<News> {
        match self {
            Self::Plain(socket) => socket.news(),
            Self::Tls(stream) => stream.get_ref().0.news().map(|_| News::End),
        }
    }

    /// The socket below.
    pub(super) fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Reads what is there, behind what is in `input`. Zero is the end.
    pub(super) fn poll_fill(
        &mut self,
        input: &mut Bytes,
        expected: u64,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if expected >= LARGE && input.is_empty() {
            let room = usize::try_from(expected).unwrap_or(MOST_AT_ONCE).min(MOST_AT_ONCE);
            let mut buffer = BytesMut::with_capacity(room);
            let length = ready!(pin!(self.read_buf(&mut buffer)).poll(context))?;
            *input = buffer.freeze();
            return Poll::Ready(Ok(length));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            let length = ready!(pin!(self.read_buf(scratch)).poll(context))?;
            super::append(input, scratch);
            Poll::Ready(Ok(length))
        })
    }

    /// Ends TLS in an orderly way (RFC 8446 section 6.1), as far as that goes without waiting.
    pub(super) fn say_goodbye(&mut self) {
        if let Self::Tls(stream) = self {
            let mut context = Context::from_waker(Waker::noop());
            let _as_far_as_it_goes = Pin::new(stream).poll_shutdown(&mut context);
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
