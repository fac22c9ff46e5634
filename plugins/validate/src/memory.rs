//! Whether there is memory for something.
//!
//! Memory of a component ends at its limit, and what is beyond ends its hook. Owns the count of what a value takes while
//! it is read, so that a text is refused in words that does not fit.

/// How much more is asked for at once, at least.
const STEP: usize = 128 << 10;

/// Whether so many bytes could be had now. Nothing is kept.
pub(crate) fn has_room(bytes: usize) -> bool {
    let mut room: Vec<u8> = Vec::new();
    room.try_reserve_exact(bytes).is_ok()
}

/// What is taken for a value that is being read.
pub(crate) struct Room {
    taken: usize,
    /// Bytes up to which there was room.
    known: usize,
    has_room: fn(usize) -> bool,
}

impl Default for Room {
    fn default() -> Self {
        Self::by(has_room)
    }
}

impl Room {
    /// What `has_room` says.
    pub(crate) fn by(has_room: fn(usize) -> bool) -> Self {
        Self { taken: 0, known: 0, has_room }
    }

    /// How much was taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Counts bytes that are about to be taken. `false` if there are no more.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        self.taken = self.taken.saturating_add(bytes);
        self.taken <= self.known || self.ask(bytes)
    }

    #[cold]
    fn ask(&mut self, bytes: usize) -> bool {
        // A list that grows is copied: what is there may be needed in one piece once more, for a moment.
        let spare = STEP.max(self.taken / 2);
        self.known = self.taken.saturating_add(STEP);
        (self.has_room)(bytes.saturating_add(spare))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_little_and_none_for_all() {
        assert!(has_room(0) && has_room(1 << 10));
        assert!(!has_room(usize::MAX >> 1));
    }

    #[test]
    fn what_is_taken_ends_where_there_is_no_room_for_as_much_again() {
        let mut room = Room::by(|bytes| bytes <= 1 << 20);
        let mut taken = 0;
        while room.take(1 << 10) {
            taken += 1;
            assert!(taken < 4 << 10, "it never ends");
        }
        assert!((1_900..=2_200).contains(&taken), "{taken} KiB");
        assert!(!Room::by(|_| false).take(1));
        assert!(!Room::default().take(usize::MAX >> 1));
    }
}
