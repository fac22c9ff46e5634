//! A response that is being stored.
//!
//! Owns the pieces of its body that have come, shared by all who are served it meanwhile, and that it is stored only
//! when its end has come. Over the bound for one object it is not stored, and only what somebody still has to read is
//! kept. Must not read a body: who does gives it the pieces.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;

use super::{Cache, Content, Entry, Lead, lock};

/// Bytes ahead of the slowest reader of a body that is not stored.
const AHEAD: usize = 256 << 10;

/// How long a reader of such a body may read nothing while others wait for more of it.
pub(crate) const STALLED: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(crate) struct Fill {
    pub(crate) head: Arc<Entry>,
    cache: Arc<Cache>,
    stream: Mutex<Stream>,
    lead: Mutex<Option<Lead>>,
    /// When it was asked for: what was purged since is not stored.
    asked: u64,
}

#[derive(Debug, Default)]
struct Stream {
    pieces: VecDeque<Bytes>,
    /// How many pieces are gone from before them.
    gone: usize,
    /// Bytes of the pieces.
    held: usize,
    /// How long the body will be, if that is known.
    expected: Option<u64>,
    trailers: Option<HeaderMap>,
    end: Option<Result<(), Arc<str>>>,
    /// It is not stored.
    is_discarded: bool,
    /// Read pieces are let go.
    is_passing: bool,
    metadata: Option<Vec<u8>>,
    readers: Vec<Option<Place>>,
    /// Who gives it pieces, while it may not.
    feeder: Option<Waker>,
}

#[derive(Debug)]
struct Place {
    next: usize,
    waker: Option<Waker>,
    /// When it had its last piece.
    moved: Instant,
    /// It has kept others waiting for too long, and gets no more.
    is_cut: bool,
}

/// Who is served it while it arrives.
#[derive(Debug)]
pub(crate) struct Reader {
    fill: Arc<Fill>,
    index: usize,
    read: u64,
}

/// What comes next.
pub(crate) enum Polled {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    Failed(Arc<str>),
}

impl Fill {
    /// Of a response with this head, that nobody has waited for.
    #[cfg(test)]
    pub(super) fn new(cache: &Arc<Cache>, head: Entry) -> Arc<Self> {
        Self::asked_for(cache, head, super::now())
    }

    /// Of a response with this head, to a request that was sent at this time.
    pub(crate) fn asked_for(cache: &Arc<Cache>, head: Entry, asked: u64) -> Arc<Self> {
        Arc::new(Self {
            head: Arc::new(head),
            cache: Arc::clone(cache),
            stream: Mutex::default(),
            lead: Mutex::default(),
            asked,
        })
    }

    /// Its body begins to arrive. Those who wait for its leader can read it from now on.
    pub(crate) fn begins(self: &Arc<Self>, expected: Option<u64>, lead: Option<Lead>) {
        lock(&self.stream).expected = expected;
        self.cache.arriving.insert(self.head.id, Arc::downgrade(self));
        if let Some(lead) = lead {
            lead.arrives(self);
            *lock(&self.lead) = Some(lead);
        }
        // Behind the first line: who purges from now on finds it there.
        if self.cache.is_purged(&self.head, self.asked) {
            self.discard();
        }
    }

    /// All of it is there.
    pub(crate) fn is_whole(&self, body: &Bytes, lead: Option<Lead>) {
        let stream = std::mem::take(&mut *lock(&self.stream));
        if !stream.is_discarded && body.len() as u64 <= self.cache.settings.max_object {
            let body = self.cache.lay_down(body.len(), [&body[..]]);
            self.put(body, stream.metadata.as_deref());
        }
        if let Some(lead) = lead {
            lead.settle();
        }
    }

    fn put(&self, body: Content, metadata: Option<&[u8]>) {
        self.cache.counts.stored();
        self.cache.store(self.head.with_body(body, metadata), self.asked);
    }

    /// It is not stored. Who asks from now on is not served it: those who read it already are.
    pub(crate) fn discard(&self) {
        lock(&self.stream).is_discarded = true;
        let lead = lock(&self.lead).take();
        if let Some(lead) = lead {
            lead.settle();
        }
    }

    /// It is stored with other metadata.
    pub(crate) fn set_metadata(&self, metadata: Vec<u8>) {
        lock(&self.stream).metadata = Some(metadata);
    }

    /// Whether somebody who comes now gets all of it.
    pub(super) fn can_be_joined(&self) -> bool {
        let stream = lock(&self.stream);
        !stream.is_passing && !stream.is_discarded && !matches!(stream.end, Some(Err(_)))
    }

    /// Reads it from its beginning; `None` if that is not there any more.
    pub(crate) fn read(self: &Arc<Self>) -> Option<Reader> {
        let mut stream = lock(&self.stream);
        if stream.gone > 0 {
            return None;
        }
        let place = Some(Place { next: 0, waker: None, moved: Instant::now(), is_cut: false });
        let index = match stream.readers.iter().position(Option::is_none) {
            Some(free) => {
                stream.readers[free] = place;
                free
            }
            None => {
                stream.readers.push(place);
                stream.readers.len() - 1
            }
        };
        Some(Reader { fill: Arc::clone(self), index, read: 0 })
    }

    /// Whether the next piece is wanted: `false` if nobody reads it and it is not to be finished without.
    pub(crate) fn poll_wanted(&self, context: &Context<'_>) -> Poll<bool> {
        let mut stream = lock(&self.stream);
        let is_read = stream.readers.iter().any(Option::is_some);
        if !is_read && (stream.is_discarded || !self.cache.settings.finishes) {
            return Poll::Ready(false);
        }
        if stream.is_passing && stream.held >= AHEAD {
            stream.cut_stalled(&self.cache);
        }
        if stream.is_passing && stream.held >= AHEAD {
            stream.feeder = Some(context.waker().clone());
            return Poll::Pending;
        }
        // Who leaves last tells.
        stream.feeder = Some(context.waker().clone());
        Poll::Ready(true)
    }

