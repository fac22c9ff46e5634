//! A TCP connection whose small writes leave together with those of other connections.
//!
//! Owns how bytes go to and come from a socket. While a worker handles a batch of events, each
//! small write waits in memory; when all tasks of the batch have run, [`run_flusher`] sends them,
//! one system call a socket. A peer that sleeps is then woken once for many messages: waking it
//! for each was a tenth of the cost of a proxied request. Nothing waits for longer than the tasks
//! that are ready already take, large writes do not wait at all, and where no flusher runs, none
//! does. Bytes that are in the [file of large bodies](crate::memory_file) are not copied. Must not
//! know what the bytes mean.

mod flush;
mod from_file;
mod info;

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, Shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

pub(crate) use self::flush::run_flusher;
pub(crate) use self::info::TcpInfo;

/// What may wait to be sent, in bytes; more is sent at once.
const MOST_WAITING: usize = 4 << 10;

/// How often a peer that sends no more is asked whether it is there.
const PROBE: Duration = Duration::from_secs(10);

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: TcpStream,
    /// Only ever locked by its worker's thread, so that nobody waits for it. hyper hands a
    /// connection that changed its protocol only to what could move to another thread.
    out: Mutex<Out>,
    /// The owner has gone.
    gone: Notify,
}

/// What was written and is not sent.
#[derive(Debug, Default)]
struct Out {
    bytes: Vec<u8>,
    sent: usize,
    /// What the kernel has taken, in bytes, since the connection was opened.
    taken: u64,
    /// It is in the flusher's list.
    is_listed: bool,
    /// The peer takes nothing at the moment.
    is_blocked: bool,
    /// Why the last send failed, for the next write.
    error: Option<io::Error>,
}

impl Socket {
    /// Takes a connection over.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Inner { stream, out: Mutex::default(), gone: Notify::new() }))
    }
}

impl Socket {
    /// It is closed with a reset: what the peer has got is not all.
    pub(crate) fn resets(&self) {
        let _broken_already = self.0.stream.set_zero_linger();
    }

    /// Whether nothing has come since the last read that emptied it, as far as the runtime knows:
    /// the kernel is not asked.
    pub(crate) fn is_quiet(&self) -> bool {
        let asked = self.0.stream.try_io(Interest::READABLE, || Ok(()));
        asked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

/// What there is to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    Bytes,
    /// The end, or that the connection broke.
    End,
}

impl Socket {
    /// What the kernel has that was not read. A system call; the runtime may not know of it yet.
    pub(crate) fn news(&self) -> Option<News> {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match rustix::net::recv(&self.0.stream, &mut [0; 1], flags) {
            Ok((_, length)) => Some(if length > 0 { News::Bytes } else { News::End }),
            Err(error) if error == rustix::io::Errno::AGAIN => None,
            Err(_) => Some(News::End),
        }
    }
}

impl Socket {
    /// How many bytes were written, since the connection was opened.
    pub(crate) fn written(&self) -> u64 {
        let out = self.0.out();
        out.taken + (out.bytes.len() - out.sent) as u64
    }

    /// Whether the peer's kernel has confirmed nothing of what was written behind so many bytes. Where the end of the peer's
    /// stream has come too, the peer closed it before any of that arrived: each segment says what has arrived until then.
    pub(crate) fn is_unconfirmed(&self, behind: u64) -> bool {
        // The first byte that is counted is the opening of the connection.
        self.info().is_some_and(|info| info.confirmed > 0 && info.confirmed <= behind + 1)
    }

    /// What the kernel knows.
    pub(crate) fn info(&self) -> Option<TcpInfo> {
        TcpInfo::of(self.0.stream.as_fd())
    }
}

impl Socket {
    /// Waits until there is something to read, or the end.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.0.stream.readable().await
    }
}

