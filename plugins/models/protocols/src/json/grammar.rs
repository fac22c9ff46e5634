//! The grammar: where values, strings and numbers end, and what escapes mean.

/// How deep values may lie in each other.
pub(crate) const DEPTH: u8 = 128;

/// What the bytes of a string are, besides ASCII as it is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    /// How many belong to other characters.
    pub(crate) other: u32,
    /// Whether there are escapes.
    pub(crate) has_escapes: bool,
}

/// Where the next item of a well-formed object or array begins.
pub(super) fn next_item(bytes: &[u8], at: usize) -> Option<usize> {
    let at = space(bytes, at);
    match bytes.get(at)? {
        b'}' | b']' => None,
        b',' => Some(space(bytes, at + 1)),
        _ => Some(at),
    }
}

/// The offset of the first byte from `at` on that is not white space.
pub(crate) fn space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The end of the value that begins at `at`, or where it is at fault.
pub(crate) fn value(bytes: &[u8], at: usize, depth: u8) -> Result<usize, usize> {
    let depth = depth.checked_sub(1).ok_or(at)?;
    let word = |text: &[u8]| match bytes[at..].starts_with(text) {
        true => Ok(at + text.len()),
        false => Err(at),
    };
    match bytes.get(at) {
        Some(b'"') => string(bytes, at),
        Some(b'{') => items(bytes, at, b'}', depth),
        Some(b'[') => items(bytes, at, b']', depth),
        Some(b't') => word(b"true"),
        Some(b'f') => word(b"false"),
        Some(b'n') => word(b"null"),
        _ => number(bytes, at),
    }
}

fn items(bytes: &[u8], at: usize, close: u8, depth: u8) -> Result<usize, usize> {
    let mut at = space(bytes, at + 1);
    if bytes.get(at) == Some(&close) {
        return Ok(at + 1);
    }
    loop {
        if close == b'}' {
            at = space(bytes, string(bytes, at)?);
            if bytes.get(at) != Some(&b':') {
                return Err(at);
            }
            at = space(bytes, at + 1);
        }
        at = space(bytes, value(bytes, at, depth)?);
        match bytes.get(at) {
            Some(b',') => at = space(bytes, at + 1),
            Some(byte) if *byte == close => return Ok(at + 1),
            _ => return Err(at),
        }
    }
}

fn number(bytes: &[u8], mut at: usize) -> Result<usize, usize> {
    let digits = |mut at: usize| {
        let start = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        if at > start { Ok(at) } else { Err(at) }
    };
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match bytes.get(at) {
        Some(b'0') => at + 1,
        _ => digits(at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = digits(at)?;
    }
    Ok(at)
}

/// The end of the string whose quote is at `at`, or where it is at fault.
pub(crate) fn string(bytes: &[u8], at: usize) -> Result<usize, usize> {
    closing::<false>(bytes, at, &mut Bytes::default())
}

/// The same, and what its bytes are.
pub(crate) fn text(bytes: &[u8], at: usize) -> Result<(usize, Bytes), usize> {
    let mut seen = Bytes::default();
    closing::<true>(bytes, at, &mut seen).map(|end| (end, seen))
}

#[inline(always)]
fn closing<const COUNTS: bool>(bytes: &[u8], at: usize, seen: &mut Bytes) -> Result<usize, usize> {
    if bytes.get(at) != Some(&b'"') {
        return Err(at);
    }
    let mut at = at + 1;
    loop {
        at = plain::<COUNTS>(bytes, at, &mut seen.other);
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => {
                seen.has_escapes = true;
                at = escape(bytes, at)?;
            }
            _ => return Err(at),
        }
    }
}

/// The end of the escape at `at`, or where it is at fault.
fn escape(bytes: &[u8], at: usize) -> Result<usize, usize> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            let digits = bytes.get(at + 2..at + 6).ok_or(at)?;
            if digits.iter().all(u8::is_ascii_hexdigit) { Ok(at + 6) } else { Err(at) }
        }
        _ => Err(at),
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES * 0x80;

/// The offset of the first end of a line from `at` on, or of the end: eight bytes a step, where a search that is made for
/// machines with vectors takes four.
pub(crate) fn line_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let word = u64::from_le_bytes(*word);
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let hit = (zero(word ^ (ONES * 0x0a)) | zero(word ^ (ONES * 0x0d))) & HIGH;
        if hit != 0 {
            return at + hit.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The offset of the next quote, backslash or control character, eight bytes a step. Counts the bytes before it that are
/// not ASCII.
#[inline(always)]
fn plain<const COUNTS: bool>(bytes: &[u8], mut at: usize, other: &mut u32) -> usize {
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let word = u64::from_le_bytes(*word);
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = zero(word ^ (ONES * 0x22));
        let slash = zero(word ^ (ONES * 0x5c));
        let hit = (control | quote | slash) & HIGH;
        if hit != 0 {
            let before = hit.trailing_zeros() & !7;
            if COUNTS {
                *other += (word & HIGH & !(u64::MAX << before)).count_ones();
            }
            return at + before as usize / 8;
        }
        if COUNTS {
            *other += (word & HIGH).count_ones();
        }
        at += 8;
    }
    while let Some(byte) = bytes.get(at) {
        if *byte < 0x20 || *byte == b'"' || *byte == b'\\' {
            break;
        }
        *other += u32::from(COUNTS && !byte.is_ascii());
        at += 1;
    }
    at
}

pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = |at: usize| u32::from_str_radix(rest.get(at..at + 4)?, 16).ok();
        let mut taken = at + 2;
        match rest.as_bytes().get(at + 1) {
            Some(b'b') => out.push('\u{8}'),
            Some(b'f') => out.push('\u{c}'),
            Some(b'n') => out.push('\n'),
            Some(b'r') => out.push('\r'),
            Some(b't') => out.push('\t'),
            Some(b'u') => {
                let mut unit = code(at + 2).unwrap_or(0xfffd);
                taken += 4;
                let low = code(at + 8).filter(|_| rest[at + 6..].starts_with("\\u"));
                if let (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) = (unit, low) {
                    unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                    taken += 6;
                }
                out.push(char::from_u32(unit).unwrap_or('\u{fffd}'));
            }
            Some(other) => out.push(char::from(*other)),
            None => taken = rest.len(),
        }
        rest = &rest[taken..];
    }
    out + rest
}

/// Gives each member of a text, at any depth, without a check of the rest of the grammar: its
/// name as written and its value from the first byte on. For a string value also its length.
pub(crate) fn scan<'a>(text: &'a [u8], mut each: impl FnMut(&'a [u8], &'a [u8], Option<usize>)) {
    let mut at = 0;
    // Between strings there are few bytes: a search by words would be slower.
    while let Some(byte) = text.get(at) {
        if *byte != b'"' {
            at += 1;
            continue;
        }
        let start = at;
        let Ok(end) = string(text, start) else { return };
        at = end;
        let colon = space(text, end);
        if text.get(colon) != Some(&b':') {
            continue;
        }
        let first = space(text, colon + 1);
        let length = match text.get(first) {
            Some(b'"') => {
                let Ok(after) = string(text, first) else { return };
                at = after;
                Some(after - first - 2)
            }
            _ => None,
        };
        each(&text[start + 1..end - 1], &text[first.min(text.len())..], length);
    }
}
