//! The body of a response that is being stored: who reads it from upstream, and who from there.
//!
//! Owns that one task reads it, whoever leaves, and that a body which broke off is an error for everybody.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::body::{Body, BodyError};
use crate::state::cache::{DiskReader, Fill, Polled, Reader, STALLED};

/// What a reader gets.
pub(super) fn of(reader: Reader) -> Body {
    Body::filtered(Box::pin(Shared(reader)))
}

struct Shared(Reader);

impl http_body::Body for Shared {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = ready!(self.get_mut().0.poll(context));
        Poll::Ready(match polled {
            Polled::Data(data) => Some(Ok(Frame::data(data))),
            Polled::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Polled::End => None,
            Polled::Failed(why) => Some(Err(BodyError::Broken(why.to_string().into()))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_at_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A body that is on disk.
pub(super) fn from_disk(reader: DiskReader) -> Body {
    Body::filtered(Box::pin(FromDisk(reader)))
}

struct FromDisk(DiskReader);

impl http_body::Body for FromDisk {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let read = ready!(self.get_mut().0.poll(context));
        Poll::Ready(read.map(|read| match read {
            Ok(data) => Ok(Frame::data(data)),
            Err(error) => Err(BodyError::Stored(error.to_string().into())),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.0.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.left())
    }
}

/// Ends it as one that broke off, if nothing has ended it before.
struct Feeding(Arc<Fill>);

impl Drop for Feeding {
    fn drop(&mut self) {
        self.0.end(Err("it was not read to its end".into()));
    }
}

/// Reads a body for all who are served it, to its end.
pub(super) async fn feed(fill: Arc<Fill>, body: Body) {
    let fill = Feeding(fill);
    let mut body = pin!(body);
    loop {
        let next = poll_fn(|context| match ready!(fill.0.poll_wanted(context)) {
            true => body.as_mut().poll_frame(context).map(Some),
            false => Poll::Ready(None),
        });
        // Who reads nothing is looked for again when nothing has moved.
        let Ok(next) = tokio::time::timeout(STALLED, next).await else { continue };
        match next {
            None => return,
            Some(None) => return fill.0.end(Ok(())),
            Some(Some(Err(error))) => return fill.0.end(Err(error.to_string().into())),
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => fill.0.push(data),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        fill.0.trailers(trailers);
                    }
                }
            },
        }
        if body.is_end_stream() {
            return fill.0.end(Ok(()));
        }
    }
}
