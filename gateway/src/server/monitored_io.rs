//! The monitored byte stream between a client and hyper.
//!
//! Owns three things that hyper leaves open: it reports to the connection what was read and written,
//! so that timeouts need no timer a request; it hands over one request at a time, and hides the end
//! of the input from hyper until the last of them is answered; and it sends a problem document
//! instead of the bare answer of hyper to a head that it cannot read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::chunks::BadChunk;
use super::connection::ClientConnection;
use super::inbound::{Ahead, Inbound, MOST_AHEAD, News};
use super::{Broken, Transport};
use crate::config::HalfClose;
use crate::conn::Downstream as _;
use crate::error::{Failure, Malformed};
use crate::respond;

/// How each automatic answer of hyper's begins.
const REFUSAL: &[u8] = b"HTTP/1.1 4";

/// See the module.
#[derive(Debug)]
pub(crate) struct MonitoredIo {
    transport: Transport,
    /// Made for a client that sends no more and waits for its answer.
    broken: Option<Broken>,
    /// What goes out instead of hyper's answer.
    substitute: Bytes,
    connection: Rc<ClientConnection>,
}

impl MonitoredIo {
    /// `replay` was read while the protocol was being found out.
    pub(super) fn new(
        transport: Transport,
        replay: &[u8],
        connection: Rc<ClientConnection>,
    ) -> Self {
        connection.inbound.borrow_mut().ahead.push(replay);
        Self { transport, broken: None, substitute: Bytes::new(), connection }
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
            _ if self.connection.raw_head_has(has_other_version) => Failure::VersionRefused,
            _ => Failure::Malformed(Malformed::Syntax),
        };
        let id = self.connection.worker.state.ids.next();
        let id = id.to_str().unwrap_or_default();
        self.connection.worker.state.snapshot().log_headless(&self.connection.facts, id, &failure);
        self.substitute = respond::raw_problem(&failure, id).into();
        self.connection.refuse();
        true
    }

    /// Sends what goes before hyper's bytes, and puts trailers into them. `Some` if the bytes were
    /// replaced: they are swallowed then.
    #[cold]
    fn poll_inserts(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        ready!(self.poll_first(context))?;
        let Some(ending) = self.connection.inserts().in_place_of(bytes) else {
            return Poll::Ready(Ok(false));
        };
        self.substitute = ending;
        Poll::Ready(Ok(true))
    }

    fn poll_first(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_substitute(context))?;
        if self.connection.inserts().is_waiting() {
            self.substitute = self.connection.inserts().take_first();
            ready!(self.poll_substitute(context))?;
        }
        Poll::Ready(Ok(()))
    }

    fn has_inserts(&self) -> bool {
        self.connection.inserts().is_waiting() || !self.substitute.is_empty()
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

impl MonitoredIo {
    /// Hands over what comes as it comes.
    fn poll_read_all(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let ahead = &mut self.connection.inbound.borrow_mut().ahead;
        if ahead.is_empty() {
            return Pin::new(&mut self.transport).poll_read(context, buffer);
        }
        let length = ahead.as_slice().len().min(buffer.remaining());
        buffer.put_slice(&ahead.as_slice()[..length]);
        ahead.advance(length);
        Poll::Ready(Ok(()))
    }

    /// Reads what belongs to the next request, to know of a client that breaks the connection. With `half_close =
    /// "answer"` the end of the input is no news for hyper: a client that has sent its requests may end its side
    /// and wait (RFC 9112 section 9.6).
    fn poll_read_ahead(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        ahead: &mut Ahead,
    ) -> Poll<io::Result<()>> {
        let start = buffer.filled().len();
        while !self.connection.is_at_eof() && ahead.as_slice().len() < MOST_AHEAD {
            match ready!(Pin::new(&mut self.transport).poll_read(context, buffer)) {
                // TLS without its own end: what has come is whole by the framing of HTTP.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                result => result?,
            }
            let bytes = &buffer.filled()[start..];
            if bytes.is_empty() {
                self.connection.input_ended();
            }
            ahead.push(bytes);
            buffer.set_filled(start);
        }
        if !self.connection.is_at_eof() {
            return Poll::Pending;
        }
        // Whether it has left or only sends no more shows when an answer is written to it, which may be minutes
        // after its request has taken a place.
        if self.connection.facts.listener.config.half_close == HalfClose::Abort {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let broken = self.broken.get_or_insert_with(|| self.transport.broken());
        ready!(broken.poll(context));
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    /// Hands over what belongs to the current request.
    fn poll_read_request(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        inbound: &mut Inbound,
    ) -> Poll<io::Result<News>> {
        let start = buffer.filled().len();
        let max_head = self.connection.max_head();
        loop {
            let Inbound { cut, ahead } = &mut *inbound;
            let (range, news) = if ahead.is_empty() {
                ready!(Pin::new(&mut self.transport).poll_read(context, buffer))?;
                let read = buffer.filled().len() - start;
                if read == 0 {
                    self.connection.input_ended();
                    return Poll::Ready(Ok(News::Nothing));
                }
                let bytes = &buffer.filled()[start..];
                if let Some(escaped) = cut.escape_target(bytes) {
                    ahead.replace(escaped);
                    buffer.set_filled(start);
                    continue;
                }
                let (range, news) = cut.next(bytes, max_head).map_err(invalid)?;
                if range.end < read {
                    ahead.push(&bytes[range.end..]);
                }
                if range.start > 0 {
                    buffer.filled_mut()[start..].copy_within(range.clone(), 0);
                }
                buffer.set_filled(start + range.len());
                (range, news)
            } else {
                if let Some(escaped) = cut.escape_target(ahead.as_slice()) {
                    ahead.replace(escaped);
                }
                let here = ahead.as_slice().len().min(buffer.remaining());
                let bytes = &ahead.as_slice()[..here];
                let (range, news) = cut.next(bytes, max_head).map_err(invalid)?;
                buffer.put_slice(&bytes[range.clone()]);
                ahead.advance(range.end);
                (range, news)
            };
            if !range.is_empty() {
                return Poll::Ready(Ok(news));
            }
        }
    }
}

/// Whether a request line, of which the end may be missing, is of a version that is not served
/// (RFC 9110 section 15.6.6).
fn has_other_version(head: &[u8]) -> bool {
    let head = head.trim_ascii_start();
    let line = &head[..memchr::memchr(b'\n', head).unwrap_or(head.len())];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(_), Some(_), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    matches!(
        version.strip_prefix(b"HTTP/"),
        Some(
            [b'1', b'.', b'2'..=b'9']
                | [b'2'..=b'9']
                | [b'2'..=b'9', b'.']
                | [b'2'..=b'9', b'.', b'0'..=b'9']
        )
    )
}

fn invalid(bad: BadChunk) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, bad)
}

impl AsyncRead for MonitoredIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.connection.is_http2() {
            return this.poll_read_all(context, buffer);
        }
        let connection = Rc::clone(&this.connection);
        let mut inbound = connection.inbound.borrow_mut();
        if inbound.cut.is_over() {
            connection.next_is_asked_for(&mut inbound.cut);
            return this.poll_read_ahead(context, buffer, &mut inbound.ahead);
        }
        let news = ready!(this.poll_read_request(context, buffer, &mut inbound))?;
        drop(inbound);
        connection.received(news);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MonitoredIo {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.replaces(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        if this.has_inserts() && ready!(this.poll_inserts(bytes, context))? {
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
        if this.has_inserts() {
            // There may be several small slices; what goes past hyper is before or in the first.
            let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |it| it);
            if ready!(this.poll_inserts(first, context))? {
                return Poll::Ready(Ok(first.len()));
            }
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
        ready!(this.poll_first(context))?;
        ready!(Pin::new(&mut this.transport).poll_flush(context))?;
        if this.connection.flushed() {
            // What was read already wakes nobody.
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_substitute(context))?;
        Pin::new(&mut this.transport).poll_shutdown(context)
    }
}
