//! The one form of a query in which it is shown and forwarded.
//!
//! Owns what a query may hold raw. It is otherwise as the client wrote it: services sign queries, and
//! order and escapes count for that.

use crate::error::Malformed;

/// The query with the characters escaped that no URI may hold (RFC 3986 section 3.4) and that parsers
/// do not agree on; `None` if it has none of them. An escape means the same to every server.
///
/// # Errors
/// [`Malformed::Fragment`], for `#`.
pub(crate) fn escape(raw: &str) -> Result<Option<String>, Malformed> {
    if raw.bytes().all(is_plain) {
        return Ok(None);
    }
    let mut escaped = String::with_capacity(raw.len() + 16);
    for byte in raw.bytes() {
        match byte {
            b'#' => return Err(Malformed::Fragment),
            _ if is_plain(byte) => escaped.push(char::from(byte)),
            _ => escaped.push_str(percent_encoding::percent_encode_byte(byte)),
        }
    }
    Ok(Some(escaped))
}

/// Printable. Beside what RFC 3986 allows, what browsers send raw in a query.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7E) && !matches!(byte, b'"' | b'#' | b'<' | b'>')
}

/// Whether the target in a raw head of HTTP/1 has a fragment, which is the client's own and is in
/// no request (RFC 9112 section 3.2). The parser removes it silently.
pub(crate) fn has_fragment(raw_head: &[u8]) -> bool {
    let Some(space) = memchr::memchr(b' ', raw_head) else { return false };
    let rest = &raw_head[space..];
    memchr::memchr2(b'#', b'\n', rest).is_some_and(|at| rest[at] == b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_what_every_server_takes() {
        for query in ["", "a=b&c=%22", "q={a|b}^[0]`\\'", "%zz&;?/:@!$()*+,"] {
            assert_eq!(escape(query), Ok(None), "{query}");
        }
    }

    #[test]
    fn escapes_what_parsers_do_not_agree_on() {
        let escaped = |raw| escape(raw).unwrap().unwrap();
        assert_eq!(escaped("a=\"b\"&c=<d>"), "a=%22b%22&c=%3Cd%3E");
        assert_eq!(escaped("q=é&r=%c3|"), "q=%C3%A9&r=%c3|");
        assert_eq!(escape("a#b"), Err(Malformed::Fragment));
        assert_eq!(escape("a\"#"), Err(Malformed::Fragment));
    }

    #[test]
    fn finds_a_fragment_in_the_target_alone() {
        assert!(has_fragment(b"GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert!(has_fragment(b"\r\nGET http://a/?b# HTTP/1.1\r\n\r\n"));
        assert!(!has_fragment(b"G#T / HTTP/1.1\r\nx: #\r\n\r\n"));
        assert!(!has_fragment(b"GET / HTTP/1.1\r\nx: #\r\n\r\n#"));
        assert!(!has_fragment(b""));
    }
}
