//! Texts that are written shorter by what they have in common with another text.
//!
//! Owns the form: runs of bytes as they are, and places in the common text, or further ahead in the same one, from where
//! bytes are repeated. Must not know what the texts are.

/// What is repeated is at least so long: a place takes three bytes.
const LEAST: usize = 4;
/// And at most so long, in one piece.
const MOST: usize = LEAST + 0x7f;
/// Bytes as they are, in one run.
const RUN: usize = 0x80;
/// Says that a place follows, and not a run.
const PLACE: u8 = 0x80;
/// By what four bytes begin with; a power of two.
const SLOTS: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct Common {
    text: Box<[u8]>,
    /// Where four bytes were seen last, by their hash.
    places: Box<[u16; SLOTS]>,
}

impl Common {
    /// What is beyond the reach of a place is not used.
    pub(super) fn new(text: &[u8]) -> Self {
        let text = &text[..text.len().min(usize::from(u16::MAX))];
        let mut places = Box::new([0; SLOTS]);
        for (place, four) in text.windows(LEAST).enumerate() {
            places[slot(four)] = place as u16;
        }
        Self { text: text.into(), places }
    }

    /// The text that this was made of.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Writes a text behind what is there.
    pub(super) fn pack(&self, text: &[u8], packed: &mut Vec<u8>) {
        let mut places = *self.places;
        let (mut at, mut run) = (0, 0);
        while let Some(four) = text.get(at..at + LEAST) {
            let slot = slot(four);
            let place = usize::from(places[slot]);
            let length = self.in_common(text, at, place);
            if let Ok(here) = u16::try_from(self.text.len() + at) {
                places[slot] = here;
            }
            if length < LEAST {
                at += 1;
                continue;
            }
            write_run(&text[run..at], packed);
            packed.push(PLACE | (length - LEAST) as u8);
            packed.extend_from_slice(&(place as u16).to_le_bytes());
            at += length;
            run = at;
        }
        write_run(&text[run..], packed);
    }

    /// For how many bytes what is at `at` is what is at this place. A place may be one of nothing: the bytes are compared.
    fn in_common(&self, text: &[u8], at: usize, place: usize) -> usize {
        let source = match place.checked_sub(self.text.len()) {
            None => &self.text[place..],
            Some(place) if place < at => &text[place..at],
            Some(_) => return 0,
        };
        let pairs = source.iter().zip(&text[at..]).take(MOST);
        pairs.take_while(|(one, other)| one == other).count()
    }

    /// The text, if this is one of such a length that [`pack`](Self::pack) has written.
    pub(super) fn unpack(&self, packed: &[u8], length: usize) -> Option<Vec<u8>> {
        let mut text = Vec::with_capacity(length);
        let mut left = packed;
        while let Some((first, behind)) = left.split_first() {
            let number = usize::from(first & !PLACE);
            if first & PLACE == 0 {
                let (run, behind) = behind.split_at_checked(number + 1)?;
                text.extend_from_slice(run);
                left = behind;
                continue;
            }
            let (place, behind) = behind.split_first_chunk()?;
            let (place, count) = (usize::from(u16::from_le_bytes(*place)), number + LEAST);
            match place.checked_sub(self.text.len()) {
                None => text.extend_from_slice(self.text.get(place..place + count)?),
                Some(place) if place + count <= text.len() => {
                    text.extend_from_within(place..place + count);
                }
                Some(_) => return None,
            }
            left = behind;
        }
        (text.len() == length).then_some(text)
    }
}

fn write_run(bytes: &[u8], packed: &mut Vec<u8>) {
    for run in bytes.chunks(RUN) {
        packed.push((run.len() - 1) as u8);
        packed.extend_from_slice(run);
    }
}

fn slot(four: &[u8]) -> usize {
    let number = four.first_chunk().map_or(0, |four| u32::from_le_bytes(*four));
    (number.wrapping_mul(0x9e37_79b1) >> 20) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(common: &Common, text: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        common.pack(text, &mut packed);
        assert_eq!(common.unpack(&packed, text.len()).as_deref(), Some(text));
        packed
    }

    #[test]
    fn any_text_comes_back() {
        let mut state = 1_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize % below
        };
        for round in 0..2_000 {
            // Of few different bytes, so that there is much to repeat; some longer than places reach.
            let kinds = 1 + next(6);
            let most = if round % 200 == 0 { 150_000 } else { 600 };
            let [common, text] = [next(most), next(most)]
                .map(|length| (0..length).map(|_| next(kinds) as u8).collect::<Vec<_>>());
            packed(&Common::new(&common), &text);
        }
    }

    #[test]
    fn what_is_known_takes_three_bytes() {
        let common = Common::new(b"cache-control: public, max-age=3600");
        assert_eq!(packed(&common, b"").len(), 0);
        assert_eq!(packed(&common, b"max-age=3600").len(), 3);
        assert_eq!(packed(&common, b"no").len(), 3, "a run has a byte before it");
        assert_eq!(packed(&common, &common.text().repeat(2)).len(), 6);
        assert_eq!(packed(&Common::new(b""), b"etagetagetag").len(), 1 + 4 + 2 * 3);
    }

    #[test]
    fn what_is_damaged_is_none() {
        let common = Common::new(b"public");
        for (damaged, length) in [
            (&[0x80][..], 4),
            (&[0x80, 0], 4),
            (&[0x80, 3, 0], 4),
            (&[0x80, 6, 0], 4),
            (&[2, 0], 3),
            (&[0, 0], 2),
        ] {
            assert_eq!(common.unpack(damaged, length), None, "{damaged:?}");
        }
        assert_eq!(common.unpack(&[0x80, 2, 0], 4).as_deref(), Some(&b"blic"[..]));
    }
}
