//! What a client sends over HTTP/1, cut into messages.
//!
//! Owns where each head and each body ends, by their framing (RFC 9112 section 6). hyper is handed
//! the bytes of one request at a time, and none of the next before this one is over: then the head
//! that checks look at is always that of the request they check, nothing that was read can be lost
//! when hyper is released, and no byte of a body can be taken for a head. Must not read.

use std::ops::Range;

use super::chunks::{BadChunk, Chunks};
use crate::path::raw;

/// What a request may be followed by before its response is complete, in bytes. More stays with
/// the kernel.
pub(super) const MOST_AHEAD: usize = 16 << 10;

/// Memory that an empty buffer may keep.
const MOST_KEPT: usize = 4 << 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    pub(super) cut: Cutter,
    pub(super) ahead: Ahead,
}

/// Which part of which message comes next.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    part: Part,
    /// The head of the current request, up to the limit.
    head: Vec<u8>,
    line: Line,
    /// The body of the current request has ended in trailers.
    has_trailers: bool,
}

#[derive(Debug, Default)]
enum Part {
    /// Nothing of a request has come.
    #[default]
    Between,
    Head,
    /// So many bytes of a body are left.
    Length(u64),
    Chunks(Chunks),
    /// The whole request was handed over, or its head, and what follows is not known yet.
    Over,
}

/// What a piece of the stream brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    Nothing,
    HeadBegan,
    /// What began like a head was only empty lines.
    NoHead,
    BodyMoved,
    BodyEnded,
}

impl Cutter {
    /// Which of the bytes are to be handed over now: those behind the range come later, those
    /// before it never.
    ///
    /// # Errors
    /// When a body breaks its framing.
    pub(super) fn next(
        &mut self,
        bytes: &[u8],
        max_head: usize,
    ) -> Result<(Range<usize>, News), BadChunk> {
        match &mut self.part {
            Part::Between => {
                // RFC 9112 section 2.2: empty lines before a request are no part of it.
                let start = empty_lines(bytes);
                if start == bytes.len() {
                    return Ok((start..start, News::Nothing));
                }
                self.head.clear();
                self.line = Line::default();
                self.part = Part::Head;
                let (end, news) = self.head(&bytes[start..], max_head);
                let news = if news == News::NoHead { News::Nothing } else { News::HeadBegan };
                Ok((start..start + end, news))
            }
            Part::Head => {
                let (end, news) = self.head(bytes, max_head);
                Ok((0..end, news))
            }
            Part::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= here as u64;
                Ok((0..here, self.body_moved(|part| matches!(part, Part::Length(0)))))
            }
            Part::Chunks(chunks) => {
                let end = chunks.follow(bytes, max_head)?;
                self.has_trailers = chunks.has_trailers();
                Ok((0..end.unwrap_or(bytes.len()), self.body_moved(|_| end.is_some())))
            }
            Part::Over => Ok((0..0, News::Nothing)),
        }
    }

    /// These bytes, which come next, with what is escaped in a request target; `None` where nothing
    /// is to be, as is usual. What is handed over counts, and not what the client sent.
    pub(super) fn escape_target(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let begun = match self.part {
            Part::Between => &[][..],
            Part::Head => &self.head,
            Part::Length(_) | Part::Chunks(_) | Part::Over => return None,
        };
        let (start, in_query) = target_start(begun, bytes)?;
        raw::find_unfit(&bytes[start..], in_query)?;
        Some(raw::escape(bytes, start, in_query))
    }

    fn head(&mut self, bytes: &[u8], max: usize) -> (usize, News) {
        let end = self.line.find_empty(bytes);
        let here = end.unwrap_or(bytes.len());
        let room = max.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..here.min(room)]);
        if end.is_none() {
            return (here, News::Nothing);
        }
        if here <= 2 && self.head.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            self.part = Part::Between;
            return (here, News::NoHead);
        }
        self.part = Part::Over;
        (here, News::Nothing)
    }

    fn body_moved(&mut self, ends: impl FnOnce(&Part) -> bool) -> News {
        if !ends(&self.part) {
            return News::BodyMoved;
        }
        self.part = Part::Over;
        News::BodyEnded
    }

    /// A body follows the head that was handed over: so long, or in chunks.
    pub(super) fn expect_body(&mut self, length: Option<u64>) {
        self.part = length.map_or_else(|| Part::Chunks(Chunks::new()), Part::Length);
    }

    /// The request and its response are over; another request may come.
    pub(super) fn begin_anew(&mut self) {
        self.part = Part::Between;
        self.has_trailers = false;
    }

    /// Whether the body of the current request ended in trailers, once.
    pub(super) fn take_trailers(&mut self) -> bool {
        std::mem::take(&mut self.has_trailers)
    }

    /// Whether the current request has ended.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.part, Part::Over)
    }

    /// Whether these bytes hold the rest of the current request.
    pub(super) fn would_end(&self, bytes: &[u8], max_head: usize) -> bool {
        match &self.part {
            Part::Between | Part::Head => false,
            Part::Over => true,
            Part::Length(left) => bytes.len() as u64 >= *left,
            Part::Chunks(chunks) => {
                matches!(chunks.clone().follow(bytes, max_head), Ok(Some(_)))
            }
        }
    }

    /// The raw head of the current request.
    pub(super) fn raw_head(&self) -> &[u8] {
        &self.head
    }

    /// Gives memory back.
    pub(super) fn shrink(&mut self) {
        self.head = Vec::new();
    }
}

