//! Finds personal data and secrets in texts: by their form, and where there is one by their checksum.
//!
//! A [`Set`] of detectors reads a text from front to back. Where a match could go on behind the end of what is there, it
//! says from where on it wants to see more, which is never more than the longest match of a detector.
//! A library of facts: it does not know what becomes of what it finds.

mod cursor;
mod keys;
mod names;
mod national;
mod numbers;
mod pattern;
mod tokens;
mod words;

pub use names::{Builtin, GROUPS, nearest};
pub use pattern::{LONGEST_PATTERN, Pattern, PatternError};

use std::ops::Range;

use cursor::{Cursor, Found, More};

/// One way to find something.
pub enum Detector {
    /// One that is known here.
    Builtin(Builtin),
    /// A regular expression.
    Pattern(Box<Pattern>),
}

/// Detectors that read a text together. What comes first wins; of what begins at the same place, the longest.
pub struct Set {
    detectors: Vec<Detector>,
    /// For each byte, the detectors whose matches can begin with it, as bits.
    starts: Box<[u64; 256]>,
}

/// How many detectors a set can have.
pub const MOST: usize = 64;

impl Set {
    /// These detectors, at most [`MOST`].
    #[must_use]
    pub fn new(mut detectors: Vec<Detector>) -> Self {
        detectors.truncate(MOST);
        let mut starts = Box::new([0; 256]);
        for (index, detector) in detectors.iter().enumerate() {
            for (byte, bits) in (0..=u8::MAX).zip(starts.iter_mut()) {
                let can_start = match detector {
                    Detector::Builtin(builtin) => builtin.can_start(byte),
                    Detector::Pattern(pattern) => pattern.can_start(byte),
                };
                *bits |= u64::from(can_start) << index;
            }
        }
        Self { detectors, starts }
    }

    /// Whether it finds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.detectors.is_empty()
    }

    /// The longest match that is waited for, in bytes.
    #[must_use]
    pub fn longest(&self) -> usize {
        let longest = |detector: &Detector| match detector {
            Detector::Builtin(builtin) => builtin.longest(),
            Detector::Pattern(pattern) => pattern.longest(),
        };
        self.detectors.iter().map(longest).max().unwrap_or(0)
    }

    /// Gives each match, with the index of its detector, in order. `before` is the character before the text; `is_end`
    /// says that no more comes. Returns from where on more is needed to decide: the text's length if nowhere.
    pub fn read(
        &self,
        before: Option<char>,
        text: &str,
        is_end: bool,
        mut each: impl FnMut(usize, Range<usize>),
    ) -> usize {
        let bytes = text.as_bytes();
        let is_ascii = |it: char| u8::try_from(it).ok().filter(u8::is_ascii).unwrap_or(0x80);
        let mut before = before.map(is_ascii);
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let mut bits = self.starts[usize::from(byte)];
            let mut best: Option<(usize, Range<usize>)> = None;
            while bits != 0 {
                let index = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                match self.detectors[index].at(text, at, before, is_end) {
                    Err(More) => return at,
                    Ok(Some(found)) => {
                        let range = at + found.start..at + found.end;
                        if best.as_ref().is_none_or(|(_, best)| best.end < range.end) {
                            best = Some((index, range));
                        }
                    }
                    Ok(None) => {}
                }
            }
            match best {
                Some((index, range)) => {
                    at = range.end;
                    before = Some(bytes[at - 1]);
                    each(index, range);
                }
                None => {
                    before = Some(byte);
                    at += 1;
                }
            }
        }
        bytes.len()
    }
}

impl Detector {
    fn at(
        &self,
        text: &str,
        at: usize,
        before: Option<u8>,
        is_end: bool,
    ) -> Result<Option<Found>, More> {
        match self {
            Self::Builtin(builtin) => {
                let rest = &text.as_bytes()[at..];
                let before = before.unwrap_or(b' ');
                builtin.find(&Cursor { bytes: rest, before, is_end, longest: builtin.longest() })
            }
            Self::Pattern(pattern) => pattern.find(text, at, before, is_end),
        }
    }
}

#[cfg(test)]
mod tests;
