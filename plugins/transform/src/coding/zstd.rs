//! Zstandard (RFC 8878), taken off.
//!
//! Owns the bound on windows, which a decoder takes at once: HTTP allows 8 MiB (RFC 9659).

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{DecodeError, STEP, has_room};

/// How far back a frame may reach.
const MOST_WINDOW: u64 = 8 << 20;

/// What the decoder takes besides its window: two blocks, and tables.
const BLOCKS: usize = 512 << 10;

/// All frames of a body.
pub(super) fn decode(body: &[u8], limit: u64) -> Result<Vec<u8>, DecodeError> {
    let (mut rest, mut out) = (body, Vec::new());
    let mut decoder = FrameDecoder::new();
    loop {
        check(rest, limit)?;
        match decoder.reset(&mut rest) {
            Ok(()) => frame(&mut decoder, &mut rest, &mut out, limit)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                rest = rest.get(length..).ok_or_else(DecodeError::cut_off)?;
            }
            Err(error) => return Err(DecodeError::broken(&error.to_string())),
        }
        if rest.is_empty() {
            return Ok(out);
        }
    }
}

fn frame(
    decoder: &mut FrameDecoder,
    rest: &mut &[u8],
    out: &mut Vec<u8>,
    limit: u64,
) -> Result<(), DecodeError> {
    let broken = |error: &dyn std::fmt::Display| DecodeError::broken(&error.to_string());
    loop {
        let step = BlockDecodingStrategy::UptoBytes(STEP);
        let is_finished =
            decoder.decode_blocks(&mut *rest, step).map_err(|error| broken(&error))?;
        super::add(out, &decoder.collect().unwrap_or_default(), limit)?;
        if is_finished {
            break;
        }
    }
    match (decoder.get_checksum_from_data(), decoder.get_calculated_checksum()) {
        (Some(told), Some(found)) if told != found => {
            Err(DecodeError::broken("its checksum is another"))
        }
        _ => Ok(()),
    }
}

/// Looks at the head of a frame (RFC 8878 section 3.1.1.1).
fn check(frame: &[u8], limit: u64) -> Result<(), DecodeError> {
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = frame else { return Ok(()) };
    let is_single = descriptor & 0x20 != 0;
    let window = if is_single {
        let skipped = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let size = [1, 2, 4, 8][usize::from(descriptor >> 6)];
        let field = rest.get(skipped..skipped + size).ok_or_else(DecodeError::cut_off)?;
        let number = field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let number = if size == 2 { number + 256 } else { number };
        if number > limit {
            return Err(DecodeError::TooLarge(limit));
        }
        number
    } else {
        let byte = u64::from(*rest.first().ok_or_else(DecodeError::cut_off)?);
        let base = 1 << (10 + (byte >> 3));
        base + base / 8 * (byte & 7)
    };
    // A frame in one piece has the window of its size, which is bounded.
    if window > MOST_WINDOW && !is_single {
        return Err(DecodeError::broken(
            "its window is larger than the 8 MiB that HTTP allows (RFC 9659)",
        ));
    }
    let window = usize::try_from(window).unwrap_or(usize::MAX);
    if has_room(window.saturating_add(BLOCKS)) { Ok(()) } else { Err(DecodeError::NoRoom(window)) }
}
