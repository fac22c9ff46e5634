//! Values on their way into a line.
//!
//! Owns the escaping: no value can end its line, string or field, or control a terminal. This also
//! holds for readers that know other line ends than `\n`.

/// Writes a value as a JSON string, quotes included. What is not UTF-8 becomes U+FFFD.
pub(super) fn json(value: &[u8], line: &mut Vec<u8>) {
    line.push(b'"');
    for chunk in value.utf8_chunks() {
        json_text(chunk.valid(), line);
        if !chunk.invalid().is_empty() {
            line.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
    line.push(b'"');
}

fn json_text(mut text: &str, line: &mut Vec<u8>) {
    let is_plain = |byte: u8| (0x20..0x7F).contains(&byte) && byte != b'"' && byte != b'\\';
    loop {
        let plain = text.bytes().take_while(|byte| is_plain(*byte)).count();
        line.extend_from_slice(&text.as_bytes()[..plain]);
        text = &text[plain..];
        let Some(c) = text.chars().next() else { return };
        text = &text[c.len_utf8()..];
        match c {
            '"' => line.extend_from_slice(b"\\\""),
            '\\' => line.extend_from_slice(b"\\\\"),
            '\n' => line.extend_from_slice(b"\\n"),
            '\r' => line.extend_from_slice(b"\\r"),
            '\t' => line.extend_from_slice(b"\\t"),
            // All of these are in the plane whose escapes have four digits.
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}')
                || is_bidi(c) =>
            {
                let code = u32::from(c);
                line.extend_from_slice(b"\\u");
                line.extend([12, 8, 4, 0].map(|shift| hex(code >> shift, b'a')));
            }
            c => line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Whether it turns the direction of the text around it.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Writes a value into text as nginx does: what is not visible ASCII, quotes and backslashes as
/// `\xHH`. So are spaces where it is not between quotes.
pub(super) fn text(value: &[u8], is_quoted: bool, line: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b'"' | b'\\' => {}
            0x21..0x7F => {
                line.push(*byte);
                continue;
            }
            b' ' if is_quoted => {
                line.push(b' ');
                continue;
            }
            _ => {}
        }
        line.extend_from_slice(b"\\x");
        line.extend([4, 0].map(|shift| hex(u32::from(*byte) >> shift, b'A')));
    }
}

fn hex(digit: u32, ten: u8) -> u8 {
    match (digit & 15) as u8 {
        digit @ 0..10 => b'0' + digit,
        digit => ten + digit - 10,
    }
}
