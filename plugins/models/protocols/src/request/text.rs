//! The texts of a request: how large they are, and hashes of how they begin.
//!
//! Texts are taken as they are written, with their escapes: the same client writes the same text
//! the same way, and nothing has to be copied.

use crate::json::Raw;

/// The bytes of text that one hash of the prefix covers.
pub const CHUNK: usize = 1024;
/// The most hashes that are made; what lies behind 128 KiB tells no two conversations apart.
const CHUNKS: usize = 128;
/// The tokens that an image counts in an estimate.
pub const IMAGE_TOKENS: u64 = 1100;

/// How large the input is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes of text that are ASCII.
    pub ascii: u64,
    /// Other bytes of text, as UTF-8.
    pub other: u64,
    /// Tokens that the caller wrote as numbers.
    pub tokens: u64,
    /// Messages.
    pub messages: u64,
    /// Images.
    pub images: u64,
    /// Bytes of audio in base64.
    pub audio: u64,
    /// Bytes of documents in base64.
    pub documents: u64,
}

impl Size {
    /// Bytes of text.
    pub fn text_bytes(&self) -> u64 {
        self.ascii + self.other
    }

    /// An estimate of the tokens, which is rather too high than too low:
    /// two tokens for each 7 bytes of ASCII, three for each 7 other bytes, 4 for each message,
    /// 1,100 for each image, one for each 512 bytes of audio and each 32 bytes of documents.
    pub fn estimate(&self) -> u64 {
        (self.ascii * 2 + self.other * 3).div_ceil(7)
            + self.tokens
            + self.messages * 4
            + self.images * IMAGE_TOKENS
            + self.audio.div_ceil(512)
            + self.documents.div_ceil(32)
    }
}

/// Takes the texts of a request in the order in which a model gets them.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) size: Size,
    pub(super) prefix: Vec<u64>,
    hash: u64,
    chunk: Vec<u8>,
}

impl Texts {
    pub(super) fn new() -> Self {
        let chunk = Vec::with_capacity(CHUNK);
        Self { size: Size::default(), prefix: Vec::new(), hash: 0x9e37_79b9_7f4a_7c15, chunk }
    }

    /// Marks where something begins, so that two texts are not one.
    pub(super) fn mark(&mut self, byte: u8) {
        self.hash(&[0, byte]);
    }

    /// A text between its quotes, with escapes.
    fn text(&mut self, escaped: &str) {
        self.measure(escaped.as_bytes());
        self.hash(escaped.as_bytes());
    }

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
            match element.is_array() || element.is_string() || element.is_object() {
                true => self.input(element),
                false => self.size.tokens += 1,
            }
        }
        if !value.is_array() {
            self.walk(value, false);
        }
    }

    /// All texts in a value. Names of members count where the model gets them, as in tools.
    pub(super) fn walk(&mut self, value: Raw<'_>, with_names: bool) {
        if let Some(text) = value.escaped() {
            return self.text(text);
        }
        if value.is_array() {
            return value.elements().for_each(|element| self.walk(element, with_names));
        }
        if !value.is_object() {
            self.size.ascii += value.text().len() as u64;
            return;
        }
        // Few members need it, and to find it is a pass over all of them.
        let kind = || value.get("type").and_then(Raw::escaped).unwrap_or("");
        for (key, member) in value.members() {
            let name = key.escaped().unwrap_or("");
            match name {
                "type" | "role" | "id" | "tool_call_id" | "tool_use_id" | "call_id"
                | "toolUseId" | "cache_control" | "signature" | "thoughtSignature"
                | "thought_signature" | "encrypted_content" | "status"
                    if !with_names => {}
                "image_url" | "imageUrl" | "image" => self.media("image/", member),
                "images" if member.is_array() => {
                    member.elements().for_each(|image| self.media("image/", image));
                }
                "input_audio" => self.media("audio/", member),
                "file" | "document" if member.is_object() => self.media("", member),
                "file_data" if member.is_string() => self.media("", member),
                "source" if kind() == "image" => self.media("image/", member),
                "source" if kind() == "document" => match member.get("type").map(Raw::text) {
                    Some("\"text\"" | "\"content\"") => self.walk(member, false),
                    _ => self.media("", member),
                },
                "inlineData" | "inline_data" | "fileData" | "file_data" => {
                    let media_type = member.some("mimeType").or_else(|| member.some("mime_type"));
                    self.media(media_type.and_then(Raw::escaped).unwrap_or(""), member);
                }
                _ => {
                    if with_names {
                        self.text(name);
                    }
                    self.walk(member, with_names);
                }
            }
        }
    }

    /// What is not text: images count as such, audio and documents by their length.
    fn media(&mut self, media_type: &str, value: Raw<'_>) {
        let length = value.text().len() as u64;
        match media_type {
            kind if kind.starts_with("image/") => self.size.images += 1,
            kind if kind.starts_with("audio/") => self.size.audio += length,
            _ => self.size.documents += length,
        }
        self.mark(b'i');
        self.hash(&length.to_le_bytes());
        let text = value.text().as_bytes();
        self.hash(&text[text.len().saturating_sub(64)..]);
    }
}
