//! Brotli (RFC 7932), taken off.
//!
//! Owns what is read of its head before anything is decoded: the decoder takes its window at once.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{DecodeError, STEP, has_room};

/// What the decoder takes besides its window: tables, and a list of them.
const TABLES: usize = 512 << 10;

/// The body, and what follows its end.
pub(super) fn decode(body: &[u8], limit: u64) -> Result<(Vec<u8>, &[u8]), DecodeError> {
    let window =
        window(body).ok_or_else(|| DecodeError::broken("it has no window that there is"))?;
    if !has_room(window + TABLES) {
        return Err(DecodeError::NoRoom(window));
    }
    let tables = StandardAlloc::default;
    let mut state: BrotliState<_, _, _> =
        BrotliState::new_strict(tables(), tables(), StandardAlloc::default());
    let (mut left, mut at, mut total) = (body.len(), 0, 0);
    let (mut out, mut piece) = (Vec::new(), vec![0; STEP]);
    loop {
        let (mut free, mut filled) = (piece.len(), 0);
        let result = BrotliDecompressStream::<_, _, StandardAlloc>(
            &mut left,
            &mut at,
            body,
            &mut free,
            &mut filled,
            &mut piece,
            &mut total,
            &mut state,
        );
        super::add(&mut out, &piece[..filled], limit)?;
        match result {
            BrotliResult::ResultSuccess => return Ok((out, &body[at..])),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput => return Err(DecodeError::cut_off()),
            BrotliResult::ResultFailure => {
                return Err(DecodeError::broken("it is no Brotli stream"));
            }
        }
    }
}

/// How far back a stream may reach (RFC 7932 section 9.1). `None`: further than the format allows.
fn window(body: &[u8]) -> Option<usize> {
    let first = *body.first().unwrap_or(&0);
    let (low, high) = (first >> 1 & 7, first >> 4 & 7);
    let bits = match (first & 1, low, high) {
        (0, _, _) => 16,
        (_, 0, 0) => 17,
        (_, 0, 1) => return None,
        (_, 0, high) => 8 + high,
        (_, low, _) => 17 + low,
    };
    Some(1 << bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_stands_at_the_beginning() {
        // What the reference encoder writes for each size.
        for (first, bits) in [
            (0x00, Some(16)),
            (0x01, Some(17)),
            (0x03, Some(18)),
            (0x0b, Some(22)),
            (0x0f, Some(24)),
            (0x21, Some(10)),
            (0x71, Some(15)),
            (0x11, None),
        ] {
            assert_eq!(window(&[first]), bits.map(|bits| 1 << bits), "{first:#x}");
        }
    }
}
