//! Numbers that states give to people, where a rule or a checksum tells them from others.

use crate::cursor::{Cursor, Found, More};
use crate::numbers::digits;

fn values(digits: &[(u8, usize)]) -> Vec<u32> {
    digits.iter().map(|(digit, _)| u32::from(*digit)).collect()
}

fn weighted(digits: &[u32], weights: impl IntoIterator<Item = u32>) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// `123-45-6789`: no area 000, 666 or from 900 on, no group 00, no serial 0000.
pub(crate) fn us_ssn(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    if !text.is_start() || text.before == b'-' {
        return Ok(None);
    }
    for (at, length) in [(0, 3), (4, 2), (7, 4)] {
        if text.run(at, length, |byte| byte.is_ascii_digit())? != at + length {
            return Ok(None);
        }
        if at > 0 && !matches!(text.bytes[at - 1], b'-' | b' ') {
            return Ok(None);
        }
    }
    let (area, group, serial) = (&text.bytes[..3], &text.bytes[4..6], &text.bytes[7..11]);
    let is_given =
        area != b"000" && area != b"666" && area[0] != b'9' && group != b"00" && serial != b"0000";
    let is_alone =
        text.bytes[3] == text.bytes[6] && text.is_over(11)? && !text.is(11, |byte| byte == b'-')?;
    if is_given && is_alone { text.to(11) } else { Ok(None) }
}

/// Eleven digits, bare or as `123.456.789-09`.
pub(crate) fn br_cpf(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    if !text.is_start() {
        return Ok(None);
    }
    let found = digits(text, 0, 11, |text, at| {
        Ok(usize::from(text.is(at, |byte| matches!(byte, b'.' | b'-'))?))
    })?;
    let Some((_, end)) = found.get(10).copied() else { return Ok(None) };
    let written = &text.bytes[..end];
    let is_form =
        end == 11 || end == 14 && written[3] == b'.' && written[7] == b'.' && written[11] == b'-';
    let digits = values(&found);
    let check = |length: u32| {
        let rest = weighted(&digits[..length as usize], (2..=length + 1).rev()) * 10 % 11;
        digits[length as usize] == rest % 10
    };
    let is_one = is_form && digits.iter().any(|digit| *digit != digits[0]) && check(9) && check(10);
    if is_one && text.is_over(end)? { text.to(end) } else { Ok(None) }
}

/// Eight digits, or X, Y or Z and seven, and a letter that they give.
pub(crate) fn es_dni(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    if !text.is_start() {
        return Ok(None);
    }
    let foreign = match text.bytes[0] {
        b'X' => Some(0),
        b'Y' => Some(1),
        b'Z' => Some(2),
        _ => None,
    };
    let first = usize::from(foreign.is_some());
    if text.run(first, 8 - first, |byte| byte.is_ascii_digit())? != 8 {
        return Ok(None);
    }
    let number = text.bytes[first..8]
        .iter()
        .fold(foreign.unwrap_or(0), |all, digit| all * 10 + u32::from(digit - b'0'));
    let letter = b"TRWAGMYFPDXBNJZSQVHLCKE"[(number % 23) as usize];
    let at = 8 + usize::from(text.is(8, |byte| byte == b'-')?);
    if text.is(at, |byte| byte == letter)? && text.is_over(at + 1)? {
        text.to(at + 1)
    } else {
        Ok(None)
    }
}

/// Thirteen digits and a key of two: 97 less the rest by 97. Departments of Corsica are `2A` and `2B`.
pub(crate) fn fr_nir(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    if !text.is_start() {
        return Ok(None);
    }
    let (mut number, mut count, mut at, mut less) = (0_u64, 0, 0, 0_u64);
    while count < 15 {
        match text.get(at)? {
            Some(byte) if byte.is_ascii_digit() => {
                if count < 13 {
                    number = number * 10 + u64::from(byte - b'0');
                }
                count += 1;
            }
            Some(letter @ (b'A' | b'B')) if count == 6 && number % 10 == 2 => {
                number *= 10;
                less = if letter == b'A' { 1_000_000 } else { 2_000_000 };
                // 2A is counted as 20 less 1, 2B as 20 less 2, of the department's place.
                count += 1;
            }
            Some(b' ') if count > 0 => {}
            _ => return Ok(None),
        }
        at += 1;
        if at > 22 {
            return Ok(None);
        }
    }
    let month = number / 100_000_000 % 100;
    let key = text.bytes[..at]
        .iter()
        .rev()
        .filter(|byte| byte.is_ascii_digit())
        .take(2)
        .collect::<Vec<_>>();
    let key = u64::from(key[1] - b'0') * 10 + u64::from(key[0] - b'0');
    let is_one = matches!(month, 1..=12 | 20..=42 | 50..=99) && key == 97 - (number - less) % 97;
    if is_one && text.is_over(at)? { text.to(at) } else { Ok(None) }
}

/// Six letters, what encodes a birthday and a place, and a letter that all of it gives.
pub(crate) fn it_fiscal_code(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    if !text.is_start() {
        return Ok(None);
    }
    const FORM: &[u8; 16] = b"LLLLLLDDMDDLDDDL";
    for (at, of) in FORM.iter().enumerate() {
        // Where two people would have the same code, digits are replaced by letters.
        let fits = |byte: u8| match of {
            b'L' => byte.is_ascii_uppercase(),
            b'M' => b"ABCDEHLMPRST".contains(&byte),
            _ => byte.is_ascii_digit() || b"LMNPQRSTUV".contains(&byte),
        };
        if !text.is(at, fits)? {
            return Ok(None);
        }
    }
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let value =
        |byte: u8| usize::from(if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' });
    let sum: u32 = (0..15)
        .map(|at| match at % 2 {
            0 => ODD[value(text.bytes[at])],
            _ => value(text.bytes[at]) as u32,
        })
        .sum();
    let is_one = u32::from(text.bytes[15] - b'A') == sum % 26;
    if is_one && text.is_over(16)? { text.to(16) } else { Ok(None) }
}

/// Eleven digits that begin with a date and end with a check digit.
pub(crate) fn pl_pesel(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    if !text.is_start()
        || text.run(0, 11, |byte| byte.is_ascii_digit())? != 11
        || !text.is_over(11)?
    {
        return Ok(None);
    }
    let digits: Vec<u32> = text.bytes[..11].iter().map(|byte| u32::from(byte - b'0')).collect();
    let (month, day) = ((digits[2] * 10 + digits[3]) % 20, digits[4] * 10 + digits[5]);
    let sum = weighted(&digits[..10], [1, 3, 7, 9].into_iter().cycle());
    let is_one =
        (1..=12).contains(&month) && (1..=31).contains(&day) && digits[10] == (10 - sum % 10) % 10;
    if is_one { text.to(11) } else { Ok(None) }
}
