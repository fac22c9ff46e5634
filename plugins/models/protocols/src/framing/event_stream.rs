//! Frames of AWS event streams: checks, headers, writing one.
//!
//! A frame is: total length, length of the headers, checksum of these eight bytes, headers,
//! payload, checksum of all before it; numbers are big-endian, checksums CRC-32.

use std::borrow::Cow;

use super::{Event, Fault, bare};

/// Length of what stands before the headers.
const PRELUDE: usize = 12;
/// Length of a frame without headers and payload.
const LEAST: usize = PRELUDE + 4;
/// The most that the headers of a frame may have.
const HEADERS: usize = 128 * 1024;

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Where in `rest`, which follows `held`, the frame ends. The prelude is checked before its
/// lengths are believed, so that a broken stream is not held up to a length that it made up.
pub(super) fn end(held: &[u8], rest: &[u8], limit: usize) -> Result<Option<usize>, Fault> {
    let mut prelude = [0; PRELUDE];
    let from_held = held.len().min(PRELUDE);
    prelude[..from_held].copy_from_slice(&held[..from_held]);
    let missing = PRELUDE - from_held;
    let Some(from_rest) = rest.get(..missing) else { return Ok(None) };
    prelude[from_held..].copy_from_slice(from_rest);
    if number(&prelude, 8) != Some(crc32fast::hash(&prelude[..8])) {
        return Err(Fault::Checksum);
    }
    let (Some(total), Some(headers)) = (number(&prelude, 0), number(&prelude, 4)) else {
        return Err(Fault::Malformed);
    };
    let (total, headers) = (total as usize, headers as usize);
    if total < LEAST || headers > total - LEAST || headers > HEADERS {
        return Err(Fault::Malformed);
    }
    if total > limit {
        return Err(Fault::TooLarge);
    }
    let end = total - held.len();
    Ok((end <= rest.len()).then_some(end))
}

/// Reads a whole frame.
pub(super) fn parse(raw: &[u8]) -> Result<Event<'_>, Fault> {
    let body = raw.len().checked_sub(4).ok_or(Fault::Malformed)?;
    if number(raw, body) != Some(crc32fast::hash(&raw[..body])) {
        return Err(Fault::Checksum);
    }
    let headers_end = PRELUDE + number(raw, 4).ok_or(Fault::Malformed)? as usize;
    let headers = raw.get(PRELUDE..headers_end).ok_or(Fault::Malformed)?;
    let payload = raw.get(headers_end..body).ok_or(Fault::Malformed)?;
    let mut event = Event { data: Some(Cow::Borrowed(payload)), ..bare(raw) };
    let mut rest = headers;
    while !rest.is_empty() {
        let (name, value) = header(&mut rest).ok_or(Fault::Malformed)?;
        match name {
            b":message-type" => event.is_exception = value != b"event",
            b":event-type" | b":exception-type" | b":error-code" => event.name = value,
            b":error-message" if payload.is_empty() => event.data = Some(Cow::Borrowed(value)),
            _ => {}
        }
    }
    Ok(event)
}

/// Takes one header from the front: its name and, if it is text or bytes, its value.
fn header<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut take = |length: usize| {
        let (front, behind) = rest.split_at_checked(length)?;
        *rest = behind;
        Some(front)
    };
    let length = take(1)?[0];
    let name = take(usize::from(length))?;
    let value = match take(1)?[0] {
        0 | 1 => take(0)?,
        2 => take(1)?,
        3 => take(2)?,
        4 => take(4)?,
        5 | 8 => take(8)?,
        9 => take(16)?,
        6 | 7 => {
            let length = take(2)?;
            take(usize::from(u16::from_be_bytes([length[0], length[1]])))?
        }
        _ => return None,
    };
    Some((name, value))
}

/// Appends a frame with headers of text.
pub fn write(out: &mut Vec<u8>, headers: &[(&str, &str)], payload: &[u8]) {
    let mut block = Vec::new();
    for (name, value) in headers {
        let name = &name.as_bytes()[..name.len().min(255)];
        let value = &value.as_bytes()[..value.len().min(usize::from(u16::MAX))];
        block.push(name.len() as u8);
        block.extend_from_slice(name);
        block.push(7);
        block.extend_from_slice(&(value.len() as u16).to_be_bytes());
        block.extend_from_slice(value);
    }
    let start = out.len();
    out.extend_from_slice(&((LEAST + block.len() + payload.len()) as u32).to_be_bytes());
    out.extend_from_slice(&(block.len() as u32).to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&out[start..]).to_be_bytes());
    out.extend_from_slice(&block);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out[start..]).to_be_bytes());
}

/// Appends an event with a JSON payload.
pub fn write_event(out: &mut Vec<u8>, event_type: &str, json: &str) {
    let kind = [(":message-type", "event"), (":event-type", event_type)];
    write(out, &[kind[0], kind[1], (":content-type", "application/json")], json.as_bytes());
}

/// Appends an exception with a JSON payload.
pub fn write_exception(out: &mut Vec<u8>, exception_type: &str, json: &str) {
    let kind = [(":message-type", "exception"), (":exception-type", exception_type)];
    write(out, &[kind[0], kind[1], (":content-type", "application/json")], json.as_bytes());
}
