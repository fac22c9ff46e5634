//! Whether there is memory for something.
//!
//! Memory of a component ends at its limit, and what is beyond ends its hook.

/// Whether so many bytes could be had now. Nothing is kept.
pub(crate) fn has_room(bytes: usize) -> bool {
    let mut room: Vec<u8> = Vec::new();
    room.try_reserve_exact(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_little_and_none_for_all() {
        assert!(has_room(0) && has_room(1 << 10));
        assert!(!has_room(usize::MAX >> 1));
    }
}
