//! The head of an entry: its tags, and behind them its block, which is packed.
//!
//! Owns that all of it is one piece, of as few bytes as can be.

use super::block::Block;
use super::texts::Texts;

/// See the module. It begins with the number of the text by which it is packed and the number of tags; behind these are the lengths
/// of head, variant and metadata.
#[derive(Debug, Clone)]
pub(super) struct Head(Box<[u8]>);

impl Head {
    pub(super) fn new(texts: &Texts, tags: &[u64], block: &Block) -> Self {
        let tags = &tags[..tags.len().min(usize::from(u8::MAX))];
        let ([head, variant], all) = (block.lengths(), block.bytes());
        let mut bytes = Vec::with_capacity(16 + 8 * tags.len() + all.len());
        bytes.extend_from_slice(&[0, tags.len() as u8]);
        tags.iter().for_each(|tag| bytes.extend_from_slice(&tag.to_le_bytes()));
        for length in [head, variant, all.len() as u32 - head - variant] {
            write(length, &mut bytes);
        }
        bytes[0] = texts.pack(all, &mut bytes);
        Self(bytes.into())
    }

    /// The same tags, and another block.
    pub(super) fn with(&self, texts: &Texts, block: &Block) -> Self {
        Self::new(texts, &self.tags().collect::<Vec<_>>(), block)
    }

    /// What [`new`](Self::new) was given.
    pub(super) fn block(&self, texts: &Texts) -> Block {
        let unpacked = || {
            let mut left = self.0.get(2 + 8 * self.tags().len()..)?;
            let [head, variant, metadata] = [read(&mut left)?, read(&mut left)?, read(&mut left)?];
            let length = head as usize + variant as usize + metadata as usize;
            let bytes = texts.unpack(*self.0.first()?, left, length)?;
            Block::written(bytes.into(), [head, variant])
        };
        unpacked().unwrap_or_default()
    }

    pub(super) fn tags(&self) -> impl ExactSizeIterator<Item = u64> {
        let count = self.0.get(1).copied().unwrap_or_default();
        let tags = self.0.get(2..2 + 8 * usize::from(count)).unwrap_or_default();
        tags.chunks_exact(8).map(|tag| tag.first_chunk().map_or(0, |tag| u64::from_le_bytes(*tag)))
    }

    /// Bytes of it.
    pub(super) fn length(&self) -> usize {
        self.0.len()
    }
}

/// In as many bytes as it needs, seven bits in each.
fn write(mut number: u32, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (first, left) = bytes.split_first()?;
        *bytes = left;
        number |= u32::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn what_was_packed_comes_back() {
        let texts = Texts::new();
        let mut headers = HeaderMap::new();
        for number in 0..300_u32 {
            let value = HeaderValue::from_bytes(&vec![b'x'; number as usize * 7]).expect("a value");
            headers.append("x-field", value);
            let tags: Vec<_> = (0..u64::from(number % 66)).map(|tag| tag << 40).collect();
            let metadata = vec![7; 1 << (number % 17)];
            let block = Block::new(&headers, b"variant", &metadata);
            let head = Head::new(&texts, &tags, &block);
            let back = head.block(&texts);
            assert_eq!(head.tags().collect::<Vec<_>>(), tags);
            assert_eq!((back.bytes(), back.lengths()), (block.bytes(), block.lengths()));
            assert_eq!((back.variant(), back.metadata()), (&b"variant"[..], &metadata[..]));
        }
    }
}
