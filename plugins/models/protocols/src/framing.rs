//! Cutting a stream that arrives in chunks into its events, at whatever offsets it is split.
//!
//! Owns what is held back of an event that is not complete, and nothing else. An event is given
//! with the bytes that it was, so that a caller passes them on, leaves them out or replaces them:
//! all raw bytes of a stream, put together, are the stream.

pub mod event_stream;
mod items;
mod sse;

pub use sse::{write as write_sse, write_named as write_named_sse};

use std::borrow::Cow;

use crate::saved::{Held, saved};

/// How a stream marks its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events (WHATWG HTML section 9.2.6).
    Sse,
    /// One JSON value a line.
    Ndjson,
    /// The elements of one JSON array: Gemini without `alt=sse`.
    JsonArray,
    /// `application/vnd.amazon.eventstream`.
    EventStream,
}
saved!(
    enum Framing {
        Sse,
        Ndjson,
        JsonArray,
        EventStream,
    }
);

impl Framing {
    /// The framing that a response's content type names.
    pub fn of_content_type(value: &str) -> Option<Self> {
        let media_type = value.split(';').next().unwrap_or_default().trim();
        let known = [
            ("text/event-stream", Self::Sse),
            ("application/x-ndjson", Self::Ndjson),
            ("application/jsonl", Self::Ndjson),
            ("application/vnd.amazon.eventstream", Self::EventStream),
        ];
        known.into_iter().find(|(name, _)| media_type.eq_ignore_ascii_case(name)).map(|(_, it)| it)
    }
}

/// One event, or bytes between events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// All its bytes, with what ends it.
    pub raw: &'a [u8],
    /// The name of its type; empty where there is none.
    pub name: &'a [u8],
    /// What it says. `None` for comments and white space, which are no events.
    pub data: Option<Cow<'a, [u8]>>,
    /// Whether it came as an exception or an error of an AWS event stream.
    pub is_exception: bool,
    /// Whether what ends it was there. Only the last event of a stream can be without, see
    /// [`Reader::finish`].
    pub is_whole: bool,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An event is larger than the limit.
    TooLarge,
    /// An event has no end: it is larger than what is passed over unread.
    Endless,
    /// It is not in the framing that it should be in.
    Malformed,
    /// A checksum of an AWS event stream does not match.
    Checksum,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "an event of the stream is larger than the limit",
            Self::Endless => "an event of the stream does not end",
            Self::Malformed => "the stream is not framed as its content type says",
            Self::Checksum => "a checksum of the event stream does not match",
        })
    }
}

impl std::error::Error for Fault {}

/// Finds the events of one stream.
#[derive(Clone, Debug)]
pub struct Reader {
    framing: Framing,
    limit: usize,
    /// How large an event may be that is passed over unread; zero: none is.
    most: u64,
    /// How much of such an event was given.
    passed: u64,
    held: Held,
    /// Whether the first event is over: only before it may there be a byte order mark.
    begun: bool,
    sse: sse::Ends,
    items: items::Ends,
}
saved!(struct Reader { framing, limit, most, passed, held, begun, sse, items });

impl Reader {
    /// A reader at the start of a stream, none of whose events may be larger than `limit` bytes.
    pub fn new(framing: Framing, limit: usize) -> Self {
        let (sse, items) = (sse::Ends::default(), items::Ends::default());
        let held = Held::default();
        Self { framing, limit, most: 0, passed: 0, held, begun: false, sse, items }
    }

    /// Passes events over unread that are larger than the limit, and at most so large: they are given in pieces, as bytes that are
    /// no event. Those of an AWS event stream are not, whose checksums could not be seen.
    pub fn passing(mut self, most: u64) -> Self {
        self.most = if self.framing == Framing::EventStream { 0 } else { most };
        self
    }

    /// Whether nothing is left of the last event: what is read next begins another.
    pub fn is_between(&self) -> bool {
        self.held.0.is_empty() && self.passed == 0
    }

