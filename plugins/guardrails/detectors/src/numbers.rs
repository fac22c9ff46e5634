//! Numbers that people have: of cards, accounts and phones.

use crate::cursor::{Cursor, Found, More};

/// The digits from the cursor on, each with the offset behind it. One separator may stand between two.
pub(crate) fn digits(
    text: &Cursor<'_>,
    from: usize,
    most: usize,
    separator: impl Fn(&Cursor<'_>, usize) -> Result<usize, More>,
) -> Result<Vec<(u8, usize)>, More> {
    let mut found: Vec<(u8, usize)> = Vec::with_capacity(most);
    let mut at = from;
    while found.len() < most {
        match text.get(at)? {
            Some(byte) if byte.is_ascii_digit() => {
                at += 1;
                found.push((byte - b'0', at));
            }
            Some(_) if !found.is_empty() => {
                let length = separator(text, at)?;
                if length == 0 || !text.is(at + length, |byte| byte.is_ascii_digit())? {
                    break;
                }
                at += length;
            }
            _ => break,
        }
    }
    Ok(found)
}

/// How long the space or the hyphen at an offset is, also one that does not break a line; 0 if there is none.
fn space_or_hyphen(text: &Cursor<'_>, at: usize) -> Result<usize, More> {
    Ok(match text.get(at)? {
        Some(b' ' | b'-') => 1,
        // U+00A0.
        Some(0xc2) if text.is(at + 1, |byte| byte == 0xa0)? => 2,
        // U+2007, U+2009, U+202F; U+2010, U+2011, U+2013.
        Some(0xe2)
            if text.is(at + 1, |byte| byte == 0x80)?
                && text.is(at + 2, |byte| {
                    matches!(byte, 0x87 | 0x89 | 0xaf | 0x90 | 0x91 | 0x93)
                })? =>
        {
            3
        }
        _ => 0,
    })
}

/// Luhn's checksum (ISO/IEC 7812-1).
pub(crate) fn luhn(digits: &[(u8, usize)]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, (digit, _))| match (at % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// 13 to 19 digits as an issuer numbers, with a checksum.
pub(crate) fn card(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    if !text.is_start() || matches!(text.before, b'.' | b'_') {
        return Ok(None);
    }
    let digits = digits(text, 0, 19, |text, at| match text.get(at)? {
        Some(b'.') => Ok(1),
        _ => space_or_hyphen(text, at),
    })?;
    for length in (13..=digits.len()).rev() {
        let end = digits[length - 1].1;
        let digits = &digits[..length];
        if is_issued(digits) && luhn(digits) && is_grouped(text, digits) && text.is_over(end)? {
            return text.to(end);
        }
    }
    Ok(None)
}

/// Whether dots stand between groups as cards have them: others are in fractions, versions and addresses of hosts.
fn is_grouped(text: &Cursor<'_>, digits: &[(u8, usize)]) -> bool {
    let (mut groups, mut length, mut is_short, mut has_dots) = (1, 0, false, false);
    for (at, (_, end)) in digits.iter().enumerate() {
        length += 1;
        let is_last = at + 1 == digits.len();
        if is_last || digits[at + 1].1 > end + 1 {
            is_short |= !(3..=7).contains(&length);
            has_dots |= !is_last && text.bytes[*end] == b'.';
            groups += usize::from(!is_last);
            length = 0;
        }
    }
    !has_dots || groups > 2 && !is_short
}

/// Whether an issuer has numbers that begin so and are as long.
fn is_issued(digits: &[(u8, usize)]) -> bool {
    let prefix = |length: usize| {
        digits[..length].iter().fold(0_u32, |all, (digit, _)| all * 10 + u32::from(*digit))
    };
    let (two, three, four) = (prefix(2), prefix(3), prefix(4));
    match digits.len() {
        13 => two / 10 == 4,
        14 => matches!(two, 36 | 38 | 39) || (300..=305).contains(&three),
        15 => matches!(two, 34 | 37),
        16 => {
            two / 10 == 4
                || (51..=55).contains(&two)
                || (2221..=2720).contains(&four)
                || matches!(two, 62 | 65 | 35)
                || four == 6011
                || (644..=649).contains(&three)
        }
        17 | 18 => two == 62,
        19 => two / 10 == 4 || matches!(two, 62 | 65 | 35) || four == 6011,
        _ => false,
    }
}

/// Country and length, of the registry of IBAN.
const IBANS: &[u8] = b"AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

/// A country, two check digits, and as many letters and digits as the country has, in groups of four or not.
pub(crate) fn iban(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    if !text.is_start() || !text.is(1, |byte| byte.is_ascii_alphabetic())? {
        return Ok(None);
    }
    let country = &text.bytes[..2];
    let row = IBANS.chunks_exact(4).find(|row| row[..2].eq_ignore_ascii_case(country));
    let Some(row) = row else { return Ok(None) };
    let length = usize::from((row[2] - b'0') * 10 + row[3] - b'0');
    let mut all = Vec::with_capacity(length);
    let mut at = 0;
    while all.len() < length {
        if all.len() % 4 == 0 && !all.is_empty() {
            at += space_or_hyphen(text, at)?;
        }
        let is_check = matches!(all.len(), 2 | 3);
        match text.get(at)? {
            Some(byte) if byte.is_ascii_digit() || byte.is_ascii_alphabetic() && !is_check => {
                all.push(byte.to_ascii_uppercase());
            }
            _ => return Ok(None),
        }
        at += 1;
    }
    if !text.is_over(at)? {
        return Ok(None);
    }
    all.rotate_left(4);
    let rest = all.iter().fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    if rest == 1 { text.to(at) } else { Ok(None) }
}

/// `+` and 8 to 15 digits (E.164), or ten of North America in their groups.
pub(crate) fn phone(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    if !text.is_start() || matches!(text.before, b'+' | b'.' | b'-' | b'_' | b'/') {
        return Ok(None);
    }
    if text.bytes[0] != b'+' {
        return north_american(text);
    }
    if !text.is(1, |byte| matches!(byte, b'1'..=b'9'))? {
        return Ok(None);
    }
    let (mut count, mut end, mut at, mut gap) = (0, 0, 1, 0);
    while at < 30 {
        match text.get(at)? {
            Some(byte) if byte.is_ascii_digit() => {
                (count, end, gap) = (count + 1, at + 1, 0);
            }
            // `+44 (0) 20`: two of them may stand between digits, and a bracket.
            Some(b' ' | b'-' | b'.' | b'(' | b')' | b'/') if gap < 2 => gap += 1,
            _ => break,
        }
        at += 1;
    }
    let is_phone = (8..=15).contains(&count) && text.is_over(end)?;
    if is_phone { text.to(end) } else { Ok(None) }
}

/// `(415) 555-0100` and `415-555-0100`: neither area nor exchange begins with 0 or 1.
fn north_american(text: &Cursor<'_>) -> Result<Option<Found>, More> {
    let group = |at: usize, length: usize, is_named: bool| {
        let first = if is_named { b'2' } else { b'0' };
        if !text.is(at, |byte| (first..=b'9').contains(&byte))? {
            return Ok(None);
        }
        let end = text.run(at, length, |byte| byte.is_ascii_digit())?;
        Ok((end == at + length).then_some(end))
    };
    let is_bracketed = text.bytes[0] == b'(';
    let Some(mut at) = group(usize::from(is_bracketed), 3, true)? else { return Ok(None) };
    let separator = match (is_bracketed, text.get(at)?) {
        (true, Some(b')')) => {
            at += 1;
            at += usize::from(text.is(at, |byte| byte == b' ')?);
            None
        }
        (false, Some(separator @ (b'-' | b'.' | b' '))) => {
            at += 1;
            Some(separator)
        }
        _ => return Ok(None),
    };
    let Some(end) = group(at, 3, true)? else { return Ok(None) };
    let behind = text.get(end)?;
    let fits =
        matches!(behind, Some(b'-' | b'.' | b' ')) && separator.is_none_or(|it| behind == Some(it));
    let Some(end) = (if fits { group(end + 1, 4, false)? } else { None }) else { return Ok(None) };
    let is_alone = text.is_over(end)? && !text.is(end, |byte| byte == b'-')?;
    if is_alone { text.to(end) } else { Ok(None) }
}