    /// A piece of its body.
    pub(crate) fn push(&self, piece: Bytes) {
        let length = piece.len();
        let arriving = self.cache.arriving_bytes.fetch_add(length, Relaxed) + length;
        let mut stream = lock(&self.stream);
        stream.pieces.push_back(piece);
        stream.held += length;
        let settings = &self.cache.settings;
        let is_too_much =
            stream.held as u64 > settings.max_object || arriving as u64 > settings.memory;
        if is_too_much && !stream.is_passing {
            stream.is_passing = true;
            stream.is_discarded = true;
        }
        stream.let_go(&self.cache);
        stream.wake();
    }

    /// Behind it come these trailers. They are not stored.
    pub(crate) fn trailers(&self, trailers: HeaderMap) {
        lock(&self.stream).trailers = Some(trailers);
    }

    /// It has come to its end, or broke off.
    pub(crate) fn end(&self, end: Result<(), Arc<str>>) {
        let (body, metadata) = {
            let mut stream = lock(&self.stream);
            let is_stored = end.is_ok() && !stream.is_discarded && stream.end.is_none();
            stream.end.get_or_insert(end);
            let body = is_stored.then(|| {
                self.cache.lay_down(stream.held, stream.pieces.iter().map(|piece| &piece[..]))
            });
            stream.wake();
            (body, stream.metadata.take())
        };
        if let Some(body) = body {
            self.put(body, metadata.as_deref());
        }
        self.cache.arriving.remove(&self.head.id);
        let lead = lock(&self.lead).take();
        if let Some(lead) = lead {
            lead.settle();
        }
    }

    /// How much is left to read for who has read so much, if that is known.
    fn left(&self, read: u64) -> Option<u64> {
        lock(&self.stream).expected.map(|all| all.saturating_sub(read))
    }
}

impl Stream {
    /// Lets go of what everybody has read, if it is not stored.
    fn let_go(&mut self, cache: &Cache) {
        if !self.is_passing {
            return;
        }
        let reading = self.readers.iter().flatten().filter(|place| !place.is_cut);
        let slowest = reading.map(|place| place.next).min();
        let slowest = slowest.unwrap_or(usize::MAX);
        while self.gone < slowest
            && let Some(piece) = self.pieces.pop_front()
        {
            self.gone += 1;
            self.held -= piece.len();
            cache.arriving_bytes.fetch_sub(piece.len(), Relaxed);
        }
        if self.held < AHEAD
            && let Some(feeder) = self.feeder.take()
        {
            feeder.wake();
        }
    }

    /// Cuts off those who have read nothing for [`STALLED`], if somebody else has read all there is and waits for them.
    fn cut_stalled(&mut self, cache: &Cache) {
        let all = self.gone + self.pieces.len();
        let places = || self.readers.iter().flatten().filter(|place| !place.is_cut);
        if !places().any(|place| place.next == all) {
            return;
        }
        for place in self.readers.iter_mut().flatten() {
            if place.next < all && place.moved.elapsed() >= STALLED {
                place.is_cut = true;
                if let Some(waker) = place.waker.take() {
                    waker.wake();
                }
            }
        }
        self.let_go(cache);
    }

    fn wake(&mut self) {
        for place in self.readers.iter_mut().flatten() {
            if let Some(waker) = place.waker.take() {
                waker.wake();
            }
        }
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        let held = self.stream.get_mut().map_or(0, |stream| stream.held);
        self.cache.arriving_bytes.fetch_sub(held, Relaxed);
        self.cache.arriving.remove(&self.head.id);
    }
}

impl Reader {
    /// The next piece.
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<Polled> {
        let mut stream = lock(&self.fill.stream);
        let gone = stream.gone;
        let stream = &mut *stream;
        let Some(Some(place)) = stream.readers.get_mut(self.index) else {
            return Poll::Ready(Polled::End);
        };
        if place.is_cut {
            return Poll::Ready(Polled::Failed(Arc::from(
                "it is read too slowly, and others wait",
            )));
        }
        if let Some(piece) = stream.pieces.get(place.next - gone) {
            let piece = piece.clone();
            place.next += 1;
            place.moved = Instant::now();
            self.read += piece.len() as u64;
            stream.let_go(&self.fill.cache);
            return Poll::Ready(Polled::Data(piece));
        }
        match &stream.end {
            Some(Err(why)) => return Poll::Ready(Polled::Failed(Arc::clone(why))),
            Some(Ok(())) => {
                // Once.
                let is_first = place.next == gone + stream.pieces.len();
                place.next = gone + stream.pieces.len() + 1;
                return Poll::Ready(match &stream.trailers {
                    Some(trailers) if is_first => Polled::Trailers(trailers.clone()),
                    _ => Polled::End,
                });
            }
            None => {}
        }
        match &mut place.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Whether nothing comes any more.
    pub(crate) fn is_at_end(&self) -> bool {
        let stream = lock(&self.fill.stream);
        let Some(Some(place)) = stream.readers.get(self.index) else { return true };
        let all = stream.gone + stream.pieces.len();
        matches!(stream.end, Some(Ok(())))
            && (place.next > all || (place.next == all && stream.trailers.is_none()))
    }

    /// Bytes that are left, if that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.fill.left(self.read)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut stream = lock(&self.fill.stream);
        if let Some(place) = stream.readers.get_mut(self.index) {
            *place = None;
        }
        stream.let_go(&self.fill.cache);
        if let Some(feeder) = stream.feeder.take() {
            feeder.wake();
        }
    }
}
