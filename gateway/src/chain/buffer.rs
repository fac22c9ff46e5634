//! A whole body that is held for a plugin.
//!
//! Owns the bounds on it: what the plugin asked for and an instance can take, what the plugin's bodies
//! and those of the process may take together, and how long it may take to come. A body whose length
//! is too large is refused before its first byte, if the length is known. Memory grows with what has
//! come, and not with what was announced.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as _;

use crate::body::{Body, BodyError};
use crate::memory_quota::{QuotaExceeded, Reservation, Reserved};
use crate::plugin::Plugin;

/// Why there is no whole body.
#[derive(Debug)]
pub(super) enum BufferError {
    /// It is larger than this. The body is still whole: what was read is in front of the rest.
    TooLarge(u64, Box<Body>),
    /// It ended before its end.
    Broken(BodyError),
    /// There is no room for it.
    Full(QuotaExceeded),
    /// It did not come whole in time.
    Late(Duration),
}

/// Reads a body to its end.
pub(super) async fn read_all(
    plugin: &Plugin,
    body: Body,
    wanted: u64,
) -> Result<(Bytes, Option<HeaderMap>), BufferError> {
    let (limit, time) = (plugin.largest_buffer(wanted), plugin.bounds.buffer_time);
    let hint = body.size_hint();
    if hint.lower() > limit {
        return Err(BufferError::TooLarge(limit, Box::new(body)));
    }
    let pieces = Pieces::new(plugin.reservation(), hint.exact());
    pieces.reservation.check(hint.lower()).map_err(BufferError::Full)?;
    let read = tokio::time::timeout(time, read(body, pieces, limit)).await;
    read.unwrap_or(Err(BufferError::Late(time)))
}

async fn read(
    mut body: Body,
    mut pieces: Pieces,
    limit: u64,
) -> Result<(Bytes, Option<HeaderMap>), BufferError> {
    let mut trailers = None;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(BufferError::Broken)?;
        match frame.into_data() {
            Ok(data) => pieces.push(data, body.is_end_stream()).map_err(BufferError::Full)?,
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
        if pieces.length() as u64 > limit {
            return Err(BufferError::TooLarge(limit, Box::new(Body::resumed(pieces.join(), body))));
        }
    }
    Ok((pieces.join(), trailers))
}

/// The pieces of a body. Most bodies that anybody holds come in one, which is then not copied. One
/// that others follow is: it may be a small part of what was read from a connection.
pub(crate) struct Pieces {
    only: Bytes,
    all: Vec<u8>,
    /// How many bytes there will be, if that is known.
    announced: Option<u64>,
    reservation: Reservation,
}

impl Pieces {
    pub(crate) fn new(reservation: Reservation, announced: Option<u64>) -> Self {
        Self { only: Bytes::new(), all: Vec::new(), announced, reservation }
    }

    pub(crate) fn length(&self) -> usize {
        self.only.len() + self.all.len()
    }

    pub(crate) fn push(&mut self, data: Bytes, is_last: bool) -> Result<(), QuotaExceeded> {
        if is_last && self.length() == 0 {
            self.reservation.grow(data.len())?;
            self.only = data;
            return Ok(());
        }
        let (length, capacity) = (self.all.len() + data.len(), self.all.capacity());
        if length > capacity {
            let announced = self.announced.and_then(|bytes| usize::try_from(bytes).ok());
            let ample = (capacity + capacity / 2).min(announced.unwrap_or(usize::MAX));
            let room = length.max(ample);
            self.reservation.grow(room)?;
            self.all.reserve_exact(room - self.all.len());
        }
        self.all.extend_from_slice(&data);
        Ok(())
    }

    pub(crate) fn join(self) -> Bytes {
        let Self { only, all, reservation, .. } = self;
        match (only.is_empty(), all.is_empty()) {
            (true, true) => only,
            (false, _) => Reserved::bytes(only, reservation),
            (true, false) => Reserved::bytes(all, reservation),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::memory_quota::MemoryQuota;

    fn pieces(limit: usize, announced: Option<u64>) -> (Arc<MemoryQuota>, Pieces) {
        let bound = Arc::new(MemoryQuota::new(limit));
        let reservation = Reservation::new(&bound, &Arc::new(MemoryQuota::new(usize::MAX)));
        (bound, Pieces::new(reservation, announced))
    }

    #[test]
    fn what_is_announced_takes_nothing_before_it_comes() {
        let (bound, mut pieces) = pieces(1 << 30, Some(1 << 30));
        for number in 1..=100_usize {
            pieces.push(Bytes::from_static(&[1; 1000]), false).expect("there is room");
            assert!(bound.held() <= 4096 + number * 1500, "{number}: {}", bound.held());
        }
        let whole = pieces.join();
        assert_eq!(whole.len(), 100_000);
        drop(whole);
        assert_eq!(bound.held(), 0);
    }

    #[test]
    fn an_announced_length_is_not_exceeded() {
        let (bound, mut pieces) = pieces(10_000, Some(10_000));
        for _ in 0..10 {
            pieces.push(Bytes::from_static(&[1; 1000]), false).expect("there is room");
        }
        assert_eq!((bound.held(), pieces.join().len()), (10_000, 10_000));
    }

    #[test]
    fn what_has_no_room_is_not_taken() {
        let (bound, mut pieces) = pieces(10_000, None);
        let mut count = 0;
        while pieces.push(Bytes::from_static(&[1; 1000]), false).is_ok() {
            count += 1;
        }
        assert!((6..=10).contains(&count), "{count}");
        drop(pieces);
        assert_eq!(bound.held(), 0);
    }

    #[test]
    fn the_only_piece_is_not_copied() {
        let (bound, mut pieces) = pieces(10_000, None);
        let data = Bytes::from(vec![1; 5000]);
        pieces.push(data.clone(), true).expect("there is room");
        let whole = pieces.join();
        assert_eq!((whole.as_ptr(), bound.held()), (data.as_ptr(), 5000));
    }
}
