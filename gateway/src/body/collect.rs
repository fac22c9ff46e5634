//! A small body that the gateway itself reads.
//!
//! Owns the limit on the memory. The body itself limits the time for each chunk. Bodies that plugins ask for are in
//! [`crate::chain`].

use std::future::poll_fn;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body as _;

use super::Body;

/// Why there is no whole body.
#[derive(Debug)]
pub(crate) enum CollectError {
    /// It is larger than the limit. The body is still whole: what was read is in front of the
    /// rest.
    TooLarge(Box<Body>),
    /// It ended before its end.
    Broken,
}

/// Reads a body to its end.
pub(crate) async fn collect(
    mut body: Body,
    limit: u64,
) -> Result<(Bytes, Option<HeaderMap>), CollectError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut pieces, mut trailers) = (Pieces::default(), None);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| CollectError::Broken)?;
        match frame.into_data() {
            Ok(data) => pieces.push(data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
        if pieces.length > limit {
            return Err(CollectError::TooLarge(Box::new(Body::resumed(pieces.join(), body))));
        }
    }
    Ok((pieces.join(), trailers))
}

/// The pieces of a body. Most bodies that anybody buffers come in one, which is then not copied.
#[derive(Default)]
struct Pieces {
    first: Bytes,
    rest: BytesMut,
    length: usize,
}

impl Pieces {
    fn push(&mut self, data: Bytes) {
        self.length += data.len();
        if self.first.is_empty() {
            self.first = data;
        } else {
            if self.rest.is_empty() {
                self.rest.extend_from_slice(&self.first);
            }
            self.rest.extend_from_slice(&data);
        }
    }

    fn join(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}
