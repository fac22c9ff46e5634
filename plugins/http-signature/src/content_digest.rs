//! Digests of the content (RFC 9530), which bind a body to a signed head.
//!
//! Owns which algorithms count. All that are covered and known must be right; one must be.

use gateway_plugin_sdk::digest;
use serde::{Deserialize, Serialize};
use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};
use sha2::{Digest as _, Sha512};

/// What a body must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Expected {
    Sha256(Vec<u8>),
    Sha512(Vec<u8>),
}

impl Expected {
    fn is_of(&self, body: &[u8]) -> bool {
        match self {
            Self::Sha256(value) => digest::sha256(body)[..] == value[..],
            Self::Sha512(value) => Sha512::digest(body)[..] == value[..],
        }
    }
}

/// What is covered of the field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Covered {
    /// All of it.
    pub(crate) whole: bool,
    /// Its members of these names.
    pub(crate) members: Vec<String>,
}

impl Covered {
    /// Whether anything is.
    pub(crate) fn is_any(&self) -> bool {
        self.whole || !self.members.is_empty()
    }

    /// What the body must have by the covered part of the field.
    pub(crate) fn expected(&self, field: &[u8]) -> Result<Vec<Expected>, &'static str> {
        let members: Dictionary =
            Parser::new(field).parse().map_err(|_| "the content digest is malformed")?;
        let mut expected = Vec::new();
        for (name, value) in &members {
            if !self.whole && !self.members.iter().any(|member| member == name.as_str()) {
                continue;
            }
            let ListEntry::Item(Item { bare_item: BareItem::ByteSequence(value), .. }) = value
            else {
                return Err("the content digest is malformed");
            };
            match name.as_str() {
                "sha-256" => expected.push(Expected::Sha256(value.clone())),
                "sha-512" => expected.push(Expected::Sha512(value.clone())),
                // Others are weak, or not known.
                _ => {}
            }
        }
        if expected.is_empty() {
            return Err("the content digest is neither `sha-256` nor `sha-512`");
        }
        Ok(expected)
    }
}

/// Whether a body has all that it must have.
pub(crate) fn check(expected: &[Expected], body: &[u8]) -> Result<(), &'static str> {
    let is_right = expected.iter().all(|expected| expected.is_of(body));
    if is_right { Ok(()) } else { Err("the body is not that of the content digest") }
}
