//! Whether there is memory for what becomes of a body.
//!
//! Memory of a component ends at its limit, and what is beyond ends its hook. What a few bytes of a body can make many
//! of is counted here while it is read, so that such a body is refused in words.

/// How many parts are asked for at once.
const STEP: usize = 512;

/// Whether so many bytes could be had now. Nothing is kept.
pub(crate) fn has_room(bytes: usize) -> bool {
    Vec::<u8>::new().try_reserve_exact(bytes).is_ok()
}

/// The parts of a body that are kept one by one.
pub(crate) struct Parts {
    count: usize,
    /// What one takes in memory at most, besides its text.
    size: usize,
    has_room: fn(usize) -> bool,
}

impl Parts {
    /// Parts of a size each.
    pub(crate) fn of(size: usize) -> Self {
        Self { count: 0, size, has_room }
    }

    /// One more. The error says that there is no room for it.
    pub(crate) fn add(&mut self) -> Result<(), String> {
        self.count += 1;
        // Lists that grow are copied: what is there may be needed in one piece once more, for a moment.
        let wanted = (STEP + self.count / 2).saturating_mul(self.size);
        if self.count % STEP != 1 || (self.has_room)(wanted) {
            return Ok(());
        }
        Err(format!(
            "it has more parts than the plugin's memory (`limits.memory`) has room for: {} up to here",
            self.count
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_end_where_there_is_no_room_for_more() {
        let mut parts = Parts { count: 0, size: 100, has_room: |bytes| bytes < 1 << 20 };
        let all = (0..100_000).map(|_| parts.add()).position(|added| added.is_err());
        assert!(all.is_some_and(|count| (15_000..25_000).contains(&count)), "{all:?}");
        assert!((0..10_000).all(|_| Parts::of(100).add().is_ok()));
    }
}
