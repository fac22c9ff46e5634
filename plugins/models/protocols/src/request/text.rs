//! The texts of a request: what of its members is text, and how large all of it is.
//!
//! Owns the names by which that is told, for [`super::count`] and [`super::prefix`].

use crate::json::Raw;

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

/// What a member of an object has, among the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Nothing that a model reads.
    Nothing,
    /// Texts, at some depth.
    Texts,
    /// An image.
    Image,
    /// Images, if it is a list.
    Images,
    /// Audio.
    Audio,
    /// A document, if it is an object.
    Document,
    /// A document, if it is a string; else a file that says its own type.
    File,
    /// What the `type` of the object around it says.
    Source,
    /// A file that says its own type.
    Typed,
}

impl Part {
    /// By the name of the member, as it is written. Where names count as text too, fewer are left out.
    pub(super) fn of(name: &str, with_names: bool) -> Self {
        match name {
            "type" | "role" | "id" | "tool_call_id" | "tool_use_id" | "call_id" | "toolUseId"
            | "cache_control" | "signature" | "thoughtSignature" | "thought_signature"
            | "encrypted_content" | "status"
                if !with_names =>
            {
                Self::Nothing
            }
            "image_url" | "imageUrl" | "image" => Self::Image,
            "images" => Self::Images,
            "input_audio" => Self::Audio,
            "file" | "document" => Self::Document,
            "file_data" => Self::File,
            "source" => Self::Source,
            "inlineData" | "inline_data" | "fileData" => Self::Typed,
            _ => Self::Texts,
        }
    }

    /// With its value, and the object around it: what is left of it is one of the first five, and the last two are
    /// [`Part::Document`] or what the media type says.
    pub(super) fn with(self, value: Raw<'_>, around: Raw<'_>) -> Self {
        match self {
            Self::Images if !value.is_array() => Self::Texts,
            Self::Document if !value.is_object() => Self::Texts,
            Self::File if value.is_string() => Self::Document,
            Self::File | Self::Typed => {
                let kind = value.some("mimeType").or_else(|| value.some("mime_type"));
                match kind.and_then(Raw::escaped).unwrap_or_default() {
                    kind if kind.starts_with("image/") => Self::Image,
                    kind if kind.starts_with("audio/") => Self::Audio,
                    _ => Self::Document,
                }
            }
            Self::Source => match around.get("type").and_then(Raw::escaped) {
                Some("image") => Self::Image,
                Some("document") => match value.get("type").map(Raw::text) {
                    Some("\"text\"" | "\"content\"") => Self::Texts,
                    _ => Self::Document,
                },
                _ => Self::Texts,
            },
            _ => self,
        }
    }
}