    /// How the stream marks its events.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The bytes that were not given yet, as their event is not complete.
    pub fn held(&self) -> &[u8] {
        &self.held.0
    }

    /// Takes a chunk and gives what became complete with it. After a fault the stream cannot be
    /// read on; the events before it were given.
    pub fn read(&mut self, chunk: &[u8], mut each: impl FnMut(Event<'_>)) -> Result<(), Fault> {
        let mut rest = chunk;
        while !rest.is_empty() {
            let Some(end) = self.end(rest)? else {
                if self.is_large(rest) {
                    return self.pass_over(rest, &mut each);
                }
                self.held.0.extend_from_slice(rest);
                return Ok(());
            };
            let (last, behind) = rest.split_at(end);
            rest = behind;
            if self.is_large(last) {
                self.pass_over(last, &mut each)?;
                self.passed = 0;
            } else if self.held.0.is_empty() {
                each(self.event(last, true)?);
            } else {
                let mut whole = std::mem::take(&mut self.held.0);
                whole.extend_from_slice(last);
                each(self.event(&whole, true)?);
                whole.clear();
                self.held.0 = whole;
            }
            self.begun = true;
        }
        Ok(())
    }

    /// Whether what is held and this are part of an event that is not read.
    fn is_large(&self, more: &[u8]) -> bool {
        self.passed > 0 || self.held.0.len() + more.len() > self.limit
    }

    /// Gives a piece of an event that is too large to be read.
    fn pass_over(&mut self, more: &[u8], each: &mut impl FnMut(Event<'_>)) -> Result<(), Fault> {
        if self.most == 0 {
            return Err(Fault::TooLarge);
        }
        let length = self.held.0.len() + more.len();
        self.passed = self.passed.saturating_add(length as u64);
        if self.passed > self.most {
            return Err(Fault::Endless);
        }
        if self.held.0.is_empty() {
            each(bare(more));
        } else {
            let mut piece = std::mem::take(&mut self.held.0);
            piece.extend_from_slice(more);
            each(bare(&piece));
        }
        Ok(())
    }

    /// Gives what is left when the stream ended: an event without its end. Whether to believe it
    /// is the caller's choice; a browser would not.
    pub fn finish(&mut self, each: impl FnOnce(Event<'_>)) {
        let rest = std::mem::take(&mut self.held.0);
        if rest.is_empty() {
            return;
        }
        match self.event(&rest, false) {
            Ok(event) => each(event),
            Err(_) => each(bare(&rest)),
        }
    }

    /// Where in `rest`, which follows what is held, the event ends.
    fn end(&mut self, rest: &[u8]) -> Result<Option<usize>, Fault> {
        match self.framing {
            Framing::Sse => Ok(self.sse.find(rest)),
            Framing::Ndjson => Ok(memchr::memchr(b'\n', rest).map(|at| at + 1)),
            Framing::JsonArray => self.items.find(rest),
            Framing::EventStream => event_stream::end(&self.held.0, rest, self.limit),
        }
    }

    fn event<'a>(&self, raw: &'a [u8], is_whole: bool) -> Result<Event<'a>, Fault> {
        let event = match self.framing {
            Framing::Sse => sse::parse(raw, !self.begun),
            Framing::Ndjson => {
                let data = raw.trim_ascii();
                let data = (!data.is_empty()).then_some(Cow::Borrowed(data));
                Event { data, ..bare(raw) }
            }
            Framing::JsonArray => items::parse(raw),
            Framing::EventStream if is_whole => event_stream::parse(raw)?,
            Framing::EventStream => bare(raw),
        };
        Ok(Event { is_whole, ..event })
    }
}

/// Bytes that are no event.
fn bare(raw: &[u8]) -> Event<'_> {
    Event { raw, name: b"", data: None, is_exception: false, is_whole: false }
}

#[cfg(test)]
mod tests;