/// Where in these bytes the target of a request begins, or continues, and whether in its query. `begun`
/// is what has come of the head before.
fn target_start(begun: &[u8], bytes: &[u8]) -> Option<(usize, bool)> {
    let line = begun.trim_ascii_start();
    if line.is_empty() {
        let skipped = bytes.len() - bytes.trim_ascii_start().len();
        let space = memchr::memchr2(b' ', b'\n', &bytes[skipped..])?;
        let at = skipped + space;
        return (bytes[at] == b' ').then_some((at + 1, false));
    }
    let Some(space) = memchr::memchr2(b' ', b'\n', line) else {
        let at = memchr::memchr2(b' ', b'\n', bytes)?;
        return (bytes[at] == b' ').then_some((at + 1, false));
    };
    let target = &line[space + 1..];
    let goes_on = line[space] == b' ' && memchr::memchr2(b' ', b'\n', target).is_none();
    goes_on.then(|| (0, target.contains(&b'?')))
}

/// How many bytes at the front are line ends.
fn empty_lines(mut bytes: &[u8]) -> usize {
    let all = bytes.len();
    loop {
        bytes = match bytes {
            [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest,
            _ => return all - bytes.len(),
        };
    }
}

/// The line that is being read.
#[derive(Debug, Default)]
struct Line {
    length: usize,
    last: u8,
}

impl Line {
    /// Where the first empty line ends. As hyper's parser does, it takes a bare line feed for the
    /// end of a line: what it takes for a head must never be longer than what hyper does.
    fn find_empty(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut start = 0;
        for at in memchr::memchr_iter(b'\n', bytes) {
            let length = self.length + (at - start);
            let last = if at > start { bytes[at - 1] } else { self.last };
            self.length = 0;
            start = at + 1;
            if length == 0 || (length == 1 && last == b'\r') {
                return Some(start);
            }
        }
        self.length += bytes.len() - start;
        self.last = bytes.last().copied().unwrap_or(self.last);
        None
    }
}

/// What was read and is not handed over yet.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    bytes: Vec<u8>,
    start: usize,
}

impl Ahead {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Holds these bytes in place of all that is there.
    pub(super) fn replace(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
        self.start = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The first bytes were handed over.
    pub(super) fn advance(&mut self, length: usize) {
        self.start += length;
        if self.start == self.bytes.len() {
            self.start = 0;
            self.bytes.clear();
            if self.bytes.capacity() > MOST_KEPT {
                self.bytes = Vec::new();
            }
        }
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..std::mem::take(&mut self.start));
        bytes
    }
}

#[cfg(test)]
mod tests;
