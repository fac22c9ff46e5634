//! A body that comes off a stream.
//!
//! Owns the window of the stream: room for more is given back with each frame that is taken, so that
//! no more than the window waits in the gateway. A body that was cut off is an error, also where the
//! peer calls it none (RFC 9113 section 8.1): a part must never look like the whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Error, Reason, RecvStream};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::stated_length;

/// Stands for a length that nobody stated.
const UNSTATED: u64 = u64::MAX;

/// See the module.
#[derive(Debug)]
pub(crate) struct Received {
    stream: RecvStream,
    /// Bytes that are to come, if their number is known. `h2` holds the peer to it.
    left: u64,
    data_is_over: bool,
}

impl Received {
    /// The body behind a head with these fields.
    pub(crate) fn new(stream: RecvStream, headers: &HeaderMap) -> Self {
        let left = match stated_length(headers) {
            Some(length) => length,
            None if stream.is_end_stream() => 0,
            None => UNSTATED,
        };
        Self { stream, left, data_is_over: false }
    }

    /// Whether all that its length promised has come, and its end has not.
    pub(crate) fn is_whole(&self) -> bool {
        self.left == 0 && !self.stream.is_end_stream()
    }

    fn take(&mut self, data: Bytes) -> Frame<Bytes> {
        // Fails only for more than came.
        let _released = self.stream.flow_control().release_capacity(data.len());
        if self.left != UNSTATED {
            self.left = self.left.saturating_sub(data.len() as u64);
        }
        Frame::data(data)
    }

    /// A peer that has sent all it promised may take back the rest, which is the bare end.
    fn is_end(&self, error: &Error) -> bool {
        self.left == 0 && error.reason() == Some(Reason::NO_ERROR)
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if !this.data_is_over {
            match ready!(this.stream.poll_data(context)) {
                Some(Ok(data)) => return Poll::Ready(Some(Ok(this.take(data)))),
                Some(Err(error)) if this.is_end(&error) => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => this.data_is_over = true,
            }
        }
        match ready!(this.stream.poll_trailers(context)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) if this.is_end(&error) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            UNSTATED => SizeHint::default(),
            left => SizeHint::with_exact(left),
        }
    }
}
