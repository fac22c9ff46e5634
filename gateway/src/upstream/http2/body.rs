//! The body of a response over HTTP/2.
//!
//! Owns that a request which is still being sent ends with the response that nobody reads to its end.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::send::Remainder;
use crate::http2::Received;

/// See the module.
#[derive(Debug)]
pub(crate) struct Http2Body {
    received: Received,
    /// The rest of the request, if the target answered before its end.
    remainder: Option<Rc<Remainder>>,
}

impl Http2Body {
    pub(super) fn new(received: Received, remainder: Option<Rc<Remainder>>) -> Self {
        Self { received, remainder }
    }

    /// Whether all that its length promised has come, and its end has not.
    pub(crate) fn is_whole(&self) -> bool {
        self.received.is_whole()
    }
}

impl Body for Http2Body {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        Pin::new(&mut self.received).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.received.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.received.size_hint()
    }
}

impl Drop for Http2Body {
    fn drop(&mut self) {
        match &self.remainder {
            Some(remainder) if self.received.is_end_stream() => remainder.is_answered(),
            Some(remainder) => remainder.cancel(),
            None => {}
        }
    }
}
