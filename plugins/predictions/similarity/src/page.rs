//! Records of questions, in pages of bounded length.
//!
//! A page is read as it lies in its bytes. The newest records of a page stay; which page a record belongs into is for who keeps the pages.

use serde::{Deserialize, Serialize};

/// Records on a page.
pub const RECORDS: usize = 64;

/// A question that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// All that has to be the same: a digest of the request without its text.
    pub group: &'a [u8],
    /// The key under which its answer is kept.
    pub answer: &'a [u8],
    /// Until when that is kept at most, in seconds since 1970.
    pub until: u64,
    /// The text.
    pub text: &'a str,
    /// Its vector.
    pub vector: &'a [u8],
}

/// A question that was answered with the answer to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias<'a> {
    /// The key of the question.
    pub question: &'a [u8],
    /// The key under which the answer to the other one is kept.
    pub answer: &'a [u8],
    /// Until when that is kept at most, in seconds since 1970.
    pub until: u64,
    /// How alike they are, in ten-thousandths.
    pub score: u16,
}

/// What can be on a page.
pub trait Line {
    /// Of two with the same name the newer one stays.
    fn name(&self) -> &[u8];
    /// Until when it is of use, in seconds since 1970.
    fn until(&self) -> u64;
}

impl Line for Record<'_> {
    fn name(&self) -> &[u8] {
        self.answer
    }

    fn until(&self) -> u64 {
        self.until
    }
}

impl Line for Alias<'_> {
    fn name(&self) -> &[u8] {
        self.question
    }

    fn until(&self) -> u64 {
        self.until
    }
}

/// A page, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T>(Vec<T>);

impl<'a, T: Line + Deserialize<'a> + Serialize> Page<T> {
    /// What is on it and still of use. What cannot be read is an empty page.
    pub fn read(bytes: &'a [u8], now: u64) -> Self {
        let mut all: Vec<T> = postcard::from_bytes(bytes).unwrap_or_default();
        all.retain(|line| line.until() > now);
        Self(all)
    }

    /// With one more; the oldest goes where there is no room.
    pub fn with(mut self, line: T) -> Self {
        self.0.retain(|known| known.name() != line.name());
        if self.0.len() >= RECORDS {
            self.0.drain(..=self.0.len() - RECORDS);
        }
        self.0.push(line);
        self
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(&self.0).unwrap_or_default()
    }

    /// The last moment at which something on it is of use, in seconds since 1970.
    pub fn until(&self) -> u64 {
        self.0.iter().map(Line::until).max().unwrap_or(0)
    }

    /// What is on it.
    pub fn lines(&self) -> &[T] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(answer: &'a [u8], until: u64) -> Record<'a> {
        Record { group: b"g", answer, until, text: "what", vector: &[1, 2] }
    }

    #[test]
    fn a_page_keeps_the_newest() {
        let names: Vec<_> = (0..100_u8).map(|number| [number]).collect();
        let mut page = Page::read(b"", 0);
        for name in &names {
            page = page.with(record(name, 10));
        }
        page = page.with(record(&names[50], 12));
        assert_eq!(page.lines().len(), RECORDS);
        assert_eq!(page.lines()[0].answer, [36]);
        assert_eq!(page.lines().last(), Some(&record(&[50], 12)));
        assert_eq!(page.until(), 12);
        let bytes = page.to_bytes();
        assert_eq!(Page::read(&bytes, 0), page);
        assert_eq!(Page::<Record<'_>>::read(&bytes, 10).lines(), [record(&[50], 12)]);
        assert_eq!(Page::<Record<'_>>::read(b"\xff\xff", 0).lines(), []);
    }
}
