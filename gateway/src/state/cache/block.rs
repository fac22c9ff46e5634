//! Head, variant and metadata of a response, one behind the other.
//!
//! Owns its form, which is the one on disk and in the second level too, where its parts fit together or it is none.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    bytes: Bytes,
    head: u32,
    variant: u32,
}

impl Block {
    pub(crate) fn new(headers: &HeaderMap, variant: &[u8], metadata: &[u8]) -> Self {
        let fields = headers.iter().map(|(name, value)| 6 + name.as_str().len() + value.len());
        let head = 2 + fields.sum::<usize>();
        let mut bytes = Vec::with_capacity(head + variant.len() + metadata.len());
        bytes.extend_from_slice(&(headers.len() as u16).to_le_bytes());
        for (name, value) in headers {
            bytes.extend_from_slice(&(name.as_str().len() as u16).to_le_bytes());
            bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        bytes.extend_from_slice(variant);
        bytes.extend_from_slice(metadata);
        Self { bytes: bytes.into(), head: head as u32, variant: variant.len() as u32 }
    }

    /// Of bytes that were written before, and how long head and variant are; `None` if the lengths are not theirs.
    pub(super) fn written(bytes: Bytes, [head, variant]: [u32; 2]) -> Option<Self> {
        let fits = head >= 2 && u64::from(head) + u64::from(variant) <= bytes.len() as u64;
        fits.then_some(Self { bytes, head, variant })
    }

    /// Whether its lines can be read: [`new`](Self::new) may not have written it.
    pub(super) fn is_sound(&self) -> bool {
        let head = self.head as usize;
        let mut at = 2;
        while at < head {
            let Some(lengths) = self.bytes[..head].get(at..at + 6) else { return false };
            let name = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
            let value = u32::from_le_bytes([lengths[2], lengths[3], lengths[4], lengths[5]]);
            at += 6 + name + value as usize;
        }
        at == head
    }

    /// All of it.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How long head and variant are.
    pub(super) fn lengths(&self) -> [u32; 2] {
        [self.head, self.variant]
    }

    /// Name and value of each line. What was written by [`new`](Self::new) can be read.
    fn lines(&self) -> impl Iterator<Item = (&[u8], std::ops::Range<usize>)> {
        let head = &self.bytes[..self.head as usize];
        let mut at = 2;
        std::iter::from_fn(move || {
            let lengths = head.get(at..at + 6)?;
            let name = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
            let value = u32::from_le_bytes([lengths[2], lengths[3], lengths[4], lengths[5]]);
            let (start, end) = (at + 6 + name, at + 6 + name + value as usize);
            let line = (head.get(at + 6..start)?, start..end);
            at = end;
            Some(line)
        })
    }

    /// The fields, in the order in which they came.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines().map(|(name, value)| (name, &self.bytes[value]))
    }

    /// What tells it apart from others under its key.
    pub(crate) fn variant(&self) -> &[u8] {
        let start = self.head as usize;
        &self.bytes[start..start + self.variant as usize]
    }

    /// What the plugin noted.
    pub(crate) fn metadata(&self) -> &[u8] {
        &self.bytes[(self.head + self.variant) as usize..]
    }

    /// The head, whose values are not copied.
    pub(crate) fn headers(&self) -> HeaderMap {
        let count = self.bytes.first_chunk().map_or(0, |count| u16::from_le_bytes(*count));
        let mut headers = HeaderMap::with_capacity(usize::from(count) + 4);
        for (name, value) in self.lines() {
            let name = HeaderName::from_lowercase(name);
            let value = HeaderValue::from_maybe_shared(self.bytes.slice(value));
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        headers
    }
}
