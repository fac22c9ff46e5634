//! Events that are held back, and the pieces of texts in them.
//!
//! Owns where in an event a byte of a text is, and how an event is written with its changes. Must not decide anything.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::kept::Bytes;

/// An event that is held back.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) raw: Bytes,
    pub(super) pieces: Vec<(u64, Range<usize>)>,
    pub(super) changes: Vec<(Range<usize>, String)>,
}

/// The pieces of a text that is not decided, put together.
pub(super) struct Pieces {
    /// The event, the piece in it, its bytes in the event from where it is not decided, and where it begins in all.
    parts: Vec<(usize, usize, Range<usize>, usize)>,
    skipped: usize,
}

impl Pieces {
    pub(super) fn of(
        held: &[Held],
        first: u64,
        id: u64,
        (event, piece, offset): (u64, usize, usize),
    ) -> Self {
        let start = usize::try_from(event - first).unwrap_or_default();
        let (mut parts, mut length) = (Vec::new(), 0);
        for (event, held) in held.iter().enumerate().skip(start) {
            for (at, (of, range)) in held.pieces.iter().enumerate() {
                if *of != id || (event == start && at < piece) {
                    continue;
                }
                let is_first = event == start && at == piece;
                let from = range.start + if is_first { offset } else { 0 };
                parts.push((event, at, from..range.end, length));
                length += range.end - from;
            }
        }
        Self { parts, skipped: offset }
    }

    pub(super) fn written<'h>(&self, held: &'h [Held]) -> Cow<'h, str> {
        let text = |(event, _, range, _): &(usize, usize, Range<usize>, usize)| {
            std::str::from_utf8(held[*event].raw.0.get(range.clone()).unwrap_or_default())
                .unwrap_or_default()
        };
        match self.parts.as_slice() {
            [] => Cow::Borrowed(""),
            [one] => Cow::Borrowed(text(one)),
            many => Cow::Owned(many.iter().map(text).collect()),
        }
    }

    /// Where in the events a byte of all is.
    pub(super) fn at(&self, place: usize) -> Option<(usize, usize, usize)> {
        let mut parts = self.parts.iter().enumerate();
        let (index, (event, piece, _, begin)) =
            parts.find(|(_, (_, _, range, begin))| place < begin + range.len())?;
        Some((*event, *piece, place - begin + if index == 0 { self.skipped } else { 0 }))
    }

    /// Puts a text where a range begins, and takes the rest of the range out.
    pub(super) fn change(&mut self, held: &mut [Held], range: Range<usize>, with: String) {
        let mut with = Some(with);
        for (event, _, bytes, begin) in &self.parts {
            let (start, end) = (range.start.max(*begin), range.end.min(begin + bytes.len()));
            if start >= end {
                continue;
            }
            let at = |place: usize| bytes.start + place - begin;
            held[*event].changes.push((at(start)..at(end), with.take().unwrap_or_default()));
        }
    }
}

/// An event as it is passed on.
pub(super) fn write(event: &Held, out: &mut Vec<u8>) {
    let mut changes: Vec<_> = event.changes.iter().collect();
    changes.sort_by_key(|(range, _)| range.start);
    let mut at = 0;
    for (range, with) in changes {
        out.extend_from_slice(event.raw.0.get(at..range.start).unwrap_or_default());
        out.extend_from_slice(with.as_bytes());
        at = range.end;
    }
    out.extend_from_slice(event.raw.0.get(at..).unwrap_or_default());
}

/// An event whose data is one line, and where that begins.
pub(super) fn one_line(name: &[u8], data: &[u8]) -> (Cow<'static, [u8]>, usize) {
    let mut raw = Vec::with_capacity(data.len() + name.len() + 16);
    if !name.is_empty() {
        raw.extend_from_slice(b"event: ");
        raw.extend_from_slice(name);
        raw.push(b'\n');
    }
    raw.extend_from_slice(b"data: ");
    let start = raw.len();
    raw.extend(data.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
    raw.extend_from_slice(b"\n\n");
    (Cow::Owned(raw), start)
}
