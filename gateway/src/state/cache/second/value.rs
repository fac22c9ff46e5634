//! How a response lies in the second level.
//!
//! Owns that what is damaged, or was written by something else, is none.

use bytes::Bytes;

use super::super::entry::Restored;
use super::super::{Cache, Entry, digest, now};
use super::Second;

/// With a number that changes when the form does. The scripts of the store know what follows: see `holds.lua`.
const MAGIC: &[u8; 4] = b"GWC1";

/// What is sent for an entry.
pub(super) struct Sent {
    /// Of a fixed length, whatever tells variants apart.
    pub(super) variant: [u8; 16],
    pub(super) value: Vec<u8>,
    pub(super) milliseconds: u64,
}

/// The entry, for who has no more of its time than may be; `None` if it has none.
pub(super) fn of(entry: &Entry, second: &Second) -> Option<Sent> {
    let body = entry.bytes()?;
    let left = entry.until.saturating_sub(now()).min(second.ttl);
    if left == 0 {
        return None;
    }
    let time = second.time();
    let block = entry.block();
    let ([head, variant], owner) = (block.lengths(), &*entry.owner().name);
    let mut value = Vec::with_capacity(
        22 + 9 * entry.tags().len() + 4 + 46 + owner.len() + block.bytes().len() + body.len(),
    );
    value.extend_from_slice(MAGIC);
    value
        .extend_from_slice(format!("{:016}{:02}", entry.generation, entry.tags().len()).as_bytes());
    for tag in entry.tags() {
        value.push(b't');
        value.extend_from_slice(&tag.to_be_bytes());
    }
    let checksum = value.len();
    value.extend_from_slice(&[0; 4]);
    value.extend_from_slice(&entry.key().to_be_bytes());
    value.extend_from_slice(&time.saturating_sub(entry.resident()).to_be_bytes());
    value.extend_from_slice(&time.saturating_add(left).to_be_bytes());
    value.extend_from_slice(&entry.status.to_be_bytes());
    let lengths = [owner.len() as u32, block.bytes().len() as u32, head, variant];
    lengths.iter().for_each(|length| value.extend_from_slice(&length.to_be_bytes()));
    value.extend_from_slice(owner.as_bytes());
    value.extend_from_slice(block.bytes());
    value.extend_from_slice(body);
    let sum = sum(&value, checksum);
    value[checksum..checksum + 4].copy_from_slice(&sum.to_be_bytes());
    let variant = digest(&[block.variant()]).to_be_bytes();
    Some(Sent { variant, value, milliseconds: left.div_ceil(1_000_000) })
}

/// The entry that a value is, if it is one of these keys.
pub(super) fn entry(
    cache: &Cache,
    second: &Second,
    value: Vec<u8>,
    keys: &[u128],
) -> Option<Entry> {
    let value = Bytes::from(value);
    let mut reading = Reading(&value);
    if reading.take(4)? != MAGIC {
        return None;
    }
    let generation = text(reading.take(16)?)?;
    let count = text(reading.take(2)?)?;
    let mut tags = Vec::with_capacity(usize::try_from(count).ok()?);
    for _ in 0..count {
        reading.take(1)?;
        tags.push(u64::from_be_bytes(reading.array()?));
    }
    let checksum = value.len() - reading.0.len();
    if u32::from_be_bytes(reading.array()?) != sum(&value, checksum) {
        return None;
    }
    let key = u128::from_be_bytes(reading.array()?);
    let [stored, until] = [reading.array()?, reading.array()?].map(u64::from_be_bytes);
    let status = u16::from_be_bytes(reading.array()?);
    let lengths = [reading.array()?, reading.array()?, reading.array()?, reading.array()?];
    let [owner, block, head, variant] = lengths.map(u32::from_be_bytes);
    let owner = std::str::from_utf8(reading.take(owner as usize)?).ok()?.to_owned();
    let place = value.len() - reading.0.len();
    reading.take(block as usize)?;
    let block = value.slice(place..place + block as usize);
    let time = second.time();
    let left = until.saturating_sub(time);
    let is_wanted = keys.contains(&key) && (200..600).contains(&status) && left > 0;
    if !is_wanted || reading.0.len() as u64 > cache.settings.max_object {
        return None;
    }
    let body = cache.lay_down(reading.0.len(), [reading.0]);
    let restored = Restored {
        key,
        status,
        block,
        lengths: [head, variant],
        body,
        resident: time.saturating_sub(stored),
        left,
        tags: tags.into(),
        generation,
        owner: cache.partition_named(owner),
    };
    Entry::of_second(cache, restored)
}

/// Of all but the sum itself, which is at this place.
fn sum(value: &[u8], place: usize) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&value[..place]);
    hasher.update(value.get(place + 4..).unwrap_or_default());
    hasher.finalize()
}

fn text(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

struct Reading<'a>(&'a [u8]);

impl<'a> Reading<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}
