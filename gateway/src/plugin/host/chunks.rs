//! `gateway:plugin/chunks`: chunks that pass without a call.
//!
//! Owns which do: those that are made of the pieces that a plugin named, and of the insides of JSON strings. Counting them is the
//! chain's.

use super::functions::Functions;
use super::{Context, HostState};
use crate::plugin::bindings::ChunksError;
use crate::plugin::instance::{Hook, OnResponseChunk};

/// The most pieces, and bytes of them.
const MAX_PIECES: usize = 8;
const MAX_LENGTH: usize = 4 << 10;
/// Bytes of the counted string that pass between two calls, at most.
const MAX_BYTES: u32 = 1 << 20;

/// What chunks look like that need no call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Alike {
    /// The pieces, one behind the other, and where each ends.
    text: Box<[u8]>,
    ends: [u16; MAX_PIECES],
    count: u8,
    /// The string whose bytes are counted.
    counted: u8,
    /// How many of them may pass between two calls.
    pub(crate) bytes: u64,
}

pub(super) fn link(linker: &mut Functions<'_, '_>) -> wasmtime::Result<()> {
    type Pieces = (Vec<Vec<u8>>, u32, u32);
    linker.func_wrap(
        "pass-alike",
        |mut store: Context<'_>, (pieces, counted, bytes): Pieces| {
            Ok((store.data_mut().pass_alike(&pieces, counted, bytes),))
        },
    )?;
    linker.func_wrap("passed", |store: Context<'_>, (): ()| {
        Ok((store.data().heads.as_ref().map_or(0, |heads| heads.facts.passed),))
    })
}

impl HostState {
    fn pass_alike(
        &mut self,
        pieces: &[Vec<u8>],
        counted: u32,
        bytes: u32,
    ) -> Result<(), ChunksError> {
        if self.hook != OnResponseChunk::INDEX {
            return Err(ChunksError::NotHere);
        }
        let alike = Alike::new(pieces, counted, bytes).ok_or(ChunksError::Invalid)?;
        self.slots.get_or_insert_default().alike = Some(Box::new(alike));
        Ok(())
    }
}

impl Alike {
    fn new(pieces: &[Vec<u8>], counted: u32, bytes: u32) -> Option<Self> {
        let text = pieces.concat().into_boxed_slice();
        let is_piece = |at: usize| match at {
            0 => !pieces[0].is_empty(),
            _ => pieces[at].first() == Some(&b'"'),
        };
        let is_right = (2..=MAX_PIECES).contains(&pieces.len())
            && text.len() <= MAX_LENGTH
            && (0..pieces.len()).all(is_piece)
            && (counted as usize) < pieces.len() - 1
            && bytes <= MAX_BYTES;
        if !is_right {
            return None;
        }
        let (mut ends, mut end) = ([0; MAX_PIECES], 0);
        for (at, piece) in pieces.iter().enumerate() {
            end += piece.len();
            ends[at] = u16::try_from(end).ok()?;
        }
        let (count, counted) = (u8::try_from(pieces.len()).ok()?, u8::try_from(counted).ok()?);
        Some(Self { text, ends, count, counted, bytes: u64::from(bytes) })
    }

    /// How many bytes of the counted string a chunk has, if it needs no call.
    pub(crate) fn count(&self, chunk: &[u8]) -> Option<u64> {
        let (mut rest, mut bytes) = (chunk, 0);
        while !rest.is_empty() {
            let mut start = 0;
            for at in 0..usize::from(self.count) {
                let end = usize::from(self.ends[at]);
                rest = rest.strip_prefix(&self.text[start..end])?;
                start = end;
                if at + 1 < usize::from(self.count) {
                    let length = string(rest)?;
                    if at == usize::from(self.counted) {
                        bytes += length as u64;
                    }
                    rest = &rest[length..];
                }
            }
        }
        (!chunk.is_empty()).then_some(bytes)
    }
}

/// The length of the inside of a JSON string whose end is here.
fn string(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', rest.get(at..)?)?;
        if rest[at..found].iter().any(|byte| *byte < b' ') {
            return None;
        }
        if rest[found] == b'"' {
            return Some(found);
        }
        // What is behind a backslash cannot end the string; whether it is an escape, its receiver sees.
        rest.get(found + 1).filter(|byte| **byte >= b' ')?;
        at = found + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(pieces: &[&str], counted: u32) -> Option<Alike> {
        let pieces: Vec<_> = pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect();
        Alike::new(&pieces, counted, 100)
    }

    #[test]
    fn events_that_differ_in_their_texts_pass() {
        let alike = alike(&["data: {\"a\":\"", "\",\"b\":\"", "\"}\n\n"], 0).expect("pieces");
        let count = |chunk: &str| alike.count(chunk.as_bytes());
        assert_eq!(count("data: {\"a\":\"hello\",\"b\":\"xy\"}\n\n"), Some(5));
        assert_eq!(count("data: {\"a\":\"\",\"b\":\"\"}\n\n"), Some(0));
        assert_eq!(count("data: {\"a\":\"\\\"}\\u00e9\u{e9}\",\"b\":\"\"}\n\n"), Some(11));
        let two = "data: {\"a\":\"ab\",\"b\":\"\"}\n\n".repeat(2);
        assert_eq!(count(&two), Some(4));
    }

    #[test]
    fn all_others_do_not() {
        let alike = alike(&["data: {\"a\":\"", "\"}\n\n"], 0).expect("pieces");
        let whole = "data: {\"a\":\"hello\"}\n\n";
        assert_eq!(alike.count(whole.as_bytes()), Some(5));
        for cut in 0..whole.len() {
            assert_eq!(alike.count(&whole.as_bytes()[..cut]), None, "{cut}");
        }
        for other in [
            "data: {\"a\":\"x\",\"usage\":{}}\n\n",
            "data: {\"a\":\"x\\\"}\n\n",
            "data: {\"a\":\"x\n\"}\n\n",
            "data: {\"a\":\"x\\\n\"}\n\n",
            "data: {\"a\":null}\n\n",
            "data: [DONE]\n\n",
            "data: {\"a\":\"x\"}\n\ndata: [DONE]\n\n",
            "\ndata: {\"a\":\"x\"}\n\n",
        ] {
            assert_eq!(alike.count(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn pieces_are_bounded() {
        assert!(alike(&["a"], 0).is_none());
        assert!(alike(&["a", "b"], 0).is_none());
        assert!(alike(&["", "\""], 0).is_none());
        assert!(alike(&["a", "\""], 1).is_none());
        assert!(alike(&["a\"", "\"", "\""], 1).is_some());
        assert!(alike(&["a", "\"", "\"", "\"", "\"", "\"", "\"", "\"", "\""], 0).is_none());
        assert!(alike(&[&"a".repeat(MAX_LENGTH), "\""], 0).is_none());
    }
}
