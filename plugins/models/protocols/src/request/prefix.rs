//! Hashes of how a request begins.
//!
//! Texts are taken as they are written, with their escapes: the same client writes the same text
//! the same way, and nothing has to be copied.

use super::text::Part;
use crate::json::Raw;

/// The bytes of text that one hash of the prefix covers.
pub const CHUNK: usize = 1024;
/// The most hashes that are made; what lies behind 128 KiB tells no two conversations apart.
const CHUNKS: usize = 128;

/// Takes the texts of a request in the order in which a model gets them.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) prefix: Vec<u64>,
    hash: u64,
    chunk: Vec<u8>,
}

impl Texts {
    pub(super) fn new() -> Self {
        let chunk = Vec::with_capacity(CHUNK);
        Self { prefix: Vec::new(), hash: 0x9e37_79b9_7f4a_7c15, chunk }
    }

    /// Marks where something begins, so that two texts are not one.
    pub(super) fn mark(&mut self, byte: u8) {
        self.hash(&[0, byte]);
    }

    fn hash(&mut self, mut text: &[u8]) {
        while self.prefix.len() < CHUNKS && !text.is_empty() {
            let (now, rest) = text.split_at(text.len().min(CHUNK - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            text = rest;
            if self.chunk.len() == CHUNK {
                for word in self.chunk.chunks_exact(8) {
                    let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
                    let mixed = (self.hash ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25);
                    self.hash = mixed ^ (mixed >> 29);
                }
                self.prefix.push(self.hash);
                self.chunk.clear();
            }
        }
    }

    /// An input of completions or embeddings: texts, or tokens as numbers.
    pub(super) fn input(&mut self, value: Raw<'_>) {
        for element in value.elements() {
            if element.is_array() || element.is_string() || element.is_object() {
                self.input(element);
            }
        }
        if !value.is_array() {
            self.walk(value, false);
        }
    }

    /// All texts in a value. Names of members count where the model gets them, as in tools.
    pub(super) fn walk(&mut self, value: Raw<'_>, with_names: bool) {
        if let Some(text) = value.escaped() {
            return self.hash(text.as_bytes());
        }
        value.elements().for_each(|element| self.walk(element, with_names));
        for (key, member) in value.members() {
            let name = key.escaped().unwrap_or("");
            match Part::of(name, with_names).with(member, value) {
                Part::Nothing => {}
                Part::Images => member.elements().for_each(|image| self.media(image)),
                Part::Texts => {
                    if with_names {
                        self.hash(name.as_bytes());
                    }
                    self.walk(member, with_names);
                }
                _ => self.media(member),
            }
        }
    }

    /// What is not text counts by its length and its end.
    fn media(&mut self, value: Raw<'_>) {
        self.mark(b'i');
        self.hash(&(value.text().len() as u64).to_le_bytes());
        let text = value.text().as_bytes();
        self.hash(&text[text.len().saturating_sub(64)..]);
    }
}
