//! A stream whose two directions are bytes of another protocol (RFC 8441 section 5).
//!
//! Owns that the end of a direction is END_STREAM and that a reset is an error in both, and that one frame
//! is in here at a time. Knows nothing of the protocol.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::{RecvStream, SendStream};
use http::HeaderMap;
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Received;

/// See the module. Dropped before both directions have ended, the stream is reset.
#[derive(Debug)]
pub(crate) struct Duplex {
    received: Received,
    /// What of a frame is not read yet.
    rest: Bytes,
    stream: Rc<RefCell<SendStream<Bytes>>>,
    has_ended: bool,
}

impl Duplex {
    /// The stream of a CONNECT that was agreed to. No length that a head states is one of it.
    pub(crate) fn new(received: RecvStream, stream: SendStream<Bytes>) -> Self {
        Self {
            received: Received::new(received, &HeaderMap::new()),
            rest: Bytes::new(),
            stream: Rc::new(RefCell::new(stream)),
            has_ended: false,
        }
    }

    /// Ends when the peer resets the stream or the connection ends, also while nothing is read or written.
    pub(crate) fn broken(&self) -> impl Future<Output = ()> + use<> {
        let stream = Rc::clone(&self.stream);
        poll_fn(move |context| stream.borrow_mut().poll_reset(context).map(|_why| ()))
    }
}

fn broken(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into());
    }
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}

impl AsyncRead for Duplex {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            match ready!(Pin::new(&mut this.received).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(_trailers) => return Poll::Ready(Ok(())),
                },
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = this.rest.len().min(buffer.remaining());
        buffer.put_slice(&this.rest[..length]);
        this.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut stream = self.stream.borrow_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        stream.reserve_capacity(bytes.len());
        while stream.capacity() == 0 {
            match ready!(stream.poll_capacity(context)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let length = stream.capacity().min(bytes.len());
        let sent = stream.send_data(Bytes::copy_from_slice(&bytes[..length]), false);
        Poll::Ready(sent.map(|()| length).map_err(broken))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::replace(&mut this.has_ended, true) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(this.stream.borrow_mut().send_data(Bytes::new(), true).map_err(broken))
    }
}
