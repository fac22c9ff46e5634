//! How large the texts of a value are, counted while its grammar is checked: a request is read once.

use super::text::{Part, Size};
use crate::json::{self, Raw, space};

/// Counts texts. Its functions take the offset of a value and how deep others may lie in it, and give the end of the
/// value, or where it is at fault.
#[derive(Debug)]
pub(super) struct Count<'a> {
    text: &'a str,
    pub(super) size: Size,
}

type End = Result<usize, usize>;

impl<'a> Count<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, size: Size::default() }
    }

    /// What is written from one offset to another.
    pub(super) fn raw(&self, from: usize, to: usize) -> Raw<'a> {
        Raw::of_value(&self.text[from..to])
    }

    fn first(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or_default()
    }

    /// All texts in a value. Names of members count where the model gets them, as in tools.
    pub(super) fn texts(&mut self, at: usize, depth: u8, with_names: bool) -> End {
        match self.first(at) {
            b'"' => self.string(at),
            b'[' => self.list(at, depth, |it, at, depth| it.texts(at, depth, with_names)),
            b'{' => self.object(at, depth, with_names),
            _ => {
                let end = self.skip(at, depth)?;
                self.size.ascii += (end - at) as u64;
                Ok(end)
            }
        }
    }

    /// A list of messages, or one of them, as Gemini takes it.
    pub(super) fn messages(&mut self, at: usize, depth: u8) -> End {
        match self.first(at) {
            b'[' => self.list(at, depth, |it, at, depth| {
                it.size.messages += 1;
                it.texts(at, depth, false)
            }),
            b'{' | b'"' => {
                self.size.messages += 1;
                self.texts(at, depth, false)
            }
            _ => self.skip(at, depth),
        }
    }

    /// An input of completions or embeddings: texts, or tokens as numbers.
    pub(super) fn input(&mut self, at: usize, depth: u8) -> End {
        if self.first(at) != b'[' {
            return self.texts(at, depth, false);
        }
        self.list(at, depth, |it, at, depth| match it.first(at) {
            b'[' | b'"' | b'{' => it.input(at, depth),
            _ => {
                it.size.tokens += 1;
                it.skip(at, depth)
            }
        })
    }

    /// Requests for embeddings, as Gemini takes several: what else they say is no text.
    pub(super) fn requests(&mut self, at: usize, depth: u8) -> End {
        if self.first(at) != b'[' {
            return self.skip(at, depth);
        }
        self.list(at, depth, |it, at, depth| {
            if it.first(at) != b'{' {
                return it.skip(at, depth);
            }
            members(it.text, at, depth, |name, at, depth| match name {
                "content" | "title" => it.texts(at, depth, false),
                _ => it.skip(at, depth),
            })
        })
    }

    /// Images, if it is a list.
    pub(super) fn images(&mut self, at: usize, depth: u8) -> End {
        if self.first(at) != b'[' {
            return self.skip(at, depth);
        }
        self.list(at, depth, |it, at, depth| {
            it.size.images += 1;
            it.skip(at, depth)
        })
    }

    /// A value without texts.
    pub(super) fn skip(&self, at: usize, depth: u8) -> End {
        json::value(self.text.as_bytes(), at, depth)
    }

    fn string(&mut self, at: usize) -> End {
        let (end, seen) = json::text(self.text.as_bytes(), at)?;
        if seen.has_escapes {
            self.measure(&self.text.as_bytes()[at + 1..end - 1]);
        } else {
            self.size.other += u64::from(seen.other);
            self.size.ascii += (end - at - 2) as u64 - u64::from(seen.other);
        }
        Ok(end)
    }

    fn list(
        &mut self,
        at: usize,
        depth: u8,
        mut each: impl FnMut(&mut Self, usize, u8) -> End,
    ) -> End {
        let depth = depth.checked_sub(1).ok_or(at)?;
        let bytes = self.text.as_bytes();
        let mut at = space(bytes, at + 1);
        if bytes.get(at) == Some(&b']') {
            return Ok(at + 1);
        }
        loop {
            at = space(bytes, each(self, at, depth)?);
            match bytes.get(at) {
                Some(b',') => at = space(bytes, at + 1),
                Some(b']') => return Ok(at + 1),
                _ => return Err(at),
            }
        }
    }

    fn object(&mut self, at: usize, depth: u8, with_names: bool) -> End {
        let (start, text, mut has_sources) = (at, self.text, false);
        let end = members(text, at, depth, |name, at, depth| {
            let part = Part::of(name, with_names);
            match part {
                Part::Nothing => self.skip(at, depth),
                Part::Texts => {
                    if with_names {
                        self.measure(name.as_bytes());
                    }
                    self.texts(at, depth, with_names)
                }
                Part::Images if self.first(at) == b'[' => self.images(at, depth),
                Part::Source => {
                    has_sources = true;
                    self.skip(at, depth)
                }
                _ => {
                    let end = self.skip(at, depth)?;
                    let value = self.raw(at, end);
                    self.media(part.with(value, value), (at, end), name, with_names)
                }
            }
        })?;
        if has_sources {
            // What they are is known when the whole object is.
            let around = self.raw(start, end);
            for (key, value) in around.members() {
                let name = key.escaped().unwrap_or_default();
                if let part @ Part::Source = Part::of(name, with_names) {
                    let range = value.range_in(self.text.as_bytes());
                    let place = (range.start, range.end);
                    self.media(part.with(value, around), place, name, with_names)?;
                }
            }
        }
        Ok(end)
    }

    /// What is not text, if it is not: images count as such, audio and documents by their length.
    fn media(
        &mut self,
        part: Part,
        (at, end): (usize, usize),
        name: &str,
        with_names: bool,
    ) -> End {
        let length = (end - at) as u64;
        match part {
            Part::Image => self.size.images += 1,
            Part::Audio => self.size.audio += length,
            Part::Texts => {
                if with_names {
                    self.measure(name.as_bytes());
                }
                // It was checked: how deep it is does not matter any more.
                self.texts(at, json::DEPTH, with_names)?;
            }
            _ => self.size.documents += length,
        }
        Ok(end)
    }

    /// Counts a text between its quotes, with escapes.
    pub(super) fn measure(&mut self, text: &[u8]) {
        let other: u32 = text
            .chunks(8)
            .map(|chunk| match <[u8; 8]>::try_from(chunk) {
                Ok(word) => (u64::from_le_bytes(word) & 0x8080_8080_8080_8080).count_ones(),
                Err(_) => chunk.iter().filter(|byte| !byte.is_ascii()).count() as u32,
            })
            .sum();
        let mut escapes = 0;
        let mut encoded = 0;
        let mut rest = text;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            let is_code = rest.get(at + 1) == Some(&b'u');
            if is_code && !rest[at..].starts_with(b"\\u00") {
                // About the bytes that the character has as UTF-8.
                escapes += 6;
                encoded += 3;
            } else {
                escapes += if is_code { 5 } else { 1 };
            }
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        self.size.ascii += (text.len() as u64).saturating_sub(u64::from(other) + escapes);
        self.size.other += u64::from(other) + encoded;
    }
}

/// Goes over the members of the object at `at`. `each` is given a name as it is written, the offset of its value and how
/// deep others may lie in that, and gives the end of the value.
pub(super) fn members<'a>(
    text: &'a str,
    at: usize,
    depth: u8,
    mut each: impl FnMut(&'a str, usize, u8) -> End,
) -> End {
    let depth = depth.checked_sub(1).ok_or(at)?;
    let bytes = text.as_bytes();
    let mut at = space(bytes, at + 1);
    if bytes.get(at) == Some(&b'}') {
        return Ok(at + 1);
    }
    loop {
        let end = json::string(bytes, at)?;
        let name = &text[at + 1..end - 1];
        at = space(bytes, end);
        if bytes.get(at) != Some(&b':') {
            return Err(at);
        }
        at = space(bytes, each(name, space(bytes, at + 1), depth)?);
        match bytes.get(at) {
            Some(b',') => at = space(bytes, at + 1),
            Some(b'}') => return Ok(at + 1),
            _ => return Err(at),
        }
    }
}
