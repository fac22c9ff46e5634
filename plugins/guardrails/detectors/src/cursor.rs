//! A place in a text at which something may begin.

use std::ops::Range;

/// What was found, in bytes from the place on.
pub(crate) type Found = Range<usize>;

/// More of the text is needed to say.
#[derive(Debug)]
pub(crate) struct More;

pub(crate) struct Cursor<'a> {
    /// The text from the place on.
    pub(crate) bytes: &'a [u8],
    /// The byte before; not ASCII where it is a part of another character.
    pub(crate) before: u8,
    /// Whether nothing comes behind it.
    pub(crate) is_end: bool,
    /// More than so many bytes are never asked for.
    pub(crate) longest: usize,
}

impl Cursor<'_> {
    /// The byte at an offset; `None` behind the end.
    pub(crate) fn get(&self, at: usize) -> Result<Option<u8>, More> {
        match self.bytes.get(at) {
            Some(byte) => Ok(Some(*byte)),
            None if self.is_end || at > self.longest => Ok(None),
            None => Err(More),
        }
    }

    /// Whether the byte at an offset is there and one of these.
    pub(crate) fn is(&self, at: usize, of: impl Fn(u8) -> bool) -> Result<bool, More> {
        Ok(self.get(at)?.is_some_and(of))
    }

    /// The end of the bytes of a kind that begin at an offset, at most so many.
    pub(crate) fn run(
        &self,
        start: usize,
        most: usize,
        of: impl Fn(u8) -> bool,
    ) -> Result<usize, More> {
        let mut at = start;
        while at < start + most && self.is(at, &of)? {
            at += 1;
        }
        Ok(at)
    }

    /// Whether a text stands at an offset.
    pub(crate) fn has(&self, at: usize, text: &[u8]) -> Result<bool, More> {
        for (index, byte) in text.iter().enumerate() {
            if self.get(at + index)? != Some(*byte) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether no letter or digit stands before the place.
    pub(crate) fn is_start(&self) -> bool {
        !self.before.is_ascii_alphanumeric()
    }

    /// Whether no letter or digit stands at an offset.
    pub(crate) fn is_over(&self, at: usize) -> Result<bool, More> {
        Ok(!self.is(at, |byte| byte.is_ascii_alphanumeric())?)
    }

    /// A match from the place to an offset.
    pub(crate) fn to(&self, end: usize) -> Result<Option<Found>, More> {
        Ok(Some(0..end))
    }
}