impl Socket {
    /// Ends when the connection is reset, but not because the peer sends no more. Whether the peer
    /// has gone or still waits for an answer cannot be derived from its silence, so the kernel asks
    /// its system from time to time: one that knows nothing of the connection any more resets it.
    pub(crate) fn broken(&self) -> impl Future<Output = ()> + use<> {
        let inner = Arc::clone(&self.0);
        async move {
            let _only_noticed_later = ask_from_time_to_time(&inner.stream);
            let _error_or_closed = inner.stream.ready(Interest::ERROR).await;
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.gone.notify_one();
    }
}

fn ask_from_time_to_time(stream: &TcpStream) -> io::Result<()> {
    rustix::net::sockopt::set_tcp_keepidle(stream, PROBE)?;
    rustix::net::sockopt::set_tcp_keepintvl(stream, PROBE)?;
    Ok(rustix::net::sockopt::set_socket_keepalive(stream, true)?)
}

impl Inner {
    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what waits, as far as the peer takes it. [`ErrorKind::WouldBlock`] if not all.
    fn send_waiting(&self, out: &mut Out) -> io::Result<()> {
        while out.sent < out.bytes.len() {
            match self.send(&out.bytes[out.sent..]) {
                Ok(sent) => {
                    out.sent += sent;
                    out.taken += sent as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    out.is_blocked = true;
                    return Err(error);
                }
                Err(error) => {
                    out.clear();
                    return Err(error);
                }
            }
        }
        out.clear();
        Ok(())
    }

    fn poll_send_waiting(&self, out: &mut Out, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.send_waiting(out) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_write_ready(context))?;
                }
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Without glibc, whose calls let a thread be cancelled, which costs atomic operations.
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.try_io(Interest::WRITABLE, || {
            Ok(rustix::net::send(&self.stream, bytes, SendFlags::NOSIGNAL)?)
        })
    }

    /// Reads what is there. A read that does not fill the buffer has emptied the socket, so that
    /// the next one need not ask the kernel to learn that.
    fn receive(&self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        let room = buffer.remaining();
        let mut received = None;
        let result = self.stream.try_io(Interest::READABLE, || {
            #[expect(unsafe_code, reason = "the kernel writes into memory that was never written")]
            // SAFETY: nothing is de-initialized; what was received is initialized.
            let length = unsafe {
                let (_, length) =
                    rustix::net::recv(&self.stream, buffer.unfilled_mut(), RecvFlags::empty())?;
                buffer.assume_init(length);
                length
            };
            buffer.advance(length);
            received = Some(length);
            match length {
                0 => Ok(()),
                _ if length < room => Err(ErrorKind::WouldBlock.into()),
                _ => Ok(()),
            }
        });
        if received.is_some() { Ok(()) } else { result }
    }
}

impl Out {
    fn clear(&mut self) {
        self.sent = 0;
        self.is_blocked = false;
        flush::give_back(std::mem::take(&mut self.bytes));
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.stream.poll_read_ready(context))?;
            match self.0.receive(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = &self.0;
        let mut out = inner.out();
        if let Some(error) = out.error.take() {
            return Poll::Ready(Err(error));
        }
        let length = slices.iter().map(|slice| slice.len()).sum();
        if !out.is_blocked
            && out.bytes.len() + length <= MOST_WAITING
            && flush::list(inner, &mut out)
        {
            slices.iter().for_each(|slice| out.bytes.extend_from_slice(slice));
            return Poll::Ready(Ok(length));
        }
        ready!(inner.poll_send_waiting(&mut out, context))?;
        loop {
            ready!(inner.stream.poll_write_ready(context))?;
            match inner.write(slices) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(length) => {
                    out.taken += length as u64;
                    return Poll::Ready(Ok(length));
                }
                failed => return Poll::Ready(failed),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What waits for the flusher counts as flushed; what the peer does not take does not.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut out = self.0.out();
        match out.error.take() {
            Some(error) => Poll::Ready(Err(error)),
            None if out.is_blocked => self.0.poll_send_waiting(&mut out, context),
            None => Poll::Ready(Ok(())),
        }
    }

    /// As with any socket, closing does not wait for a peer that takes nothing: what is left is
    /// sent behind the owner's back.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut out = self.0.out();
        match self.0.send_waiting(&mut out) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if flush::finish_later(&self.0) {
                    return Poll::Ready(Ok(()));
                }
                ready!(self.0.poll_send_waiting(&mut out, context))?;
            }
            sent => sent?,
        }
        Poll::Ready(Ok(rustix::net::shutdown(&self.0.stream, Shutdown::Write)?))
    }
}

#[cfg(test)]
mod tests;
